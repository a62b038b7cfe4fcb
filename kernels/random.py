"""Addressed random numbers: Philox4x32-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405).

A word is a function of (seed, key, stream, layer, index) alone: word index % 4 of the Philox
block with counter (index // 4, layer, stream, key) under the seed as its key.  There is no state
and no order.  One word makes one number of any distribution (two normals share a radius and an
angle: those of words 0 and 1 of a block, and of 2 and 3), from the same integers in float32 and in
float64.

Words are computed in uint64 lanes: the product that vector units have is 32 x 32 -> 64 bits.
Arrays are filled in blocks of ``BLOCK`` by loops of fixed length, so that a number has the same
bits whatever the start and the size of the fill.  ``start`` is a signed integer from 0 to
2**34 - 1; ``seed`` is given as ``np.uint64`` (Python integers enter Numba as int64).
"""

import numpy as np
from numba import carray, config
from numba.core import cgutils, types
from numba.core.extending import intrinsic, overload

from ._jit import jit
from .transforms import pair, triangular, truncated, uniform

BLOCK = 128
# Distributions of unit variance: a normal, a uniform, a normal cut at 2 standard deviations, and
# the sum of two equal uniforms.
NORMAL, UNIFORM, TRUNCATED, TRIANGULAR = range(4)

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # Salmon et al. 2011, section 3.3
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32, _4 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(4)


@jit(inline=True)
def _round(c0, c1, c2, c3, k0, k1):
    """One Philox round; bits above 31 are garbage that the product does not see."""
    p0, p1 = _M0 * (c0 & _LOW), _M1 * (c2 & _LOW)
    return (p1 >> _32) ^ c1 ^ k0, p1, (p0 >> _32) ^ c3 ^ k1, p0


@jit(inline=True)
def _philox(a0, b0, layer, stream, key, seed):
    """Return the four words of counter a0 and the four of b0, as uint64 below 2**32."""
    # Ten dependent rounds leave the vector units idle: two chains hide each other's latency.
    a1, a2, a3 = b1, b2, b3 = layer, stream, key
    k0, k1 = seed & _LOW, seed >> _32
    for _ in range(10):
        a0, a1, a2, a3 = _round(a0, a1, a2, a3, k0, k1)
        b0, b1, b2, b3 = _round(b0, b1, b2, b3, k0, k1)
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return (
        (a0 & _LOW, a1 & _LOW, a2 & _LOW, a3 & _LOW),
        (b0 & _LOW, b1 & _LOW, b2 & _LOW, b3 & _LOW),
    )


@jit(inline=True)
def _address(layer, stream, key, seed):
    """Return the fixed parts of an address as uint64."""
    return np.uint64(layer), np.uint64(stream), np.uint64(key), np.uint64(seed)


@jit(inline=True)
def uniform_word(index, layer, stream, key, seed):
    """Return u = (word + 1/2) / 2**32 in (0, 1), float64, of the word at one index."""
    counter, lane = np.uint64(index) // _4, np.uint64(index) % _4
    w, _ = _philox(counter, counter, *_address(layer, stream, key, seed))
    return (np.float64(w[np.int64(lane)]) + 0.5) * 2.0**-32


@jit(inline=True)
def _numbers(like, kind, a, b, c, d):
    """Turn the words of a counter into four numbers of a distribution and the type of ``like``."""
    if kind == NORMAL:
        return pair(like, a, b) + pair(like, c, d)
    if kind == UNIFORM:
        return uniform(like, a), uniform(like, b), uniform(like, c), uniform(like, d)
    if kind == TRUNCATED:
        return truncated(like, a), truncated(like, b), truncated(like, c), truncated(like, d)
    return triangular(like, a), triangular(like, b), triangular(like, c), triangular(like, d)


def _values(like, kind, a, b, c, d):
    """Return what an array of that type is filled with: the words themselves, or numbers."""
    return (a, b, c, d) if isinstance(like, np.uint32) else _numbers(like, kind, a, b, c, d)


@overload(_values, jit_options={"forceinline": True})
def _choose_values(like, kind, a, b, c, d):
    if like == types.uint32:
        return lambda like, kind, a, b, c, d: (a, b, c, d)
    return lambda like, kind, a, b, c, d: _numbers(like, kind, a, b, c, d)


@intrinsic
def _stack(typingctx, like):
    """Return a pointer to ``BLOCK`` numbers in the stack frame of the calling function."""

    def codegen(context, builder, signature, args):
        return cgutils.alloca_once(builder, context.get_value_type(like.dtype), size=BLOCK)

    return types.CPointer(like.dtype)(like), codegen


if config.DISABLE_JIT:  # plain Python: an array, and no pointer to look through
    _stack, carray = lambda like: np.empty(BLOCK, like.dtype), lambda array, shape: array


_UINT32 = np.empty(0, np.uint32)


@jit(inline=True)
def _fill_words(rows, counter, layer, stream, key, seed):
    """Fill ``rows`` (BLOCK,) uint32: words 0 of BLOCK / 4 counters, then words 1, 2 and 3."""
    n, half = BLOCK // 4, BLOCK // 8
    for i in range(half):
        j = i + half
        a, b = _philox(np.uint64(counter + i), np.uint64(counter + j), layer, stream, key, seed)
        rows[i], rows[i + n], rows[i + 2 * n], rows[i + 3 * n] = a
        rows[j], rows[j + n], rows[j + 2 * n], rows[j + 3 * n] = b


@jit(inline=True)
def _fill_values(values, kind, rows):
    """Turn the words of ``_fill_words`` into ``values`` (BLOCK,) in the order of their index."""
    like, n = values.dtype.type(0), BLOCK // 4
    for i in range(n):
        w0, w1 = np.uint64(rows[i]), np.uint64(rows[i + n])
        w2, w3 = np.uint64(rows[i + 2 * n]), np.uint64(rows[i + 3 * n])
        a, b, c, d = _values(like, kind, w0, w1, w2, w3)
        values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3] = a, b, c, d


@jit(inline=True)
def _fill(out, kind, start, layer, stream, key, seed):
    """Fill ``out`` (n,) block by block, from the counter of index ``start`` on."""
    rows, part = carray(_stack(_UINT32), BLOCK), carray(_stack(out), BLOCK)
    address = _address(layer, stream, key, seed)
    counter = start // 4
    for begin in range(-(start % 4), out.size, BLOCK):
        low, high = max(begin, 0), min(begin + BLOCK, out.size)
        whole = high - low == BLOCK
        _fill_words(rows, counter, *address)
        _fill_values(out[low:high] if whole else part, kind, rows)
        if not whole:
            out[low:high] = part[low - begin : high - begin]
        counter += BLOCK // 4


@jit
def words(out, start, layer, stream, key, seed):
    """Fill ``out`` (n,) uint32 with the words at indices start to start + n - 1."""
    _fill(out, NORMAL, start, layer, stream, key, seed)


@jit
def fill(out, distribution, start, layer, stream, key, seed):
    """Fill ``out`` (n,) float32 or float64 with the numbers at indices start to start + n - 1.

    A uniform is sqrt(3) (2u - 1), u = (word + 1/2) / 2**32.
    """
    if distribution == NORMAL:  # the distribution is a constant in each loop
        _fill(out, NORMAL, start, layer, stream, key, seed)
    elif distribution == UNIFORM:
        _fill(out, UNIFORM, start, layer, stream, key, seed)
    elif distribution == TRUNCATED:
        _fill(out, TRUNCATED, start, layer, stream, key, seed)
    else:
        _fill(out, TRIANGULAR, start, layer, stream, key, seed)
