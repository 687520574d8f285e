"""Build an inventory from the files that people have: read, recognize, join, merge."""
