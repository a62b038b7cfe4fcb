"""Measurement `correlation`: of signals, deltas and input gradients of pairs of examples.

One minus a correlation near 1 is taken from the part of the second vector that is orthogonal to
the first, and that from their difference: nothing is subtracted that has lost its digits.
"""

import numpy as np

from ._jit import jit, unit
from .activations import largest_bits, scale_row
from .kept import at_output, copy_row, counted, deltas, operations, signals, units
from .norms import EMPTY, NEARLY_EMPTY, add_row, power
from .ops import HAS_U, LINEAR
from .products import INPUT as U
from .products import backward_product
from .program import (  # fmt: skip
    DEPTH,
    DRIVE,
    DRIVE_E,
    SOURCE,
    WIDTH,
    block,
    cotangent,
    floats,
    ints,
    own_floats,
    own_ints,
)
from .rows import address_of
from .sums import dot
from .vecmath import exponent_of, log

SIGNAL, DELTA, INPUT = range(3)
PLAIN, CENTRED, LOG_PLAIN, LOG_CENTRED = range(4)  # of each of them
# own arrays: results; vectors (example; units); work; exponents of the vectors; pairs of examples
OUT, VECTORS, WORK, EXPONENTS, PAIRS = range(5)

ONE = np.float64(1)
LOG10_E = 0.43429448190325182765
LOST = 1e-30  # share of a square below which a centred vector is rounding: all entries are equal


@jit
def _cosine(u, v, d, n):
    """Correlation of u and v = u + d (n numbers each), and log10 of one minus it; d is lost."""
    uu, vv = dot(u, 0, u, 0, n, ONE, ONE), dot(v, 0, v, 0, n, ONE, ONE)
    if uu == 0.0 or vv == 0.0:
        return np.nan, np.nan
    cosine = dot(u, 0, v, 0, n, ONE, ONE) / (np.sqrt(uu) * np.sqrt(vv))
    if cosine <= 0.5:
        cosine = max(cosine, -1.0)
        return cosine, LOG10_E * log(1.0 - cosine)
    along = dot(u, 0, d, 0, n, ONE, ONE) / uu
    for i in range(n):
        d[i] -= along * u[i]
    square = dot(d, 0, d, 0, n, ONE, ONE) / vv  # of the sine
    rest = square / (1.0 + np.sqrt(max(1.0 - square, 0.0)))
    if rest == 0.0:
        return 1.0, -np.inf
    return 1.0 - rest, LOG10_E * log(rest)


@jit
def _less_mean(x, n):
    """Take the mean of n numbers from each of them; returns the square of what it took."""
    mean = 0.0
    for i in range(n):
        mean += x[i]
    mean /= n
    for i in range(n):
        x[i] -= mean
    return n * mean * mean


@jit
def _pair(u, v, shift, n, work, out):
    """Correlations of u and v * 2**shift (n numbers each): fills out (4,); see PLAIN ..."""
    factor = power(shift, ONE) if abs(shift) <= 1 else 1.0  # else they are far apart at any scale
    a, b, d = work[0], work[1], work[2]
    for i in range(n):
        a[i], b[i] = u[i], factor * v[i]
        d[i] = b[i] - a[i]
    out[PLAIN], out[LOG_PLAIN] = _cosine(a, b, d, n)
    for i in range(n):
        d[i] = b[i] - a[i]
    taken = _less_mean(a, n)
    _less_mean(d, n)
    other = _less_mean(b, n)
    for x, square in ((a, taken), (b, other)):
        if dot(x, 0, x, 0, n, ONE, ONE) <= LOST * square:
            for i in range(n):
                x[i] = 0.0
    out[CENTRED], out[LOG_CENTRED] = _cosine(a, b, d, n)


@jit
def _unit(x, q, b, n):
    """Bring vector b (n numbers) to a largest magnitude in [1, 2); moves its exponent."""
    vectors, e = own_floats(x, q, VECTORS), own_ints(x, q, EXPONENTS)
    row = vectors[b : b + 1, :n]
    top = largest_bits(row, 0)
    if top > 0:
        scale_row(row, 0, -exponent_of(top))
        e[0, b] += exponent_of(top)


@jit
def _join(x, q, b, rows, r, e, n, first):
    """Append n numbers of row r, of exponent e, to vector b, which has ``first`` numbers so far."""
    vectors, exponents = own_floats(x, q, VECTORS), own_ints(x, q, EXPONENTS)
    top = copy_row(rows, r, e, n, vectors, b, first)
    lo, hi, shift = first, first + n, top - exponents[0, b]
    if first == 0 or shift > 0:
        lo, hi, shift = 0, first, -shift
        exponents[0, b] = top
    if hi > lo and shift != 0:
        scale_row(vectors[b : b + 1, lo:hi], 0, max(shift, np.int64(-(2**20))))


@jit
def _write(x, q, what, s, seeds, h, layer, n):
    """Write the correlations of all pairs of the vectors at hand."""
    vectors, e, pairs = own_floats(x, q, VECTORS), own_ints(x, q, EXPONENTS), own_ints(x, q, PAIRS)
    out, work = own_floats(x, q, OUT), own_floats(x, q, WORK)
    for b in range(x.examples):
        _unit(x, q, b, n)
    for p in range(pairs.shape[1]):
        i, j = pairs[0, p], pairs[1, p]
        _pair(vectors[i], vectors[j], e[0, j] - e[0, i], n, work, work[3])
        for k in range(4):
            place = (((4 * what + k) * seeds + s) * x.heads + h) * pairs.shape[1] + p
            out[place, layer - 1] = work[3, k]


@jit
def _deltas(x, like, q, h, layer):
    """Fill the vectors with delta of one layer; returns their length."""
    n, first = units(x, h, layer), 0
    for i in range(operations(x, h, layer)):
        if counted(x, i):
            rows, e = deltas(x, like, ints(x.ops)[i, 4], h, layer)
            for b in range(x.examples):
                _join(x, q, b, rows, b, e[b], n, first)
            first += n
    return first


@jit
def _signals(x, like, q, h, layer):
    """Fill the vectors with the pre-activations of one layer; returns their length."""
    n, first, rows = units(x, h, layer), 0, ints(x.row)[0]
    if at_output(x, h, layer):
        for b in range(x.examples):
            k = h * x.examples + b
            _join(x, q, b, floats(x.kept_output), 4 * k, ints(x.kept_output_e)[0, k], n, 0)
        return n
    for i in range(x.ops.rows):
        if counted(x, i):
            z, e = signals(x, like, ints(x.ops)[i, 3], layer)
            for b in range(x.examples):
                r = rows[h * x.examples + b]
                _join(x, q, b, z, r, e[r], n, first)
            first += n
    return first


@jit
def _input_gradients(x, like, q, h, step, key, seed):
    """Fill the vectors with dC/dx_t of an RNN: what every delta brings back through U."""
    vectors, e = own_floats(x, q, VECTORS), own_ints(x, q, EXPONENTS)
    part, c = own_floats(x, q, WORK)[:1, : x.n_in], ints(x.head)[SOURCE, h]
    factor, factor_e = floats(x.condition_f)[DRIVE, c], ints(x.condition)[DRIVE_E, c]
    for b in range(x.examples):
        e[0, b] = EMPTY
        for i in range(x.n_in):
            vectors[b, i] = 0.0
    for i in range(x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] != LINEAR or not op[7] & HAS_U:
            continue
        rows, ed = deltas(x, like, op[4], h, step)
        at, n = address_of(rows, 0), units(x, h, step)
        backward_product(x, like, U, op[4], step, at, x.examples, n, key, seed)
        product = block(x.product, like, 0, x.examples, x.n_in)
        for b in range(x.examples):
            for j in range(x.n_in):
                part[0, j] = factor * product[b, j]
            if ed[b] > NEARLY_EMPTY:
                e[0, b] = add_row(vectors[:, : x.n_in], b, e[0, b], part, 0, ed[b] + factor_e)
    return x.n_in


@unit(optional=True)
def write_correlation(x, like, q, s, seeds, key, seed):
    """Correlations of every pair of examples, in every layer of one network."""
    far, e = cotangent(x, like, ints(x.states)[0, 1], x.head_rows, ints(x.layer)[WIDTH, 0])
    for h in range(x.heads):
        for layer in range(1, ints(x.head)[DEPTH, h] + 1):
            if ints(x.stop)[0, 0]:
                return
            n = _signals(x, like, q, h, layer)
            _write(x, q, SIGNAL, s, seeds, h, layer, n)
            n = _deltas(x, like, q, h, layer)
            _write(x, q, DELTA, s, seeds, h, layer, n)
            if x.n_in > 0:
                n = _input_gradients(x, like, q, h, layer, key, seed)
                _write(x, q, INPUT, s, seeds, h, layer, n)
        if not x.recurrent:
            for b in range(x.examples):
                k = h * x.examples + b
                _join(x, q, b, far, k, e[k], far.shape[1], 0)
            _write(x, q, INPUT, s, seeds, h, 1, far.shape[1])
