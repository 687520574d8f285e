"""A second opinion on where to look: Optuna's multi-objective TPE, which does not share a surrogate's beliefs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout.errors import UsageError
from rollout.values import IntArray
from sim.scenario import Targets
from sim.tuning.candidates import MODES, NAMES, FloatArray, Space
from sim.tuning.front import Tried

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


class Explorer:
    """Knows what was tried and asks for more. Places are shares of the way along each axis of the space.

    Raise a `UsageError` if optuna is not installed.
    """

    def __init__(self, space: Space, targets: Targets, seed: int) -> None:
        self._space, self._targets = space, targets
        self._study = _study(seed)

    def tell(self, tried: Sequence[Tried]) -> None:
        """Learn what candidates are worth."""
        self._study.add_trials([self._trial(one) for one in tried if one.candidate.mode])

    def ask(self, count: int) -> tuple[IntArray, FloatArray]:
        """Give modes (count,) and places (count, axes)."""
        with _quiet():
            asked = [self._suggest(self._study.ask()) for _ in range(count)]
        modes = np.array([mode for mode, _ in asked], dtype=np.int32)
        return modes, self._space.snap(modes, np.array([place for _, place in asked]))

    def _suggest(self, trial: Trial) -> tuple[int, list[float]]:
        mode = trial.suggest_categorical("mode", MODES)
        own = zip(NAMES, self._space.own(mode), strict=True)
        place = [trial.suggest_float(name, 0.0, 1.0) if mine else 0.5 for name, mine in own]
        self._study.tell(trial, state=_failed())  # what comes of it is told like everything else
        return MODES.index(mode), place

    def _trial(self, one: Tried) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution
        from optuna.trial import create_trial

        mode, score = one.candidate.mode, one.score
        place = zip(NAMES, self._space.place(one.candidate), self._space.own(mode), strict=True)
        shares = {name: min(1.0, max(0.0, share)) for name, share, mine in place if mine}
        return create_trial(
            params={"mode": mode, **shares},
            distributions={
                "mode": CategoricalDistribution(MODES),
                **dict.fromkeys(shares, FloatDistribution(0.0, 1.0)),
            },
            values=(
                min(score.hours, 1e4),
                min(score.peak, 1e6),
            ),  # what never ends must not stretch the scale
            constraints={"targets": score.violation(self._targets)},
        )


def _study(seed: int) -> Study:
    try:
        import optuna
    except ImportError:
        raise UsageError("expected the package 'optuna', found none", "pip install 'rollout[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _quiet():
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)
    return optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns that options used here are experimental; that is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
