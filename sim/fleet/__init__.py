"""Generated fleets, and how a plan and its model are scaled to a smaller one."""

from typing import Final

MADE_UP_AT: Final = 1799625600
"""Monday 11 January 2027 00:00 UTC: the time at which a generated fleet is planned if the policy has no start."""
