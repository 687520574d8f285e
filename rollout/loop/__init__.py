"""The loop that moves a rollout on: observe, decide, write down, release.

`decide` is a pure function. The simulated directory and the real ones answer through the same ports, so what is
simulated is what is executed.
"""
