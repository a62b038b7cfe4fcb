"""Published results, computed and simulated: one table, printed with `pytest -s`.

Exact entries are simulated at the width they are for and must lie within four standard errors, that
of a variance from the exact fourth cumulant. Asymptotic ones are simulated at three widths and
moved to 1/n = 0 by a straight line in 1/n; the remainder must be below a stated tolerance plus four
standard errors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import gradsim as gs
from gradsim import theory
from gradsim.theory._layer_law import Slopes, cumulants

LN10 = math.log(10)
HE = math.sqrt(2)
LINEAR_COST = {"loss": "linear", "output": "identity"}
WIDTHS = (48, 96, 192)
RUN = {"dtype": "float32", "progress": False, "measure": gs.measurements.gradient(total=False)}


@dataclass(frozen=True)
class Row:
    """A published number, what theory computes, and how to simulate it (value, standard error)."""

    source: str
    printed: str
    computed: Callable[[], float]
    simulated: Callable[[], tuple[float, float]]
    tolerance: float | None = None  # None: exact


def log_ratios(model, seeds, first=1, last=-1):
    """ln ||delta^first||^2 - ln ||delta^last||^2 of every network whose gradient is not 0."""
    delta = gs.simulate(model, seeds, **RUN).log10_delta_norm.values
    ratio = 2 * LN10 * (delta[:, first - 1] - delta[:, last])
    return ratio[np.isfinite(ratio)]


def mean_of(sample):
    return sample.mean(), sample.std() / math.sqrt(sample.size)


def law_of(activation, n, depth):
    """Model of He or unit gain and its law over all layers."""
    model = gs.MLP(depth=depth, width=n, activation=activation,
                   sigma_w=HE if activation == "relu" else 1.0, **LINEAR_COST)  # fmt: skip
    return model, theory.finite_width(model, ()).isel(layer=0)


def walk_rows(source, activation, n, depth, mean, variance, seeds=8000):
    model, law = law_of(activation, n, depth)
    sample = {}

    def ratios():
        if not sample:
            sample["x"] = log_ratios(model, seeds)
        return sample["x"]

    def spread():
        x, exact = ratios(), law.var_log.item()
        error = math.sqrt((2 * exact**2 + law.fourth_cumulant_log.item()) / x.size)
        return x.var(ddof=1), error

    name = f"{source}, {activation}, n = {n}, L = {depth}"
    return [
        Row(f"{name}: mean of ln", mean, law.mean_log.item, lambda: mean_of(ratios())),
        Row(f"{name}: variance of ln", variance, law.var_log.item, spread),
    ]


def extrapolated(measure):
    """Value and error at 1/n = 0 of a straight line through measure(n) = (value, error)."""
    found = np.array([measure(n) for n in WIDTHS])
    design = np.stack([np.ones(3), 1 / np.array(WIDTHS)], axis=1)
    weighted = design / found[:, 1:]
    covariance = np.linalg.inv(weighted.T @ weighted)
    value = covariance @ weighted.T @ (found[:, 0] / found[:, 1])
    return value[0], math.sqrt(covariance[0, 0])


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


def recurrent(n):
    """Growth of ln ||delta|| per step of an untied tanh RNN with its state at q*."""
    limit = theory.recurrent(gs.RNN(sigma_w=2.0))
    size = math.sqrt(limit.q_star.item()) / 2
    x = np.random.default_rng(n).standard_normal(n)
    state = x * size * math.sqrt(n) / np.linalg.norm(x)
    model = gs.RNN(steps=12, width=n, sigma_w=2.0, tied=False, loss="linear",
                   initial_state=tuple(state))  # fmt: skip
    value, error = mean_of(log_ratios(model, 14000 // n))
    return value / 22, error / 22


def fixed_point(n):
    model = gs.MLP(depth=16, width=n, sigma_w=math.sqrt(1.5), sigma_b=math.sqrt(0.05))
    q = gs.simulate(model, 30000 // n, dtype="float32", progress=False, measure="signal")
    return mean_of(q.z_mean_square.sel(layer=15).values)


def fourth_moment():
    model = gs.MLP(depth=2, width=50, activation="relu", sigma_w=HE, **LINEAR_COST)
    return mean_of(np.exp(2 * log_ratios(model, 20000)))


def relu_growth():
    model = gs.MLP(depth=3, width=64, activation="relu", **LINEAR_COST)
    square, error = mean_of(np.exp(log_ratios(model, 8000)))
    return 0.25 * math.log10(square), 0.25 * error / square / LN10


def linear_rnn(n, steps, seeds, **fields):
    model = gs.RNN(steps=steps + 1, width=n, activation="identity", loss="linear", tied=False,
                   **fields)  # fmt: skip
    return log_ratios(model, seeds) / 2


def vanished():
    share = np.mean(linear_rnn(10, 50, 8000, sigma_w=0.9) < math.log(1e-3))
    return share, math.sqrt(share * (1 - share) / 8000)


def vanished_exactly():
    """Inverse of the quantile function: the level whose quantile is 1e-3."""
    from scipy.optimize import brentq

    model = gs.RNN(steps=51, width=10, activation="identity", loss="linear", tied=False,
                   sigma_w=0.9)  # fmt: skip

    def excess(level):
        return theory.finite_width(model, [level]).log10_delta_quantile[0].item() + 3

    return brentq(excess, 0.70, 0.73, xtol=1e-7)


ROWS = [
    *walk_rows("Hanin and Nica 2018", "relu", 20, 10, "-1.23468", "2.80582"),
    *walk_rows("Hanin and Nica 2018", "identity", 20, 10, "-0.45749", "0.94650"),
    *walk_rows("Sussillo and Abbott 2014", "relu", 50, 2, "-0.05173878", "0.10816813"),
    Row("Hanin and Nica 2018, relu, n = 50: E ratio^4", "1.1",
        lambda: 1 + Slopes(0.0, 1.0).square_excess(50), fourth_moment),
    Row("He et al. 2015, relu, sw2 = 1: decades a layer", "-0.15051500",
        lambda: theory.mean_field(gs.MLP(activation="relu")).growth_rms.item(), relu_growth),
    Row("Newman 1986, N = 10: lambda_1", "-0.0516601220",
        lambda: theory.lyapunov(10).lyapunov_exponent[0].item(),
        lambda: mean_of(linear_rnn(10, 30, 4000) / 30)),
    Row("Goodfellow et al. 2016, 10.7: E ln abs(w)", "-0.6351814227",
        lambda: theory.scalar_product(10).mean_log.item() / 10,
        lambda: mean_of(linear_rnn(1, 10, 8000) / 10)),
    Row("Goodfellow et al. 2016, 10.7: P(T = 10 product < 1e-3)", "0.40609",
        lambda: theory.scalar_product(10).below_probability.item(),
        lambda: mean_of((linear_rnn(1, 10, 8000) < math.log(1e-3)) * 1.0)),
    Row("Newman 1986, N = 10, g = 0.9, T = 50: P(r < 1e-3)", "0.71219", vanished_exactly, vanished),
    growth_row("tanh", 1.0, 0.05, "-0.0598701"),
    growth_row("tanh", 2.0, 0.0, "0.0217850"),
    growth_row("sigmoid", 1.0, 0.0, "-0.62699169"),
    Row("Poole et al. 2016, tanh, sw2 = 1.5, sb2 = 0.05: q*", "0.41803720",
        lambda: theory.fixed_point("tanh", math.sqrt(1.5), math.sqrt(0.05)),
        lambda: extrapolated(fixed_point), 2e-3),
    Row("Yang and Schoenholz 2017, tanh, 10 blocks: ln growth", "2.643206",
        lambda: theory.residual_growth("tanh", 10).log_state_gradient[0].item(),
        lambda: extrapolated(residual), 0.03),
    Row("Molgedey et al. 1992, tanh RNN, g = 2: lambda_1", "0.15472423",
        lambda: theory.recurrent(gs.RNN(sigma_w=2.0)).lyapunov_exponent.item(),
        lambda: extrapolated(recurrent), 2e-3),
]  # fmt: skip


def judged(row):
    """Line of the table, and whether the row holds."""
    computed, (simulated, error) = float(row.computed()), row.simulated()
    digits = len(row.printed.partition(".")[2])
    same = abs(computed - float(row.printed)) < 0.6 * 10.0**-digits
    gap = float(simulated - computed)
    if row.tolerance is None:
        verdict, holds = f"z = {gap / error:+.2f}", abs(gap) < 4 * error
        kind = "exact"
    else:
        verdict, holds = f"remainder = {gap:+.1e}", abs(gap) < row.tolerance + 4 * error
        kind = f"asymptotic, tolerance {row.tolerance:g}"
    found = f"{float(simulated):.6g} +- {float(error):.1g}"
    line = f"{row.source:<66} {row.printed:>13} {computed:>13.9g} {found:>22} {verdict:>22}  {kind}"
    return line, same, holds


@pytest.fixture(scope="module")
def table():
    return [judged(row) for row in ROWS]


def test_published__table_is_printed(table):
    print(f"\n{'source':<66} {'printed':>13} {'computed':>13} {'simulated':>22}")
    for line, *_ in table:
        print(line)


def test_published__numbers_are_computed_to_the_digits_printed(table):
    assert not [line for line, same, _ in table if not same]


def test_published__numbers_are_those_of_simulation(table):
    assert not [line for line, _, holds in table if not holds]


def test_cumulants__of_the_errors_are_exact():
    """Fourth cumulants behind the error of a variance: polygamma functions for linear networks."""
    from scipy.special import polygamma

    law = cumulants(Slopes(1.0, 1.0), 20)
    assert law.fourth == pytest.approx(float(polygamma(3, 10.0)), rel=1e-12)
