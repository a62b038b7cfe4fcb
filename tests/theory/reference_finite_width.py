"""Published and reference numbers of networks of finite width, and what computes them."""

import math

from scipy.special import polygamma

import gradsim as gs
from gradsim import theory
from gradsim.theory._layer_law import Slopes, cumulants

from .reference import EXACT, group
from .reference_feedforward import of

LINEAR_COST = {"loss": "linear", "output": "identity"}
RELU, LINEAR = Slopes(0.0, 1.0), Slopes(1.0, 1.0)
FALSE = {  # what is printed, and what is true
    ("Sussillo and Abbott 2014, linear, N = 50: Var ln z", "1/(2N)"): (
        "psi'(N/2), nearly 2/N; 1/(2N) is the variance of ln sqrt(z)",
        float(polygamma(1, 25.0)),
    ),
}
LAYER = {  # one layer at chi_1 = 1: relu m and v, linear m and v
    5: "-0.62339286 2.36226876 -0.21313409 0.49035776",
    10: "-0.30746101 0.86673425 -0.10332024 0.22132296",
    20: "-0.13718672 0.31175808 -0.05083250 0.10516634",
    30: "-0.08839567 0.19114818 -0.03370354 0.06893823",
    50: "-0.05173878 0.10816813 -0.02013331 0.04081066",
    64: "-0.04010860 0.08299735 -0.01570637 0.03174337",
    100: "-0.02542089 0.05193999 -0.01003333 0.02020133",
    128: "-0.01978640 0.04023399 -0.00783284 0.01574771",
    200: "-0.01260362 0.02547341 -0.00500833 0.01005017",
    256: "-0.00982866 0.01981871 -0.00391134 0.00784310",
    500: "-0.00501643 0.01007469 -0.00200133 0.00400801",
    1000: "-0.00250410 0.00501859 -0.00100033 0.00200200",
}
QUANTILES = {  # width, hidden layers: 5, 50, 95 % of log10, its mean and sd
    (20, 49): "-2.880 -1.447 -0.092 -1.45970 0.84871",
    (50, 49): "-1.380 -0.546 0.266 -0.55051 0.49992",
    (100, 99): "-1.362 -0.543 0.262 -0.54649 0.49241",
}
SUSSILLO = {  # g linear exact and paper, g relu exact and paper
    10: "1.05301778 1.05127110 1.64922272 1.65610478",
    20: "1.02574200 1.02531512 1.51462359 1.51400038",
    50: "1.01011750 1.01005017 1.45127573 1.45031921",
    100: "1.00502927 1.00501252 1.43230357 1.43170877",
    200: "1.00250730 1.00250313 1.42315381 1.42282803",
    1000: "1.00050029 1.00050013 1.41598533 1.41591572",
}
FITS = {  # E ln z exact and the paper's fit, Var ln z
    10: "-1.00060819 -1.00893665 0.866734", 20: "-0.83033391 -0.82951082 0.311758",
    50: "-0.74488596 -0.74356735 0.108168", 100: "-0.71856807 -0.71773734 0.051940",
    200: "-0.70575080 -0.70529293 0.025473", 1000: "-0.69565128 -0.69555295 0.005019",
}  # fmt: skip


def layer(n):
    laws = cumulants(RELU, n), cumulants(LINEAR, n)
    shift = math.log(2)  # of the relu gain
    return [laws[0].mean + shift, laws[0].variance, laws[1].mean, laws[1].variance]


def quantiles(n, hidden):
    model = gs.MLP(depth=hidden + 1, width=n, activation="relu", sigma_w=math.sqrt(2),
                   **LINEAR_COST)  # fmt: skip
    law = theory.finite_width(model, [0.05, 0.5, 0.95]).isel(layer=0)
    return [*law.log10_delta_quantile.values, *of(law, "log10_delta_mean", "log10_delta_sd")]


GROUPS = [
    *(group(f"Hanin and Nica 2018, one layer, n = {n}", "m_relu v_relu m v", printed,
            lambda n=n: layer(n), EXACT)
      for n, printed in LAYER.items()),
    group("E r^4 / (E r^2)^2 - 1 times n, leaky", "a=0.01 0.1 0.2", "4.998800 4.88236 4.556213",
          lambda: [50 * Slopes(a, 1.0).square_excess(50) for a in (0.01, 0.1, 0.2)], EXACT),
    *(group(f"Hanin and Nica 2018, relu, n = {n}, {k} layers", "5% 50% 95% mean sd", printed,
            lambda n=n, k=k: quantiles(n, k), EXACT, 0.004)
      for (n, k), printed in QUANTILES.items()),
    *(group(f"Sussillo and Abbott 2014, N = {n}", "g_linear paper g_relu paper", printed,
            lambda n=n: [theory.random_walk_gain(phi, n, published=paper)
                         for phi in ("identity", "relu") for paper in (False, True)], EXACT)
      for n, printed in SUSSILLO.items()),
    *(group(f"Sussillo and Abbott 2014, relu, N = {n}", "E_ln_z paper Var_ln_z", printed,
            lambda n=n: [layer(n)[0] - math.log(2), -2 * math.log(
                theory.random_walk_gain("relu", n, published=True)), layer(n)[1]], EXACT)
      for n, printed in FITS.items()),
    *(group(f"Sussillo and Abbott 2014, relu, N = {n}: their Var ln z, to {100 * off:g} %", "fit",
            printed, lambda n=n: [layer(n)[1]], EXACT, off * float(printed))
      for n, printed, off in ((10, "0.833333", 0.05), (20, "0.312500", 0.01),
                              (50, "0.108696", 0.01), (100, "0.052083", 0.01),
                              (200, "0.025510", 0.01), (1000, "0.005020", 0.01))),
    group("Sussillo and Abbott 2014, linear, N = 50: Var ln z", "1/(2N)", "0.01",
          lambda: [layer(50)[3]], EXACT),
]  # fmt: skip
