"""Microsoft's clouds as the directories need them; the table itself is `rollout.values.clouds`."""

from rollout.values.clouds import CLOUDS, Cloud

__all__ = ["CLOUDS", "Cloud"]
