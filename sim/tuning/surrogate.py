"""A cheap surrogate for runs: the likely score of a candidate, learned from those that were tried.

A Gaussian process over the unit cube of a space: a straight trend along the first axis, a smooth part that all
kinds of pacing share, and a rougher part of its own for each kind. How far an axis reaches, and how much is noise, is
fitted by climbing the posterior a few random steps each time. It needs numpy alone.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout.errors import UsageError
from rollout.values import IntArray

FloatArray = NDArray[np.float64]

SHARED: Final = (0, 1, 6)
"""Axes that mean the same in every kind: hours, step, pilot."""
SLOPE: Final = 4.0
JITTER: Final = 1e-8
REACH, SMOOTH, ROUGH, NOISE = 0.8, 0.5, 0.3, 0.003
"""The prior, before anything was tried: reach of an axis, variances of the parts."""
DOUBT: Final = (0.8, 1.0, 1.0, 1.5)
"""How far each of these may be off, in logarithms."""


def one_thread() -> Any:
    """Return a controller that keeps numpy's linear algebra to one thread: `with one_thread().limit(limits=1)`.

    Matrices are small and workers have the cores: more threads wait for each other longer than they compute, and
    could round otherwise on a machine with more cores. Raise a `UsageError` if threadpoolctl is not installed.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        raise UsageError(
            "expected the package 'threadpoolctl', found none", "pip install 'rollout[tune]'"
        ) from None
    return ThreadpoolController()


class Surrogate:
    """One figure as a function of the place; refitted as more is known, from where it was before.

    axes : number of axes of the unit cube.
    """

    def __init__(self, axes: int) -> None:
        self._axes = axes
        self._prior = np.log([*[REACH] * axes, SMOOTH, ROUGH, NOISE])
        self._doubt = np.array([*[DOUBT[0]] * axes, *DOUBT[1:]])
        self._fitted = self._prior.copy()

    def fit(self, x: FloatArray, kind: IntArray, y: FloatArray, rng: np.random.Generator, tries: int) -> None:
        """Learn from places x (n, axes), kinds (n,) and figures y (n,); `tries` steps of the climb."""
        self._x, self._kind = x, kind
        self._mean, self._scale = float(y.mean()), float(y.std()) or 1.0
        self._z = (y - self._mean) / self._scale
        squares = (x[:, None, :] - x[None, :, :]) ** 2
        best = self._evidence(self._fitted, squares)
        for _ in range(tries):
            moved = rng.normal(0, 0.4, len(self._fitted)) * (rng.random(len(self._fitted)) < 0.4)
            found = self._evidence(self._fitted + moved, squares)
            if found > best:
                best, self._fitted = found, self._fitted + moved
        self._inverse = np.linalg.inv(self._noisy(self._fitted, squares))
        self._weights = self._inverse @ self._z

    def predict(self, x: FloatArray, kind: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the figure at places x (n, axes)."""
        squares = (x[:, None, :] - self._x[None, :, :]) ** 2
        near = self._kernel(
            self._fitted, squares, x[:, 0], self._x[:, 0], kind[:, None] == self._kind[None, :]
        )
        smooth, rough, noise = np.exp(self._fitted[self._axes :])
        before = 1.0 + noise + SLOPE * (x[:, 0] - 0.5) ** 2 + smooth + rough
        spread = np.maximum(before - np.einsum("ij,ij->i", near @ self._inverse, near), 1e-9)
        return self._mean + self._scale * (near @ self._weights), self._scale * np.sqrt(spread)

    def _kernel(
        self, logs: FloatArray, squares: FloatArray, x: FloatArray, other: FloatArray, same: NDArray[np.bool_]
    ) -> FloatArray:
        reach, (smooth, rough, _) = np.exp(logs[: self._axes]), np.exp(logs[self._axes :])
        weights = 1.0 / reach**2
        shared = np.zeros(self._axes)
        shared[list(SHARED)] = weights[list(SHARED)]
        far = np.sqrt(5.0 * (squares @ weights))
        out: FloatArray = 1.0 + SLOPE * np.multiply.outer(x - 0.5, other - 0.5)
        out += smooth * np.exp(-0.5 * (squares @ shared))
        out += rough * same * (1.0 + far + far * far / 3.0) * np.exp(-far)
        return out

    def _noisy(self, logs: FloatArray, squares: FloatArray) -> FloatArray:
        x = self._x[:, 0]
        out = self._kernel(logs, squares, x, x, self._kind[:, None] == self._kind[None, :])
        out[np.diag_indices(len(out))] += np.exp(logs[-1]) + JITTER
        return out

    def _evidence(self, logs: FloatArray, squares: FloatArray) -> float:
        """Return the log posterior of the reaches and variances, up to a constant."""
        # With y as one more row, a single factorization gives the determinant and the quadratic form.
        size, noise = len(self._z), np.exp(logs[-1]) + JITTER
        border = np.zeros((size + 1, size + 1))
        border[:size, :size] = self._noisy(logs, squares)
        border[size, :size] = border[:size, size] = self._z
        border[size, size] = 1.0 + self._z @ self._z / noise
        try:
            factor = np.linalg.cholesky(border)
        except np.linalg.LinAlgError:
            return -np.inf
        fit = factor[size, :size]
        prior = (((logs - self._prior) / self._doubt) ** 2).sum()
        return float(-0.5 * fit @ fit - np.log(np.diag(factor)[:size]).sum() - 0.5 * prior)
