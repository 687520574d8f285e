"""The life of simulated clients: when they are online, what they draw, what the service answers."""
