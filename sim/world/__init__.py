"""The simulated directory and a journal in memory: the loop runs on them as it does on real ones."""
