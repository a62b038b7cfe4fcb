"""The random numbers of one network that are not weights: inputs, targets, v, h_0, biases."""

import math

import numpy as np

from . import random
from ._jit import jit, unit
from .norms import row_square
from .program import MADE, address, block, floats, ints, reals, view
from .vecmath import log1p

# Streams: fixed numbers by parameter name, never by order of recording.
STREAMS = {
    "W": 0, "U": 1, "V": 2, "b": 3, "x": 4, "y": 5, "v": 6, "h0": 7, "c0": 8, "U_V": 9, "b_V": 10,
}  # fmt: skip
for _k, _gate in enumerate("ifgorzn"):
    STREAMS |= {f"{part}_{_gate}": 11 + 3 * _k + q for q, part in enumerate("WUb")}
STREAMS |= {"b_hn": 32, "chrono": 33, "batch": 34}
GIVEN, NORMAL, CLASS, BERNOULLI, VECTOR = range(5)  # kinds of targets; VECTOR: v of v . a
_X, _Y, _V, _H0 = STREAMS["x"], STREAMS["y"], STREAMS["v"], STREAMS["h0"]
_CHRONO, _HALF_WIDTH = STREAMS["chrono"], 1 / math.sqrt(12)


@unit(double=True)
def fill(x, like, at, count, distribution, start, layer, stream, key, seed):
    """Unit-variance draws into ``count`` numbers of T at an address, from index ``start`` on."""
    flat = view(at, like, 1, count).reshape(count)
    random.fill(flat, distribution, start, layer, stream, key, seed)


@jit
def draw_bias(x, like, m, layer, key, seed):
    """Biases of affine map m at sigma_b = 1, unless they are given or nowhere used."""
    stream, count = ints(x.streams)[m, 2], ints(x.layer)[MADE, max(layer, 1)]
    if x.given or stream < 0:
        return
    if floats(x.chrono_span)[m, 0] != 0.0:
        _draw_chrono(x, m, count, layer, key, seed)
    if x.biased:
        at = address(x.bias, like, m * x.widest)
        fill(x, like, at, count, ints(x.bias_kind)[m, 0], 0, layer, stream, key, seed)
        bias, scale = view(at, like, 1, count), floats(x.bias_scale)[m, max(layer, 1)]
        for i in range(count):
            bias[0, i] *= bias.dtype.type(scale)


@jit
def _draw_chrono(x, m, count, layer, key, seed):
    """Gate biases log U[1, T_max - 1], or their negatives (Tallec and Ollivier 2018, eq. 16)."""
    signed, double = floats(x.chrono_span)[m, 0], np.float64(0)
    span, sign = abs(signed), 1.0 if signed > 0.0 else -1.0
    at = address(x.chrono, double, m * x.widest)
    fill(x, double, at, count, random.UNIFORM, 0, layer, _CHRONO, key, seed)
    chrono = view(at, double, 1, count)
    for i in range(count):
        chrono[0, i] = sign * log1p(span * (0.5 + _HALF_WIDTH * chrono[0, i]))


@unit
def draw_network(x, like, key, seed):
    """Fill inputs, targets, initial states and, with tied weights, biases."""
    _draw_inputs(x, like, key, seed)
    if x.gradient:
        _draw_targets(x, key, seed)
    if x.recurrent:
        start = reals(x.start, like)
        fill(x, like, x.start.at, x.start.columns, random.NORMAL, 0, 0, _H0, key, seed)
        for b in range(1, x.examples):
            for i in range(x.start.columns):
                start[b, i] = start[0, i]
        if x.tied:
            for m in range(x.streams.rows):
                draw_bias(x, like, m, 0, key, seed)


@jit
def _draw_inputs(x, like, key, seed):
    """Inputs (step * B + b, feature), unless given, with the squared norm of each row."""
    rows, count = reals(x.x, like), x.examples * x.x.columns
    for t in range(x.steps_of_x):
        if not x.x_given:
            layer = t + 1 if x.recurrent else 0
            at = address(x.x, like, t * count)
            fill(x, like, at, count, random.NORMAL, 0, layer, _X, key, seed)
        for b in range(x.examples):
            mantissa, exponent, _ = row_square(rows, t * x.examples + b)
            floats(x.x_square)[t, b] = mantissa
            ints(x.x_square_e)[t, b] = exponent + ints(x.x_e)[t, b]


@jit
def _draw_targets(x, key, seed):
    """Targets, unless given; one slice where a target is the same at each step."""
    kinds, double = ints(x.target_kind), np.float64(0)
    for q in range(x.target_kind.columns):
        kind = kinds[0, q]
        for t in range(x.slices if kinds[1, q] else 1):
            first = (q * x.slices + t) * x.examples
            if kind == NORMAL:
                at = address(x.y, double, first * x.n_out)
                fill(x, double, at, x.examples * x.n_out, random.NORMAL, 0, t, _Y, key, seed)
            elif kind == VECTOR:
                for b in range(x.examples):
                    at = address(x.y, double, (first + b) * x.n_out)
                    fill(x, double, at, x.n_out, random.NORMAL, 0, 0, _V, key, seed)
            elif kind != GIVEN:
                y = block(x.y, double, first * x.n_out, x.examples, x.n_out)
                _draw_labels(y, kind, t, key, seed)


@jit
def _draw_labels(y, kind, t, key, seed):
    """A random one-hot class, or fair coins, for every example of y (B, n_out)."""
    n = y.shape[1]
    for b in range(y.shape[0]):
        label = min(np.int64(random.uniform_word(b, t, _Y, key, seed) * n), n - 1)
        for i in range(n):
            if kind == CLASS:
                y[b, i] = 1.0 if i == label else 0.0
            else:
                y[b, i] = 1.0 if random.uniform_word(b * n + i, t, _Y, key, seed) < 0.5 else 0.0
