"""The journal of a rollout in SQL: sealed entries, a single writer with a lease, any number of readers."""
