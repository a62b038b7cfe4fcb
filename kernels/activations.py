"""Activations: each one a ``(value, slope)`` pair beside its prose and its limits.

A row of the table is all there is to an activation: the compiled pair (value and slope share
their exponential), the NumPy form that serves the eager oracle and the theory, and the facts
that the engine and the reports need.  Slopes never come from a cancellation such as
``1 - tanh(z)**2``: both tails keep their relative accuracy.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._jit import jit
from .vecmath import bits, exponent_of, pow2, sigmoid_pair, tanh_pair

IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU = range(5)
SOFTMAX = 100  # couples the units of a row, so it is an output only (see `losses`)


class Activation(NamedTuple):
    """What is known of one activation; ``value`` and ``slope`` are its NumPy forms."""

    name: str
    code: int
    formula: str
    value: Callable  # (z, slope) -> phi(z); also for complex z
    slope: Callable  # (z, slope) -> phi'(z)
    gamma: Callable  # (slope) -> sup |phi'|
    gamma_at: str
    slopes_at_zero: Callable  # (slope) -> (left, right)
    homogeneous: bool  # phi(c z) = c phi(z) for every c > 0
    has_zero_slope: bool  # phi' is exactly 0 somewhere, so that units can die
    linear_below: tuple[int, int]  # binary exponents (float32, float64), see below
    reference: str


# phi(z) = slope * z to working precision below 2**linear_below; NEVER where phi(0) is not 0.
NEVER = -(2**62)


def _sigmoid(z, slope):
    return 1 / (1 + np.exp(-z))


def _sigmoid_slope(z, slope):
    t = np.exp(-np.abs(z))
    return t / (1 + t) ** 2


TABLE = (
    Activation(
        "identity", IDENTITY, "z",
        lambda z, slope: z, lambda z, slope: np.ones_like(z),
        lambda slope: 1.0, "everywhere", lambda slope: (1.0, 1.0),
        True, False, (0, 0), "linear network",
    ),
    Activation(
        "sigmoid", SIGMOID, "1 / (1 + exp(-z))",
        _sigmoid, _sigmoid_slope,
        lambda slope: 0.25, "0", lambda slope: (0.25, 0.25),
        False, False, (NEVER, NEVER), "logistic function",
    ),
    Activation(
        "tanh", TANH, "tanh(z)",
        lambda z, slope: np.tanh(z), lambda z, slope: 1 / np.cosh(z) ** 2,
        lambda slope: 1.0, "0", lambda slope: (1.0, 1.0),
        False, False, (-13, -27), "hyperbolic tangent",
    ),
    Activation(
        "relu", RELU, "max(z, 0)",
        lambda z, slope: np.where(np.real(z) > 0, z, 0 * z),
        lambda z, slope: np.where(z > 0, 1.0, 0.0),
        lambda slope: 1.0, "z > 0", lambda slope: (0.0, 1.0),
        True, True, (0, 0), "Nair and Hinton 2010",
    ),
    Activation(
        "leaky_relu", LEAKY_RELU, "z if z > 0 else slope * z",
        lambda z, slope: np.where(np.real(z) > 0, z, slope * z),
        lambda z, slope: np.where(z > 0, 1.0, slope),
        lambda slope: max(1.0, abs(slope)), "z > 0 (z < 0 where abs(slope) > 1)",
        lambda slope: (slope, 1.0),
        True, True, (0, 0), "Maas, Hannun and Ng 2013",
    ),
)  # fmt: skip

HOMOGENEOUS = np.array([entry.homogeneous for entry in TABLE])
HAS_ZERO_SLOPE = np.array([entry.has_zero_slope for entry in TABLE])
LINEAR_BELOW = np.array([entry.linear_below for entry in TABLE], dtype=np.int64)
SLOPES_AT_ZERO = np.array([entry.slopes_at_zero(0.0) for entry in TABLE])


@jit
def apply_row(code, slope, z, a, s, r):
    """Row r of a = phi(z) and s = phi'(z); z, a, s (rows, units). One branch per row."""
    n = z.shape[1]
    zero, one = z.dtype.type(0), z.dtype.type(1)
    if code == IDENTITY:
        for i in range(n):
            a[r, i] = z[r, i]
            s[r, i] = one
    elif code == SIGMOID:
        for i in range(n):
            a[r, i], s[r, i] = sigmoid_pair(z[r, i])
    elif code == TANH:
        for i in range(n):
            a[r, i], s[r, i] = tanh_pair(z[r, i])
    elif code == RELU:
        for i in range(n):
            on = z[r, i] > zero
            a[r, i] = z[r, i] if on else zero
            s[r, i] = one if on else zero
    else:
        leak = z.dtype.type(slope)
        for i in range(n):
            s[r, i] = one if z[r, i] > zero else leak
            a[r, i] = s[r, i] * z[r, i]


@jit
def largest_bits(x, r):
    """Bit pattern of the largest magnitude in row r of x (rows, units): NaN counts largest."""
    top = bits(x[r, 0])
    for i in range(1, x.shape[1]):
        top = max(top, bits(x[r, i]))
    return top


@jit
def scale_row(x, r, k):
    """Multiply row r of x (rows, units) by 2**k, exactly where the result is a normal number."""
    far = 252 if x.itemsize == 4 else 2044  # beyond it everything is 0 or infinite already
    k = min(max(k, -far), far)
    half = k // 2
    low, high = pow2(half, x[r, 0]), pow2(k - half, x[r, 0])
    for i in range(x.shape[1]):
        x[r, i] = x[r, i] * low * high


@jit
def map_row(code, slope, z, a, s, r, e):
    """Row r of phi and phi' for true pre-activations z * 2**e; returns the exponent of a.

    A row that is small enough to lie on the straight part of phi keeps its exponent, as every
    row of a homogeneous phi does; any other is brought to its true magnitude first.
    """
    if e != 0 and not HOMOGENEOUS[code]:
        single = 0 if z.itemsize == 4 else 1
        top = largest_bits(z, r)
        if exponent_of(top) + e < LINEAR_BELOW[code, single]:
            left = z.dtype.type(SLOPES_AT_ZERO[code, 0])
            right = z.dtype.type(SLOPES_AT_ZERO[code, 1])
            for i in range(z.shape[1]):
                s[r, i] = right if z[r, i] > 0 else left
                a[r, i] = s[r, i] * z[r, i]
            return e
        scale_row(z, r, e)
        e = 0
    apply_row(code, slope, z, a, s, r)
    return e
