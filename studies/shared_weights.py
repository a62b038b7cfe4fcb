"""Shared against independent weights: whether careful scaling saves untied networks alone.

Linear networks of 200 steps, at widths 1 (the scalar w^t), 10 and 50. r_T is the factor of the
gradient's norm over the last T steps. A gain g multiplies it by g^T in every network alike, so the
spread of ln r_T between networks is the same at any gain, and the best gain can only shift it: the
share of networks that some gain keeps within three decades is the largest share of networks in any
window six decades wide.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, labelled

WIDTHS, STEPS, EARLY = (1, 10, 50), 200, 50
TIMES = (1, 2, 5, 10, 20, 50, 100, 200)
WINDOW = 6.0  # decades: 1/1000 to 1000
MARGIN, MOST = 0.2, 0.9  # of the exponent; share of networks that counts as saved
POWER_TIED, POWER_UNTIED = (1 - MARGIN, 1 + MARGIN), (0.5 - MARGIN, 0.5 + MARGIN)


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Log10 of r_T of every network, (width, tied, seed, time)."""
    model = gs.RNN(STEPS, activation="identity", loss="linear")
    vary = {"width": list(WIDTHS), "tied": [True, False]}
    ds = gs.simulate(model, seeds, vary=vary, threads=threads)
    norm = ds.log10_state_grad_norm
    back = norm.sel(state_step=[STEPS - t for t in TIMES]) - norm.sel(state_step=STEPS)
    factor = back.drop_vars("state_step").rename(state_step="time").assign_coords(time=list(TIMES))
    factor = factor.transpose("width", "tied", "seed", "time")
    return labelled(log10_factor=(factor, "log10 of r_T, the gradient's factor over T steps"))


def exponent(ends: np.ndarray) -> float:
    """Power of T with which sd(ln r_T) grows from EARLY to STEPS; `ends` is (seed, 2)."""
    early, late = ends.std(axis=0)
    return math.log(late / early) / math.log(STEPS / EARLY)


def best_share(factors: np.ndarray) -> float:
    """Largest share of networks (seed,) in any window of WINDOW decades."""
    ordered = np.sort(factors)
    inside = np.searchsorted(ordered, ordered + WINDOW, side="right") - np.arange(len(ordered))
    return float(inside.max() / len(ordered))


def untied_sd(width: int, steps: Any) -> Any:
    """Sd of log10 r_T for independent matrices, exact: sqrt(T psi'(N / 2)) / 2 nepers."""
    variance = gs.theory.lyapunov(width).variance.values[0]
    return np.sqrt(variance * np.asarray(steps)) / math.log(10)


def estimate(ds: xr.Dataset) -> list[Row]:
    """Exponents, then shares."""
    ends = ds.log10_factor.sel(time=[EARLY, STEPS]).transpose(..., "seed", "time")
    rows = [
        bootstrap(exponent, ends.sel(width=width, tied=tied), theory)
        for tied, theory, width in (
            (True, 1.0, 1), (True, 1.0, 50), (False, 0.5, 1), (False, 0.5, 50)
        )
    ]  # fmt: skip
    last = ds.log10_factor.sel(time=STEPS)
    theory = math.erf(WINDOW / 2 / untied_sd(50, STEPS) / math.sqrt(2))  # normal: a sum of many
    rows.append(bootstrap(best_share, last.sel(width=50, tied=True)))
    rows.append(bootstrap(best_share, last.sel(width=50, tied=False), theory))
    scalar = math.erf(WINDOW / 2 / untied_sd(1, STEPS) / math.sqrt(2))
    rows.append(bootstrap(best_share, last.sel(width=1, tied=False), scalar))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the spread against T, and the share that the best gain saves."""
    fig, (left, right) = canvas(10, 4.4, 1, 2)
    for width, color in zip(WIDTHS, (OKABE_ITO[5], OKABE_ITO[3], OKABE_ITO[4])):
        for tied, marker in ((True, "o"), (False, "s")):
            factor = ds.log10_factor.sel(width=width, tied=tied)
            label = f"width {width}, {'shared' if tied else 'independent'}"
            style = {"color": color, "marker": marker, "mfc": color if tied else "white"}
            spread = factor.std("seed")
            left.plot(TIMES, spread, linestyle="--" if tied and width > 1 else "", **style)
            shares = [100 * best_share(factor.sel(time=t).values) for t in TIMES]
            right.plot(TIMES, shares, linestyle="-" if tied else ":", label=label, **style)
        left.plot(TIMES, untied_sd(width, TIMES), color=color, linewidth=1)
    scalar = math.pi / math.sqrt(8) / math.log(10)
    left.plot(TIMES, scalar * np.array(TIMES), color=OKABE_ITO[5], linewidth=1)
    left.plot([], [], color="black", linewidth=1, label="exact")
    left.plot([], [], color="black", linestyle="--", label="no exact law: joined")
    left.set(xscale="log", yscale="log", ylabel="sd of log10 r_T over networks (decades)")
    left.legend(frameon=False, loc="upper left")
    right.set(xscale="log", ylabel="networks within three decades at the best gain (%)")
    right.set_ylim(0, 105)
    right.legend(frameon=False, loc="lower left", fontsize="small")
    for ax in (left, right):
        ax.set_xlabel("steps T")
        ax.set_xticks([1, 10, 100, 200], ["1", "10", "100", "200"])
    return fig


STUDY = Study(
    name="shared_weights",
    claim="Careful scaling lets very deep networks of independent weights avoid vanishing and "
    "exploding gradients; no scaling does so for one shared matrix.",
    statistic="exponent p of sd(ln r_T) ~ T^p from T = 50 to 200; share of networks that the best "
    "gain keeps within three decades over T = 200",
    population="linear RNN without inputs, W ~ N(0, sigma_w^2 / width), any sigma_w (the spread "
    "does not depend on it), widths 1 and 50, 200 steps",
    theory="independent: variance T psi'(width / 2) / 4, exact, so p = 1/2 and width makes it "
    "small; shared: T ln(spectral radius), so p = 1.",
    condition="It holds in width 50. A product of independent scalars keeps its variance at the "
    "gain v^(1/n) of the textbook, but its typical size spreads over many decades: width saves it.",
    parts=(
        Part("shared, width 1: exponent 1", *POWER_TIED),
        Part("shared, width 50: exponent 1", *POWER_TIED),
        Part("independent, width 1: exponent 1/2", *POWER_UNTIED),
        Part("independent, width 50: exponent 1/2", *POWER_UNTIED),
        Part("shared, width 50: not saved", 0.0, MOST),
        Part("independent, width 50: saved", MOST, 1.0),
        Part("independent, width 1: saved", MOST, 1.0, holds=False),
    ),
    networks=1000,
    quick=200,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
