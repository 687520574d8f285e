"""The fast engine, compiled by numba, and the cache of its compiled code."""
