"""Alembic's environment. A new migration: see `script.py.mako`, and raise HEAD in rollout/store/migration.py."""
