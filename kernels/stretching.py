"""Measurements `jacobian` and `lyapunov`: how a network stretches small changes.

Both multiply Jacobians of layers (`tangents`) and keep their product graded (`graded`): the first
from the output down, for the singular values of every partial product; the second from the input
up, for the growth of vectors that are made orthogonal again in each layer (Benettin et al. 1980,
Meccanica 15, 9).
"""

import numpy as np

from ._jit import jit, unit
from .graded import NOISE, advance, directions, factor, normalise_rows
from .jvp import MAP, SHAPE, TANGENT_ARRAYS
from .measure import entries_of
from .program import DEPTH, WIDTH, ints, own_floats, own_ints
from .singular import log10_singular_values
from .tangents import PREACTIVATIONS, PROJECTION, STATES, layer_tangents
from .vecmath import log

LOG_2 = 0.69314718055994530942
# own arrays: results; those of `tangents`; settings; layers that are wanted (1; L + 1); matrices
# (see Q ...); exponents of their rows; scratch of `graded`; orders and marks; log growth of each
# direction in each layer (L; direction)
OUT = 0
SETTINGS, ASKED, GRADED, GRADED_E, SPACE, PLACE, GROWTH = range(TANGENT_ARRAYS, TANGENT_ARRAYS + 7)
# settings: singular values are measured; the lowest layer of them; whether a layer of an MLP reads
# the one below through its pre-activations alone; how many exponents; layers left out of them
JACOBIAN, LOWEST, THROUGH, DIRECTIONS, TRANSIENT = range(5)
# matrices: Q and T of the product, the next rows, Q and T of a side branch
Q, T, ROWS, SIDE_Q, SIDE_T, SPARE = range(6)
MATRICES = 6
MAIN_E, SIDE_E, NEXT_E = range(3)  # exponents of T, of a side branch, of the next rows
EXPONENT, ERROR = range(2)  # variables of the growth


@jit
def _slot(x, q, i, rows, columns):
    """Matrix i (rows, columns)."""
    return own_floats(x, q, GRADED)[i][: rows * columns].reshape((rows, columns))


@jit
def _map(x, q):
    """Jacobian at hand (rows, columns)."""
    rows, columns = own_ints(x, q, SHAPE)[0, 0], own_ints(x, q, SHAPE)[0, 1]
    return own_floats(x, q, MAP)[0][: rows * columns].reshape((rows, columns))


@jit
def _copy(source, target):
    """Copy one matrix to another of its shape."""
    a, b = source.reshape(source.size), target.reshape(target.size)
    for i in range(a.size):
        b[i] = a[i]


@jit
def _setting(x, q, i):
    """One of the settings."""
    return own_ints(x, q, SETTINGS)[0, i]


@jit
def _absorb(x, q, count, n, shift, main):
    """Factor the next rows (count, n) * 2**shift into the product; returns its rank.

    The result takes the place of the product (``main``), or is a side branch of it.
    """
    places, scratch, e = (
        own_ints(x, q, PLACE),
        own_floats(x, q, SPACE),
        own_ints(x, q, GRADED_E),
    )
    rows, base = _slot(x, q, ROWS, count, n), _slot(x, q, Q if main else SIDE_Q, count, n)
    for j in range(count):
        e[NEXT_E, j] = e[MAIN_E, j] + shift
    normalise_rows(rows, count, n, e[NEXT_E])
    noise, stop = NOISE * n, ints(x.stop)
    rank = factor(rows, count, n, e[NEXT_E], True, noise, places[0], base, places[1], scratch, stop)
    directions(base, rank, n, places[1], scratch, stop)
    old, out = _slot(x, q, T, count, x.n_out), _slot(x, q, SPARE, rank, x.n_out)
    advance(rows, count, places[0], rank, old, x.n_out, e[NEXT_E], out, places[2], scratch, stop)
    _copy(out, _slot(x, q, T if main else SIDE_T, rank, x.n_out))
    for i in range(rank):
        e[MAIN_E if main else SIDE_E, i] = places[2, i]
    return rank


@jit
def _times_map(x, q, count):
    """Next rows = Q (count, …) @ the Jacobian at hand; returns their columns and exponent."""
    step = _map(x, q)
    np.dot(_slot(x, q, Q, count, step.shape[0]), step, _slot(x, q, ROWS, count, step.shape[1]))
    return step.shape[1], own_ints(x, q, SHAPE)[0, 2]


@jit
def _write_values(x, q, s, k, layer, count, n, main):
    """Write the singular values of a product (n_out, n) of rank ``count``, a mean over examples."""
    size, scratch, e = max(count, x.n_out), own_floats(x, q, SPACE), own_ints(x, q, GRADED_E)
    found, rank = scratch[scratch.shape[0] - 1], 0
    if count > 0:
        source = _slot(x, q, T if main else SIDE_T, count, x.n_out)
        rows, spare = _slot(x, q, ROWS, count, size), _slot(x, q, SPARE, count, size)
        for j in range(count):
            e[NEXT_E, j] = e[MAIN_E if main else SIDE_E, j]
            for i in range(size):
                rows[j, i] = source[j, i] if i < x.n_out else 0.0
        places, own = own_ints(x, q, PLACE), e[NEXT_E]
        rank = log10_singular_values(
            rows, count, size, own, spare, places, scratch, found, ints(x.stop)
        )
    entry = k if x.each else k // x.examples
    out = own_floats(x, q, OUT)[(s * entries_of(x) + entry) * (x.layers + 1) + layer]
    share, first = 1.0 if x.each else 1.0 / x.examples, x.each or k % x.examples == 0
    for i in range(min(out.size, min(x.n_out, n))):
        number = found[i] * share if i < rank else -np.inf
        out[i] = number if first else out[i] + number


@jit
def _state_values(x, q, s, k, layer, count, n):
    """Singular values with respect to the first state (n units) alone: its columns of Q."""
    if x.states.rows == 1:
        _write_values(x, q, s, k, layer, count, n, True)
        return
    rows, base = _slot(x, q, ROWS, count, n), _slot(x, q, Q, count, x.states.rows * n)
    for j in range(count):
        for i in range(n):
            rows[j, i] = base[j, i]
    side = _absorb(x, q, count, n, 0, False)
    _write_values(x, q, s, k, layer, side, n, False)


@jit
def _start(x, q):
    """Product of no Jacobian: T = 1, and Q the first state; returns its rank."""
    n, width = x.n_out, x.n_out * (x.states.rows if x.recurrent else 1)
    t, base = _slot(x, q, T, n, n), _slot(x, q, Q, n, width)
    t.reshape(t.size)[:] = 0.0
    base.reshape(base.size)[:] = 0.0
    for j in range(n):
        t[j, j], base[j, j] = 1.0, 1.0
        own_ints(x, q, GRADED_E)[MAIN_E, j] = 0
    return n


@jit
def _multiply_down(x, like, q, s, k, key, seed):
    """Singular values of d a^L / d z^l or dh_T / dh_t for backward row k, layer by layer.

    In an MLP whose layers read their input through pre-activations alone the product runs from
    one of these to the next; else from state to state, with a side branch to each z.
    """
    widths, asked = ints(x.layer)[WIDTH], own_ints(x, q, ASKED)[0]
    lowest, through = _setting(x, q, LOWEST), _setting(x, q, THROUGH)
    count, shift = _start(x, q), np.int64(0)
    for layer in range(ints(x.head)[DEPTH, k // x.examples], lowest - 1, -1):
        if ints(x.stop)[0, 0]:
            return
        if x.recurrent or layer == 0:
            if through:
                count = _absorb(x, q, count, widths[0], shift, True)
            if asked[layer]:
                _state_values(x, q, s, k, layer, count, widths[layer])
        elif asked[layer] or through:
            layer_tangents(x, like, q, layer, k, PREACTIVATIONS, key, seed)
            n, e = _times_map(x, q, count)
            rank = _absorb(x, q, count, n, shift + e if through else e, through != 0)
            if asked[layer]:
                _write_values(x, q, s, k, layer, rank, n, through != 0)
            count = rank if through else count
        if layer > lowest:
            kind = PROJECTION if through else STATES
            layer_tangents(x, like, q, layer, k, kind, key, seed)
            n, shift = _times_map(x, q, count)
            if not through:
                count = _absorb(x, q, count, n, shift, True)
            elif layer > 1:
                _copy(_slot(x, q, ROWS, count, n), _slot(x, q, Q, count, n))


@jit
def _grow(x, like, q, layer, k, count, key, seed):
    """Take the orthonormal vectors of backward row k through a layer; returns how many are left.

    Adds the logarithm of each one's growth, its share of a mean over examples, to GROWTH.
    """
    places, scratch, e = (
        own_ints(x, q, PLACE),
        own_floats(x, q, SPACE),
        own_ints(x, q, GRADED_E),
    )
    growth, owner = own_floats(x, q, GROWTH)[layer - 1], e[SIDE_E]
    layer_tangents(x, like, q, layer, k, STATES, key, seed)
    step = _map(x, q)
    n, own = step.shape[0], e[NEXT_E]
    rows, base = _slot(x, q, ROWS, count, n), _slot(x, q, Q, count, n)
    np.dot(_slot(x, q, Q, count, step.shape[1]), step.T, rows)
    for j in range(count):
        own[j] = own_ints(x, q, SHAPE)[0, 2]
    normalise_rows(rows, count, n, own)
    noise, stop = NOISE * n, ints(x.stop)
    rank = factor(rows, count, n, own, False, noise, places[0], base, places[1], scratch, stop)
    directions(base, rank, n, places[1], scratch, stop)
    sizes, share = scratch[0], 1.0 if x.each else 1.0 / x.examples
    for j in range(growth.size):
        sizes[j] = -np.inf
    for j in range(count):
        at = places[0, j]
        if at >= 0:
            sizes[owner[j]] = (log(abs(rows[j, at])) + own[j] * LOG_2) * share
            owner[at] = owner[j]
    for j in range(growth.size):
        first = x.each or k % x.examples == 0
        growth[j] = sizes[j] if first else growth[j] + sizes[j]
    return rank


@jit
def _multiply_up(x, like, q, k, key, seed):
    """Growth of orthogonal vectors in every layer, for backward row k."""
    n, count = ints(x.layer)[WIDTH, 0] * x.states.rows, _setting(x, q, DIRECTIONS)
    base = _slot(x, q, Q, count, n)
    base.reshape(base.size)[:] = 0.0
    for j in range(count):
        base[j, j], own_ints(x, q, GRADED_E)[SIDE_E, j] = 1.0, j
    for layer in range(1, ints(x.head)[DEPTH, k // x.examples] + 1):
        if ints(x.stop)[0, 0]:
            return
        count = _grow(x, like, q, layer, k, count, key, seed)


@jit
def _write_growth(x, q, s, seeds, entry, depth):
    """Mean growth over the layers after those left out, and its standard error."""
    growth, out = own_floats(x, q, GROWTH), own_floats(x, q, OUT)
    first, place = _setting(x, q, TRANSIENT), s * entries_of(x) + entry
    for j in range(growth.shape[1]):
        total = 0.0
        for layer in range(first, depth):
            total += growth[layer, j]
        mean = total / (depth - first) if depth > first else np.nan
        out[EXPONENT * seeds * entries_of(x) + place, j] = mean
        out[ERROR * seeds * entries_of(x) + place, j] = _error(growth, j, first, depth, mean)


@jit
def _error(growth, j, first, last, mean):
    """Standard error of a mean over layers first..last; NaN of fewer than two blocks.

    Blocks of N^(1/3) layers: their means are nearly independent where layers follow one another
    (batch means; Flegal and Jones 2010, Ann. Statist. 38, 1034).
    """
    size = 1
    while (size + 1) ** 3 <= last - first:
        size += 1
    blocks = (last - first) // size
    if blocks < 2 or not np.isfinite(mean):
        return np.nan
    centre, total = 0.0, 0.0
    for layer in range(last - blocks * size, last):
        centre += growth[layer, j] / (blocks * size)
    for block in range(blocks):
        part = 0.0
        for i in range(size):
            part += growth[last - (block + 1) * size + i, j] / size
        total += (part - centre) ** 2
    return np.sqrt(total / (blocks - 1) / blocks)


@jit
def _left_range(x, k):
    """Whether a forward value of backward row k is not finite."""
    depth, first = ints(x.head)[DEPTH, k // x.examples], ints(x.bad)[0, ints(x.row)[0, k]]
    return 0 < first <= (depth if x.recurrent else depth - 1) or ints(x.bad_head)[0, k] > 0


@unit(optional=True)
def run_stretching(x, like, q, s, seeds, key, seed):
    """One of the two measurements for every result of one network."""
    for k in range(x.head_rows):
        if _left_range(x, k):
            continue  # the result reads NaN (see `gradsim._reduction.finite`)
        if _setting(x, q, JACOBIAN):
            _multiply_down(x, like, q, s, k, key, seed)
        else:
            _multiply_up(x, like, q, k, key, seed)
            if x.each or k % x.examples == x.examples - 1:
                entry = k if x.each else k // x.examples
                depth = ints(x.head)[DEPTH, k // x.examples]
                _write_growth(x, q, s, seeds, entry, depth)
