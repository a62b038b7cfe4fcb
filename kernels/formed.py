"""The weight gradient of a batch mean as a matrix, for what no two lists can tell."""

import numpy as np

from ._jit import jit
from .batch import common_rows, unit_rows
from .kept import delta_row, deltas, multiplied, units
from .measure import COUNT, EXTRA, SIZES
from .norms import row_square
from .program import ints


@jit
def formed_gradient(x, like, i, u, h, layer, flat):
    """Sum over examples of delta a^T of operation i: G (n, m) in ``flat``, and its exponent.

    u tells W (0) from U (1); ``flat`` holds n m + B (n + m) numbers.
    """
    op, n, count, lists = ints(x.ops)[i], units(x, h, layer), x.examples, ints(x.batch_e)
    delta, ed = deltas(x, like, op[4], h, layer)
    rows, e = multiplied(x, like, i, u, layer)
    size, extra, m = lists[SIZES], lists[EXTRA, :count], rows.shape[1]
    first, second = count * n, count * (n + m)
    d, a = flat[:first].reshape((count, n)), flat[first:second].reshape((count, m))
    g = flat[second : second + n * m].reshape((n, m))
    places = lists[COUNT, :count]
    size_a = ints(x.x_square_e)[layer - 1] if u else ints(x.square_e)[ints(x.index)[op[1], layer]]
    if u == 0:
        places = ints(x.row)[0, h * count : (h + 1) * count]
    for b in range(count):
        _, k, _ = row_square(delta_row(x, like, op[4], h, layer, b, n), 0)
        size[b], extra[b] = k + ed[b], size_a[places[b]]
    unit_rows(rows, e, size_a, places, a)
    top = common_rows(delta, ed, size, extra, lists[COUNT, :count], d)
    np.dot(d.T, a, g)
    return g, top
