"""Second differentials of layer and batch normalisation, beside their Jacobians (`normalize`).

y = (u - mean) / s has y' = p - m y with p = (du - mean(du)) / s and m = mean(y p) and, once more
differentiated, y'' = -2 m p + (3 m^2 - mean(p^2)) y.
"""

import numpy as np

from ._jit import jit
from .graded import EMPTY, ONE
from .kept import kept_cotangent
from .normalize import batch_norm_vjp, layer_norm_vjp
from .norms import NEARLY_EMPTY, power
from .program import SOURCE, exponent_of_value, floats, ints, reals, value, value_width
from .sums import dot
from .tangent_rows import (
    MEAN,
    ONE_ROW,
    RISE,
    SECOND_RISE,
    STATE,
    TOTAL,
    WEIGHT,
    add,
    clear_row,
    copied,
    exponents,
    row,
    set_row,
    tangents,
)


@jit
def layer_norm(x, like, q, i, layer, who, slots):
    """Layer normalisation: means are over the units of a row."""
    h, first, count = who
    op, n = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    y, ey = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    a, ea = tangents(x, like, q, op[1], slots * count, n), exponents(x, q, op[1])
    t, e = tangents(x, like, q, op[3], slots * count, n), exponents(x, q, op[3])
    line, tmp = op[7] * (x.layers + 1) + layer, reals(x.scratch, like)
    part = tmp.reshape(tmp.size)[:n].reshape((1, n))
    p, state, weight = row(x, q, ONE_ROW, n), row(x, q, STATE, n), row(x, q, WEIGHT, n)
    for j in range(slots * count):
        k = h * x.examples + first + j % count
        r = ints(x.row)[0, k]
        scale, shift = floats(x.norm)[line, r], ints(x.norm_e)[line, r]
        if ea[j] < NEARLY_EMPTY:
            clear_row(t, e, j)
            continue
        layer_norm_vjp(y, ey[r], r, a, j, 0, scale, part)  # its Jacobian is symmetric
        for m in range(n):
            t[j, m] = part[0, m]
        set_row(t, e, j, ea[j] + shift)
        bar, eb = kept_cotangent(x, like, i, layer, k)
        if eb < NEARLY_EMPTY:
            continue
        copied(a, j, p)
        mean, factor = 0.0, power(ey[r], ONE)
        for m in range(n):
            mean += p[m]
        for m in range(n):
            p[m] = (p[m] - mean / n) * scale
            state[m], weight[m] = y[r, m] * factor, bar[0, m]
        along = dot(p, 0, state, 0, n, ONE, ONE) / n
        spread = dot(p, 0, p, 0, n, ONE, ONE) / n
        number = (3.0 * along * along - spread) * dot(weight, 0, state, 0, n, ONE, ONE)
        number -= 2.0 * along * dot(weight, 0, p, 0, n, ONE, ONE)
        add(x, q, TOTAL, j // count, number, eb + 2 * (ea[j] + shift))


@jit
def batch_norm(x, like, q, i, layer, who, slots):
    """Batch normalisation: means are over the examples of every unit."""
    h, _, count = who
    op, n = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    y, ey = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    a, ea = tangents(x, like, q, op[1], slots * count, n), exponents(x, q, op[1])
    t, e = tangents(x, like, q, op[3], slots * count, n), exponents(x, q, op[3])
    line, c, k = op[7] * (x.layers + 1) + layer, ints(x.head)[SOURCE, h], h * x.examples
    scale, shift = floats(x.norm)[line][c * n : (c + 1) * n], ints(x.norm_e)[line, c]
    mean, along, r, tmp = (
        floats(x.work)[1],
        floats(x.work)[2],
        ints(x.row)[0, k],
        reals(x.scratch, like),
    )
    high = np.int64(EMPTY)
    for b in range(count):
        high = max(high, kept_cotangent(x, like, i, layer, k + b)[1])
    for s in range(slots):
        batch_norm_vjp(
            y, ey, r, a, ea, s * count, count, scale, shift, t, e, 0, mean, along, tmp
        )  # fmt: skip
        top = np.int64(EMPTY)
        for j in range(s * count, (s + 1) * count):
            top = max(top, ea[j])
            if e[j] > NEARLY_EMPTY:
                set_row(t, e, j, e[j])
            else:
                clear_row(t, e, j)
        if top > NEARLY_EMPTY and high > NEARLY_EMPTY:
            number = _batch_bend(x, like, q, i, layer, k, s, count, top, high)
            add(x, q, TOTAL, s, number, high + 2 * (top + shift))


@jit
def _batch_bend(x, like, q, i, layer, k, s, count, top, high):
    """Sum over units and examples of the cotangent times y'' of a batch normalisation."""
    op, n = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    y, ey = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    a, ea = tangents(x, like, q, op[1], (s + 1) * count, n), exponents(x, q, op[1])
    r, line = ints(x.row)[0, k], op[7] * (x.layers + 1) + layer
    c, mean = r // x.examples, row(x, q, MEAN, n)
    along, spread = row(x, q, RISE, n), row(x, q, SECOND_RISE, n)
    p_sum, y_sum = row(x, q, ONE_ROW, n), row(x, q, STATE, n)
    for m in range(n):
        mean[m], along[m], spread[m], p_sum[m], y_sum[m] = 0.0, 0.0, 0.0, 0.0, 0.0
    for b in range(count):
        j = s * count + b
        part = power(ea[j] - top, ONE) / count if ea[j] > NEARLY_EMPTY else 0.0
        for m in range(n):
            mean[m] += a[j, m] * part
    for b in range(count):
        j = s * count + b
        bar, eb = kept_cotangent(x, like, i, layer, k + b)
        size = power(eb - high, ONE) if eb > NEARLY_EMPTY else 0.0
        part = power(ea[j] - top, ONE) if ea[j] > NEARLY_EMPTY else 0.0
        factor = power(ey[r + b], ONE)
        for m in range(n):
            p = (a[j, m] * part - mean[m]) * floats(x.norm)[line, c * n + m]
            state, weight = y[r + b, m] * factor, bar[0, m] * size
            along[m] += p * state / count
            spread[m] += p * p / count
            p_sum[m] += weight * p
            y_sum[m] += weight * state
    total = 0.0
    for m in range(n):
        total += (3.0 * along[m] * along[m] - spread[m]) * y_sum[m]
        total -= 2.0 * along[m] * p_sum[m]
    return total
