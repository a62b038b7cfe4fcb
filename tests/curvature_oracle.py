"""Curvature once more: JAX differentiates twice, and series in mpmath go along a line.

Takes the arrays of a :class:`gradsim.Network` and nothing else of gradsim.
"""

import mpmath
import numpy as np
import training_oracle
from mpmath import mp


def autograd(net, biases=True, chosen=None):
    """(log10 ||g||, g'Hg / g'g) of every layer."""
    chosen = np.arange(len(net.targets)) if chosen is None else np.asarray(chosen)
    run, theta = training_oracle.curvature_of(net, biases), training_oracle.start(net)
    squares, products = map(np.asarray, run(theta, chosen))
    return np.log10(squares) / 2, products / squares


def _product(x, y):
    """Product of two series (c_0, c_1, c_2)."""
    return (x[0] * y[0], x[0] * y[1] + x[1] * y[0], x[0] * y[2] + x[1] * y[1] + x[2] * y[0])


def _sigmoid(z):
    s = 1 / (1 + mp.exp(-z[0]))
    slope, bend = s * (1 - s), s * (1 - s) * (1 - 2 * s)
    return s, slope * z[1], slope * z[2] + bend * z[1] ** 2 / 2


def _tanh(z):
    s = mp.tanh(z[0])
    return s, (1 - s * s) * z[1], (1 - s * s) * z[2] - s * (1 - s * s) * z[1] ** 2


def series(net, layers, digits):
    """(log10 ||g||, log10 |g'Hg / g'g|, its sign) of some layers of an MLP without biases.

    One example, squared error; sigmoid or tanh in all layers.  The cost is a series along g.
    """
    phi = {"sigmoid": _sigmoid, "tanh": _tanh}[net.model.activation]
    with mp.workdps(digits):
        weights = [[[mp.mpf(v) for v in r] for r in w.tolist()] for w in net.weights]
        states, slopes = [[mp.mpf(v) for v in net.inputs[0].tolist()]], []
        for w in weights:
            z = [mp.fsum(a * b for a, b in zip(r, states[-1])) for r in w]
            one = [phi((v, 1, 0)) for v in z]
            states.append([v[0] for v in one])
            slopes.append([v[1] for v in one])
        y = [mp.mpf(v) for v in net.targets[0].tolist()]
        bars = [[a - b for a, b in zip(states[-1], y)]]
        deltas = [[s * b for s, b in zip(slopes[-1], bars[0])]]
        for w, s in zip(weights[:0:-1], slopes[-2::-1]):
            bar = [mp.fsum(w[i][j] * deltas[0][i] for i in range(len(w))) for j in range(len(w[0]))]
            deltas.insert(0, [a * b for a, b in zip(s, bar)])
        found = []
        for layer in layers:
            delta, a = deltas[layer - 1], states[layer - 1]
            norm = mp.fsum(d * d for d in delta) * mp.fsum(v * v for v in a)
            length = mp.fsum(v * v for v in a)
            base = [mp.fsum(u * v for u, v in zip(r, a)) for r in weights[layer - 1]]
            line = [phi((v, d * length, 0)) for v, d in zip(base, delta)]
            for w in weights[layer:]:
                z = [tuple(mp.fsum(u * v[k] for u, v in zip(r, line)) for k in range(3)) for r in w]
                line = [phi(v) for v in z]
            gap = [(v[0] - t, v[1], v[2]) for v, t in zip(line, y)]
            bend = mp.fsum(_product(v, v)[2] for v in gap) / norm  # 1/2 g^2, twice c_2
            size = float(mp.log10(abs(bend))) if bend else -np.inf
            found.append((float(mp.log10(norm)) / 2, size, float(mpmath.sign(bend))))
    return np.array(found).T
