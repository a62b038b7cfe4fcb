"""Remedies, the echo state network: what it remembers and forgets where only readouts are trained.

A random tanh network is driven by one input and only linear readouts are fitted to its states, so
that no gradient goes back in time. Its memory capacity (Jaeger 2001) is the sum over lags of the
share of variance of the input, lag steps ago, that the best readout recovers: at most the width.
Forgetting is the decay of the distance between two runs on one input from different states.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._layers import over_seeds
from gradsim.studies._study import Part, Row, Study, band, bootstrap, canvas, tabled

WIDTH, WASHOUT, STEPS, LAGS = 50, 100, 1500, 100
DEFAULT, NEAR_ONE, BEYOND = JUDGED = (0.58, 0.95, 3.0)  # PyTorch's default has 0.58
RADII = (DEFAULT, 0.8, NEAR_ONE, 1.1, 1.5, BEYOND)
SIGMA_U, INPUT = 0.1, 3**0.5  # inputs uniform in +-sqrt(3): variance 1
JUDGED_LAGS, SHARE = (1, 10, 20), 0.5  # remembered: this share of variance is recovered
FORGET = 50  # steps over which the distance is followed
FORGETS = -0.01  # decades a step
BASE = gs.RNN(STEPS, WIDTH, input_width=1, init="spectral_radius", sigma_u=SIGMA_U)
RIDGE = 1e-10  # of the mean square of a state, against a singular fit


def states_of(net: Any, inputs: np.ndarray, start: np.ndarray) -> np.ndarray:
    """States (radius, time, unit) of a network driven by inputs (time,) from one start (unit,)."""
    recurrent = np.array(RADII)[:, None, None] * net.weights[0]
    drive = np.reshape(net.input_weights, -1)
    states = np.empty((len(RADII), len(inputs), WIDTH))
    state = np.tile(start, (len(RADII), 1))
    for t, x in enumerate(inputs):
        state = np.tanh((recurrent @ state[:, :, None])[..., 0] + drive * x)
        states[:, t] = state
    return states


def recovered(states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Share of variance of the input of 0 to LAGS - 1 steps ago that readouts recover.

    Readouts are fitted on the first half of the states (time, unit) after the washout and judged
    on the second.
    """
    times = np.arange(WASHOUT, len(inputs))
    targets = inputs[times[:, None] - np.arange(LAGS)]
    design = np.column_stack([states[times], np.ones(len(times))])
    fit, judged = np.array_split(np.arange(len(times)), 2)
    square = design[fit].T @ design[fit]
    square += RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    readout = np.linalg.solve(square, design[fit].T @ targets[fit])
    error = ((design[judged] @ readout - targets[judged]) ** 2).mean(0)
    return np.maximum(0.0, 1 - error / targets[judged].var(0))


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Recovered shares (seed, radius, lag) and decay of distances (seed, radius)."""

    def one(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
        random, net = np.random.default_rng([seed, 2001]), gs.network(BASE, seed)
        inputs = random.uniform(-INPUT, INPUT, STEPS)
        states = states_of(net, inputs, np.zeros(WIDTH))
        other = states_of(net, inputs[:FORGET], random.normal(size=WIDTH))
        apart = np.linalg.norm(other - states[:, :FORGET], axis=2)
        shares = [recovered(each, inputs) for each in states]
        return shares, np.log10(apart[:, -1] / apart[:, 0]) / (FORGET - 1)

    shares, rates = zip(*over_seeds(one, seeds, threads))
    coords = {"seed": parse_seeds(seeds), "radius": RADII}
    share = {"recovered": "share of variance of an earlier input that a readout recovers"}
    rate = {"distance_rate": "growth of the distance between two runs a step, decades"}
    ds = tabled([shares], share, (*coords, "lag"), **coords, lag=range(LAGS))
    return ds.merge(tabled([rates], rate, tuple(coords), **coords))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Memory of a recent and of an early input, forgetting, and capacities compared."""
    rows = [
        bootstrap(np.mean, ds.recovered.sel(radius=radius, lag=lag))
        for lag in JUDGED_LAGS for radius in JUDGED
    ]  # fmt: skip
    rows += [
        bootstrap(np.median, ds.distance_rate.sel(radius=radius), math.log10(radius))
        for radius in JUDGED
    ]
    rows.append(bootstrap(np.max, ds.recovered.sum("lag").max("radius"), WIDTH))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw what is recovered against the lag, capacity and forgetting against the radius."""
    fig, (left, middle, right) = canvas(13, 4.4, 1, 3)
    for radius, color in zip(RADII, OKABE_ITO[1:]):
        curve = ds.recovered.sel(radius=radius).mean("seed")
        left.plot(ds.lag, 100 * curve, color=color, label=f"spectral radius {radius:g}")
    for lag in JUDGED_LAGS:
        left.axvline(lag, color="grey", linestyle=":", linewidth=1)
    left.axhline(100 * SHARE, color="grey", linestyle=":", linewidth=1)
    left.set(xlabel="lag: steps ago", xlim=(0, 40), ylim=(0, 105))
    left.set_ylabel("variance of the input recovered\nby a linear readout (%), mean")
    left.legend(frameon=False, fontsize="small", loc="upper right")
    label = "median and 5 to 95 %"
    band(middle, RADII, ds.recovered.sum("lag"), OKABE_ITO[5], label, marker="o")
    middle.axhline(WIDTH, color="black", label="bound: the number of units")
    middle.set(ylabel="memory capacity (steps)", ylim=(0, WIDTH * 1.25))
    band(right, RADII, ds.distance_rate, OKABE_ITO[5], label, marker="o")
    fine = np.linspace(RADII[0], RADII[-1], 100)
    right.plot(fine, np.log10(fine), "k--", label="small states: log10 of the radius")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set_ylabel(
        "distance of two runs from different states,\ndecades per step (below 0: forgets)"
    )
    for ax in (middle, right):
        ax.set_xlabel("spectral radius")
        ax.legend(frameon=False, fontsize="small", loc="upper left")
    return fig


LOST = {(1, BEYOND), (10, BEYOND), *((20, radius) for radius in JUDGED)}  # lag and radius
STUDY = Study(
    name="remedies_echo_state",
    claim="An echo state network remembers for long without training recurrent weights, and may "
    "have a spectral radius far above one, such as 3, as tanh keeps its states bounded.",
    statistic="mean share of variance of the input, lag steps ago, that a linear readout recovers "
    "out of sample; median decades per step of the distance between two runs",
    population="tanh reservoirs of width 50, W Gaussian scaled to the spectral radius, one input "
    "uniform with variance 1, U ~ N(0, 0.01), readouts (ridge 1e-10) fitted on 700 steps and "
    "judged on 700",
    theory="Memory capacity, the sum of the shares over lags, is at most the number of units "
    "(Jaeger 2001). Small states forget by log10 of the radius a step; above its edge of chaos a "
    "network does not forget its first state, and has no echo state property.",
    condition="It remembers some 10 steps, not 20, at a radius up to about one. At radius 3 it is "
    "chaotic: it neither forgets its first state nor recovers the input of a single step ago. "
    "Bounded states are not memory.",
    parts=(
        *(
            Part(
                f"radius {radius:g}: input of {lag} steps ago is remembered",
                SHARE,
                holds=(lag, radius) not in LOST,
            )
            for lag in JUDGED_LAGS
            for radius in JUDGED
        ),
        *(
            Part(f"radius {radius:g}: forgets its first state", high=FORGETS, holds=radius < 1)
            for radius in JUDGED
        ),
        Part("capacity is at most the number of units", high=float(WIDTH)),
    ),
    networks=200, quick=12, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
