"""A pretend world that answers like the real one: client life, enrollment service, directory."""
