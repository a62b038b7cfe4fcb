"""The operations of a recorded cell: each forward rule beside its vector-Jacobian product.

A row of any value is (mantissas, exponent): true value ``x[r] * 2**ex[r]``.  Forward rules read
rows of their operands and write rows of the result; backward rules read the cotangent of the
result and set or add to (``acc``) the cotangents of the operands.  A Jacobian-vector product has
the forward rule's shape and can stand beside it.
"""

from ._jit import jit
from .norms import EMPTY, NEARLY_EMPTY, add_row, power, rescale_row
from .rows import map_row
from .vecmath import bits

LINEAR, MAP, ADD, MULTIPLY, AFFINE, LAYER_NORM, BATCH_NORM = range(7)
# What an affine map has: W, U, b, and a place in delta.
FLAGS = HAS_W, HAS_U, HAS_B, IN_DELTA = 1, 2, 4, 8


@jit
def affine_row(product, z, r, scale, e, push, j, e_push):
    """z[r] = scale * product[r] * 2**e + push[j] * 2**e_push.

    ``push`` (rows, units) holds the bias and the input drive; ``e_push`` is EMPTY without them.
    Returns the exponent of z[r] and the bits of its largest magnitude.
    """
    n = z.shape[1]
    top = bits(z.dtype.type(0))
    if e_push < NEARLY_EMPTY:
        for i in range(n):
            z[r, i] = scale * product[r, i]
            top = max(top, bits(z[r, i]))
        return e, top
    factor = z.dtype.type(1)
    if e < e_push - 20:  # the row is far below its bias: the bias sets the exponent
        factor = power(e - e_push, factor)
        e = e_push
    push_factor = power(e_push - e, factor)
    scale = scale * factor
    for i in range(n):
        z[r, i] = scale * product[r, i] + push_factor * push[j, i]
        top = max(top, bits(z[r, i]))
    return e, top


@jit
def map_forward(x, code, slope, z, ez, a, ea, s, rows):
    """Rows (lo, hi) of a = phi(z), s = phi'(z); z, a, s (rows, units), ez, ea (rows,)."""
    for r in range(rows[0], rows[1]):
        ea[r] = map_row(x, code, slope, z, a, s, r, ez[r])
        ez[r] = ea[r]  # z was brought to its true magnitude where the exponents differed


@jit
def map_vjp(s, src, co, eo, ci, ei, acc, tmp):
    """Cotangent of z: s[src] * cotangent of a, for every row; co, ci (rows, units)."""
    for k in range(co.shape[0]):
        r = src[k]
        out, j = (tmp, 0) if acc else (ci, k)
        for i in range(co.shape[1]):
            out[j, i] = s[r, i] * co[k, i]
        if acc:
            ei[k] = add_row(ci, k, ei[k], tmp, 0, eo[k])
        else:
            ei[k] = eo[k]


@jit
def add_forward(x, ex, y, ey, out, eo):
    """Rows of out = x + y, at the larger exponent of the two."""
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[r, i] = x[r, i]
        eo[r] = add_row(out, r, ex[r], y, r, ey[r])


@jit
def pass_vjp(co, eo, ci, ei, acc):
    """Cotangent of an operand of a sum: the cotangent of the sum."""
    for k in range(co.shape[0]):
        ei[k] = add_row(ci, k, ei[k] if acc else EMPTY, co, k, eo[k])


@jit(inline=True)
def _multiply_row(out, j, x, k, y, r, e):
    """out[j] = x[k] * y[r] * 2**e; returns its exponent."""
    top = bits(out.dtype.type(0))
    for i in range(out.shape[1]):
        out[j, i] = x[k, i] * y[r, i]
        top = max(top, bits(out[j, i]))
    return rescale_row(out, j, top, e)


@jit
def multiply_forward(x, ex, y, ey, out, eo):
    """Rows of out = x * y."""
    for r in range(out.shape[0]):
        eo[r] = _multiply_row(out, r, x, r, y, r, ex[r] + ey[r])


@jit
def multiply_vjp(y, ey, src, co, eo, ci, ei, acc, tmp):
    """Cotangent of x in x * y: the cotangent of the product times y[src]."""
    for k in range(co.shape[0]):
        r = src[k]
        if acc:
            e = _multiply_row(tmp, 0, co, k, y, r, eo[k] + ey[r])
            ei[k] = add_row(ci, k, ei[k], tmp, 0, e)
        else:
            ei[k] = _multiply_row(ci, k, co, k, y, r, eo[k] + ey[r])


@jit
def shift_forward(x, ex, scale, shift, out, eo, rows):
    """Rows (lo, hi) of out = scale * x + shift, for constants of the cell."""
    for r in range(rows[0], rows[1]):
        e = ex[r] if shift == 0 else max(ex[r], 0)
        factor = scale * power(ex[r] - e, scale)
        offset = shift * power(-e, shift) if shift != 0 else shift
        for i in range(out.shape[1]):
            out[r, i] = factor * x[r, i] + offset
        eo[r] = e


@jit
def scale_vjp(scale, co, eo, ci, ei, acc, tmp, rows):
    """Cotangent of x in scale * x + shift, for backward rows (lo, hi)."""
    for k in range(rows[0], rows[1]):
        ei[k] = scale_row_vjp(co, ci, k, scale, eo[k], ei[k], acc, tmp)


@jit
def scale_row_vjp(product, ci, k, scale, e, ei, acc, tmp):
    """Set or add scale * product[k] * 2**e to row k of ci; returns the exponent of the row."""
    out, j = (tmp, 0) if acc else (ci, k)
    for i in range(ci.shape[1]):
        out[j, i] = scale * product[k, i]
    return add_row(ci, k, ei, tmp, 0, e) if acc else e


@jit
def underflowed(slopes, r, cotangent, k, never_zero):
    """Whether a product slope * cotangent reads 0 although both factors are not truly 0."""
    for i in range(cotangent.shape[1]):
        if cotangent[k, i] != 0 and (never_zero or slopes[r, i] != 0):
            return True
    return False
