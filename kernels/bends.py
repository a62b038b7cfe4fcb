"""Second derivatives phi'' of the activations, in float64: what curvature needs beside the slopes.

Written, as the NumPy forms (`forms`) that they are tested against, without cancellation; at a kink
the one of z < 0.  A row goes through one branch, and a user's activation through its program.
"""

import math

import numpy as np

from ._jit import jit
from .activations import TABLE
from .graded import EMPTY, ONE, lift, top_exponent
from .pairs import LECUN, SELU_LEFT
from .program import floats, ints, own_floats
from .rows import APPLY, BLOCK, BUILT_IN, FIRST, LAST, PRODUCT, SUM, address_of, apply_builtin
from .vecmath import exp, sigmoid, sincos, tanh

_FAR = 1e4  # beyond it every phi'' is 0, or (softsign, arctan) what this bound still gives
_DENSITY, _STEEP = 1 / math.sqrt(2 * math.pi), 2 / math.sqrt(math.pi)
_GELU_A, _GELU_B = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
_LEAST = -900  # binary exponent of the smallest rows that are taken at their true magnitude


@jit(inline=True)
def _sigmoid_slope(z):
    t = exp(-abs(z))
    return t / ((1.0 + t) * (1.0 + t))


@jit(inline=True)
def _sigmoid(z):
    return -_sigmoid_slope(z) * tanh(0.5 * z)


@jit(inline=True)
def _tanh(z):
    return -8.0 * tanh(z) * _sigmoid_slope(2.0 * z)


@jit(inline=True)
def _elu(z):
    return 0.0 if z > 0.0 else exp(min(z, 0.0))


@jit(inline=True)
def _selu(z):
    return SELU_LEFT * _elu(z)


@jit(inline=True)
def _gelu(z):
    return _DENSITY * exp(-0.5 * z * z) * (2.0 - z * z)


@jit(inline=True)
def _gelu_tanh(z):
    square = z * z
    v, rate = z * (_GELU_A + _GELU_B * square), _GELU_A + 3.0 * _GELU_B * square
    return _sigmoid_slope(v) * (2.0 * rate + z * (6.0 * _GELU_B * z - rate * rate * tanh(0.5 * v)))


@jit(inline=True)
def _silu(z):
    return _sigmoid_slope(z) * (2.0 - z * tanh(0.5 * z))


@jit(inline=True)
def _mish(z):
    t = exp(-abs(z))
    right = z > 0.0
    n = 1.0 + 2.0 * t if right else 2.0 + t
    d = 1.0 + 2.0 * t * (1.0 + t) if right else 2.0 + t * n
    value, s = (n if right else t * n) / d, sigmoid(z)
    rest = 4.0 * (1.0 + t) * (1.0 + t) * (t * t if right else 1.0) / (d * d)
    return 2.0 * rest * s + z * rest * (_sigmoid_slope(z) - 2.0 * value * s * s)


@jit(inline=True)
def _softsign(z):
    r = 1.0 / (1.0 + abs(z))
    return (2.0 if z < 0.0 else (-2.0 if z > 0.0 else 0.0)) * r * r * r


@jit(inline=True)
def _erf(z):
    return -2.0 * _STEEP * z * exp(-z * z)


@jit(inline=True)
def _sine(z):
    return -sincos(z)[0]


@jit(inline=True)
def _arctan(z):
    r = 1.0 / (1.0 + z * z)
    return -2.0 * z * r * r


@jit(inline=True)
def _lecun_tanh(z):
    return 4.0 / 9.0 * LECUN * _tanh(2.0 / 3.0 * z)


CURVED = {
    "sigmoid": _sigmoid, "tanh": _tanh, "elu": _elu, "selu": _selu, "gelu": _gelu,
    "gelu_tanh": _gelu_tanh, "silu": _silu, "mish": _mish, "softplus": _sigmoid_slope,
    "softsign": _softsign, "erf": _erf, "sine": _sine, "arctan": _arctan,
    "lecun_tanh": _lecun_tanh,
}  # fmt: skip
_BOUNDED = {"gelu", "gelu_tanh", "erf", "silu", "mish"}  # products that would overflow far out


def _compile_loops():
    """Make `_builtin`: the branches and loops are written from the table."""
    lines = ["def _builtin(code, z, out, n):"]
    for entry in TABLE:
        if entry.name in CURVED:
            z = f"min(max(z[i], -{_FAR}), {_FAR})" if entry.name in _BOUNDED else "z[i]"
            lines += [
                f"    if code == {entry.code}:",
                "        for i in range(n):",
                f"            out[i] = second_{entry.code}({z})",
                "        return",
            ]
    lines += ["    for i in range(n):", "        out[i] = 0.0"]
    names = {f"second_{entry.code}": CURVED.get(entry.name) for entry in TABLE}
    scope = {"__name__": __name__} | names
    exec(compile("\n".join(lines), __file__, "exec"), scope)  # Numba caches by the file's name
    return jit(scope["_builtin"])


# _builtin(code, z, out, n): out = phi''(z) of a built-in activation; z, out (n,).
_builtin = _compile_loops()


@jit
def _run_program(x, code, z, out, n, space):
    """Phi'' of a user's activation for n numbers; ``space`` (3 x values, BLOCK) and one row."""
    facts, programs, constants = ints(x.facts), ints(x.programs), floats(x.program_f)
    first, last, bend = facts[FIRST, code], 0, space[space.shape[0] - 1]
    for j in range(n):
        space[0, j], space[1, j], space[2, j] = z[j], 1.0, 0.0
    for i in range(first, facts[LAST, code]):
        kind, p, s, o = programs[i, 0], 3 * programs[i, 1], 3 * programs[i, 2], 3 * (i - first + 1)
        last = o
        if kind == APPLY:
            slope = np.int64(np.float64(constants[i, 0]).view(np.int64))
            apply_builtin(
                x, ONE, programs[i, 3], slope, address_of(space, p), address_of(space, o),
                address_of(space, o + 1), n,
            )  # fmt: skip
            _builtin(programs[i, 3], space[p], bend, n)
            for j in range(n):
                rise, steep = space[p + 1, j], space[o + 1, j]
                space[o + 2, j] = bend[j] * rise * rise + steep * space[p + 2, j]
                space[o + 1, j] = steep * rise
        elif kind == SUM:
            for k in range(3):
                for j in range(n):
                    space[o + k, j] = space[p + k, j] + space[s + k, j]
        elif kind == PRODUCT:
            for j in range(n):
                a, da, b, db = space[p, j], space[p + 1, j], space[s, j], space[s + 1, j]
                space[o + 2, j] = space[p + 2, j] * b + 2.0 * da * db + a * space[s + 2, j]
                space[o, j], space[o + 1, j] = a * b, da * b + a * db
        else:
            for k in range(3):
                for j in range(n):
                    space[o + k, j] = constants[i, 0] * space[p + k, j]
            for j in range(n):
                space[o, j] += constants[i, 1]
    for j in range(n):
        out[j] = space[last + 2, j]


@jit
def _second(x, code, z, out, n, space):
    """Out = phi''(z) of any activation; z, out (n,)."""
    if code < BUILT_IN:
        _builtin(code, z, out, n)
        return
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _run_program(x, code, z[lo:hi], out[lo:hi], hi - lo, space)


@jit
def bend_row(x, q, array, code, z, e, out):
    """Out = phi'' of the true pre-activations z * 2**e; returns its exponent, EMPTY for zeros.

    z, out (n,) of float64, and z is scaled; own array ``array`` is the room of a user's program.
    Where z would leave the range phi'' is that of a larger number: a constant, or a multiple of z.
    """
    n, space, shift = out.size, own_floats(x, q, array), 0
    k = top_exponent(z, 0, n)
    if e != 0 and k > EMPTY:
        near = max(e, _LEAST - k)
        lift(z, 0, n, min(near, 1000))
        shift = near - e
    _second(x, code, z, out, n, space)
    k = top_exponent(out, 0, n)
    if k == EMPTY:
        return k
    straight = shift > 0 and k < _LEAST // 2  # phi'' = 0 at 0: it falls as z does
    lift(out, 0, n, -k)
    return k - shift if straight else k
