"""The simulated directory and a journal in memory: the loop uses them as it uses real ones."""
