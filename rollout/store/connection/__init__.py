"""The connection to the database: access, its errors, the server's time."""
