"""The search for the pacing that is fastest and gentlest within a scenario's targets."""
