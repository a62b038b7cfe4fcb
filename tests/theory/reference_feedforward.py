"""Published and reference numbers of feed-forward networks, and the theory that computes them."""

import math
from functools import cache

import gradsim as gs
from gradsim import theory
from gradsim.activations import activations
from gradsim.theory._gaussian import gaussian_mean

from .reference import EXACT, group

LN10 = math.log(10)
FALSE = {  # what is printed, and what is true
    ("selu, sb2 = 0, decades a layer at sw2", "1/3"): (
        "-0.07771555: the limit q -> 0; the one printed is at a small q",
        0.5 * math.log10(1.0507009873554805**2 * (1 + 1.6732632423543772**2) / 6),
    ),
}


@cache
def limit(activation, sw2, sb2=0.0, slope=0.01):
    model = gs.MLP(activation=activation, sigma_w=math.sqrt(sw2), sigma_b=math.sqrt(sb2),
                   slope=slope)  # fmt: skip
    return theory.mean_field(model)


def of(ds, *names):
    return [ds[name].item() for name in names]


def nielsen(hidden):
    """Rms norms of the bias gradients of his networks, from an input of |x|^2 = 80.9."""
    widths = (784, *[30] * hidden, 10)
    model = gs.MLP(width=widths, activation="sigmoid", sigma_b=1.0, output="sigmoid",
                   loss="cross_entropy")  # fmt: skip
    ds = theory.profile(model, x_norm=math.sqrt(80.9))
    sigmoid = activations["sigmoid"].value
    last = gaussian_mean(lambda z: (sigmoid(z, 0.0) - 0.1) ** 2, ds.q[-1].item())
    return (math.sqrt(10 * last) * 10**ds.log10_delta_rms)[:-1].values


PENNINGTON = "Pennington et al. 2018"
SCHOENHOLZ = "Schoenholz et al. 2017, tanh"
TANH = {  # sb2, sw2: q*, chi_1, decades a layer, c*, xi_q, xi_c
    (0, 1.5): "0.28689423 1.04056757 0.0086351 0 2.754 52.36",
    (0, 2): "0.61796477 1.10552882 0.0217850 0 1.686 21.72",
    (0, 3): "1.34539323 1.23879715 0.0465001 0 1.113 10.93",
    (0, 4): "2.12147357 1.36267334 0.0671959 0 0.904 7.98",
    (0.05, 0.5): "0.08757987 0.43198738 -0.1822645 1 1.009 1.191",
    (0.05, 1): "0.19359252 0.75903165 -0.0598701 1 1.748 3.627",
    (0.05, 1.5): "0.41803720 0.93863627 -0.0137513 1 1.683 15.79",
    (0.05, 2): "0.72176187 1.04766600 0.0101114 0.744082 1.388 25.21",
    (0.05, 2.5): "1.06395838 1.13351570 0.0272138 0.446804 1.180 11.80",
    (0.05, 3): "1.42800846 1.20893442 0.0412014 0.299318 1.042 9.05",
    (0.05, 4): "2.19549393 1.34240241 0.0639414 0.165065 0.873 6.98",
}
BIASES = (0, 0.01, 0.05, 0.1, 0.2, math.sqrt(0.05), 0.3, 0.5, 1)
EDGES = {
    "tanh": "1 1.04212585 1.12253900 1.19340073 1.30414584 1.32700966 1.39558398 1.54967391 "
            "1.85558910",
    "erf": "0.88622693 0.92335671 0.99368629 1.05559465 1.15279541 1.17296164 1.23367251 "
           "1.37133047 1.64875145",
    "erf_scaled": "1 1.03867347 1.11199376 1.17656582 1.27795228 1.29898476 1.36229841 "
                  "1.50584750 1.79532386",
    "hard_tanh": "1 1.00060537 1.00885349 1.02570035 1.06860884 1.07960395 1.11614500 1.21314785 "
                 "1.43969045",
    "softsign": "1 1.16045899 1.36105091 1.51286807 1.72962862 1.77235641 1.89749177 2.16622712 "
                "2.66742233",
    "sine": "1 1.03290044 1.09281669 1.14226672 1.21233319 1.22558970 1.26266460 1.33032883 "
            "1.40042128",
}  # fmt: skip
GAMMA = {  # gamma, E phi'(Z)^2
    "identity": "1 1", "tanh": "1 0.46440290", "relu": "1 0.5", "elu": "1 0.66810200",
    "hard_tanh": "1 0.68268949", "softsign": "1 0.22767134", "sine": "1 0.56766764",
    "arctan": "1 0.5", "erf_scaled": "1 0.49137868", "softplus": "1 0.29337904",
    "sigmoid": "0.25 0.04483624", "hard_sigmoid": "0.1666666667 0.02770278",
    "erf": "1.1283791671 0.56941003", "lecun_tanh": "1.1439333333 0.80398911",
    "gelu": "1.1289041452 0.45585087", "gelu_tanh": "1.1289930687 0.45581785",
    "silu": "1.0998393201 0.37948235", "mish": "1.0884981613 0.47908376",
    "selu": "1.7580993408 1.07157499",
}  # fmt: skip
GROWTH = {  # decades a layer at sw2 = 1/3, 1, 2; "." where there is no rate
    "identity": "-0.23856063 0 0.15051500", "relu": "-0.38907563 -0.15051500 0",
    "leaky_relu": "-0.38691494 -0.14835431 0.00216069", "tanh": "-0.23856063 . 0.02178503",
    "lecun_tanh": "-0.18015991 0.00414025 0.03751769",
    "sigmoid": "-0.84940001 -0.62699169 -0.49788859", "hard_tanh": "-0.23856063 . 0.06367201",
    "softsign": "-0.23856 . 0.00900694", "erf": "-0.18610557 0.00363966 0.03911335",
    "arctan": "-0.23856063 . 0.01824008", "sine": "-0.23856063 . 0.04016672",
    "selu": "-0.07771559 0.01501128 .", "gelu": "-0.53959062 -0.30103000 -0.15051500",
    "silu": "-0.53959062 -0.30103000 -0.15051500", "mish": "-0.46040938 -0.22184875 -0.07133375",
    "softplus": "-0.53048430 -0.26976017 .",
}  # fmt: skip
NOISE = {  # sw2: correlation of delta at layer 1 of L = 10, 20, 50
    1.0: "0.8378 0.8207 0.8196", 1.7609546: "0.3296 0.1338 0.02736", 2.0: "0.2298 0.05869 0.00238",
    2.5: "0.1112 0.01135 1.83e-5", 3.0: "0.05735 0.002633 3.1e-7", 4.0: "0.01841 2.26e-4 4.5e-10",
}  # fmt: skip


def edge(name, sigma_b):
    if name == "erf_scaled":
        gs.activation(name, lambda t, z: t.erf(math.sqrt(math.pi) / 2 * z))
    return theory.edge_of_chaos(name, sigma_b)


def steepness(name):
    if name == "erf_scaled":
        gs.activation(name, lambda t, z: t.erf(math.sqrt(math.pi) / 2 * z))
    return [activations[name].gamma(0.01), theory.chi_1(name, 1.0, 1.0)]


@cache
def correlations(sw2):
    """rho_1 of networks of 10, 20 and 50 layers: a product over layers that starts in layer 1."""
    settings = math.sqrt(sw2), math.sqrt(0.05)
    q = theory.fixed_point("tanh", *settings)
    rho = theory.correlation_profile("tanh", 50, *settings, c=0.0, q=q).delta_correlation.values
    return rho[0] / rho[[9, 19, 49]]


def power_law():
    depths = (10, 20, 50, 100, 200, 1000)
    x = math.sqrt(32)
    return [
        theory.profile(gs.MLP(depth=d, width=32), x_norm=x).log10_delta_rms[0].item()
        for d in depths
    ]


def square(name, depth, weights, sigma_w, key="largest_square"):
    return theory.jacobian_moments(name, depth, sigma_w, weights=weights)[key].item()


def flatness(name, q):
    if name == "erf_scaled":
        gs.activation(name, lambda t, z: t.erf(math.sqrt(math.pi) / 2 * z))
    return theory.jacobian_moments(name, 3, 1.0, q=q).flatness.item()


def _underflow():
    growth = limit("sigmoid", 1).growth_rms.item()
    smallest = (math.log10(1.17549435e-38), math.log10(1.4e-45), math.log10(2.2250738585e-308))
    return [size / growth for size in smallest]


DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100)
GROUPS = [
    *(group(f"Nielsen 2015, ch. 5, {k} hidden: rms", "layer", printed, lambda k=k: nielsen(k))
      for k, printed in ((2, "0.06246 0.29852"), (3, "0.01280 0.06115 0.29835"),
                         (4, "0.00262 0.01253 0.06111 0.29835"))),
    group("Nielsen 2015, sigmoid, sw2 = sb2 = 1", "q* chi_1 growth",
          "1.30213404 0.04195973 -0.68858363",
          lambda: of(limit("sigmoid", 1, 1), "q_star", "chi_1", "growth_rms")),
    *(group(f"bounds: {name}", "gamma E_phi'^2", printed, lambda name=name: steepness(name), EXACT)
      for name, printed in GAMMA.items()),
    *(group(f"{SCHOENHOLZ}, sb2 = {sb2}, sw2 = {sw2}", "q* chi_1 growth c* xi_q xi_c", printed,
            lambda sb2=sb2, sw2=sw2: of(limit("tanh", sw2, sb2), "q_star", "chi_1", "growth_rms",
                                        "c_star", "xi_q", "xi_c"))
      for (sb2, sw2), printed in TANH.items()),
    *(group(f"edge of chaos, {name}, sigma_b", [f"{b:.3g}" for b in BIASES], printed,
            lambda name=name: [edge(name, b) for b in BIASES])
      for name, printed in EDGES.items()),
    group("edge of chaos, sigmoid, sigma_b", "0 1 2", "10.14926 10.26499 10.57643",
          lambda: [theory.edge_of_chaos("sigmoid", b) for b in (0, 1, 2)]),
    group("Glorot and Bengio 2010, 4.2.2: mean singular value", "normalised standard",
          "0.84882636 0.49007013",
          lambda: [theory.fuss_catalan_moment(1, 0.5) * math.sqrt(v) for v in (1, 1 / 3)]),
    *(group(f"{name}, sb2 = 0, decades a layer at sw2", "1/3 1 2", printed,
            lambda name=name: [limit(name, v, slope=0.1).growth_rms.item() for v in (1 / 3, 1, 2)])
      for name, printed in GROWTH.items()),
    group("b ~ N(0, 1), decades a layer", "sigmoid,sw2=30 tanh,sw2=1", "-0.13884938 -0.19957941",
          lambda: [limit("sigmoid", 30, 1).growth_rms.item(),
                   limit("tanh", 1, 1).growth_rms.item()]),
    group("tanh, sw2 = 1, power law", "L=10 20 50 100 200 1000",
          "-0.551045 -0.710881 -0.917388 -1.071130 -1.223560 -1.574925", power_law),
    group("sigmoid, sw2 = 1, layers to underflow", "float32 subnormal float64", "60.5 71.5 490.7",
          _underflow),
    *(group(f"{PENNINGTON}: flatness, {name}, q* =", "0.2 0.5 1 2", printed,
            lambda name=name: [flatness(name, q) for q in (0.2, 0.5, 1, 2)])
      for name, printed in {
          "hard_tanh": "1.02600651 1.18666080 1.46479477 1.92123004",
          "erf_scaled": "1.08394815 1.26323451 1.53464066 1.97737720",
          "tanh": "1.10360044 1.29924413 1.58347994 2.04052309"}.items()),
    group("lambda_max, linear", [f"L={d}" for d in DEPTHS],
          "4 6.75 9.481481 14.929920 28.531167 55.719252 137.270989 273.186197",
          lambda: [square("identity", d, "gaussian", 1.0) for d in DEPTHS]),
    group("lambda_max, relu", [f"L={d}" for d in DEPTHS],
          "5.828427 11.090170 16.457757 27.272773 54.410859 108.753915 271.837243 543.660896",
          lambda: [square("relu", d, "gaussian", math.sqrt(2)) for d in DEPTHS]),
    group("lambda_max, orthogonal relu", "L=3 5 10 20 50",
          "6.75 12.207031 25.811748 53.000687 134.552662",
          lambda: [square("relu", d, "orthogonal", math.sqrt(2)) for d in (3, 5, 10, 20, 50)]),
    group(f"{PENNINGTON}: edges, sigma_0 = 1/2", "s_+ s_-", "1.557 0.567",
          lambda: [theory.universal_edges(0.5)[i] for i in (1, 0)]),
    group("Yang and Schoenholz 2017, tanh: ln growth", "L=1 5 10 20 50 100",
          "0.381448 1.572717 2.643206 4.191172 7.216100 10.545549",
          lambda: [theory.residual_growth("tanh", n).log_state_gradient[0].item()
                   for n in (1, 5, 10, 20, 50, 100)]),
    group("Yang and Schoenholz 2017, tanh: p_L", "L=1 10 20 50 100",
          "1.394294 6.776798 14.323371 39.593526 84.449479",
          lambda: [theory.residual_growth("tanh", n).p[-1].item() for n in (1, 10, 20, 50, 100)]),
    *(group(f"tanh, sb2 = 0.05, sw2 = {sw2:g}: rho_1", "L=10 20 50", printed,
            lambda sw2=sw2: correlations(sw2))
      for sw2, printed in NOISE.items()),
]  # fmt: skip
