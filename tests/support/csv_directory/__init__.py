"""A third real directory, as a stranger would add one: CSV files in a folder, and one row of the registry."""
