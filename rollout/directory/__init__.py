"""Where a fleet comes from and where memberships go: exports, ConfigMgr's AdminService, Microsoft Graph."""
