"""Order and chaos: the phase diagram, the depth scales, and how deep a network still trains.

Three things that mean field says of tanh networks, each measured: where in the plane of sigma_w and
sigma_b gradients neither vanish nor explode (the edge of chaos); the depth scale xi_c on which the
correlation of two inputs settles, on both sides of the edge; and that digits are learned up to a
depth of about 6 xi_c (Schoenholz and others 2017), with the learning rate tuned for every cell.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._depth_scale import BIAS, expected_scale, layers, pair, scale, xi_c
from gradsim.studies._order_chaos_figure import draw
from gradsim.studies._shares import share
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, log10_rms, stacked
from gradsim.studies._training import train_on_digits

SIGMA_B, SIGMA_W = (0.1, 0.2, 0.3, 0.5), tuple(np.arange(0.6, 2.3, 0.2).round(1).tolist())
WIDTH, DEPTH, WINDOW = 200, 40, (10, 39)
SCALES = (0.7, 1.0, 1.2, 2.0, 3.0)
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
    ds = gs.simulate(base, seeds, vary=plane, threads=threads)
    growth = gs.analysis.growth_rate(ds, WINDOW, resamples=1).growth
    few = ds.seed.values[ds.seed.values % ONE_IN == 0]
    cells = [[_train(sigma_w, depth, few, threads) for depth in DEPTHS] for sigma_w in TRAINED_W]
    axes = {"trained_w": list(TRAINED_W), "depth": list(DEPTHS), "rate": list(RATES), "seed": few}
    loss = xr.DataArray(np.array(cells), axes).reindex(seed=ds.seed)
    said = "log10 of the loss after training over that before; infinite: diverged; NaN: not trained"
    return labelled(
        growth=(growth, "growth of norm(delta) per layer backwards, decades"),
        correlation=(correlations(seeds, threads), "correlation of the signals of two inputs"),
        log10_loss_change=(loss, said),
    )


def correlations(seeds: Any, threads: int | None) -> xr.DataArray:
    """Correlation of a pair of inputs by layer, (scale_w, seed, layer)."""
    base = gs.MLP(PAIR_DEPTH, PAIR_WIDTH, activation="tanh", loss="linear", sigma_b=BIAS)
    pairs = [
        gs.simulate(base.with_fields(sigma_w=w), seeds, inputs=pair(w, PAIR_WIDTH), threads=threads,
                    measure=("correlation",)).signal_correlation.isel(pair=0) for w in SCALES
    ]  # fmt: skip
    return stacked(pairs, "scale_w", SCALES)


def _train(sigma_w: float, depth: int, seeds: Any, threads: int | None) -> np.ndarray:
    """Decades of loss, (rate, seed); infinite where training left the range of numbers."""
    if not len(seeds):
        return np.empty((len(RATES), 0))
    net = gs.MLP(depth, TRAIN_WIDTH, activation="tanh", sigma_w=sigma_w, sigma_b=BIAS,
                 output="softmax", loss="cross_entropy")  # fmt: skip
    ds, start = train_on_digits(net, seeds, shares=RATES, steps=STEPS, examples=EXAMPLES,
                                mean_square=1.0, threads=threads)  # fmt: skip
    change = ds.log10_final_loss - start
    return change.fillna(math.inf).transpose("share", "seed").values


def edge(growth: np.ndarray) -> float:
    """sigma_w at which the rms growth (seed, sigma_w) crosses 0, from below."""
    span = WINDOW[1] - WINDOW[0]
    rms = np.array([log10_rms(column * span) / span for column in growth.T])
    k = int(np.flatnonzero((rms[:-1] < 0) & (rms[1:] >= 0))[0])
    return SIGMA_W[k] + (SIGMA_W[k + 1] - SIGMA_W[k]) * rms[k] / (rms[k] - rms[k + 1])


def learnt(ds: xr.Dataset) -> xr.DataArray:
    """Whether each network learnt at the best rate of its cell (trained_w, depth, seed)."""
    change = ds.log10_loss_change.dropna("seed", how="all")
    if not change.sizes["seed"]:
        raise ValueError(f"order_chaos: seeds must hold a multiple of {ONE_IN}, which is trained")
    best = change.clip(max=1).mean("seed").argmin("rate")
    return change.isel(rate=best) <= -LEARNT


def estimate(ds: xr.Dataset) -> list[Row]:
    """Edges and scales over their theory, then shares of networks that learn."""
    rows = []
    for sigma_b in SIGMA_B:
        values = ds.growth.sel(sigma_b=sigma_b).transpose("seed", "sigma_w")
        theory = gs.theory.edge_of_chaos("tanh", sigma_b)
        rows.append(bootstrap(lambda growth, at=theory: edge(growth) / at, values, 1.0))
    for sigma_w in SCALES:
        values = ds.correlation.sel(scale_w=sigma_w, layer=layers(sigma_w))
        rows.append(bootstrap(lambda c, s=sigma_w: scale(c, s) / expected_scale(s), values, 1.0))
    at = learnt(ds)
    groups = [[at.sel(trained_w=w, depth=d) for w, d in cells] for _, cells in GROUPS]
    return rows + [share(np.ravel(hits)) for hits in groups]  # a network of its own in every cell


def figure(ds: xr.Dataset) -> Any:
    """Draw the phase diagram, the scales and what trains."""
    rows = np.stack([ds.estimate, ds.low, ds.high], axis=1)
    edges = [gs.theory.edge_of_chaos("tanh", b) for b in SIGMA_B]
    fine = np.concatenate([np.linspace(0.6, 1.3, 40), np.linspace(1.35, 4.1, 50)])
    theory = {"sigma_w": fine, "xi_c": np.array([xi_c(s) for s in fine])}
    same = np.array([[expected_scale(s)] for s in SCALES])
    scales = rows[len(edges) : len(edges) + len(SCALES)] * same
    change = ds.log10_loss_change.clip(max=0.3).mean("seed").min("rate")
    measured = np.stack([SIGMA_B, edges, rows[: len(edges), 0] * edges])
    return draw(ds, measured, theory, np.column_stack([scales, same]), change)


def _cells(low: float, high: float, side: int) -> list[tuple[float, int]]:
    """Cells below, at or above the edge (-1, 0, 1) whose depth over 6 xi_c lies in [low, high]."""
    return [(s, d) for s in TRAINED_W if np.sign(s - TRAINED_W[2]) == side
            for d in DEPTHS if low <= d / (6 * xi_c(s)) <= high]  # fmt: skip


GROUPS = (
    ("ordered, depth at most 3 xi_c: learns", _cells(0, SHALLOW, -1)),
    ("chaotic, depth at most 3 xi_c: learns", _cells(0, SHALLOW, 1)),
    ("critical, all depths: learns", _cells(0, SHALLOW, 0)),
    ("ordered, depth from 12 xi_c on: does not learn", _cells(DEEP, math.inf, -1)),
    ("chaotic, depth from 12 xi_c on: does not learn", _cells(DEEP, math.inf, 1)),
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
    networks=312,  # 52 are trained: fewer, were all alike, could not tell 0.9 from 1
    quick=7,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
