"""Published results, computed and simulated: rows of the table of `test_reference_table`.

Exact entries are simulated at the width they are for and must lie within four standard errors, that
of a variance from the exact fourth cumulant. Asymptotic ones are simulated at three widths and
moved to 1/n = 0 by a straight line in 1/n; the remainder must be below a stated tolerance plus four
standard errors.
"""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim import theory
from gradsim.theory._layer_law import Slopes

from .reference import Row, extrapolated, mean_of

LN10 = math.log(10)
HE = math.sqrt(2)
LINEAR_COST = {"loss": "linear", "output": "identity"}
RUN = {"dtype": "float32", "progress": False, "measure": gs.measurements.gradient(total=False)}
PUBLISHED = gs.MLP(depth=101, width=100, activation="relu", init="random_walk_published",
                   **LINEAR_COST)  # fmt: skip


def log_ratios(model, seeds, first=1, last=-1):
    """ln ||delta^first||^2 - ln ||delta^last||^2 of every network whose gradient is not 0."""
    delta = gs.simulate(model, seeds, **RUN).log10_delta_norm.values
    ratio = 2 * LN10 * (delta[:, first - 1] - delta[:, last])
    return ratio[np.isfinite(ratio)]


def law_of(activation, n, depth, sigma_b):
    """Model of He or unit gain and its law over all layers."""
    model = gs.MLP(depth=depth, width=n, activation=activation,
                   sigma_w=HE if activation == "relu" else 1.0, sigma_b=sigma_b,
                   **LINEAR_COST)  # fmt: skip
    return model, theory.finite_width(model, ()).isel(layer=0)


def walk_rows(source, activation, n, depth, mean, variance, seeds=4000, sigma_b=0.0):
    model, law = law_of(activation, n, depth, sigma_b)
    sample = {}

    def ratios():
        if not sample:
            sample["x"] = log_ratios(model, seeds)
        return sample["x"]

    def spread():
        x, exact = ratios(), law.var_log.item()
        error = math.sqrt((2 * exact**2 + law.fourth_cumulant_log.item()) / x.size)
        return x.var(ddof=1), error

    name = f"{source}, {activation}, n = {n}, L = {depth}{', sb2 = 1' * bool(sigma_b)}"
    return [
        Row(f"{name}: mean of ln", mean, law.mean_log.item, lambda: mean_of(ratios())),
        Row(f"{name}: variance of ln", variance, law.var_log.item, spread),
    ]


def growth_row(activation, sw2, sb2, printed):
    """Half the log10 of the mean square's growth per layer, started at q*."""
    sigma_w, sigma_b, first, last = math.sqrt(sw2), math.sqrt(sb2), 1, 9
    fields = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b}
    limit = theory.mean_field(gs.MLP(**fields))

    def measure(n):
        x = np.random.default_rng(n).standard_normal(n)
        x *= math.sqrt(n * (limit.q_star.item() - sb2) / sw2) / np.linalg.norm(x)
        model = gs.MLP(depth=last + 1, width=n, **fields, **LINEAR_COST)
        delta = 2 * LN10 * gs.simulate(model, 14000 // n, inputs=x, **RUN).log10_delta_norm
        ratio = np.exp((delta.sel(layer=first) - delta.sel(layer=last + 1)).values)
        near = np.exp((delta.sel(layer=last) - delta.sel(layer=last + 1)).values)
        value = math.log(ratio.mean() / near.mean())
        error = np.std(ratio / ratio.mean() - near / near.mean()) / math.sqrt(ratio.size)
        scale = 2 * LN10 * (last - first)
        return value / scale, error / scale

    source = f"Schoenholz et al. 2017, {activation}, sw2 = {sw2:g}, sb2 = {sb2:g}: decades a layer"
    return Row(source, printed, limit.growth_rms.item, lambda: extrapolated(measure), 1e-3)


def residual(n):
    """ln of the mean square growth of dC/dx over ten blocks and a layer of unit gain."""
    model = gs.MLP(depth=11, width=n, cell="residual", **LINEAR_COST)
    ds = gs.simulate(model, 12000 // n, **RUN)
    last = ds.log10_delta_norm.sel(layer=11)
    ratio = np.exp(2 * LN10 * (ds.log10_input_grad_norm - last).values)
    return math.log(ratio.mean()), ratio.std() / ratio.mean() / math.sqrt(ratio.size)


def fixed_point(n):
    model = gs.MLP(depth=16, width=n, sigma_w=math.sqrt(1.5), sigma_b=math.sqrt(0.05))
    q = gs.simulate(model, 30000 // n, dtype="float32", progress=False, measure="signal")
    return mean_of(q.z_mean_square.sel(layer=15).values)


def fourth_moment():
    model = gs.MLP(depth=2, width=50, activation="relu", sigma_w=HE, **LINEAR_COST)
    return mean_of(np.exp(2 * log_ratios(model, 10000)))


def relu_growth():
    model = gs.MLP(depth=3, width=64, activation="relu", **LINEAR_COST)
    square, error = mean_of(np.exp(log_ratios(model, 8000)))
    return 0.25 * math.log10(square), 0.25 * error / square / LN10


@cache
def he_network():
    """Squared norms of the weight gradients of relu networks of many widths, |v| = |x| = 1."""
    model = gs.MLP(width=(15, 10, 40, 20, 80, 3), activation="relu", sigma_w=HE, **LINEAR_COST)
    options = RUN | {"dtype": "float64"}
    v, x = np.eye(3)[:1], np.eye(15)[:1]
    ds = gs.simulate(model, 10_000, inputs=x, targets=v, **options)
    return 10 ** (2 * ds.log10_weight_grad_norm.values)


def flat(i):
    return mean_of(15 * he_network()[:, i])


def weight_gradient(i):
    """(sw2 / 2)^(L-1) |v|^2 |x|^2 n_(l-1) / n_0, in units of |v|^2 |x|^2 / n_0."""
    model = gs.MLP(width=(15, 10, 40, 20, 80, 3), activation="relu", sigma_w=HE, **LINEAR_COST)
    rms = theory.profile(model, x_norm=1.0).log10_weight_grad_rms.values
    return 15 * 10 ** (2 * (rms[i] - rms[0]))


def singular(n):
    """Mean singular value of one matrix."""
    model = gs.MLP(depth=1, width=n, activation="identity", init="uniform")
    values = gs.simulate(model, 2400 // n, progress=False, measure="jacobian")
    return mean_of((10**values.log10_input_singular_value).mean("index").values)


def uniform(moment):
    """Moment of ln abs(w) of uniform weights of variance 1, one a layer."""
    model = gs.MLP(depth=6, width=1, activation="identity", init="uniform", **LINEAR_COST)
    per_layer = log_ratios(model, 4000) / 2
    mean, error = mean_of(per_layer)
    if moment == 1:
        return mean / 5, error / 5
    square = (per_layer - mean) ** 2
    return square.mean() / 5, square.std() / 5 / math.sqrt(square.size)


@cache
def published_walk():
    """log10 of the growth over 100 relu layers of width 100 at the gain as published."""
    return log_ratios(PUBLISHED, 40) / 2 / LN10


def published_law():
    return theory.finite_width(PUBLISHED, ()).isel(layer=0)


def long_residual():
    """As `residual`, over twenty blocks of width 100."""
    model = gs.MLP(depth=21, width=100, cell="residual", **LINEAR_COST)
    ds = gs.simulate(model, 60, **RUN)
    last = ds.log10_delta_norm.sel(layer=21)
    ratio = np.exp(2 * LN10 * (ds.log10_input_grad_norm - last).values)
    return math.log(ratio.mean()), ratio.std() / ratio.mean() / math.sqrt(ratio.size)


def largest_square(n):
    """Largest squared singular value of ten linear layers."""
    model = gs.MLP(depth=10, width=n, activation="identity")
    ds = gs.simulate(model, 40, progress=False, measure="jacobian")
    return mean_of(100 ** ds.log10_input_singular_value.isel(index=0).values)


ROWS = [
    *walk_rows("Hanin and Nica 2018", "relu", 20, 10, "-1.23468", "2.80582"),
    *walk_rows("Hanin and Nica 2018", "identity", 20, 10, "-0.45749", "0.94650"),
    *walk_rows("Hanin and Nica 2018", "relu", 20, 10, "-1.23468", "2.80582", 3000, 1.0),
    *walk_rows("Hanin and Nica 2018", "relu", 20, 50, "-6.72215", "15.27615", 1500),
    *walk_rows("Hanin and Nica 2018", "identity", 50, 50, "-0.98653", "1.99972", 250),
    *walk_rows("Sussillo and Abbott 2014", "relu", 50, 2, "-0.05173878", "0.10816813"),
    Row("Hanin and Nica 2018, relu, n = 50: E ratio^4", "1.1",
        lambda: 1 + Slopes(0.0, 1.0).square_excess(50), fourth_moment),
    Row("He et al. 2015, relu, sw2 = 1: decades a layer", "-0.15051500",
        lambda: theory.mean_field(gs.MLP(activation="relu")).growth_rms.item(), relu_growth),
    growth_row("tanh", 1.0, 0.05, "-0.0598701"),
    growth_row("tanh", 2.0, 0.0, "0.0217850"),
    growth_row("sigmoid", 1.0, 0.0, "-0.62699169"),
    Row("Poole et al. 2016, tanh, sw2 = 1.5, sb2 = 0.05: q*", "0.41803720",
        lambda: theory.fixed_point("tanh", math.sqrt(1.5), math.sqrt(0.05)),
        lambda: extrapolated(fixed_point), 2e-3),
    Row("Yang and Schoenholz 2017, tanh, 10 blocks: ln growth", "2.643206",
        lambda: theory.residual_growth("tanh", 10).log_state_gradient[0].item(),
        lambda: extrapolated(residual), 0.03),
    *(Row(f"weight gradients of relu, widths 15-10-40-20-80-3: layer {i + 1}", str(n),
          lambda i=i: weight_gradient(i), lambda i=i: flat(i))
      for i, n in enumerate((15, 10, 40, 20, 80))),
    Row("Glorot and Bengio 2010: mean singular value", "0.84882636",
        lambda: theory.fuss_catalan_moment(1, 0.5), lambda: extrapolated(singular), 1e-3),
    *(Row(f"one uniform weight: {name} of ln abs(w)", printed, computed,
          lambda moment=moment: uniform(moment))
      for moment, name, printed, computed in (
          (1, "mean", "-0.45069386", lambda: math.log(3) / 2 - 1),
          (2, "variance", "1", lambda: 1.0))),
    Row("Sussillo and Abbott 2014, their g, N = D = 100: mean log10", "-0.01804",
        lambda: published_law().log10_delta_mean.item(), lambda: mean_of(published_walk())),
    Row("Yang and Schoenholz 2017, tanh, 20 blocks, N = 100: ln growth", "4.191", None,
        long_residual, error=0.035),
    Row("Pennington et al. 2017, 10 linear layers, N = 50: E lambda_max", "19.0", None,
        lambda: largest_square(50), error=0.5),
]  # fmt: skip
