"""An interval that holds at every observation: how many devices of this fleet will have failed at the end.

Source: Waudby-Smith & Ramdas 2020 (sampling without replacement, prior-posterior ratio).
"""

from __future__ import annotations

import math

import numpy as np

from rollout.gates.beta import FloatArray, log_beta
from rollout.gates.evidence import check_counts
from rollout.values import LongArray


def finite_fleet_interval(
    failures: float,
    seen: float,
    fleet: float,
    alpha: float = 0.05,
    prior_a: float = 1.0,
    prior_b: float = 1.0,
) -> tuple[int, int]:
    """Return the range of devices of this fleet that will have failed at the end, `failures` of `seen` known.

    Any-time valid at 1 - alpha for devices taken in random order without replacement: every total M stays
    for which prior(M) / posterior(M) < 1/alpha under a beta-binomial prior. Raise a `ValueError` on
    impossible counts.
    """
    s, n = check_counts(failures, seen)
    _, total = check_counts(n, fleet, ("devices seen", "devices of the fleet"))
    _check_alpha(alpha)
    rest = total - n
    more = np.arange(rest + 1, dtype=np.int64)
    prior = _log_beta_binomial(more + s, total, prior_a, prior_b)
    posterior = _log_beta_binomial(more, rest, prior_a + s, prior_b + n - s)
    kept = np.flatnonzero(prior - posterior < -math.log(alpha))
    return s + int(kept[0]), s + int(kept[-1])


def _log_beta_binomial(k: LongArray, n: int, a: float, b: float) -> FloatArray:
    choose = -log_beta(k + 1.0, n - k + 1.0) - math.log(n + 1)
    return np.asarray(choose + log_beta(k + a, n - k + b) - log_beta(a, b))


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"expected 0 < alpha < 1, found {alpha}")
