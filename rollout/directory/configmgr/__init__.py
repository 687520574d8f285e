"""ConfigMgr's AdminService: one direct rule per device in one collection."""
