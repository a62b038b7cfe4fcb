"""Nielsen 2015 and Glorot and Bengio 2010, simulated: rows of the table.

Nielsen's numbers are of one network each; those of ensembles, beside his, are of 6000 networks, for
one input of |x|^2 = 80.9 and the target 0.1 at every output: the data themselves do not matter.
"""

import math
from functools import cache

import numpy as np

import gradsim as gs

from .reference import Row, mean_of, quantile_of, share_of
from .reference_feedforward import nielsen
from .reference_simulated import RUN

SEEDS = 1000
ENSEMBLES = {  # of each layer: his number; median, rms, 5 %, 95 %, his quantile; mean field
    2: (
        (0.06574134326503182, ".0593", ".0628", ".0375", ".0890", ".66", "0.06246"),
        (0.3092184942703712, ".2890", ".2996", ".196", ".402", ".62", "0.29852"),
    ),
    3: (
        (0.011838212272121293, ".01200", ".01294", ".0072", ".0193", ".48", "0.01280"),
        (0.05996519457449515, ".0584", ".0617", ".0370", ".0875", ".54", "0.06115"),
        (0.28314239285488185, ".2899", ".3006", ".198", ".405", ".46", "0.29835"),
    ),
    4: (
        (0.0029752663545292526, ".00240", ".00264", ".00134", ".00405", ".75", "0.00262"),
        (0.017076665445425132, ".01167", ".01262", ".00685", ".0186", ".91", "0.01253"),
        (0.06953924167660484, ".0581", ".0616", ".0365", ".0876", ".76", "0.06111"),
        (0.28513893545173896, ".2905", ".3012", ".197", ".403", ".46", "0.29835"),
    ),
}  # fmt: skip
RATIOS = {(2, 0): "0.688", (4, 0): "0.698"}  # log10 between neighbours, the ends of a range
SINGULAR = {  # sigma_w^2: mean singular value of the Jacobians of layers 1 to 5, one network
    1.0: "0.54 0.66 0.72 0.75 0.76", 1 / 3: "0.39 0.46 0.48 0.49 0.49",
}  # fmt: skip


@cache
def gradients(hidden):
    """Norms (network, layer) of the bias gradients."""
    model = gs.MLP(width=(784, *[30] * hidden, 10), activation="sigmoid", sigma_b=1.0,
                   loss="cross_entropy")  # fmt: skip
    x, y = np.full((1, 784), math.sqrt(80.9 / 784)), np.full((1, 10), 0.1)
    ds = gs.simulate(model, SEEDS, inputs=x, targets=y, **RUN)
    return 10**ds.log10_bias_grad_norm.values


def rms(hidden, i):
    square, error = mean_of(gradients(hidden)[:, i] ** 2)
    return math.sqrt(square), 0.5 * error / math.sqrt(square)


def rows(hidden, i, his, median, root, low, high, below, limit):
    name, p = f"Nielsen 2015, {hidden} hidden, layer {i + 1}", float(below)
    yield Row(f"{name}: rms, mean field", limit, lambda: nielsen(hidden)[i], lambda: rms(hidden, i),
              0.02 * float(limit))  # fmt: skip
    yield Row(f"{name}: rms", root, None, lambda: rms(hidden, i), error=0.004 * float(root))
    for level, printed in ((0.05, low), (0.5, median), (0.95, high)):
        yield Row(f"{name}: {100 * level:g}%", printed, None,
                  lambda level=level: quantile_of(gradients(hidden)[:, i], level),
                  error=0.012 * float(printed))  # fmt: skip
    yield Row(f"{name}: share below his", below, None,
              lambda: share_of(gradients(hidden)[:, i] < his),
              error=math.sqrt(p * (1 - p) / 6000))  # fmt: skip


def ratio(hidden, i):
    log10 = np.log10(gradients(hidden))
    return mean_of(log10[:, i + 1] - log10[:, i])


@cache
def jacobians(sw2, n=120):
    """Mean singular values (network, layer) of diag(phi') W of tanh networks; |x|^2 = n."""
    model, found = gs.MLP(depth=5, width=n, sigma_w=math.sqrt(sw2), init="uniform"), []
    for seed in range(6):
        a = np.random.default_rng(seed).standard_normal(n)
        a *= math.sqrt(n) / np.linalg.norm(a)
        for w in gs.network(model, seed).weights:
            a = np.tanh(w @ a)
            found.append(np.linalg.svd((1 - a**2)[:, None] * w, compute_uv=False).mean())
    return np.array(found).reshape(6, 5)


ROWS = [
    *(row for hidden, layers in ENSEMBLES.items() for i, layer in enumerate(layers)
      for row in rows(hidden, i, *layer)),
    *(Row(f"Nielsen 2015, {hidden} hidden: log10 of layer {i + 2} to {i + 1}", printed, None,
          lambda hidden=hidden, i=i: ratio(hidden, i), error=0.003)
      for (hidden, i), printed in RATIOS.items()),
    *(Row(f"Glorot and Bengio 2010, tanh, sw2 = {sw2:.2g}, layer {i + 1}: mean singular value",
          printed, None, lambda sw2=sw2, i=i: mean_of(jacobians(sw2)[:, i]), error=0.01)
      for sw2, line in SINGULAR.items() for i, printed in enumerate(line.split())),
]  # fmt: skip
