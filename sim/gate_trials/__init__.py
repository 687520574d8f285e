"""How often the gates alone would stop a plan, for known failure rates."""
