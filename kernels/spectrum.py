"""Measurement `spectrum`: eigenvalues of the weights, their norm, and what the states turn to."""

import numpy as np

from ._jit import jit, unit
from .graded import sort_places
from .norms import row_square
from .products import RECURRENT, weight_tile
from .program import (  # fmt: skip
    ACTIVE,
    DEPTH,
    HEAD_SCALE,
    HEAD_SCALE_E,
    SOURCE,
    TILE,
    WIDTH,
    floats,
    ints,
    own_floats,
    own_ints,
    value,
)
from .spectral import largest_singular

# own arrays: results; a matrix; scratch of Lanczos; eigenvalues of every matrix as drawn (real and
# imaginary parts of layer l, then of output rows; index), its largest singular value (of a layer,
# of output rows; L + 1); the plane of the leading eigenvalue (2; unit); order of eigenvalues
OUT, MATRIX, BASIS, IMAGE, WORK, VALUES, NORMS, PLANE, ORDER = range(9)
# columns of a line of results: real parts, imaginary parts, radius and norm, alignment
RADIUS, NORM, ALIGNMENT = range(3)
SCALARS = 3
_REAL = 1e-12  # imaginary part beside the largest modulus that is rounding


@jit
def _fill(x, like, q, layer, rows, key, seed):
    """First rows of W of a layer as drawn, in float64 (rows, inputs)."""
    n_in, tile = ints(x.layer)[WIDTH, layer - 1], ints(x.layer)[TILE, layer]
    matrix = own_floats(x, q, MATRIX)[0][: rows * n_in].reshape((rows, n_in))
    for lo in range(0, rows, tile):
        hi = min(lo + tile, rows)
        w = weight_tile(x, like, RECURRENT, 0, layer, lo, hi, 1, key, seed)
        for i in range(hi - lo):
            for j in range(n_in):
                matrix[lo + i, j] = w[i, j]
    return matrix


@jit
def _write_pairs(values, order, moduli, real, imaginary):
    """Eigenvalues by falling modulus: of a pair the one above the real axis comes first."""
    n, top = values.size, 0.0
    for i in range(n):
        top = max(top, abs(values[i]))
    whole = 0
    for i in range(n):
        side = values[i].imag if abs(values[i].imag) > _REAL * top else 0.0
        moduli[i] = abs(values[i]) if side >= 0.0 else -1.0
        whole += 2 if side > 0.0 else (1 if side == 0.0 else 0)
    if whole != n:  # no pairs to rounding: as they are
        for i in range(n):
            moduli[i] = abs(values[i])
    sort_places(moduli, order, n)
    at = 0
    for i in range(n):
        number = values[order[i]]
        if at == n or moduli[order[i]] < 0.0:
            break
        side = number.imag if abs(number.imag) > _REAL * top else 0.0
        real[at], imaginary[at], at = number.real, side, at + 1
        if whole == n and side > 0.0:
            real[at], imaginary[at], at = number.real, -side, at + 1


@jit
def _set_plane(vector, plane):
    """Orthonormal rows that span the real and the imaginary part of a vector; one may be 0."""
    n = vector.size
    turn = 0.0j
    for i in range(n):
        turn += vector[i] * vector[i]
    # turned so that the parts are at right angles, the real one the longer
    turn = np.sqrt(np.conj(turn) / abs(turn)) if abs(turn) > 0.0 else 1.0 + 0.0j
    for part in range(2):
        size = 0.0
        for i in range(n):
            number = vector[i] * turn
            plane[part, i] = number.real if part == 0 else number.imag
            size += plane[part, i] ** 2
        size = np.sqrt(size) if size > 1e-18 else np.inf
        for i in range(n):
            plane[part, i] /= size


@jit
def _decompose(x, like, q, layer, rows, line, vectors, key, seed):
    """Eigenvalues of a square matrix, its largest singular value and its leading plane."""
    matrix = _fill(x, like, q, layer, rows, key, seed)
    n, work = matrix.shape[1], own_floats(x, q, WORK)
    if rows == n:
        order, store = own_ints(x, q, ORDER)[0][:n], own_floats(x, q, VALUES)
        moduli = own_floats(x, q, IMAGE)[0][:n]
        real, imaginary = store[2 * line, :n], store[2 * line + 1, :n]
        if vectors:
            values, columns = np.linalg.eig(matrix.astype(np.complex128))
            _write_pairs(values, order, moduli, real, imaginary)
            lead = 0
            for i in range(n):
                lead = i if abs(values[i]) > abs(values[lead]) else lead
            _set_plane(columns[:, lead], own_floats(x, q, PLANE)[:, :n])
        else:
            values = np.linalg.eigvals(matrix.astype(np.complex128))
            _write_pairs(values, order, moduli, real, imaginary)
    steps = min(n, work.shape[1] - 1)
    basis = own_floats(x, q, BASIS)[0][: (steps + 1) * n].reshape((steps + 1, n))
    norms = own_floats(x, q, NORMS)
    image = own_floats(x, q, IMAGE)[0][:rows]
    norms[0, line] = largest_singular(matrix, basis, image, work, ints(x.stop))


@jit
def _write(x, q, s, h, layer, line, square, scale, e):
    """Spectrum of one layer under the condition of a head."""
    out, store = own_floats(x, q, OUT), own_floats(x, q, VALUES)
    row = out[(s * x.heads + h) * (x.layers + 1) + layer]
    size, n = (row.size - SCALARS) // 2, ints(x.layer)[WIDTH, layer - 1]
    factor = np.ldexp(scale, e)
    row[2 * size + NORM] = own_floats(x, q, NORMS)[0, line] * factor
    if not square:
        return
    for i in range(min(n, size)):
        row[i], row[size + i] = store[2 * line, i] * factor, store[2 * line + 1, i] * factor
    row[2 * size + RADIUS] = np.hypot(store[2 * line, 0], store[2 * line + 1, 0]) * factor


@jit
def _align(x, like, q, s, h):
    """Squared cosine of every state with the leading plane, a mean over examples."""
    n, plane, out = ints(x.layer)[WIDTH, 0], own_floats(x, q, PLANE), own_floats(x, q, OUT)
    for step in range(ints(x.head)[DEPTH, h] + 1):
        v = ints(x.states)[0, 0 if step == 0 else 1]
        rows, total = value(x, like, v, max(step, 1)), 0.0
        for b in range(x.examples):
            r = ints(x.head)[SOURCE, h] * x.examples + b
            mantissa, k, _ = row_square(rows, r)
            for part in range(2):
                along = 0.0
                for i in range(n):
                    along += plane[part, i] * np.ldexp(np.float64(rows[r, i]), -k)
                total += along * along / mantissa if mantissa > 0.0 else np.nan
        line = (s * x.heads + h) * (x.layers + 1) + step
        out[line, out.shape[1] - SCALARS + ALIGNMENT] = total / x.examples


@unit(optional=True)
def write_spectrum(x, like, q, s, seeds, key, seed):
    """Spectrum of every matrix of one network, under every condition."""
    active, widths = ints(x.layer)[ACTIVE], ints(x.layer)[WIDTH]
    for layer in range(1, 2 if x.tied else x.layers + 1):
        if ints(x.stop)[0, 0]:
            return
        if x.recurrent or active[layer + 1] > 0:
            _decompose(x, like, q, layer, widths[layer], layer, x.tied, key, seed)
        if not x.recurrent and active[layer] > active[layer + 1]:
            _decompose(x, like, q, layer, x.n_out, x.layers + layer, 0, key, seed)
    for h in range(x.heads):
        depth, c = ints(x.head)[DEPTH, h], ints(x.head)[SOURCE, h]
        for layer in range(1, 2 if x.tied else depth + 1):
            if not x.recurrent and layer == depth:
                scale, e = floats(x.head_f)[HEAD_SCALE, h], ints(x.head)[HEAD_SCALE_E, h]
                square = x.n_out == widths[layer - 1]
                _write(x, q, s, h, layer, x.layers + layer, square, scale, e)
            else:
                scale, e = floats(x.scale)[c, layer], ints(x.scale_e)[c, layer]
                square = widths[layer] == widths[layer - 1]
                _write(x, q, s, h, layer, layer, square, scale, e)
        if x.tied:
            _align(x, like, q, s, h)
