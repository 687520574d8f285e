"""Microsoft Graph: membership of one Entra group."""
