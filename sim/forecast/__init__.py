"""The forecast of a running rollout: assumptions fitted to it, and its simulated continuations."""
