"""The connection to the database: access, errors, the server's time, marks of processes."""
