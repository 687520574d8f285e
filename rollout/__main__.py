"""`python -m rollout`: the command line where the script is not on the path."""

from __future__ import annotations

import sys

from rollout.cli import main

sys.exit(main())
