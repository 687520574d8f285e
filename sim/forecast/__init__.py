"""A running rollout: assumptions fitted to what it did so far, and its continuation from there."""
