"""Gains that keep the mean log of the gradient's norm constant (Sussillo and Abbott 2014).

From layer l + 1 to layer l, ||delta||^2 grows by z = (g^2 / N) chi^2_M, independent from layer to
layer, with N units in layer l of which M are live: all of them (linear), or Binomial(N, 1/2),
given that one is (relu).
"""

from functools import cache
from math import exp, log, sqrt
from typing import Any

import numpy as np


def _known(model: Any) -> bool:
    """Whether the activation is relu (True) or linear (False); ValueError for any other."""
    if model.activation not in ("identity", "relu"):
        raise ValueError(
            f"init={model.init!r}: the gain is known for activation 'identity' and 'relu', "
            f"got {model.activation!r}"
        )
    return model.activation == "relu"


def exact(model: Any, fan_in: int) -> float:
    """Gain g with E ln z = 0: ln g^2 = -ln(2 / N) - E psi(M / 2)."""
    return _exact(_known(model), fan_in)


@cache
def _exact(relu: bool, n: int) -> float:
    from scipy import special, stats  # imported where it is needed

    if not relu:
        return exp(-0.5 * (log(2 / n) + special.digamma(n / 2)))
    live = np.arange(1, n + 1)
    share = stats.binom.pmf(live, n, 0.5)
    mean = np.sum(share * special.digamma(live / 2)) / np.sum(share)
    return exp(-0.5 * (log(2 / n) + mean))


def published(model: Any, fan_in: int) -> float:
    """Gain as published: exp(1 / 2N), and sqrt(2) exp(1.2 / (max(N, 6) - 2.4)) for relu."""
    if _known(model):
        return sqrt(2) * exp(1.2 / (max(fan_in, 6) - 2.4))
    return exp(1 / (2 * fan_in))
