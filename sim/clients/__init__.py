"""Simulated clients: when they are online, their random draws, and the enrollment service that they use."""
