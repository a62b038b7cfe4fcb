"""Reference numbers of mean field at the edge of chaos, of slopes, and of finite-width drifts."""

import math

import numpy as np
from scipy.optimize import brentq

import gradsim as gs
from gradsim import theory
from gradsim.activations import activations
from gradsim.theory._gaussian import gaussian_mean

from .reference import EXACT, group
from .reference_feedforward import BIASES, LN10, TANH, correlations, edge, flatness, limit, of

EDGE_SQUARES = (  # sigma_w^2 and q* of tanh at the biases of the table of edges
    "1.08602629 0.0457091 1.26009382 0.1536919 1.42420529 0.2733009 1.70079637 0.5120785 "
    "1.76095464 0.5700479 1.94765463 0.7634748 2.40148924 1.3179390 3.44321091 3.0363964"
)
FORMS = {  # sigma_w^2 at the edge, in closed form, at the q* found
    "erf": lambda q: math.pi / 4 * math.sqrt(1 + 4 * q),
    "erf_scaled": lambda q: math.sqrt(1 + math.pi * q),
    "hard_tanh": lambda q: 1 / math.erf(1 / math.sqrt(2 * q)),
    "sine": lambda q: 1 + math.tanh(q),
}
EXTREMES = {  # where |phi'| is largest, and the smallest phi'
    "gelu": "1.4142135624 -0.1289041452", "gelu_tanh": "1.418504 .", "mish": "1.490571 .",
    "silu": "2.3993572805 -0.0998393201",
}  # fmt: skip
SLOPES = (  # activation, sw2, sb2, width, layers crossed: mean of log10 a layer, standard error
    ("tanh", 1.0, 0.05, 400, 19, "-0.06026", 0.0005),
    ("tanh", 1.7609546, 0.05, 400, 19, "-0.00089", 0.0005),
    ("tanh", 1.7609546, 0.05, 100, 19, "-0.00332", 0.0006),
    ("sigmoid", 1.0, 0.0, 100, 19, "-0.62979", 0.0006),
    ("sigmoid", 1.0, 1.0, 30, 19, "-0.69907", 0.0005),
)
ANNEALED = (  # activation, sw2, sb2: log10 of the rms a layer at width 400 (sigmoid 100, 30)
    ("tanh", 1.0, 0.05, "-0.05955", 0.00056), ("tanh", 1.7609546, 0.05, "-0.00008", 0.0006),
    ("tanh", 3.0, 0.05, "0.04160", 0.0008), ("sigmoid", 1.0, 0.0, "-0.62740", 0.0006),
    ("sigmoid", 1.0, 1.0, "-0.6898", 0.0007),
)  # fmt: skip
PAIRS = {  # sw2: factor of rho per layer; noise scale at L = 20
    1.0: "1.00000 0.218", 1.7609546: ". 6.48", 2.0: "0.91739 16.0", 2.5: "0.81050 87.1",
    3.0: "0.74066 379.", 4.0: "0.64551 4418.",
}  # fmt: skip


def edge_point(name, sigma_b):
    sigma_w = edge(name, sigma_b)
    return sigma_w**2, theory.fixed_point(name, sigma_w, sigma_b)


def bias_square(name, q):
    """sigma_b^2 at the edge of a given q*, from its closed form."""
    if name == "erf":
        return q - FORMS["erf"](q) * 2 / math.pi * math.asin(2 * q / (1 + 2 * q))
    return q - math.tanh(q)  # sine


def critical():
    ds = theory.mean_field(gs.MLP(sigma_w=edge("tanh", math.sqrt(0.05)), sigma_b=math.sqrt(0.05)))
    return of(ds, "q_star", "chi_1", "growth_rms", "c_star", "xi_q")


def extremes(name):
    entry = activations[name]
    largest = brentq(lambda x: float(entry.second(np.array(x), 0.01)), 0.8, 3.0, xtol=1e-14)
    smallest = entry.slope(np.array(-largest), 0.01)  # where phi'(-x) = 1 - phi'(x)
    return largest, float(smallest)


def slope_at(*place):
    """Mean log10 growth per layer at a finite width: mean field and the drift of the walk."""
    activation, sw2, sb2, n = place
    walk = theory.walk_coefficients(activation, math.sqrt(sw2), math.sqrt(sb2))
    return limit(activation, sw2, sb2).growth_rms.item() + walk.drift.item() / n / 2 / LN10


def pairs(sw2):
    settings = math.sqrt(sw2), math.sqrt(0.05)
    q, c = theory.fixed_point("tanh", *settings), theory.c_star("tanh", *settings)
    factor = theory.chi_c("tanh", settings[0], c, q) / theory.chi_1("tanh", settings[0], q)
    return factor, 1 / correlations(sw2)[1] - 1


def orthogonal_inputs(sw2):
    """Correlation at layer 1 of 12 of the gradients of orthogonal inputs that share the biases."""
    settings = math.sqrt(sw2), math.sqrt(0.05)
    q = theory.fixed_point("tanh", *settings)
    ds = theory.correlation_profile("tanh", 12, *settings, c=0.05 / q, q=q)
    return ds.delta_correlation[0].item()


def spreads(name, slope):
    return [theory.jacobian_moments(name, 7, 1.0, slope=slope, weights=w).variance.item() / 7
            for w in ("gaussian", "orthogonal")]  # fmt: skip


def at_edge_of_sigmoid():
    sigma_w = theory.edge_of_chaos("sigmoid", 0.0)
    q = theory.fixed_point("sigmoid", sigma_w, 0.0)
    orthogonal = theory.jacobian_moments("sigmoid", 1, sigma_w, q=q, weights="orthogonal")
    return sigma_w**2, q, flatness("sigmoid", q), orthogonal.variance.item()


def residual_rate():
    """A from the growth over L to 4 L blocks, moved to L^-1/2 = 0 from two L."""
    a, b, c = (theory.residual_growth("tanh", n).log_state_gradient[0].item()
               for n in (250, 1000, 4000))  # fmt: skip
    return 2 * (c - b) / math.sqrt(1000) - (b - a) / math.sqrt(250)


GROUPS = [
    group("tanh, sb2 = 0.05, at the edge", "q* chi_1 growth c* xi_q",
          "0.57004788 1.0000000 0.0000000 1.00000 1.52", critical),
    group("trainable depth 6 xi_c, tanh", [f"{b:g},{w:g}" for b, w in TANH],
          "314. 130. 65.6 47.9 7.1 21.8 94.7 151. 70.8 54.3 41.9",
          lambda: [6 * limit("tanh", w, b).xi_c.item() for b, w in TANH]),
    group("edge of chaos, tanh, sigma_b = 0.01 to 1: sw2, q*", "value", EDGE_SQUARES,
          lambda: [x for b in BIASES[1:] for x in edge_point("tanh", b)]),
    *(group(f"closed form of the edge, {name}, sigma_b = 0.3", "sw2",
            f"{form(edge_point(name, 0.3)[1]):.8f}", lambda name=name: edge_point(name, 0.3)[:1],
            EXACT)
      for name, form in FORMS.items()),
    *(group(f"closed form of the edge, {name}, sigma_b = 0.3", "sb2",
            f"{bias_square(name, edge_point(name, 0.3)[1]):.8f}", lambda: [0.09], EXACT)
      for name in ("erf", "sine")),
    group("edge of chaos, sigmoid, sigma_b = 0", "sw2 q* flatness orthogonal",
          "103.00755 45.62428 4.44876 3.449", at_edge_of_sigmoid),
    group("Nielsen 2015, sigmoid, sw2 = sb2 = 1", "sqrt(chi_1)", "0.20484075",
          lambda: [math.sqrt(limit("sigmoid", 1, 1).chi_1.item())]),
    *(group(f"slope of {name}", "largest_at smallest", printed, lambda name=name: extremes(name),
            EXACT)
      for name, printed in EXTREMES.items()),
    *(group(f"slope of leaky relu, a = {a}", "E_phi'^2", f"{(1 + a * a) / 2}",
            lambda a=a: [theory.chi_1("leaky_relu", 1.0, 1.0, slope=a)], EXACT)
      for a in (0.1, 0.5)),
    group("q* of lecun_tanh, sw2 =", "1 2", "0.382 2.384",
          lambda: [limit("lecun_tanh", v).q_star.item() for v in (1, 2)]),
    group("q* of sigmoid, sw2 =", "1/3 1 2", "0.0850 0.26468688 0.55528959",
          lambda: [limit("sigmoid", v).q_star.item() for v in (1 / 3, 1, 2)]),
    group("sigmoid, sw2 = 30, sb2 = 1", "q* chi_1", "13.0208 0.52759570",
          lambda: of(limit("sigmoid", 30, 1), "q_star", "chi_1")),
    group("gelu, sw2 = 2: decades a layer at q = 1", "first", "-0.0201",
          lambda: [0.5 * math.log10(2 * theory.chi_1("gelu", 1.0, 1.0))]),
    group("selu, sw2 = 2: decades a layer at q = inf", "last", "0.0215",
          lambda: [0.5 * math.log10(2 * theory.chi_1("selu", 1.0, math.inf))]),
    group("elu, sw2 = 1/3: decades a layer", "growth", "-0.23856",
          lambda: [limit("elu", 1 / 3).growth_rms.item()]),
    group("sigmoid, sw2 = 1: layers to float32 eps", "layers", "11.",
          lambda: [math.log10(1.1920929e-7) / limit("sigmoid", 1).growth_rms.item()]),
    *(group(f"{name}, sw2 = {w:g}, sb2 = {b:g}, width {n}: mean of log10 a layer", "drift", printed,
            lambda place=(name, w, b, n): [slope_at(*place)], error=4 * error)
      for name, w, b, n, _, printed, error in SLOPES),
    *(group(f"{name}, sw2 = {w:g}, sb2 = {b:g}: sampled log10 rms a layer", "growth", printed,
            lambda place=(name, w, b): [limit(*place).growth_rms.item()], error=4 * error)
      for name, w, b, printed, error in ANNEALED),
    *(group(f"tanh, sb2 = 0.05, sw2 = {sw2:g}, pairs", "factor noise_scale", printed,
            lambda sw2=sw2: pairs(sw2))
      for sw2, printed in PAIRS.items()),
    group("tanh, sb2 = 0.05, L = 12, orthogonal inputs: rho_1", "sw2=1 3", "0.8565 0.0311",
          lambda: [orthogonal_inputs(1.0), orthogonal_inputs(3.0)]),
    *(group(f"Pennington et al. 2018: sigma^2 / L, {name}", "gaussian orthogonal", printed,
            lambda name=name, a=a: spreads(name, a))
      for name, a, printed in (
          ("identity", 0.0, "1.0 0.0"), ("relu", 0.0, "2.0 1.0"),
          ("leaky_relu", 0.1, "1.96078816 0.96078816"), ("leaky_relu", 0.2, "1.85207101 ."))),
    group("Pennington et al. 2018: flatness, erf_scaled, q* =", "0.05", "1.00934410",
          lambda: [flatness("erf_scaled", 0.05)]),
    group("Pennington et al. 2018: flatness, tanh, q* =", "0.05 0.1 0.57004788",
          "1.01331982 1.03970912 1.34225608",
          lambda: [flatness("tanh", q) for q in (0.05, 0.1, 0.57004788)]),
    group("Pennington et al. 2017: m_2 / m_1^2, relu, L = 4", "(L+p)/p", "9.000000",
          lambda: [theory.jacobian_moments("relu", 4, 1.0).m_2.item() * 2.0**8]),
    group("Yang and Schoenholz 2017, tanh: ln growth", "L=200 500 1000",
          "15.169250 24.198293 34.265092",
          lambda: [theory.residual_growth("tanh", n).log_state_gradient[0].item()
                   for n in (200, 500, 1000)]),
    group("Yang and Schoenholz 2017, tanh: A of A sqrt(L)", "A", "1.0638461",
          lambda: [residual_rate()], error=0.002),
    group("Glorot and Bengio 2010: mean singular value, n = 400, sampled", "normalised standard",
          "0.84885 0.49042",
          lambda: [theory.fuss_catalan_moment(1, 0.5) * math.sqrt(v) for v in (1, 1 / 3)],
          error=4 * 3e-4),
    group("tanh, g = 3 and 1.5: E phi', q = q*", "3 1.5", "0.299401 0.647398",
          lambda: [gaussian_mean(lambda z: 1 - np.tanh(z) ** 2,
                                 theory.fixed_point("tanh", g, 0.0)) for g in (3.0, 1.5)]),
]  # fmt: skip
