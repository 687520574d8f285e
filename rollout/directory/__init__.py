"""Real directories, where memberships go: ConfigMgr's AdminService and Microsoft Graph."""
