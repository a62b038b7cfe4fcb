"""Overshoot at the wall: how often one step undoes the progress of many, with clipping and without.

The model of Pascanu, Mikolov and Bengio (2013, figure 6): one unit x_t = w sigmoid(x_(t-1)) + b,
x_0 = 0.5, 50 steps, cost (sigmoid(x_50) - 0.7)^2. Where x_50 changes from a low to a high attractor
the cost has a wall, and the gradient on it throws the parameters away. Gradient descent from many
starts, at three learning rates, with the gradient clipped by its norm, by value and not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import expit

from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._shares import share, share_bars
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, tabled

TIMES, X0, TARGET = 50, 0.5, 0.7
LOWEST, HIGHEST = np.array([3.0, -4.0]), np.array([7.0, -1.0])  # w and b at first, uniform
METHODS, RATES, THRESHOLD, STEPS = ("none", "norm", "value"), (0.01, 0.1, 1.0), 1.0, 300
UNDONE, OFTEN = 0.5, 0.05  # share of all progress; share of networks
LOWER = 0.1  # decades: a factor 1.26 in the cost
SHOWN = 0.1  # rate whose path is drawn
QUANTITIES = {
    "undone_share": "share of steps that undo more than half of all progress",
    "final_cost": "cost after the last step",
    "longest_step": "length of the longest step",
}


def cost(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost (...) and its gradient (..., 2) at the parameters w and b (..., 2)."""
    w, b = parameters[..., 0], parameters[..., 1]
    x, by_w, by_b = np.full(w.shape, X0), np.zeros(w.shape), np.zeros(w.shape)
    for _ in range(TIMES):
        s = expit(x)
        slope = w * s * (1 - s)
        x, by_w, by_b = w * s + b, s + slope * by_w, 1 + slope * by_b
    s = expit(x)
    outer = 2 * (s - TARGET) * s * (1 - s)
    return (s - TARGET) ** 2, np.stack([outer * by_w, outer * by_b], axis=-1)


def clipped(gradient: np.ndarray, method: str) -> np.ndarray:
    """Gradient (..., 2) clipped by a method at THRESHOLD."""
    if method == "norm":
        norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
        return gradient * (THRESHOLD / np.maximum(norm, THRESHOLD))
    return np.clip(gradient, -THRESHOLD, THRESHOLD) if method == "value" else gradient


def undone(costs: np.ndarray) -> np.ndarray:
    """Whether each step takes back more than half of all progress before it, (..., step - 1).

    Progress is the cost at first less the least so far; `costs` is (..., step).
    """
    progress = costs[..., :1] - np.minimum.accumulate(costs, axis=-1)
    return (np.diff(costs, axis=-1) > UNDONE * progress[..., :-1]) & (progress[..., :-1] > 0)


def descend(seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (seed, clip, rate, step, 2) along descent, and their costs."""
    rates = np.array(RATES)[:, None]
    start = [np.random.default_rng([seed, 2013]).uniform(LOWEST, HIGHEST) for seed in seeds]
    paths = np.empty((len(start), len(METHODS), len(RATES), STEPS + 1, 2), np.float64)
    paths[..., 0, :] = np.array(start)[:, None, None]
    costs = np.empty(paths.shape[:-1])
    for k in range(STEPS + 1):
        costs[..., k], gradient = cost(paths[..., k, :])
        for m, method in enumerate(METHODS if k < STEPS else ()):
            move = rates * clipped(gradient[:, m], method)
            paths[:, m, :, k + 1] = paths[:, m, :, k] - move
    return paths, costs


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Steps undone, final cost and longest step (seed, clip, rate)."""
    ids = parse_seeds(seeds)
    paths, costs = descend(ids)
    length = np.linalg.norm(np.diff(paths, axis=-2), axis=-1).max(-1)
    columns = undone(costs).mean(-1), costs[..., -1], length
    dims = ("seed", "clip", "learning_rate")
    return tabled(columns, QUANTITIES, dims, seed=ids, clip=METHODS, learning_rate=RATES)


def gained(pair: np.ndarray) -> float:
    """log10 of the mean of the second column (seed, 2) over that of the first."""
    plain, other = pair.mean(axis=0)
    return float(np.log10(other / plain))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Share of networks with such a step, by method and rate; final cost over that unclipped."""
    hit = ds.undone_share > 0
    rows = [share(hit.sel(clip=m, learning_rate=rate)) for m in METHODS for rate in RATES]
    pairs = [ds.final_cost.sel(clip=["none", m], learning_rate=rate)
             for m in METHODS[1:] for rate in RATES]  # fmt: skip
    return rows + [bootstrap(gained, pair) for pair in pairs]


def figure(ds: xr.Dataset) -> Any:
    """Draw a path over the cost, and the share of networks that are thrown back."""
    fig, (left, middle, right) = canvas(13, 4.6, 1, 3, width_ratios=(1.3, 1, 1))
    grid = np.stack(np.meshgrid(np.linspace(2, 8, 240), np.linspace(-5, 0, 240)), axis=-1)
    drawn = left.pcolormesh(*np.moveaxis(grid, -1, 0), cost(grid)[0], cmap="Greys", rasterized=True)
    fig.colorbar(drawn, ax=left, label="cost")
    longest = ds.longest_step.sel(clip="none", learning_rate=SHOWN).idxmax("seed")
    paths = descend([int(longest)])[0][0, :, RATES.index(SHOWN)]
    for method, path, color in zip(METHODS, paths, (OKABE_ITO[5], OKABE_ITO[2], OKABE_ITO[1])):
        at, label = ds.sel(clip=method), f"clipped by {method}"
        left.plot(*path.T, ".-", color=color, markersize=3, linewidth=0.8)
        share_bars(middle, RATES, at.undone_share.T > 0, color=color,
                   label="not clipped" if method == "none" else label)  # fmt: skip
        right.plot(RATES, at.final_cost.mean("seed"), "o-", color=color)
    left.set(xlabel="recurrent weight w", ylabel="bias b", xlim=(2, 8), ylim=(-5, 0),
             title=f"path with the longest step unclipped, rate {SHOWN:g}")  # fmt: skip
    middle.axhline(100 * OFTEN, color="grey", linestyle=":", linewidth=1)
    middle.set_ylabel("networks with a step that undoes more\nthan half of all progress (%)")
    middle.set_ylim(bottom=0)
    right.set(ylabel=f"cost after {STEPS} steps (mean)", yscale="log")
    for ax in (middle, right):
        ax.set(xscale="log", xlabel="learning rate")
        ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        ax.minorticks_off()
    legend(fig, [middle], 3)
    return fig


CLIPPED = [(method, rate) for method in METHODS[1:] for rate in RATES]
STUDY = Study(
    name="wall",
    claim="A single step on the wall of an exploding gradient undoes the progress of many; "
    "clipping the gradient prevents it.",
    statistic="share of networks in which some step takes back more than half of all progress, the "
    "cost at first less the least so far; log10 of the mean final cost over that unclipped",
    population="x_t = w sigmoid(x_(t-1)) + b, x_0 = 0.5, 50 steps, cost (sigmoid(x_50) - 0.7)^2; "
    "w uniform in [3, 7], b in [-4, -1]; 300 steps of gradient descent, threshold 1",
    theory="The slope of the map passes 1 between the saddle-nodes, b = -2.66 and -2.34 at w = 5; "
    "there the gradient grows as (w / 4)^50. A clipped step is no longer than rate times "
    "threshold (by value: sqrt(2) of it).",
    condition="It happens, and as often with clipping: behind the wall the cost is another however "
    "short the step across. Clipping prevents being thrown far from where the cost falls, so that "
    "descent comes back: its final cost is lower at rates 0.1 and 1.",
    parts=(
        *(Part(f"no clipping, rate {r:g}: happens in more than 5 %", OFTEN, 1.0) for r in RATES),
        *(Part(f"by {m}, rate {r:g}: happens in at most 5 %", 0.0, OFTEN, holds=False)
          for m, r in CLIPPED),
        *(Part(f"by {m}, rate {r:g}: final cost is lower", high=-LOWER, holds=r > RATES[0])
          for m, r in CLIPPED),
    ),
    networks=2000, quick=300, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
