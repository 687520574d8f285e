"""Small strata early: a phase that takes only some devices takes a few of each model and site.

A representative pilot of 500 meets a model of 1 % five times and one of 0.1 % by chance. So a phase may exchange some
of its devices: the last of its order, of strata that have enough, for the first of the order of strata that lack some.
At most half of a phase is chosen so. Everything follows from the salted order, so an auditor can repeat it.

What it does to the statistics. Which devices of a (site, model) cell go first is still drawn by the salt, and nothing
is chosen by outcomes. The tests that HALT need no random order: each next device must fail with a probability of at
most p_ok given those before, whatever stratum it is from. So neither a stratum's test nor the cumulative one halts a
good rollout more often, and a stratum's test speaks earlier because it has more devices. PASS of the cumulative test
speaks of the mix of devices that were released: with a share x of a pilot exchanged, its failure rate differs from
the fleet's by at most x times the difference between the rates of small and large strata. Later phases are
drawn from those that are left, so the mix returns to the fleet's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.values import BoolArray, IntArray, LongArray
from rollout.values.plan_warnings import note

MOST = 2
"""One of so many devices of a phase may be chosen by stratum."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column whose values are strata. codes : (k,) int32, of the candidates of a phase in order."""

    name: str
    codes: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The devices of a phase: places among its candidates, rising. exchanged : how many of them by stratum.

    reached : per column its name, how many strata it has, the devices that each of them has at least (a smaller
    stratum all that it has), and how many have less than was asked.
    """

    places: LongArray
    exchanged: int
    reached: tuple[tuple[str, int, int, int], ...]

    def note(self, phase: str, least: int) -> str:
        """Return what was chosen and what it costs, "" if nothing was. least : devices of each stratum as asked."""
        is_short = any(lacking for _, _, _, lacking in self.reached)
        if not self.exchanged and not is_short:
            return ""
        size = len(self.places)
        each = "; ".join(_reached(*column, least) for column in self.reached)
        text = (
            f"phase '{phase}': {self.exchanged:,} of {size:,} devices ({self.exchanged / size:.1%}) were chosen by "
            f"stratum, the others represent the fleet: {each}"
        )
        if is_short:
            text += f". No more fit: at most {size // MOST:,} are chosen so"
        return note(text)


def choose(columns: Sequence[Column], candidates: int, size: int, least: int) -> Chosen:
    """Return the devices of a phase of `size` among its candidates in order, with `least` of each stratum.

    The first column has its devices first. Where not all fit, each stratum of a column gets fewer, the same for all;
    where not even one fits, the largest strata have theirs.
    """
    is_in = np.arange(candidates) < size
    least = min(least, size)
    if not 0 < size < candidates or not least:
        return Chosen(np.flatnonzero(is_in), 0, ())
    exchange = _Exchange(is_in, size // MOST)
    figures = [exchange.fill(column.codes, least) for column in columns]
    is_in = exchange.is_in
    # Counted at the end: a later column may have taken what an earlier one had beyond its figure.
    reached = tuple(
        (column.name, len(np.unique(column.codes)), figure, _lacking(column.codes, is_in, least))
        for column, figure in zip(columns, figures, strict=True)
    )
    return Chosen(np.flatnonzero(is_in), int(np.count_nonzero(is_in[size:])), reached)


class _Exchange:
    """Exchanges devices of a phase, column after column. is_in : (k,) bool, whether a candidate is in the phase."""

    def __init__(self, is_in: BoolArray, budget: int) -> None:
        self.is_in = is_in
        self._budget = budget
        self._floors: list[tuple[IntArray, LongArray]] = []

    def fill(self, codes: IntArray, least: int) -> int:
        """Give each stratum of a column up to `least` devices; return how many each has, 0 if some have none."""
        available = np.bincount(codes)
        reached = _largest(
            least, lambda figure: self._exchanged(codes, np.minimum(available, figure)) is not None
        )
        if reached:
            self._apply(codes, np.minimum(available, reached))
        else:
            self._partly(codes, available)
        return reached

    def _apply(self, codes: IntArray, target: LongArray) -> None:
        exchanged = self._exchanged(codes, target)
        if exchanged is not None:
            self._budget -= int(np.count_nonzero(exchanged & ~self.is_in))
            self.is_in = exchanged
            self._floors.append((codes, target))

    def _partly(self, codes: IntArray, available: LongArray) -> None:
        """Give one device to as many strata without any as fit, the largest first."""
        have = np.bincount(codes[self.is_in], minlength=len(available))
        lacking = np.flatnonzero((have == 0) & (available > 0))
        lacking = lacking[np.argsort(-available[lacking], kind="stable")]

        def target(count: int) -> LongArray:
            out = np.minimum(have, 1)
            out[lacking[:count]] = 1
            return out

        count = _largest(len(lacking), lambda count: self._exchanged(codes, target(count)) is not None)
        self._apply(codes, target(count))

    def _exchanged(self, codes: IntArray, target: LongArray) -> BoolArray | None:
        """Return the phase with `target` devices of each stratum, None if that is not possible."""
        have = np.bincount(codes[self.is_in], minlength=len(target))
        added = _first_of(codes, self.is_in, np.maximum(target - have, 0))
        if len(added) > self._budget:
            return None
        out = self.is_in.copy()
        out[added] = True
        removed = _last_spare(out, [*self._floors, (codes, target)], len(added))
        if len(removed) < len(added):
            return None
        out[removed] = False
        return out


def _lacking(codes: IntArray, is_in: BoolArray, least: int) -> int:
    """Return how many strata have less than `least` devices in the phase although there are more."""
    available = np.bincount(codes)
    have = np.bincount(codes[is_in], minlength=len(available))
    return int(np.count_nonzero(have < np.minimum(available, least)))


def _first_of(codes: IntArray, is_in: BoolArray, need: LongArray) -> NDArray[np.intp]:
    """Return the first places that are not in the phase, `need` of each stratum."""
    outside = np.flatnonzero(~is_in & (need > 0)[codes])
    by_stratum = outside[np.argsort(codes[outside], kind="stable")]
    grouped = codes[by_stratum]
    rank = np.arange(len(grouped)) - np.searchsorted(grouped, grouped, side="left")
    return by_stratum[rank < need[grouped]]


def _last_spare(is_in: BoolArray, floors: Sequence[tuple[IntArray, LongArray]], wanted: int) -> list[int]:
    """Return the last places of the phase without which every stratum still has its floor, at most `wanted`."""
    counts = [np.bincount(codes[is_in], minlength=len(floor)).tolist() for codes, floor in floors]
    limits = [floor.tolist() for _, floor in floors]
    places = np.flatnonzero(is_in)[::-1]
    strata = [codes[places].tolist() for codes, _ in floors]
    out: list[int] = []
    for index, place in enumerate(places.tolist()):
        if len(out) == wanted:
            break
        mine = [codes[index] for codes in strata]
        if all(count[code] > limit[code] for count, limit, code in zip(counts, limits, mine, strict=True)):
            for count, code in zip(counts, mine, strict=True):
                count[code] -= 1
            out.append(place)
    return out


def _largest(most: int, works: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that works, 0 if none does; what works for a number works below it."""
    low, high = 0, most + 1
    if most and works(most):
        return most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low


def _reached(name: str, strata: int, reached: int, lacking: int, least: int) -> str:
    if reached >= least:
        return f"each of {strata:,} values of '{name}' has {least:,} or all that there are"
    if reached:
        return f"each of {strata:,} values of '{name}' has {reached:,}, not {least:,}, or all that there are"
    return f"{lacking:,} of {strata:,} values of '{name}' have fewer than {least:,}"
