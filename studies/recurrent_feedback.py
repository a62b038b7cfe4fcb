"""The recurrent feedback: what the eigenvalues of W tell about W^t, and what they do not.

Linear RNNs h_t = W h_(t-1) of width 20 whose recurrent matrix has chosen eigenvalues: symmetric, W
= Q diag(eigenvalues) Q^T, where each component of the state goes its own way; the same eigenvalues
with an upper triangle (not normal), where the state grows although every eigenvalue is below one;
and random symmetric matrices, whose gap between the two largest eigenvalues is small.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._picture import band, canvas, decades
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, stacked, tabled

WIDTH, STEPS = 20, 100
FOLLOWED = 50  # steps; later the rounding of the largest component drowns the smallest
TOP = (1.1, 1.0, 0.9, 0.8)  # the eigenvalues that are followed
SPREAD = TOP + tuple(np.linspace(-0.7, 0.7, WIDTH - len(TOP)).round(12))
SMALL = tuple(np.linspace(-0.9, 0.9, WIDTH).round(12))
UPPER = 2.0  # strength of the triangle
MARGIN = 0.01  # decades a step
ALIGNED = 0.99  # cos^2 of the angle with the top eigenvector after STEPS steps
GROWS = 2.0  # factor by which a state must grow to count as growing
BASE = gs.RNN(STEPS, WIDTH, activation="identity", loss="linear")
MODELS = {
    "symmetric": BASE.with_fields(init="eigenvalues", eigenvalues=SPREAD),
    "symmetric, below one": BASE.with_fields(init="eigenvalues", eigenvalues=SMALL),
    "not normal, below one": BASE.with_fields(init="nonnormal", eigenvalues=SMALL, upper=UPPER),
    "random symmetric": BASE.with_fields(init="symmetric"),
}


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Norms of gradients, alignment of states, and components along eigenvectors."""
    runs = [gs.simulate(model, seeds, measure=("gradient", "spectrum"), threads=threads)
            for model in MODELS.values()]  # fmt: skip
    norm = stacked([run.log10_state_grad_norm for run in runs], "matrix", MODELS)
    back = (norm - norm.sel(state_step=STEPS)).isel(state_step=slice(None, None, -1))
    back, alignment = (
        array.assign_coords(state_step=np.arange(STEPS + 1)).rename(state_step="time")
        for array in (back, stacked([run.top_alignment for run in runs], "matrix", MODELS))
    )
    ds = labelled(
        log10_factor=(back, "log10 of the gradient's norm after t steps back"),
        alignment=(alignment, "cos^2 of the angle between the state and the top eigenvector"),
    )
    logs = [components(gs.network(MODELS["symmetric"], int(seed))) for seed in ds.seed]
    text = {"log10_component": "log10 of a component of the state along an eigenvector"}
    dims = ("seed", "eigenvalue", "followed")
    return ds.merge(tabled([logs], text, dims, eigenvalue=TOP, followed=range(FOLLOWED + 1)))


def components(net: gs.Network) -> np.ndarray:
    """Log10 of the components along the eigenvectors of the TOP eigenvalues (eigenvalue, time)."""
    vectors = np.linalg.eigh(net.weights[0])[1][:, : -len(TOP) - 1 : -1]  # eigh: ascending
    states = [np.asarray(net.initial_state).reshape(-1)]
    for _ in range(FOLLOWED):
        states.append(net.weights[0] @ states[-1])
    return np.log10(np.abs(states @ vectors)).T


def estimate(ds: xr.Dataset) -> list[Row]:
    """Rates of the components, alignments, and the largest growth of the gradient."""
    log = ds.log10_component
    rate = (log.sel(followed=FOLLOWED) - log.sel(followed=0)) / FOLLOWED
    rows = [bootstrap(np.median, rate.sel(eigenvalue=value), math.log10(value))
            for value in (1.1, 0.9, 0.8)]  # fmt: skip
    for matrix, theory in (("symmetric", 1.0), ("random symmetric", math.nan)):
        last = ds.alignment.sel(matrix=matrix, time=STEPS)
        rows.append(bootstrap(np.mean, last, theory))
    for matrix, theory in (("symmetric, below one", 1.0), ("not normal, below one", math.nan)):
        growth = 10 ** ds.log10_factor.sel(matrix=matrix).max("time")
        rows.append(bootstrap(np.median, growth, theory))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the components, the alignment and the gradient's norm against the number of steps."""
    fig, (left, middle, right) = canvas(13, 4.4, 1, 3)
    colors = (OKABE_ITO[5], OKABE_ITO[0], OKABE_ITO[2], OKABE_ITO[3])
    for value, color in zip(TOP, colors):
        log = ds.log10_component.sel(eigenvalue=value)
        steps, median = ds.followed, (log - log.sel(followed=0)).median("seed")
        left.plot(steps[::5], median[::5], "o", color=color, label=f"eigenvalue {value:g}")
        left.plot(steps, steps * math.log10(value), color=color, linewidth=1)
    left.plot([], [], color="grey", linewidth=1, label="theory: eigenvalue^t")
    left.set_ylabel("component of the state along its eigenvector (median)")
    names, colors = list(MODELS), (OKABE_ITO[4], OKABE_ITO[5])
    shown = (middle, ds.alignment, names[::3]), (right, ds.log10_factor, names[1:3])
    for ax, array, pair in shown:
        for matrix, color in zip(pair, colors):
            label = f"{matrix}, median and 5 to 95 %"
            band(ax, ds.time, array.sel(matrix=matrix), color, label)
    squares = np.array(SPREAD)[:, None] ** (2 * ds.time.values)  # all components alike at first
    middle.plot(ds.time, squares[0] / squares.sum(0), "k--", label="theory, equal components")
    middle.set(ylabel="cos^2 of the angle with the top eigenvector", ylim=(-0.02, 1.28))
    right.plot(ds.time, ds.time * math.log10(0.9), "k--", label="spectral radius^t = 0.9^t")
    right.set(ylabel="norm of the gradient, relative to its start", ylim=(-6, 3))
    for ax in (left, middle, right):
        ax.set_xlabel("steps t")
        ax.legend(frameon=False, fontsize="small", loc="upper right")
    for ax in (left, right):
        decades(ax.yaxis)
    left.legend(frameon=False, fontsize="small", loc="lower left")
    return fig


STUDY = Study(
    name="recurrent_feedback",
    claim="Repeated multiplication by W makes components with |eigenvalue| < 1 die and those above "
    "one explode, and the state turns to the top eigenvector; a spectral radius below 1 contracts.",
    statistic="median decades per step of a component; mean cos^2 with the top eigenvector after "
    "100 steps; median over networks of the largest growth of the gradient's norm",
    population="linear tied RNN of width 20, 100 steps, no inputs; eigenvalues 1.1, 1, 0.9, 0.8 "
    "and 16 in [-0.7, 0.7]; 20 in [-0.9, 0.9] without and with an upper triangle of "
    "sd 2 / sqrt(20); W symmetric Gaussian, sigma_w = 1",
    theory="W^t = V diag(eigenvalues)^t V^-1: the components go as eigenvalue^t, 1 - cos^2 as the "
    "ratio of the two largest to the power 2 t; norm(W) = spectral radius for normal W only.",
    condition="Components do die and explode. The state turns to the top eigenvector at a speed "
    "set by the gap to the next one; the spectral radius tells of contraction in normal W only.",
    parts=(
        Part("eigenvalue 1.1: explodes", low=MARGIN),
        Part("eigenvalue 0.9: dies", high=-MARGIN),
        Part("eigenvalue 0.8: dies", high=-MARGIN),
        Part("symmetric, 1.1 above 1: turned to the top", ALIGNED, 1.0 + 1e-9),
        Part("random symmetric: turned to the top", ALIGNED, 1.0 + 1e-9, holds=False),
        Part("symmetric, radius 0.9: never grows", high=GROWS),
        Part("not normal, radius 0.9: never grows", high=GROWS, holds=False),
    ),
    networks=1000, quick=150, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
