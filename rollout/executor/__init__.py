"""One session of `rollout run`: it opens the directory, holds the lease, drives the loop and reports."""
