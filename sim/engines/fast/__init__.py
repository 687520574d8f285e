"""The fast engine, compiled by numba, and where its compiled code is kept."""
