"""The journal of a rollout in SQL: sealed entries, one writer with a lease, any number of readers."""
