"""Rows of the engine go through activations: one branch a row, one loop per activation.

What an activation is to the engine lies in its record, built-in ones first: facts that the
forward pass, the costs and the measurements read, and the programs of activations that users wrote.
"""

import numpy as np

from ._jit import jit, unit
from .activations import COMPILED, LEAKY_RELU, SOFTMAX, largest_bits, scale_row
from .floats import fma
from .program import address, floats, ints, view
from .vecmath import exponent_of

# Operations of a user's activation, each (kind, operand, operand, code or -1).
APPLY, SUM, PRODUCT, LINE = range(4)
BLOCK = 128  # units that a program takes at a time
BUILT_IN = len(COMPILED)

# Rows of the facts, integers and floats; one column per code.
HOMOGENEOUS, NEVER_ZERO, LINEAR_32, LINEAR_64, FIRST, LAST = range(6)
GAMMA, LEFT, RIGHT = range(3)


@jit(inline=True)
def address_of(x, r):
    """Where row r of x (rows, units) lies in memory."""
    return np.int64(x.ctypes.data) + r * np.int64(x.strides[0])


def _compile_loops():
    """Make the unit `apply_builtin`: the branches and loops are written from the table."""
    lines = [
        "def apply_builtin(x, like, code, slope, z, a, s, n):",
        "    u, v, d = view(z, like, 1, n)[0], view(a, like, 1, n)[0], view(s, like, 1, n)[0]",
        "    leak = u.dtype.type(np.int64(slope).view(np.float64))",
    ]
    for code in range(len(COMPILED)):
        lines += [
            f"    {'el' if code else ''}if code == {code}:",
            "        for i in range(n):",
            f"            v[i], d[i] = pair_{code}(u[i], leak)",
        ]
    names = {f"pair_{code}": pair for code, pair in enumerate(COMPILED)}
    scope = {"np": np, "view": view, "__name__": __name__} | names
    exec(compile("\n".join(lines), __file__, "exec"), scope)  # Numba caches by the file's name
    return unit(scope["apply_builtin"], double=True)


# apply_builtin(x, like, code, slope, z, a, s, n): n numbers at the addresses a = phi(z) and
# s = phi'(z); slope is the pattern of a float64.
apply_builtin = _compile_loops()


@jit
def _run_program(x, like, code, z, a, s, n):
    """N numbers through the program of a user's activation, each value beside its slope."""
    facts, programs, constants = ints(x.facts), ints(x.programs), floats(x.program_f)
    space = view(x.program_rows.at, like, x.program_rows.rows, BLOCK)
    u, v, d = view(z, like, 1, n)[0], view(a, like, 1, n)[0], view(s, like, 1, n)[0]
    real = u.dtype.type
    for i in range(n):
        space[0, i], space[1, i] = u[i], real(1)
    first, out = facts[FIRST, code], 0
    for i in range(first, facts[LAST, code]):
        kind, p, q = programs[i, 0], 2 * programs[i, 1], 2 * programs[i, 2]
        out = 2 * (i - first + 1)
        if kind == APPLY:
            slope = np.int64(np.float64(constants[i, 0]).view(np.int64))
            apply_builtin(
                x, like, programs[i, 3], slope, address_of(space, p), address_of(space, out),
                address_of(space, out + 1), n,
            )  # fmt: skip
            for j in range(n):
                space[out + 1, j] *= space[p + 1, j]
        elif kind == SUM:
            for j in range(n):
                space[out, j] = space[p, j] + space[q, j]
                space[out + 1, j] = space[p + 1, j] + space[q + 1, j]
        elif kind == PRODUCT:
            for j in range(n):
                rise = space[p, j] * space[q + 1, j]
                space[out + 1, j] = fma(space[p + 1, j], space[q, j], rise)
                space[out, j] = space[p, j] * space[q, j]
        else:
            scale, shift = real(constants[i, 0]), real(constants[i, 1])
            for j in range(n):
                space[out, j] = fma(scale, space[p, j], shift)
                space[out + 1, j] = scale * space[p + 1, j]
    for i in range(n):
        v[i], d[i] = space[out, i], space[out + 1, i]


@unit(double=True)
def apply_row(x, like, code, slope, z, a, s, n):
    """As `apply_builtin`, of a user's activation too."""
    if code < BUILT_IN:
        apply_builtin(x, like, code, slope, z, a, s, n)
    else:
        for i in range(0, n, BLOCK):
            skip = address(x.program_rows, like, i) - x.program_rows.at
            _run_program(x, like, code, z + skip, a + skip, s + skip, min(BLOCK, n - i))


@jit
def map_row(x, code, slope, z, a, s, r, e):
    """Row r of phi and phi' for true pre-activations z * 2**e; returns the exponent of a.

    A row that is small enough to lie on the straight part of phi keeps its exponent, as every
    row of a homogeneous phi does; any other is brought to its true magnitude first.
    """
    facts = ints(x.facts)
    if e != 0 and not facts[HOMOGENEOUS, code]:
        limit = facts[LINEAR_32 if z.itemsize == 4 else LINEAR_64, code]
        if exponent_of(largest_bits(z, r)) + e < limit:
            left = z.dtype.type(floats(x.facts_f)[LEFT, code])
            right = z.dtype.type(floats(x.facts_f)[RIGHT, code])
            for i in range(z.shape[1]):
                s[r, i] = right if z[r, i] > 0 else left
                a[r, i] = s[r, i] * z[r, i]
            return e
        scale_row(z, r, e)
        e = 0
    pattern = np.int64(np.float64(slope).view(np.int64))
    apply_row(
        x, z[r, 0], code, pattern, address_of(z, r), address_of(a, r), address_of(s, r), z.shape[1]
    )
    return e


@jit
def gamma_of(x, code, slope):
    """Sup |phi'| of an activation."""
    gamma = floats(x.facts_f)[GAMMA, code]
    return max(gamma, abs(slope)) if code == LEAKY_RELU else gamma


@jit
def never_zero(x, code):
    """Whether the slope of an activation (or of softmax) is positive nearly everywhere."""
    return code == SOFTMAX or ints(x.facts)[NEVER_ZERO, code] != 0


@jit
def homogeneous(x, code):
    """Whether phi(c z) = c phi(z) for every c > 0."""
    return ints(x.facts)[HOMOGENEOUS, code] != 0
