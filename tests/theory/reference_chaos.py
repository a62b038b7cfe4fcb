"""Reference numbers of random tanh networks in time: mean field against one wide network."""

import math

import gradsim as gs
from gradsim import theory

from .reference import group
from .reference_recurrent import CHAOS, chaos

SLOPES = "0.83486724 0.71770935 0.50636588 0.34066833 0.20665058 0.11601684 0.05544854"
CLARK = {  # g: lambda_1, E phi'^2, E ln phi', variance, mean exponent; mean field, then N = 4096
    1.5: ("0.065217 0.506366 -0.619811 0.793354 -0.714346",
          "0.064947 0.505962 -0.621052 0.795288 -0.715300"),
    3.0: ("0.310249 0.206651 -2.871417 6.305391 -2.272805",
          "0.309583 0.206539 -2.872795 6.310449 -2.273896"),
}  # fmt: skip


def of_network(g):
    q, largest, mean, _ = chaos(g)
    steep = math.exp(2 * largest) / g**2
    return largest, steep, mean - math.log(g) + 0.5, q, mean


def near_onset():
    q = chaos(1.001)[0]
    return 2 * q / (1 - 1.001**-2)


NAMES = "lambda_1 E_phi'^2 E_ln_phi' q* mean"
GROUPS = [
    group("tanh RNN: E phi'^2, g =", [f"{g:g}" for g in CHAOS], SLOPES,
          lambda: [math.exp(2 * chaos(g)[1]) / g**2 for g in CHAOS]),
    *(group(f"tanh map, g = {g}, mean field", NAMES, printed, lambda g=g: of_network(g))
      for g, (printed, _) in CLARK.items()),
    *(one for g, (_, printed) in CLARK.items()
      for one in (group(f"Clark, one network of 4096 units, g = {g}, to 0.5 %", [name], word,
                        lambda g=g, i=i: [of_network(g)[i]], error=0.005 * abs(float(word)))
                  for i, (name, word) in enumerate(zip(NAMES.split(), printed.split())))),
    group("tanh RNN, g -> 1: 2 q* / (1 - g^-2) at g = 1.001", "ratio", "1.00",
          lambda: [near_onset()]),
    group("sigmoid RNN, g = 4, is a tanh RNN with g = 1, s = 1: chi_1", "sigmoid tanh",
          ".39887901 .39887901",
          lambda: [theory.recurrent(gs.RNN(activation="sigmoid", sigma_w=4.0)).chi_1.item(),
                   theory.recurrent(gs.RNN(sigma_b=1.0)).chi_1.item()]),
    group("relu RNN: critical gain, sqrt(2)", "g", "1.4142136",
          lambda: [theory.recurrent(gs.RNN(activation="relu")).critical_gain.item()]),
]  # fmt: skip
