"""Anytime-valid evidence on a failure rate: two e-processes and their boundaries.

With s failures among n devices and a Beta(a, b) prior:

    E_halt = ∫_{p > p_ok}  p^s (1-p)^(n-s) dBeta(a, b), prior cut to p > p_ok,  / (p_ok^s  (1-p_ok)^(n-s))
    E_pass = ∫_{p < p_bad} p^s (1-p)^(n-s) dBeta(a, b), prior cut to p < p_bad, / (p_bad^s (1-p_bad)^(n-s))

By Ville's inequality a rollout whose rate is at most p_ok ever reaches E_halt >= 1/alpha with a chance of at
most alpha, however often it is tested; the same for E_pass, p_bad and beta. E_halt rises in s and falls
in n, E_pass the other way round. So each rule is an integer boundary, and an observation is a comparison:
with s failures, halt while n <= `HaltBoundary.last[s]`; pass from n >= `PassBoundary.first[s]` on.

HALT also needs a rate that is a third of the way from p_ok to p_bad, see `halting_rate`: over 100,000 devices 2.2 % is
surely more than 2 %, and yet no reason to stop for good. Failures come in clusters (a site, a model), so the rate of a
good fleet as a whole varies: the margin keeps such a fleet from being halted, and costs nothing where harm is plain.

Sources: Ville 1939; Robbins 1970 and Howard, Ramdas, McAuliffe & Sekhon 2021 (beta-binomial mixture).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from rollout.gates.beta import FloatArray, log_beta_above, log_beta_below
from rollout.values import BoolArray, EvidenceGate, LongArray

RATE_MIN = 1e-6
CHANCE_MIN = 1e-12
PRIOR_MIN, PRIOR_MAX = 0.001, 100_000.0
"""Bounds of failure rates, of accepted chances and of a prior; beyond them the logarithms lose their digits."""

MARGIN = 3
"""HALT needs a rate of at least p_ok and one part in MARGIN of the way to p_bad."""

BLOCK = 64
"""Boundaries grow by at least this many failures at a time."""


def check_evidence_gate(gate: EvidenceGate) -> None:
    """Raise a `ValueError` that names the first parameter out of its range."""
    if not RATE_MIN <= gate.p_ok < gate.p_bad <= 1 - RATE_MIN:
        raise ValueError(
            f"expected {RATE_MIN:g} <= p_ok < p_bad <= 1 - {RATE_MIN:g}, "
            f"found p_ok = {gate.p_ok}, p_bad = {gate.p_bad}"
        )
    for name, value in (("alpha", gate.alpha), ("beta", gate.beta)):
        if not CHANCE_MIN <= value < 1:
            raise ValueError(f"expected {CHANCE_MIN:g} <= {name} < 1, found {value}")
    for name, value in (("prior_a", gate.prior_a), ("prior_b", gate.prior_b)):
        if not PRIOR_MIN <= value <= PRIOR_MAX:
            raise ValueError(f"expected a {name} from {PRIOR_MIN:g} to {PRIOR_MAX:g}, found {value}")


def check_counts(
    failed: float, seen: float, names: tuple[str, str] = ("failures", "devices")
) -> tuple[int, int]:
    """Return both counts as int; raise a `ValueError` unless they are whole and 0 <= failed <= seen."""
    for name, value in zip(names, (failed, seen), strict=True):
        if not math.isfinite(value) or value != int(value):
            raise ValueError(f"expected a whole number of {name}, found {value}")
        if value < 0:
            raise ValueError(f"expected no negative number of {name}, found {value}")
    if failed > seen:
        raise ValueError(f"expected at most as many {names[0]} as {names[1]}, found {failed} of {seen}")
    return int(failed), int(seen)


def halting_rate(gate: EvidenceGate) -> float:
    """Return the failure rate below which nothing halts, however certain it is that it is above p_ok."""
    return gate.p_ok + (gate.p_bad - gate.p_ok) / MARGIN


def log_halt(failed: LongArray, seen: LongArray, gate: EvidenceGate) -> FloatArray:
    """Return ln E_halt elementwise; the counts are not checked, shape ``(k,)``."""
    a, b, p = gate.prior_a, gate.prior_b, gate.p_ok
    above = log_beta_above(p, a + failed, b + (seen - failed)) - _log_priors(gate)[0]
    return np.asarray(above - failed * math.log(p) - (seen - failed) * math.log1p(-p))


def log_pass(failed: LongArray, seen: LongArray, gate: EvidenceGate) -> FloatArray:
    """Return ln E_pass elementwise; the counts are not checked, shape ``(k,)``."""
    a, b, p = gate.prior_a, gate.prior_b, gate.p_bad
    below = log_beta_below(p, a + failed, b + (seen - failed)) - _log_priors(gate)[1]
    return np.asarray(below - failed * math.log(p) - (seen - failed) * math.log1p(-p))


@lru_cache(maxsize=64)
def _log_priors(gate: EvidenceGate) -> tuple[float, float]:
    """Return ln of the prior's unnormalized mass above p_ok and below p_bad."""
    a, b = gate.prior_a, gate.prior_b
    return float(log_beta_above(gate.p_ok, a, b)), float(log_beta_below(gate.p_bad, a, b))


class HaltBoundary:
    """Where E_halt x `share` reaches 1/alpha, and the rate `halting_rate`.

    share : this test's part of alpha (Bonferroni).

    last : (k,) int64, non-decreasing: with s failures halt while n <= last[s]; -1 never. It grows when
        an observation needs more; the answer depends on the counts alone.
    """

    def __init__(self, gate: EvidenceGate, share: float = 1.0) -> None:
        check_evidence_gate(gate)
        if not 0 < share <= 1:
            raise ValueError(f"expected 0 < share <= 1, found {share}")
        self.gate = gate
        self.share = share
        self.log_limit = -math.log(gate.alpha * share)
        self.last: LongArray = np.array([-1], dtype=np.int64)  # E_halt(0, n) <= 1

    def halts(self, failed: ArrayLike, seen: ArrayLike) -> BoolArray:
        """Return where `failed` of `seen` devices (int, shapes that broadcast) are enough to halt."""
        s, n = np.asarray(failed), np.asarray(seen)
        if s.shape != n.shape:
            s, n = np.broadcast_arrays(s, n)
        while True:
            last = self.last  # one read: a second thread may replace it
            most = int(s.max(initial=0))
            if most < len(last):
                if last[most] < 0:  # the cheap common case: hardly any failures yet
                    return np.zeros(s.shape, dtype=bool)
                return np.asarray((n <= last[s]) & (n >= s))
            # Beyond the table `last` can only be higher, so a "yes" at its end stands.
            beyond = s >= len(last)
            if bool(np.all(n[beyond] <= last[-1])):
                return np.asarray((n <= last[np.minimum(s, len(last) - 1)]) & (n >= s))
            self._grow(len(last))

    def fewest(self, seen: int) -> int:
        """Return the smallest number of failures that halts at `seen` devices; `seen` + 1 if none does."""
        if self.last[-1] < seen:
            self.critical(seen)
        return min(int(self.last.searchsorted(seen)), seen + 1)

    def critical(self, seen: ArrayLike) -> LongArray:
        """Return the smallest number of failures that halts at each `seen`; `seen` + 1 where none does."""
        n = np.asarray(seen, dtype=np.int64)
        highest = int(n.max(initial=0))
        while self.last[-1] < highest and len(self.last) <= highest + 1:
            self._grow(len(self.last))
        return np.minimum(np.searchsorted(self.last, n, side="left"), n + 1).astype(np.int64)

    def _grow(self, known: int) -> None:
        s = np.arange(known, known + max(BLOCK, known // 2), dtype=np.int64)
        # At n >= s / p_ok no rate above p_ok explains the data better than p_ok does: E_halt <= 1.
        high = np.ceil(s / self.gate.p_ok).astype(np.int64) + 1
        guess = _normal_guess(s, self.gate.p_ok, -math.sqrt(2 * self.log_limit + 2))
        low, _ = _crossing(
            lambda rows, n: log_halt(s[rows], n, self.gate) - self.log_limit, s - 1, high, guess
        )
        low = np.minimum(low, np.floor(s / halting_rate(self.gate)).astype(np.int64))
        fresh = np.where(low < s, -1, low)
        self.last = np.maximum.accumulate(np.concatenate([self.last[:known], fresh]))


class PassBoundary:
    """Where E_pass reaches 1/beta.

    first : (k,) int64, non-decreasing: with s failures pass from n >= first[s] on. It grows when needed.
    """

    def __init__(self, gate: EvidenceGate) -> None:
        check_evidence_gate(gate)
        self.gate = gate
        self.log_limit = -math.log(gate.beta)
        self.first: LongArray = np.empty(0, dtype=np.int64)

    def passes(self, failed: ArrayLike, seen: ArrayLike) -> BoolArray:
        """Return where `failed` of `seen` devices (int, shapes that broadcast) prove the rate below p_bad."""
        s, n = np.asarray(failed), np.asarray(seen)
        while True:
            first = self.first
            if len(first):
                enough = n >= first[np.minimum(s, len(first) - 1)]
                # Beyond the table `first` can only be higher, so a "no" at its end stands.
                if bool(np.all(~enough | (s < len(first)))):
                    return np.asarray(enough)
            self._grow(len(first))

    def needed(self, failed: int) -> int:
        """Return how many executed devices pass with `failed` failures among them."""
        while len(self.first) <= failed:
            self._grow(len(self.first))
        return int(self.first[failed])

    def allowed(self, seen: ArrayLike) -> LongArray:
        """Return the largest number of failures that passes at each `seen`; -1 where none does."""
        n = np.asarray(seen, dtype=np.int64)
        while not len(self.first) or self.first[-1] <= int(n.max(initial=0)):
            self._grow(len(self.first))
        return np.asarray(np.searchsorted(self.first, n, side="right") - 1, dtype=np.int64)

    def _grow(self, known: int) -> None:
        s = np.arange(known, known + max(BLOCK, known // 2), dtype=np.int64)
        low = np.maximum(np.floor(s / self.gate.p_bad).astype(np.int64), s)  # E_pass <= 1 up to here
        high = 2 * low + 64
        while (short := log_pass(s, high, self.gate) < self.log_limit).any():
            high = np.where(short, 2 * high, high)
        guess = _normal_guess(s, self.gate.p_bad, math.sqrt(2 * self.log_limit + 2))
        _, high = _crossing(
            lambda rows, n: self.log_limit - log_pass(s[rows], n, self.gate), low, high, guess
        )
        self.first = np.maximum.accumulate(np.concatenate([self.first[:known], high]))


def _normal_guess(s: LongArray, p: float, z: float) -> FloatArray:
    """Return the n at which s = p n - z sqrt(p n): where a boundary lies, roughly."""
    root = (z + np.sqrt(z * z + 4 * s)) / 2
    return np.asarray(root * root / p)


def _crossing(
    over: Callable[[LongArray, LongArray], FloatArray], low: LongArray, high: LongArray, guess: FloatArray
) -> tuple[LongArray, LongArray]:
    """Return neighbours (low, high) between which the falling `over(row, n)` changes from >= 0 to < 0.

    low, high : (k,) int64; `over` is taken as >= 0 at `low` and < 0 at `high`. Regula falsi with the
    Illinois rule, first at `guess`: about seven evaluations where bisection takes seventeen.
    """
    low, high = low.copy(), high.copy()
    # Values that lead the first interpolation to the guess; those at the ends need not be known.
    slope = 1.0 / np.sqrt(high + 1.0)
    at_low = np.maximum(guess - low, 1e-9) * slope
    at_high = -np.maximum(high - guess, 1e-9) * slope
    last_side = np.zeros(len(low), dtype=np.int64)
    rows = np.flatnonzero(high - low > 1)
    while len(rows):
        weight = at_low[rows] / (at_low[rows] - at_high[rows])
        middle = low[rows] + np.floor((high[rows] - low[rows]) * weight).astype(np.int64)
        middle = np.clip(middle, low[rows] + 1, high[rows] - 1)
        value = over(rows, middle)
        side = np.where(value >= 0, 1, -1)
        again = side == last_side[rows]
        at_high[rows[again & (side > 0)]] *= 0.5
        at_low[rows[again & (side < 0)]] *= 0.5
        left, right = rows[side > 0], rows[side < 0]
        low[left], at_low[left] = middle[side > 0], value[side > 0]
        high[right], at_high[right] = middle[side < 0], value[side < 0]
        last_side[rows] = side
        rows = rows[high[rows] - low[rows] > 1]
    return low, high


@lru_cache(maxsize=256)
def halt_boundary(gate: EvidenceGate, share: float = 1.0) -> HaltBoundary:
    """Return the one boundary of these parameters, so that its table is computed once per process."""
    return HaltBoundary(gate, share)


@lru_cache(maxsize=64)
def pass_boundary(gate: EvidenceGate) -> PassBoundary:
    """Return the one boundary of these parameters, so that its table is computed once per process."""
    return PassBoundary(gate)


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """The two boundaries as a picture shows them.

    seen : (k,) int64 devices. halt : (k,) the fewest failures that halt, seen + 1 where none does.
    passing : (k,) the most failures that still pass, -1 where none does.
    """

    seen: LongArray
    halt: LongArray
    passing: LongArray


def boundary_of(gate: EvidenceGate, seen: LongArray, share: float = 1.0) -> Boundary:
    """Return both boundaries at each number of devices; `share` is the test's part of alpha."""
    return Boundary(seen, halt_boundary(gate, share).critical(seen), pass_boundary(gate).allowed(seen))
