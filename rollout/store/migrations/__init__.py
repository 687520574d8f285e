"""Alembic's environment. For a new migration, see `script.py.mako` and raise HEAD in rollout/store/migration.py."""
