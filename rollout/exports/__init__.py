"""From the files that people have to an inventory: read, recognize, join, merge."""
