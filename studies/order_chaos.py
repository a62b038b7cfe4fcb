"""Order and chaos: the phase diagram, the depth scales, and how deep a network still trains.

Three things that mean field says of tanh networks, each measured: where in the plane of sigma_w and
sigma_b gradients neither vanish nor explode (the edge of chaos); the depth scale xi_c on which the
correlation of two inputs settles, on both sides of the edge; and that digits are learned up to a
depth of about 6 xi_c (Schoenholz and others 2017), with the learning rate tuned for every cell.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._order_chaos_figure import draw
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, log10_rms, stacked
from gradsim.studies._training import train_on_digits

SIGMA_B, SIGMA_W = (0.1, 0.2, 0.3, 0.5), tuple(np.arange(0.6, 2.3, 0.2).round(1).tolist())
WIDTH, DEPTH, WINDOW = 200, 40, (10, 39)
BIAS = 0.05**0.5  # of scales and training
SCALES, FIRST, CORRELATION = (0.7, 1.0, 1.2, 2.0, 3.0), 2, 0.9
PAIR_WIDTH, PAIR_DEPTH = 400, 24  # at width 200 chaotic scales measure 1.2 of theory
TRAINED_W, DEPTHS = (0.5**0.5, 1.0, 1.327009661, 2.0, 4.0), (6, 12, 24, 48)  # the third: critical
TRAIN_WIDTH, EXAMPLES, STEPS, ONE_IN = 64, 32, 60, 6  # of so many networks one is trained
RATES = (0.01, 0.05, 0.2)  # share of the loss that the first step takes away, to first order
LEARNT = math.log10(2)  # decades of loss that count as learning
EDGE, SCALE, MOST, FEWEST = (0.95, 1.05), (0.8, 1.25), 0.9, 0.1
SHALLOW, DEEP = 0.5, 2.0  # of 6 xi_c: what must train, and what must not


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Growth of every network on the grid, correlations of a pair, and losses after training."""
    base = gs.MLP(DEPTH, WIDTH, activation="tanh", loss="linear", sigma_b=BIAS)
    plane = {"sigma_b": SIGMA_B, "sigma_w": SIGMA_W}
    delta = gs.simulate(base, seeds, vary=plane, threads=threads).log10_delta_norm
    growth = (delta.sel(layer=WINDOW[0], drop=True) - delta.sel(layer=WINDOW[1], drop=True)) / (
        WINDOW[1] - WINDOW[0]
    )
    pair = correlations(seeds, threads)
    few = delta.seed.values[:: ONE_IN if delta.sizes["seed"] > ONE_IN else 1]
    cells = [[_train(sigma_w, depth, few, threads) for depth in DEPTHS] for sigma_w in TRAINED_W]
    loss = xr.DataArray(
        np.array(cells),
        {"trained_w": list(TRAINED_W), "depth": list(DEPTHS), "rate": list(RATES), "trained": few},
    )
    return labelled(
        growth=(growth, "growth of norm(delta) per layer backwards, decades"),
        correlation=(pair, "correlation of the signals of two inputs"),
        log10_loss_change=(loss, "log10 of the loss after training over that before"),
    )


def correlations(seeds: Any, threads: int | None) -> xr.DataArray:
    """Correlation of a pair of inputs by layer, (scale_w, seed, layer)."""
    base = gs.MLP(PAIR_DEPTH, PAIR_WIDTH, activation="tanh", loss="linear", sigma_b=BIAS)
    pairs = [
        gs.simulate(base.with_fields(sigma_w=w), seeds, inputs=_pair(w), threads=threads,
                    measure=("correlation",)).signal_correlation.isel(pair=0) for w in SCALES
    ]  # fmt: skip
    return stacked(pairs, "scale_w", SCALES)


def _pair(sigma_w: float) -> np.ndarray:
    """Two inputs of the given correlation whose pre-activations are at the fixed point."""
    first, second = np.linalg.qr(np.random.default_rng(0).normal(size=(PAIR_WIDTH, 2)))[0].T
    second = CORRELATION * first + math.sqrt(1 - CORRELATION**2) * second
    size = (gs.theory.fixed_point("tanh", sigma_w, BIAS) - BIAS**2) / sigma_w**2
    return np.stack([first, second]) * math.sqrt(size * PAIR_WIDTH)


def _train(sigma_w: float, depth: int, seeds: Any, threads: int | None) -> np.ndarray:
    """Decades of loss, (rate, network); NaN where training left the range of numbers."""
    net = gs.MLP(depth, TRAIN_WIDTH, activation="tanh", sigma_w=sigma_w, sigma_b=BIAS,
                 output="softmax", loss="cross_entropy")  # fmt: skip
    ds, start = train_on_digits(net, seeds, shares=RATES, steps=STEPS, examples=EXAMPLES,
                                mean_square=1.0, threads=threads)  # fmt: skip
    return (ds.log10_final_loss - start).transpose("share", "seed").values


def edge(growth: np.ndarray) -> float:
    """sigma_w at which the rms growth (seed, sigma_w) crosses 0, from below."""
    span = WINDOW[1] - WINDOW[0]
    rms = np.array([log10_rms(column * span) / span for column in growth.T])
    k = int(np.flatnonzero((rms[:-1] < 0) & (rms[1:] >= 0))[0])
    return SIGMA_W[k] + (SIGMA_W[k + 1] - SIGMA_W[k]) * rms[k] / (rms[k] - rms[k + 1])


@cache
def xi_c(sigma_w: float) -> float:
    """Depth scale of theory; infinite at the edge of chaos."""
    at_edge = abs(gs.theory.edge_of_chaos("tanh", BIAS) - sigma_w) < 1e-6
    return math.inf if at_edge else gs.theory.xi_c("tanh", sigma_w, BIAS)


def layers(sigma_w: float) -> list[int]:
    """Two layers between which the correlation settles by about 1.5 scales."""
    return [FIRST, FIRST + math.ceil(1.5 * xi_c(sigma_w))]


def scale(correlation: np.ndarray, sigma_w: float) -> float:
    """xi_c from the mean correlation over networks (seed, 2) at `layers`."""
    first, last = np.abs(correlation.mean(axis=0) - _limit(sigma_w))
    return float(np.diff(layers(sigma_w))[0] / math.log(first / last))


@cache
def _limit(sigma_w: float) -> float:
    """Correlation of activations deep inside, from that of pre-activations."""
    q = gs.theory.fixed_point("tanh", sigma_w, BIAS)
    return (q * gs.theory.c_star("tanh", sigma_w, BIAS) - BIAS**2) / (q - BIAS**2)


@cache
def expected_scale(sigma_w: float) -> float:
    """What infinite width has between the same layers: near xi_c, but for the way to c*."""
    q, (one, two) = gs.theory.fixed_point("tanh", sigma_w, BIAS), layers(sigma_w)
    c = CORRELATION + (1 - CORRELATION) * BIAS**2 / q
    z = gs.theory.correlation_profile("tanh", two + 1, sigma_w, BIAS, c=c).signal_correlation
    left = np.abs(z.sel(layer=[one + 1, two + 1]) - gs.theory.c_star("tanh", sigma_w, BIAS)).values
    return (two - one) / math.log(left[0] / left[1])


def learnt(ds: xr.Dataset) -> xr.DataArray:
    """Whether each network learnt at the best rate of its cell (trained_w, depth, trained)."""
    change = ds.log10_loss_change.fillna(math.inf)
    best = change.clip(max=1).mean("trained").argmin("rate")
    return change.isel(rate=best) <= -LEARNT


def estimate(ds: xr.Dataset) -> list[Row]:
    """Edges and scales over their theory, then shares of networks that learn."""
    rows = []
    for sigma_b in SIGMA_B:
        found = bootstrap(edge, ds.growth.sel(sigma_b=sigma_b).transpose("seed", "sigma_w"))
        theory = gs.theory.edge_of_chaos("tanh", sigma_b)
        rows.append((*(value / theory for value in found[:3]), 1.0))
    for sigma_w in SCALES:
        values = ds.correlation.sel(scale_w=sigma_w, layer=layers(sigma_w))
        found = bootstrap(lambda c, s=sigma_w: scale(c, s), values)
        theory = expected_scale(sigma_w)
        rows.append((*(value / theory for value in found[:3]), 1.0))
    at = learnt(ds)
    for _, cells in GROUPS:
        shares = sum(at.sel(trained_w=w, depth=d, drop=True).astype(float) for w, d in cells)
        rows.append(bootstrap(np.mean, shares / len(cells)))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the phase diagram, the scales and what trains."""
    rows = np.array(estimate(ds))[:, :3]
    edges = [gs.theory.edge_of_chaos("tanh", b) for b in SIGMA_B]
    fine = np.concatenate([np.linspace(0.6, 1.3, 40), np.linspace(1.35, 4.1, 50)])
    theory = {"sigma_w": fine, "xi_c": np.array([xi_c(s) for s in fine])}
    same = np.array([[expected_scale(s)] for s in SCALES])
    scales = rows[len(edges) : len(edges) + len(SCALES)] * same
    change = ds.log10_loss_change.fillna(math.inf).clip(max=0.3).mean("trained").min("rate")
    measured = np.stack([SIGMA_B, edges, rows[: len(edges), 0] * edges])
    return draw(ds, measured, theory, np.column_stack([scales, same]), change)


def _cells(low: float, high: float, phase: str) -> list[tuple[float, int]]:
    """Cells of a phase whose depth over 6 xi_c lies in [low, high]."""
    middle = TRAINED_W[2]
    sides = {"ordered": lambda s: s < middle, "critical": lambda s: s == middle,
             "chaotic": lambda s: s > middle}  # fmt: skip
    return [(s, d) for s in TRAINED_W if sides[phase](s)
            for d in DEPTHS if low <= d / (6 * xi_c(s)) <= high]  # fmt: skip


GROUPS = (
    ("ordered, depth at most 3 xi_c: learns", _cells(0, SHALLOW, "ordered")),
    ("chaotic, depth at most 3 xi_c: learns", _cells(0, SHALLOW, "chaotic")),
    ("critical, all depths: learns", _cells(0, SHALLOW, "critical")),
    ("ordered, depth from 12 xi_c on: does not learn", _cells(DEEP, math.inf, "ordered")),
    ("chaotic, depth from 12 xi_c on: does not learn", _cells(DEEP, math.inf, "chaotic")),
)
STUDY = Study(
    name="order_chaos",
    claim="sigma_w and sigma_b decide: between order, where gradients vanish, and chaos, where "
    "they explode, lies an edge; networks learn up to a depth of about 6 xi_c, at the edge any.",
    statistic="over theory: sigma_w at which the rms of norm(delta) grows by 0 from layer 39 to "
    "10, and the scale on which the correlation of two inputs settles in 1.5 xi_c layers; share of "
    f"networks whose loss halves in {STEPS} steps at the best learning rate of the cell",
    population="tanh MLP; edge: width 200, depth 40, inputs N(0, 1), sigma_b as named; scales: "
    "width 400, a pair of correlation 0.9 at the fixed point of the length map, sigma_b 0.22; "
    "learning: width 64, sigma_b 0.22, sigma_w 0.71, 1, 1.327 (critical), 2, 4, depth 6 to 48, 32 "
    "digits, softmax, full-batch SGD at three rates, one network in 6",
    theory="chi_1 = 1 on the edge; 1 / xi_c = -ln of the slope of the correlation map at its fixed "
    "point (Poole and others 2016; Schoenholz and others 2017, who report trainable to 6 xi_c).",
    condition="",
    parts=(
        *(Part(f"edge at sigma_b = {b:g}, over theory", *EDGE) for b in SIGMA_B),
        *(Part(f"depth scale at sigma_w = {w:g}, over theory", *SCALE) for w in SCALES),
        *(
            Part(name, 0.0, FEWEST) if name.endswith("not learn") else Part(name, MOST, 1.0)
            for name, _ in GROUPS
        ),
    ),
    networks=96,
    quick=7,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
