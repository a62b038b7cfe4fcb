"""Helpers shared by the tests of elementary functions and random numbers."""

import mpmath
import numpy as np
from numba import config

from gradsim.kernels._jit import jit

JIT = not config.DISABLE_JIT


def size(full):
    """How many points to test: a small share of them in plain Python."""
    return full if JIT else max(full // 10, 10)


def loop(function, outputs=1):
    """Make ``run(x, out, ...)`` from a scalar function, as a kernel would loop over it."""

    def run_one(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def run_two(x, out, second):
        for i in range(x.size):
            out[i], second[i] = function(x[i])

    return jit(inline=True)(run_one if outputs == 1 else run_two)


def apply(run, x, outputs=1):
    """Call what ``loop`` made; plain Python warns where compiled code does not."""
    out = [np.empty_like(x) for _ in range(outputs)]
    with np.errstate(all="ignore"):
        run(x, *out)
    return out


def error(got, exact, dtype):
    """Distance of a float from an exact value in units in the last place, inf if not comparable."""
    info = np.finfo(dtype)
    if np.isnan(got) or mpmath.isnan(exact):
        return 0.0 if np.isnan(got) and mpmath.isnan(exact) else np.inf
    if abs(exact) > mpmath.mpf(float(info.max)) * (1 + mpmath.mpf(2) ** (-info.nmant - 2)):
        return 0.0 if got == np.sign(float(mpmath.sign(exact))) * np.inf else np.inf
    if np.isinf(got):
        return np.inf
    exponent = int(mpmath.frexp(exact)[1]) - 1 if exact else info.minexp
    step = mpmath.mpf(2) ** (max(exponent, info.minexp) - info.nmant)
    return float(abs(mpmath.mpf(float(got)) - exact) / step)


def errors(got, x, exact, dtype):
    """Errors in ulp of an array against an mpmath function of its arguments, to 50 digits."""
    with mpmath.workdps(50):
        return np.array([error(g, exact(mpmath.mpf(float(v))), dtype) for g, v in zip(got, x)])


def any_numbers(dtype, count, seed):
    """Finite numbers of either sign, log-uniform over the whole range, subnormals included."""
    whole = np.int32 if dtype == np.float32 else np.int64
    top = np.array(np.finfo(dtype).max).view(whole)
    patterns = np.random.default_rng(seed).integers(0, top, count, dtype=whole, endpoint=True)
    return patterns.view(dtype) * np.where(np.arange(count) % 2, -1, 1).astype(dtype)
