"""`python -m rollout.cli`: the command line without its script, as `run` starts its helpers."""

import sys

from rollout.cli import main

sys.exit(main())
