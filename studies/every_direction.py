"""On average, or in every direction? Gaussian against orthogonal weights, all at chi_1 = 1.

At chi_1 = 1 the mean square of the gradient stays as it is. The singular values of the Jacobian say
what that mean is made of: with orthogonal weights all of them can stay near 1 (dynamical isometry),
with Gaussian weights a few directions grow and the others die. How many carry the gradient is the
participation share of the squared singular values s: (mean s)^2 / mean s^2, 1 where all are equal.

Then digits are learned, at equal effective step: the learning rate of each condition is such that
the first step takes the same share of the loss away to first order, rate * norm(g)^2 / loss.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._every_direction_figure import draw
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, log10_rms, stacked, tabled
from gradsim.studies._training import train_on_digits

DEPTH, WIDTH = 30, 100
POINTS = {  # sigma_b, and sigma_w where chi_1 = 1 (gradsim.theory.edge_of_chaos)
    "identity": (0.0, 1.0),
    "tanh": (0.01, 1.042125848),
    "hard_tanh": (0.01, 1.000605366),
    "relu": (0.0, 2**0.5),
}
INITS = ("gaussian", "orthogonal")
FEWEST, KEPT = 0.5, math.log10(2)  # share of directions that carry; decades over all layers
TRAINED: Any = {"depth": 20, "width": 64, "output": "softmax", "loss": "cross_entropy"}
LESSON = {"examples": 50, "steps": 100}
EFFECTIVE, JUDGED = (0.05, 0.1), 0.05  # share of the loss that the first step takes
ONE_IN = 4  # so many networks have one that is trained
REFERENCE = range(0, 96, ONE_IN)  # networks whose median step sets the learning rates
FASTER, HALF = 0.1, math.log10(2)  # decades of loss; of the spread over directions
QUICKER = ("identity", "hard_tanh")
MEANINGS = {
    "condition": "decades from 10 to 90 % of the singular values",
    "spread": "sd over directions of the cost of log10 norm(J^T v), decades",
    "carried": "share of directions that carry the gradient",
}


def model(activation: str, init: str, **fields: Any) -> gs.MLP:
    """One condition; the Jacobian runs over hidden layers alone."""
    sigma_b, sigma_w = POINTS[activation]
    settings = {"depth": DEPTH, "width": WIDTH, "loss": "linear"} | fields
    return gs.MLP(activation=activation, init=init, sigma_w=sigma_w, sigma_b=sigma_b, **settings)


def settled(activation: str) -> float:
    """Mean square of the inputs whose pre-activations are at their fixed point."""
    sigma_b, sigma_w = POINTS[activation]
    q = gs.theory.fixed_point(activation, sigma_w, sigma_b) if sigma_b else sigma_w**2
    return (q - sigma_b**2) / sigma_w**2


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Singular values of the input-output Jacobian, what they mean, and the loss along training."""
    direction = np.random.default_rng(0).normal(size=WIDTH)
    direction *= math.sqrt(WIDTH) / np.linalg.norm(direction)
    runs = [
        gs.simulate(
            model(activation, INITS[0]), seeds, vary={"init": INITS}, threads=threads,
            inputs=direction[None] * math.sqrt(settled(activation)),
            measure=(gs.measurements.jacobian(layers=[0]),),
        ).log10_input_singular_value
        for activation in POINTS
    ]  # fmt: skip
    text = "log10 singular values of d a^L / dx"
    ds = labelled(log10_singular_value=(stacked(runs, "activation", POINTS), text))
    numbers = [function(ds.log10_singular_value.values) for function in (condition, spread, share)]
    meanings = tabled(numbers, MEANINGS, ("activation", "init", "seed"))
    return ds.merge(meanings).merge(learnt(ds.seed.values, threads))


def learnt(seeds: np.ndarray, threads: int | None) -> xr.Dataset:
    """Log10 loss (activation, init, effective, seed, iteration); NaN where none is trained."""
    dims = {"activation": POINTS, "init": INITS, "effective": EFFECTIVE, "seed": seeds,
            "iteration": range(LESSON["steps"])}  # fmt: skip
    loss, taught = np.full([len(names) for names in dims.values()], np.nan), seeds % ONE_IN == 0
    for activation, of_inits in zip(POINTS, loss if taught.any() else ()):
        for init, of_one in zip(INITS, of_inits):
            ds, _ = train_on_digits(
                model(activation, init, **TRAINED), seeds[taught], reference=REFERENCE,
                shares=EFFECTIVE, mean_square=settled(activation), threads=threads, **LESSON,
            )  # fmt: skip
            of_one[:, taught] = ds.log10_loss.transpose("share", "seed", "iteration")
    return tabled([loss], {"log10_loss": "log10 loss before each step"}, tuple(dims), **dims)


def condition(logs: np.ndarray) -> np.ndarray:
    """Decades from 10 to 90 % of the singular values (..., index)."""
    low, high = np.quantile(logs, [0.1, 0.9], axis=-1, method="inverted_cdf")
    return high - low


def spread(logs: np.ndarray) -> np.ndarray:
    """Sd of log10 norm(J^T v) over directions v of the cost, of each network (..., index)."""
    v = np.random.default_rng(1).normal(size=(200, logs.shape[-1])) ** 2
    return (0.5 * np.log10(10.0 ** (2 * logs) @ v.T)).std(axis=-1)


def share(logs: np.ndarray) -> np.ndarray:
    """Participation share of the squared singular values (..., index)."""
    squares = 10.0 ** (2 * (logs - logs.max(axis=-1, keepdims=True)))
    return squares.mean(axis=-1) ** 2 / (squares**2).mean(axis=-1)


def expected(activation: str, init: str) -> tuple[float, float]:
    """Theory of the rms and of the participation share, at infinite width."""
    sigma_b, sigma_w = POINTS[activation]
    q = settled(activation) * sigma_w**2 + sigma_b**2
    law = gs.theory.jacobian_moments(activation, DEPTH, sigma_w, q=q, weights=init)
    return 0.5 * math.log10(law.m_1.item()), 1 / (1 + law.variance.item())


def estimate(ds: xr.Dataset) -> list[Row]:
    """On average, in how many directions, and how much faster; in the order of the parts."""
    cases = [ds.sel(activation=a, init=i) for a, i in CASES]
    theory = [expected(*case) for case in CASES]
    rows = [bootstrap(log10_rms, at.log10_singular_value, t) for at, (t, _) in zip(cases, theory)]
    rows += [bootstrap(np.mean, at.carried, t) for at, (_, t) in zip(cases, theory)]
    loss = ds.log10_loss.isel(iteration=-1).sel(effective=JUDGED)
    for logs in (np.log10(ds.spread), loss):
        gain = logs.sel(init="orthogonal") - logs.sel(init="gaussian")
        rows += [bootstrap(np.mean, gain.sel(activation=a).dropna("seed")) for a in POINTS]
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw spectra, what they mean for directions, and training."""
    return draw(ds, {case: expected(*case)[1] for case in CASES})


CASES = [(activation, init) for activation in POINTS for init in INITS]
STUDY = Study(
    name="every_direction",
    claim="At chi_1 = 1 gradients are kept: on average with Gaussian weights, in every direction "
    "with orthogonal ones, which therefore train faster.",
    statistic="rms of all singular values of the Jacobian (decades); participation share of their "
    "squares, mean over networks; orthogonal less Gaussian: log10 of the sd over directions v of "
    "log10 norm(J^T v), and log10 loss after 100 steps, each with a first step that takes 5 % of "
    "the loss away to first order",
    population="MLP at chi_1 = 1: sigma_b 0 (linear, relu) or 0.01 (tanh, hard_tanh), inputs at "
    "the fixed point of the length map; Jacobian: width 100, depth 30; training, of one network in "
    "4: width 64, depth 20, 50 digits, softmax, full-batch SGD",
    theory="mean s^2 = chi_1^L = 1; variance of s^2: L (mu_2 / mu_1^2 - 1 - s_1), s_1 = -1 for "
    "Gaussian and 0 for orthogonal weights (Pennington and others 2018, eq. 22), so orthogonal "
    "linear networks have s = 1, relu networks never do.",
    condition="Orthogonal weights keep every direction in linear networks, and in tanh and "
    "hard_tanh networks near the linear point; linear and hard_tanh networks then train faster, "
    "tanh networks hardly at an equal effective step. In relu networks half of the slopes are 0: "
    "the spectrum is as wide as that of Gaussian linear networks, and orthogonality hardly helps.",
    parts=(
        *(Part(f"{a}, {i}: kept on average", -KEPT, KEPT) for a, i in CASES),
        *(Part(f"{a}, {i}: in every direction", FEWEST, 1 + 1e-9, a != "relu") if i == "orthogonal"
          else Part(f"{a}, {i}: in few directions", 0.0, FEWEST) for a, i in CASES),
        *(Part(f"{a}: orthogonal spreads it half as much or less", high=-HALF, holds=a != "relu")
          for a in POINTS),
        *(Part(f"{a}: orthogonal trains faster", high=-FASTER, holds=a in QUICKER) for a in POINTS),
    ),
    networks=96, quick=5, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
