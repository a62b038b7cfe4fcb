"""Is it the sigmoid: whether the activation or the gain makes gradients vanish.

An unrolled RNN without inputs on the way is a feed-forward network, with inputs what is called an
RNN, each with one matrix for all layers (tied) or one for each: four architectures at three gains,
from step 40 back to step 10, with the factor of the weights, norm(W^T delta) / norm(delta), and of
the slopes apart. The price of the critical gain of the sigmoid (10.15) is drawn too.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._sigmoid_figure import draw
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, log10_rms, stacked

STEPS, LAST, FIRST = 40, 40, 10
SPAN = LAST - FIRST
ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
GAINS = ("sigma_w = 0.9", "conventional", "critical")
CONVENTIONAL = {"sigmoid": 1.0, "tanh": 1.0, "relu": 2**0.5, "identity": 1.0}  # Glorot, He
# chi_1 = 1, without and with inputs of sigma_u = 1 (gradsim.theory: edge_of_chaos, recurrent)
CRITICAL = {
    0.0: {"sigmoid": 10.149263710, "tanh": 1.0, "relu": 2**0.5, "identity": 1.0},
    1.0: {"sigmoid": 10.264992937, "tanh": 1.855589101, "relu": 2**0.5, "identity": 1.0},
}
ARCHITECTURES = {  # name: (tied, sigma_u)
    "MLP": (False, 0.0),
    "tied MLP": (True, 0.0),
    "untied RNN": (False, 1.0),
    "RNN": (True, 1.0),
}
SHARE = 50  # one network of so many has its directions counted
MARGIN = 0.02  # decades a step: a factor 4 over the 30 steps
VANISHES, KEPT = (-np.inf, -MARGIN), (-MARGIN, np.inf)
CASES = (  # architecture, activation, gain, what the claim says of it, what the condition does
    ("MLP", "sigmoid", "conventional", VANISHES, True),
    ("RNN", "sigmoid", "conventional", VANISHES, True),
    ("MLP", "sigmoid", "critical", VANISHES, False),
    ("RNN", "sigmoid", "critical", VANISHES, False),
    ("MLP", "tanh", "conventional", KEPT, True),
    ("MLP", "relu", "conventional", KEPT, True),
    ("MLP", "identity", "conventional", KEPT, True),
    ("MLP", "relu", "sigma_w = 0.9", KEPT, False),
    ("MLP", "identity", "sigma_w = 0.9", KEPT, False),
    ("untied RNN", "identity", "sigma_w = 0.9", KEPT, False),
)


def gains(architecture: str) -> xr.DataArray:
    """Every gain as a number, (activation, gain)."""
    critical = CRITICAL[ARCHITECTURES[architecture][1]]
    rows = [(0.9, CONVENTIONAL[a], critical[a]) for a in ACTIVATIONS]
    return xr.DataArray(rows, {"activation": list(ACTIVATIONS), "gain": list(GAINS)})


def model(architecture: str, **fields: Any) -> gs.RNN:
    """Network of an architecture."""
    tied, sigma_u = ARCHITECTURES[architecture]
    return gs.RNN(STEPS, 100, loss="linear", tied=tied, sigma_u=sigma_u, **fields)


def run(architecture: str, seeds: Any, measure: Any, threads: int | None) -> xr.Dataset:
    """Networks of an architecture, (activation, gain, seed, ...)."""
    sigma_w = gains(architecture)
    vary = {"activation": ACTIVATIONS, "sigma_w": np.unique(sigma_w)}
    ds = gs.simulate(model(architecture), seeds, vary=vary, measure=measure, threads=threads)
    return ds.sel(activation=sigma_w.activation, sigma_w=sigma_w).drop_vars("sigma_w")


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Growth of every network with its two factors, its saturated share, and its directions."""
    runs = [factors(run(n, seeds, ("gradient", "signal"), threads)) for n in ARCHITECTURES]
    ds = stacked(runs, "architecture", ARCHITECTURES)
    few = ds.seed.values[: max(2, ds.sizes["seed"] // SHARE)]
    jacobian = gs.measurements.jacobian(layers=[FIRST])
    counted = [directions(run(name, few, jacobian, threads)) for name in ARCHITECTURES]
    text = "number of directions that carry the gradient, of 100; of the first seeds only"
    number = stacked(counted, "architecture", ARCHITECTURES).reindex(seed=ds.seed)
    return ds.merge(labelled(directions=(number, text)))


def factors(ds: xr.Dataset) -> xr.Dataset:
    """Decades per step of the whole and of the two factors, and the saturated share."""
    growth = gs.analysis.growth_rate(ds, (FIRST, LAST), resamples=1).growth
    by_slope = ds.log10_delta_norm - ds.log10_state_grad_norm.rename(state_step="step")
    slope = by_slope.sel(step=slice(FIRST, LAST - 1)).mean("step")
    return labelled(
        growth=(growth, "growth of norm(delta) per step backwards, decades"),
        weight_factor=(growth - slope, "the share of the weights, decades per step"),
        slope_factor=(slope, "the share of the slopes, decades per step"),
        saturated=(ds.saturated_share.sel(step=LAST), "saturated share at the last step"),
    )


def directions(ds: xr.Dataset) -> xr.DataArray:
    """Participation number of the squared singular values s of dh_40 / dh_10: (sum s)^2 / sum s^2.

    It is 100 where all directions count alike and 1 where one is left; (activation, gain, seed).
    """
    log = ds.log10_singular_value.sel(step=FIRST)
    squares = 10 ** (2 * (log - log.max("index")))
    return squares.sum("index") ** 2 / (squares**2).sum("index")


def expected(architecture: str, activation: str, gain: str) -> float:
    """Mean-field growth of the rms over the same steps, decades per step."""
    sigma_w = gains(architecture).sel(activation=activation, gain=gain).item()
    net = model(architecture, activation=activation, sigma_w=sigma_w)
    rms = gs.theory.profile(net).log10_delta_rms
    return (rms.sel(step=FIRST) - rms.sel(step=LAST)).item() / SPAN


def estimate(ds: xr.Dataset) -> list[Row]:
    """Growth of the root mean square over networks, per step, of each case."""
    return [
        bootstrap(
            lambda logs: log10_rms(logs * SPAN) / SPAN,
            ds.growth.sel(architecture=name, activation=activation, gain=gain),
            expected(name, activation, gain),
        )
        for name, activation, gain, *_ in CASES
    ]


def figure(ds: xr.Dataset) -> Any:
    """Draw the two factors of each condition, medians over networks, and the price."""
    theory = [[[expected(n, a, g) for a in ACTIVATIONS] for g in GAINS] for n in ARCHITECTURES]
    return draw(ds, np.array(theory), SPAN)


STUDY = Study(
    name="sigmoid",
    claim="Gradients vanish because of the sigmoid, whose slope is at most 1/4; others keep them.",
    statistic="growth of rms norm(delta) from step 40 back to step 10, decades per step",
    population="RNN and MLP of width 100, W ~ N(0, sigma_w^2 / 100), no biases, 40 steps or layers,"
    " inputs N(0, 1); gains: 0.9, conventional (1; relu sqrt(2)) and critical (chi_1 = 1)",
    theory="chi_1 = sigma_w^2 E phi'^2 decides, not phi' alone: without inputs it is 0.056 for"
    " sigmoid at sigma_w = 1 and 1 at 10.149, and 0.81 for a linear network at 0.9.",
    condition="The sigmoid vanishes at its conventional gain 1, not on average at its critical gain"
    " 10.15, at the price of saturated units and a gradient of almost one direction; relu and "
    "linear networks vanish as well at sigma_w = 0.9. It is the gain.",
    parts=tuple(
        Part(f"{name}, {a}, {gain}: {'vanishes' if margin == VANISHES else 'is kept'}", *margin, so)
        for name, a, gain, margin, so in CASES
    ),
    networks=1000,
    quick=60,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
