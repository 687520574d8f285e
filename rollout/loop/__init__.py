"""The loop that drives a rollout: observe, decide, record, release.

`decide` is a pure function. The simulated directory and the real ones implement the same ports, so what is simulated
is exactly what is executed.
"""
