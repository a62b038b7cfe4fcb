"""Costs of one example and their gradients, in float64 whatever the dtype of the run.

Output rows come as (mantissas, exponent), so that a cost of 10**400 or a gradient of 10**-900 is
still a number.  All rows are (1, units); a cost is (mantissa, exponent) of base 2.
"""

import numpy as np

from ._jit import jit
from .activations import SOFTMAX, largest_bits
from .norms import lift_row, power, row_square
from .rows import map_row
from .vecmath import exp, log, log1p, sigmoid

ONE = np.float64(1)
MSE, CROSS_ENTROPY, LINEAR_COST = range(3)
_FAR = 1e5  # beyond it a sigmoid or a softmax has left the range of float64


@jit
def softmax_row(z, e, p, s):
    """Probabilities p and their slopes p (1 - p) for logits z * 2**e; returns log sum exp(z - max).

    The complement 1 - p of the largest entry is summed from the others: it does not cancel.
    """
    n = z.shape[1]
    scale = power(e, ONE)
    top = 0
    for i in range(1, n):
        if z[0, i] > z[0, top]:
            top = i
    rest = 0.0
    for i in range(n):
        p[0, i] = exp(max((z[0, i] - z[0, top]) * scale, -_FAR))
        if i != top:
            rest += p[0, i]
    total = 1.0 + rest
    for i in range(n):
        s[0, i] = (p[0, i] / total) * ((total - p[0, i]) / total)
        p[0, i] = p[0, i] / total
    s[0, top] = p[0, top] * (rest / total)
    return log1p(rest), top


@jit
def output_row(x, code, slope, z, e, a, s):
    """A = output(z * 2**e) and its slopes; returns the exponent of a. z is scaled where needed."""
    if code == SOFTMAX:
        softmax_row(z, e, a, s)
        return 0
    return map_row(x, code, slope, z, a, s, 0, e)


@jit
def difference_row(a, e, y, g):
    """G = a * 2**e - y; returns its exponent."""
    n = a.shape[1]
    top = 0.0
    for i in range(n):
        top = max(top, abs(y[i]))
    if top == 0.0:
        for i in range(n):
            g[0, i] = a[0, i]
        return e
    k = max(e, 0)
    scale, shrink = power(e - k, ONE), power(-k, ONE)
    for i in range(n):
        g[0, i] = a[0, i] * scale - y[i] * shrink
    return k


@jit
def simple_cost(loss, a, e, y, g):
    """Squared error or v . a, where y is v: fills g = dC/da; returns its exponent and the cost."""
    if loss == MSE:
        k = difference_row(a, e, y, g)
        mantissa, exponent, top = row_square(g, 0)
        # lifted, because a slope may be as small as a number can be
        return lift_row(g, 0, top, k), 0.5 * mantissa, 2 * (exponent + k)
    for i in range(a.shape[1]):
        g[0, i] = y[i]
    k = lift_row(g, 0, largest_bits(g, 0), 0)
    total = 0.0
    for i in range(a.shape[1]):
        total += g[0, i] * a[0, i]
    return k, total, e + k


@jit
def logit_cost(code, z, e, y, a, s, delta):
    """Cross-entropy from logits z * 2**e: fills a, s and delta = dC/dz; returns the cost.

    Sigmoid: sum of max(z, 0) - y z + log(1 + exp(-|z|)).  Softmax: sum of -y log p.
    """
    n = z.shape[1]
    k = max(e, 0)
    scale, shrink = power(e - k, ONE), power(-k, ONE)
    true = power(e, ONE)
    cost = 0.0
    if code == SOFTMAX:
        log_sum, top = softmax_row(z, e, a, s)
        mass = 0.0
        for i in range(n):
            mass += y[i]
        for i in range(n):
            cost += y[i] * ((z[0, top] - z[0, i]) * scale + log_sum * shrink)
            # p sum(y) - y = p (sum(y) - y) - y (1 - p): no cancellation for one-hot targets
            complement = s[0, i] / a[0, i] if a[0, i] > 0.0 else 1.0
            delta[0, i] = a[0, i] * (mass - y[i]) - y[i] * complement
        return cost, k
    for i in range(n):
        x = min(max(z[0, i] * true, -_FAR), _FAR)
        a[0, i] = sigmoid(x)
        opposite = sigmoid(-x)
        s[0, i] = a[0, i] * opposite
        delta[0, i] = (1.0 - y[i]) * a[0, i] - y[i] * opposite
        w = z[0, i] * scale
        cost += (max(w, 0.0) - y[i] * w) + shrink * log1p(exp(-abs(x)))
    return cost, k


@jit
def output_delta(x, code, slope, loss, z, e, y, a, s, delta):
    """Cost of the output rows z * 2**e: fills a, s and delta = dC/dz.

    Returns (exponent of a, exponent of delta, cost mantissa, cost exponent).
    """
    n = z.shape[1]
    if loss == CROSS_ENTROPY:
        cost, exponent = logit_cost(code, z, e, y, a, s, delta)
        return 0, 0, cost, exponent
    ea = output_row(x, code, slope, z, e, a, s)
    k, cost, exponent = simple_cost(loss, a, ea, y, delta)
    if code == SOFTMAX:
        # p_i (g_i - sum p g), taken from the largest p so that a saturated row does not cancel
        top, rest = 0, 0.0
        for i in range(1, n):
            top = i if a[0, i] > a[0, top] else top
        g_top = delta[0, top]
        for i in range(n):
            rest += a[0, i] * (g_top - delta[0, i])
        for i in range(n):
            delta[0, i] = a[0, i] * ((delta[0, i] - g_top) + rest)
    else:
        for i in range(n):
            delta[0, i] = s[0, i] * delta[0, i]
    return ea, k, cost, exponent


@jit
def state_cost(loss, h, e, s, y, g):
    """Cost on a state h * 2**e with slopes s (of a sigmoid, for cross-entropy): g = dC/dh.

    Returns (exponent of g, cost mantissa, cost exponent).
    """
    if loss != CROSS_ENTROPY:
        return simple_cost(loss, h, e, y, g)
    cost, scale = 0.0, power(e, ONE)
    for i in range(h.shape[1]):
        p = h[0, i] * scale
        q = s[0, i] / p  # 1 - p without cancellation
        log_p = log1p(-q) if p > 0.5 else log(p)
        log_q = log(q) if p > 0.5 else log1p(-p)
        cost -= y[i] * log_p + (1.0 - y[i]) * log_q
        g[0, i] = (1.0 - y[i]) / q - y[i] / p
    return 0, cost, 0


@jit
def log10_cost(mantissa, exponent):
    """log10 of |cost|; -inf for 0."""
    if mantissa == 0.0:
        return -np.inf
    return (log(abs(mantissa)) + exponent * 0.69314718055994530942) * 0.43429448190325182765
