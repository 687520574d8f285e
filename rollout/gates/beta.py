"""Gamma and beta functions on arrays, in logarithms: all the special functions that the gates need.

Sources: Abramowitz & Stegun 6.1.41 (Stirling's series), 6.5.29 and 6.5.31 (incomplete gamma), DLMF 8.17.22
(continued fraction of the incomplete beta function, evaluated by Lentz's method). Checked against scipy in
the tests; scipy itself is not imported, since it would double the start-up time of every command.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_SHIFT = 10
_TINY = 1e-300
_CLOSE = 1e-14


def log_gamma(x: ArrayLike) -> FloatArray:
    """Return ln Γ(x) for x > 0, elementwise, to about 1e-14 relative."""
    given = np.asarray(x, dtype=np.float64)
    small = given < _SHIFT
    z = np.where(small, given + _SHIFT, given)
    square = 1.0 / (z * z)
    series = np.zeros_like(z)
    for coefficient in reversed(_STIRLING):
        series = series * square + coefficient
    out = (z - 0.5) * np.log(z) - z + _HALF_LOG_2PI + series / z
    if small.any():
        base = np.where(small, given, 1.0)
        rising = base.copy()
        for k in range(1, _SHIFT):
            rising = rising * (base + k)
        out = np.where(small, out - np.log(rising), out)
    return out


def log_beta(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return ln B(a, b) for a, b > 0, elementwise."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(log_gamma(first) + log_gamma(second) - log_gamma(first + second))


def log_beta_below(x: float, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return ln of the integral of t^(a-1) (1-t)^(b-1) over 0..x, elementwise in a and b, for 0 < x < 1.

    This is ln(B(a, b) I_x(a, b)). Left of the mean the continued fraction gives it without any
    cancellation; right of it, where it is a good part of B(a, b), as B minus the part above.
    """
    first, second = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    out = np.empty(first.shape)
    left = np.asarray(x < (first + 1) / (first + second + 2))
    out[left] = _left(x, first[left], second[left])
    right = ~left
    if right.any():
        whole = log_beta(first[right], second[right])
        above = np.minimum(_left(1.0 - x, second[right], first[right]) - whole, -_TINY)
        out[right] = whole + np.log1p(-np.exp(above))
    return out


def log_beta_above(x: float, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return ln of the integral of t^(a-1) (1-t)^(b-1) over x..1, elementwise in a and b."""
    return log_beta_below(1.0 - x, b, a)


def _left(x: float, a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a * math.log(x) + b * math.log1p(-x) - np.log(a) + np.log(_fraction(x, a, b)))


def _fraction(x: float, a: FloatArray, b: FloatArray) -> FloatArray:
    """Evaluate the continued fraction of I_x(a, b) by Lentz's method; shape ``(k,)`` in and out.

    Takes O(sqrt(max(a, b))) steps close to the mean, a few far from it. Finished elements leave.
    """
    out = np.empty(len(a))
    todo = np.arange(len(a))
    c = np.ones(len(a))
    d = 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d.copy()
    step = 0
    while len(todo):
        step += 1
        twice = a + 2.0 * step
        even = step * (b - step) * x / ((twice - 1.0) * twice)
        d = 1.0 / _nonzero(1.0 + even * d)
        c = _nonzero(1.0 + even / c)
        value *= d * c
        odd = -(a + step) * (a + b + step) * x / (twice * (twice + 1.0))
        d = 1.0 / _nonzero(1.0 + odd * d)
        c = _nonzero(1.0 + odd / c)
        change = d * c
        value *= change
        going = np.abs(change - 1.0) > _CLOSE
        if step > 100_000:
            raise ArithmeticError(f"incomplete beta did not converge for x = {x}")
        if not going.all():
            out[todo[~going]] = value[~going]
            a, b, c, d, value = (each[going] for each in (a, b, c, d, value))
            todo = todo[going]
    return out


def _nonzero(values: FloatArray) -> FloatArray:
    """Replace exact zeros, in place: Lentz's method divides by them."""
    values[values == 0.0] = _TINY
    return values
