"""Stateful stand-ins for the AdminService and Microsoft Graph, for tests; see `emulators.web` for how to start one."""
