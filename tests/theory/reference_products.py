"""Reference numbers of products of random weights and matrices, and of spectra, with their laws."""

import math

import numpy as np

import gradsim as gs
from gradsim import theory
from gradsim.theory._layer_law import Slopes, cumulants

from .reference import EXACT, group
from .reference_feedforward import LN10, of
from .reference_finite_width import LINEAR_COST
from .reference_recurrent import STEPS, tails

FALSE = {  # what is printed, and what is true
    ("two scalars: P(abs(prod) < 1), an integral of K_0", "P"): (
        "0.7910063370 = 2/pi times the integral of K_0 from 0 to 1; a digit is missing",
        0.79100633699534767,  # mpmath
    ),
}
ONE = cumulants(Slopes(1.0, 1.0), 1)
WALKS = {  # activation, n, L: mean and variance of ln, exact
    ("relu", 20, 10): "-1.23468 2.80582", ("identity", 20, 10): "-0.45749 0.94650",
    ("relu", 20, 50): "-6.72215 15.27615", ("identity", 20, 50): "-2.49079 5.15315",
    ("relu", 50, 10): "-0.46565 0.97351", ("relu", 50, 50): "-2.53520 5.30024",
    ("identity", 50, 50): "-0.98653 1.99972",
}  # fmt: skip
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RADII = {  # mean, sd, P(< 1), E ln, quantiles; the standard error of the mean, of P and of E ln
    2: (".93178 .438 .60601 -.1954 .173 .311 .607 .87771 1.200 1.735 2.150", 6.9e-4, 7.7e-4),
    5: ("1.03674 .2528 .48317 .0066 .557 .669 .857 1.01021 1.189 1.493 1.739", 5.7e-4, 1.12e-3),
    10: ("1.06441 .1647 .37899 .0508 .7519 .8258 .9485 1.04750 1.1615 1.3629 1.5276", 5.2e-4,
         1.53e-3),
    20: ("1.06788 .1066 .2765 .0608 .8684 .9151 .9929 1.05579 1.1298 1.2624 1.3750", 4.4e-4,
         1.8e-3),
    50: ("1.05966 .0614 .1543 .0563 .9466 .9728 1.0165 1.05257 1.0936 1.1713 1.2419", 5.6e-4,
         3.3e-3),
    100: ("1.05126 .0403 .0697 .0493 .9775 .9955 1.0225 1.04590 1.0735 1.1257 1.1750", 7.4e-4,
          4.7e-3),
    200: ("1.0422 .0267 .040 .0410 .9899 1.0024 1.0240 1.0395 1.0575 1.0919 1.1191", 1.1e-3, 8e-3),
}  # fmt: skip
DENSITY = (0.027, 0.103, 0.318, 0.399, 0.318, 0.103, 0.027)  # of a normal law at LEVELS, times sd
SPECTRUM = (
    "-0.05166012 -0.11028349 -0.17666012 -0.25314064 -0.34332679 -0.45314064 -0.59332679 "
    "-0.78647397 -1.09332679 -1.78647397 .055331 .062181 .070956 .082589 .098734 .122589 .161234 "
    ".233701 .411234 1.233701"
)


def walk(activation, n, depth):
    sigma_w = math.sqrt(2) if activation == "relu" else 1.0
    model = gs.MLP(depth=depth, width=n, activation=activation, sigma_w=sigma_w, **LINEAR_COST)
    return theory.finite_width(model, ()).isel(layer=0)


def quantiles(n, hidden):
    model = gs.MLP(depth=hidden + 1, width=n, activation="relu", sigma_w=math.sqrt(2),
                   **LINEAR_COST)  # fmt: skip
    return theory.finite_width(model, [0.05, 0.5, 0.95]).log10_delta_quantile[0].values


def limit(n, hidden):
    law = walk("relu", n, hidden + 1)
    return (law.mean_log_limit.item() / 2 / LN10, math.sqrt(law.var_log_limit.item()) / 2 / LN10)


def skewness(n, layers):
    law = cumulants(Slopes(0.0, 1.0), n)
    return law.third / law.variance**1.5 / math.sqrt(layers)


def one_derivative():
    """E Z^4 of one entry of dC/dx of a relu network of widths 10-50-20-50-1, times n_0^2 / 12."""
    model = gs.MLP(width=(10, 50, 20, 50, 1), activation="relu", sigma_w=math.sqrt(2),
                   **LINEAR_COST)  # fmt: skip
    law = theory.finite_width(model, ()).isel(layer=0)
    return math.exp(law.log_square_ratio.item() + 2 * law.log_mean_square.item())


def published_drift():
    model = gs.MLP(depth=101, width=100, activation="relu", init="random_walk_published",
                   **LINEAR_COST)  # fmt: skip
    return of(theory.finite_width(model, ()).isel(layer=0), "log10_delta_mean", "log10_delta_sd")


def medians():
    """Median of |prod| of T independent scalars: an untied linear RNN of one unit."""
    models = [gs.RNN(steps=t + 1, width=1, activation="identity", loss="linear", tied=False)
              for t in STEPS]  # fmt: skip
    return [10 ** theory.finite_width(m, [0.5]).log10_delta_quantile[0].item() for m in models]


def radius_groups(n, printed, error, share):
    """Sampled columns of one width, each with four of its standard errors.

    The error of a quantile is that of a normal law of the same spread, twice as large where the
    law is skewed, at the ends.
    """
    words = printed.split()
    sd = float(words[1])
    ends = [2 * sd * error / sd * math.sqrt(p * (1 - p)) / d for p, d in zip(LEVELS, DENSITY)]
    errors = [error, error, share, max(error, 1e-4), *ends]
    names = ["E_rho", "sd", "P(<1)", "E_ln", *(f"{100 * p:g}%" for p in LEVELS)]
    found = []

    def law():
        if not found:
            ds = theory.spectral_radius(n, 1.0, LEVELS)
            found.extend(of(ds, "mean", "sd", "stable_probability", "mean_log"))
            found.extend(ds.radius_quantile.values)
        return found

    return [group(f"Ginibre, N = {n}", [name], word, lambda i=i: [law()[i]], EXACT, 4 * e)
            for i, (name, word, e) in enumerate(zip(names, words, errors))]  # fmt: skip


def smallest_unit():
    ds = theory.spectral_radius(1, 1.0, [0.5])
    return [*of(ds, "mean", "radius_quantile", "stable_probability", "mean_log")]


def turned(gain):
    """||W^t h|| of an orthogonal matrix times a gain."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 7)))
    norms = theory.linear_rnn(gain * q, 100, np.ones(7) / math.sqrt(7)).log10_state_norm
    return [10 ** norms.sel(step=t).item() for t in STEPS]


GROUPS = [
    *(group(f"Hanin and Nica 2018, {name}, n = {n}, L = {depth}", "mean variance", printed,
            lambda place=(name, n, depth): of(walk(*place), "mean_log", "var_log"), EXACT)
      for (name, n, depth), printed in WALKS.items()),
    group("relu, He: mean of log10 a layer, n =", "20 30 50 100",
          "-0.02979 -0.01919 -0.01123 -0.00552",
          lambda: [walk("relu", n, 2).log10_delta_mean.item() for n in (20, 30, 50, 100)], EXACT),
    group("P(a relu layer is dead), n =", "5 10 20 30", "3.1e-2 9.8e-4 9.5e-7 9.3e-10",
          lambda: [walk("relu", n, 2).zero_probability.item() for n in (5, 10, 20, 30)], EXACT),
    group("Hanin and Nica 2018, relu, n = 30, 9 layers", "5% 50% 95%", "-0.657 -0.166 0.279",
          lambda: quantiles(30, 9), EXACT, 0.004),
    group("Hanin and Nica 2018, normal limit, n = 20, 49 layers", "mean sd", "-1.33003 0.76002",
          lambda: limit(20, 49)),
    group("Hanin and Nica 2018, relu, n = 20, 49 layers", "skewness", "-0.11",
          lambda: [skewness(20, 49)], EXACT, 0.02),
    group("E r^4 / (E r^2)^2, orthogonal relu, 1 + 3 / (n + 2)", "n=50", f"{1 + 3 / 52:.10f}",
          lambda: [1 + Slopes(0.0, 1.0, False).square_excess(50)], EXACT),
    group("Hanin 2018, relu, prod(1 + 5 / n)", "10-50-20-50-1", f"{1.1 * 1.25 * 1.1:.8f}",
          lambda: [one_derivative()], EXACT),
    group("Sussillo and Abbott 2014, their g, N = D = 100: log10", "mean sd", "-0.01804 0.4949",
          published_drift, EXACT),
    group("Sussillo and Abbott 2014, exp(1 / 2N), N =", "1 10 20 50 100",
          "1.64872 1.05127 1.02532 1.01005 1.00501",
          lambda: [theory.random_walk_gain("identity", n, published=True)
                   for n in (1, 10, 20, 50, 100)], EXACT),
    group("one Gaussian weight: ln abs(w)", "third skewness sd_decades mean_decades",
          "-2.10359958 -1.535 0.48237989 -0.27585579",
          lambda: [ONE.third / 8, ONE.third / ONE.variance**1.5,
                   math.sqrt(ONE.variance) / 2 / LN10, ONE.mean / 2 / LN10], EXACT),
    *(group(f"independent scalars, n = {t}: ln abs(prod)", "mean variance", printed,
            lambda t=t: of(theory.scalar_product(t), "mean_log", "var_log"), EXACT)
      for t, printed in ((10, "-6.3518 12.337"), (50, "-31.7591 61.685"))),
    group("Goodfellow et al. 2016, 10.7: Var prod, n = 20", "v=1.0352649238", "2.00000000",
          lambda: [math.exp(theory.scalar_product(20, math.sqrt(1.0352649238))
                            .log_mean_square.item())], EXACT),
    group("typical size kept by one scalar", "sd(w) E_w^2", "1.8873645212 3.5621448",
          lambda: [theory.critical_linear_gain(1), theory.critical_linear_gain(1) ** 2], EXACT),
    group("independent scalars: median of abs(prod), T =", "10 20 50 100",
          "2.3075e-3 4.0314e-6 2.1394e-14 3.4488e-28", medians, EXACT),
    group("two scalars: P(abs(prod) < 1), an integral of K_0", "P", ".7910063695",
          lambda: [theory.scalar_product(2, below=1.0).below_probability.item()], EXACT),
    group("independent scalars, sigma = 1: P(> 1e3)", "T=10 20 50 100",
          "0.00000 0.00000 0.00000 0.00000",
          lambda: [theory.scalar_product(t).above_probability.item() for t in STEPS], EXACT),
    group("untied linear: P(r < 1e-3)", "N=50,.5,T=10 50,.9,50 10,.5,10",
          ".64820 .05660 .762968",
          lambda: [tails(True, *c) for c in ((50, 0.5, 10), (50, 0.9, 50), (10, 0.5, 10))], EXACT),
    group("untied linear: P(r > 1e3)", "N=10,1.1,T=50", ".00174",
          lambda: [tails(False, 10, 1.1, 50)], EXACT),
    group("Newman 1986, N = 10: exponents and variances", "k", SPECTRUM,
          lambda: np.concatenate([theory.lyapunov(10)[name].values
                                  for name in ("lyapunov_exponent", "variance")]), EXACT),
    group("Newman 1986, N = 4, unit entries", "1 2 3 4", "0.557966 0.364819 0.057966 -0.635181",
          lambda: theory.lyapunov(4, 2.0).lyapunov_exponent.values, EXACT),
    group("100 matrices 4 x 4 of unit entries: log10 of the growth", "mean sd", "24.2 1.7",
          lambda: [100 * theory.lyapunov(4, 2.0).lyapunov_exponent[0].item() / LN10,
                   10 * math.sqrt(theory.lyapunov(4, 2.0).variance[0].item()) / LN10], EXACT),
    *(group(f"orthogonal matrix, g = {gain}", "T=10 20 50 100", printed,
            lambda gain=gain: turned(gain), EXACT)
      for gain, printed in ((0.9, ".348678 .121577 5.15378e-3 2.65614e-5"),
                            (1.1, "2.59374 6.72750 117.391 13780.6"))),
    group("h_t = 0.9 h_(t-d), T = 100, d =", "1 2 5 10",
          "2.656140e-5 5.153775e-3 .1215767 .3486784",
          lambda: [theory.skip(0.0, 0.9, d, 100).response[-1].item() for d in (1, 2, 5, 10)],
          EXACT),
    group("Tallec and Ollivier 2018, median unit, T_max = 100", "T=10 20 50 100",
          ".82034830 .67297133 .37152788 .13803297",
          lambda: [theory.gate(math.log(50))["mean"].item() ** t for t in STEPS], EXACT),
    group("leaky unit with Gaussian W: (1 - a) + a g, 1 / (a (1 - g))", "radius time",
          "0.9500 20.",
          lambda: of(theory.leaky(0.1, 0.5), "radius", "time_constant")),
    group("Ginibre, N = 1", "E_rho median P(<1) E_ln", ".79788456 .67449 .68268949 -.63518142",
          smallest_unit, EXACT),
    *(one for n, (printed, error, share) in RADII.items()
      for one in radius_groups(n, printed, error, share)),
]  # fmt: skip
