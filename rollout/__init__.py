"""Move a fleet of Windows clients into co-management: plan it, simulate that plan, execute it."""

__version__ = "0.1.0"
