"""Length ten, at the start: how much smaller the contribution of ten steps ago is, by init.

The gradient of a tied matrix is the sum over steps of outer(delta_k, h_(k-1)). "Trouble at length
10" may mean that the term of lag 9 is below that of lag 0 by one, two or three decades in most
networks, before any training. Sequences of 100 steps, so that the first state does not matter.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._shares import share
from gradsim.studies._study import Part, Row, Study, band, canvas, decades, legend, stacked

STEPS, WIDTH, INPUTS, LAG, LONGEST = 100, 50, 10, 9, 30
POWERS, MOST = (1, 2, 3), 0.5  # decades; share of networks
BASE = gs.RNN(STEPS, WIDTH, input_width=INPUTS, sigma_u=1.0, loss="linear", initial_state="zeros")
CASES = {  # fields, and the powers of ten that theory says are lost in most networks
    "tanh, PyTorch": ({"init": "pytorch_rnn"}, (1, 2)),
    "tanh, gain 1": ({}, (1,)),
    "tanh, gain 1.5": ({"sigma_w": 1.5}, ()),
    "tanh, orthogonal": ({"init": "orthogonal"}, (1,)),
    "relu, He": ({"activation": "relu", "init": "he_normal", "sigma_u": 0.5**0.5}, ()),
    "sigmoid, gain 1": ({"activation": "sigmoid"}, (1, 2, 3)),
}


def model(case: str) -> gs.RNN:
    """Network of a case."""
    return BASE.with_fields(**CASES[case][0])


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Decades of each contribution over that of the last step; (initialisation, seed, lag)."""
    found = []
    for case in CASES:
        norm = gs.simulate(model(case), seeds, threads=threads).log10_recurrent_grad_norm
        found.append((norm - norm.sel(step=STEPS)).isel(step=slice(None, -LONGEST - 2, -1)))
    ratio = stacked(found, "initialisation", CASES)
    ratio = ratio.drop_vars("step").rename(step="lag").assign_coords(lag=np.arange(LONGEST + 1))
    ratio.attrs = {"long_name": "log10 of a contribution over that of lag 0", "units": "1"}
    return ratio.to_dataset(name="decades")


def estimate(ds: xr.Dataset) -> list[Row]:
    """Share of networks below each power of ten at the lag, by initialisation."""
    at = ds.decades.sel(lag=LAG)
    return [share(at.sel(initialisation=case) < -power) for case in CASES for power in POWERS]


def figure(ds: xr.Dataset) -> Any:
    """Draw contributions against the lag, and their distribution at the lag that is judged."""
    fig, (left, right) = canvas(11, 4.6, 1, 2)
    for case, color in zip(CASES, OKABE_ITO[1:]):
        one = ds.decades.sel(initialisation=case)
        band(left, ds.lag, one, color, case, marker="o", linestyle="", markersize=3)
        rms = gs.theory.profile(model(case)).log10_delta_rms
        left.plot(ds.lag, rms[::-1][: LONGEST + 1] - rms[-1], color=color, linewidth=1)
        ordered = np.sort(one.sel(lag=LAG))
        right.plot(ordered, 100 * np.arange(1, ordered.size + 1) / ordered.size, color=color)
    left.plot([], [], color="grey", linewidth=1, label="mean field (rms)")
    left.axvline(LAG, color="grey", linestyle=":", linewidth=1)
    left.set(xlabel="lag: steps back from the last", ylim=(-12, 3))
    left.set_ylabel("contribution to the gradient over that of\nlag 0 (median, 5 to 95 %)")
    right.axhline(100 * MOST, color="grey", linestyle=":", linewidth=1)
    for power in POWERS:
        right.axvline(-power, color="grey", linestyle=":", linewidth=1)
    right.set(xlabel=f"contribution of lag {LAG} over that of lag 0", xlim=(-8, 2))
    right.set_ylabel("networks at or below it (%)")
    for axis in (left.yaxis, right.xaxis):
        decades(axis)
    legend(fig, [left])
    return fig


STUDY = Study(
    name="length_ten",
    claim="Over only ten steps the long-term contributions to the gradient have become negligible "
    "against the short-term ones.",
    statistic="share of networks whose contribution of lag 9 to dC/dW is below 10^-k of that of "
    "lag 0, k = 1, 2, 3",
    population="tied RNN of width 50 before training, 100 steps, 10 inputs N(0, 1) a step, no "
    "biases, U ~ N(0, 1/10) (relu: half that variance), cost v.h_100; PyTorch: all "
    "U(-1, 1) / sqrt(50); gain g: W ~ N(0, g^2 / 50); He: gain sqrt(2)",
    theory="The ratio is chi^(9/2), chi = sigma_w^2 E phi'^2 with the inputs in: 10^-2.4 under "
    "PyTorch's default, 10^-1.9 at gain 1, 10^-0.6 at 1.5, 10^-6 for the sigmoid at gain 1.",
    condition="Which trouble, and where: one decade is lost over ten steps at gain 1, two under "
    "PyTorch's default, three or more by the sigmoid alone, and none at gain 1.5 or by relu with "
    "He's gain. Length ten is trouble by initialisation, not by its length.",
    parts=tuple(
        Part(f"{case}: below 10^-{power} in most", MOST, 1.0, holds=power in powers)
        for case, (_, powers) in CASES.items() for power in POWERS
    ),
    networks=2000, quick=150, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
