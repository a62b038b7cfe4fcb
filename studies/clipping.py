"""Clipping in small recurrent networks: what it saves, and the ratio across lags that it leaves.

Tied tanh and relu networks whose gradients explode are trained by gradient descent with the
gradient clipped by its norm, by value and not. Beside divergence, overshoot and final cost stands
what clipping is no remedy for: how large the contribution of 40 steps ago to the gradient is
against that of the last step, before and after clipping.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim import clipping
from gradsim.plot import OKABE_ITO
from gradsim.studies._shares import share
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas
from gradsim.studies.wall import METHODS, undone

TIMES, WIDTH, INPUTS, EXAMPLES, LAG = 50, 10, 2, 4, 40
RATE, STEPS, THRESHOLD = 0.01, 60, 1.0
ACTIVATIONS = ("tanh", "relu")
RARELY, MOST, FEWER = 0.05, 0.5, 0.01  # shares of networks; of steps
LARGEST = 300.0  # log10 of a cost; beyond it a network is about to diverge
LOWER, GAIN = 0.1, 0.1  # decades of the cost; of the ratio across lags
BASE = gs.RNN(TIMES, WIDTH, input_width=INPUTS, sigma_w=2.0, sigma_u=0.5)


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Divergence, costs and overshoot (clip, activation, seed), and the ratio before and after."""
    runs = [
        gs.train(
            BASE, seeds, learning_rate=RATE, steps=STEPS, inputs=EXAMPLES, threads=threads,
            vary={"activation": list(ACTIVATIONS)}, **({} if m == "none" else _clip(m)),
        )
        for m in METHODS
    ]  # fmt: skip
    names = xr.Variable("clip", list(METHODS))
    loss = xr.concat([run.log10_loss for run in runs], names, combine_attrs="drop")
    final = xr.concat([run.log10_final_loss for run in runs], names, combine_attrs="drop")
    stop = xr.concat([run.stop_iteration for run in runs], names, combine_attrs="drop")
    steps = undone(10.0 ** np.minimum(loss.transpose(..., "iteration").values, LARGEST))
    ratio = [[_ratios(a, int(seed)) for seed in loss.seed] for a in ACTIVATIONS]
    data = {
        "median_log10_loss": (loss.fillna(np.inf).median("seed"),
                              "median log10 of the cost; infinite once most have diverged"),
        "log10_final_loss": (final, "log10 of the cost after the last step; NaN: diverged"),
        "diverged": (stop < STEPS, "whether it has left the range of float64"),
        "undone_share": (loss.isel(iteration=0, drop=True).copy(data=steps.mean(-1)),
                         "share of steps that undo more than half of all progress"),
        "log10_lag_ratio": (
            xr.DataArray(ratio, dims=("activation", "seed", "clip")),
            f"log10 of the contribution of lag {LAG} over that of lag 0, before training"),
    }  # fmt: skip
    for array, text in data.values():
        array.attrs = {"long_name": text, "units": "1"}
    return xr.Dataset({name: array for name, (array, _) in data.items()})


def _clip(method: str) -> dict[str, Any]:
    return {"clip": THRESHOLD, "clip_by": method}


def _ratios(activation: str, seed: int) -> list[float]:
    """Log10 of the contribution of LAG to dC/dW over that of lag 0, by method.

    Clipping multiplies every entry of dC/dW by a factor, and every contribution to it with it.
    """
    net = gs.network(BASE.with_fields(activation=activation), seed, inputs=1)
    phi = np.tanh if activation == "tanh" else lambda z: np.maximum(z, 0.0)
    states, sequence = [np.reshape(net.initial_state, -1)], np.reshape(net.inputs, (TIMES, INPUTS))
    drive = np.reshape(net.input_weights, (WIDTH, INPUTS))
    for x in sequence:
        states.append(phi(net.weights[0] @ states[-1] + drive @ x))
    deltas = [np.reshape(delta.to_array(), -1) for delta in gs.backward(net).deltas]
    terms = np.array([np.outer(delta, state) for delta, state in zip(deltas, states)])
    whole = [terms.sum(0), np.array(deltas).T @ sequence]
    found = []
    for method in METHODS:
        cut = whole if method == "none" else clipping.clip(whole, THRESHOLD, method).gradients
        factor = np.divide(cut[0], whole[0], out=np.ones_like(whole[0]), where=whole[0] != 0)
        early, last = (np.linalg.norm(factor * terms[k]) for k in (TIMES - 1 - LAG, -1))
        found.append(math.log10(early / last) if early > 0 and last > 0 else math.nan)
    return found


def estimate(ds: xr.Dataset) -> list[Row]:
    """Divergence; overshoot and final cost of tanh; what the ratio across lags gains."""
    rows = [share(ds.diverged.sel(clip=m, activation=a)) for m in METHODS for a in ACTIVATIONS]
    plain = ds.sel(clip="none", activation="tanh")
    for method in METHODS[1:]:
        one = ds.sel(clip=method, activation="tanh")
        rows.append(bootstrap(np.mean, plain.undone_share - one.undone_share))
        rows.append(bootstrap(np.mean, one.log10_final_loss - plain.log10_final_loss))
    for method in METHODS[1:]:
        for activation in ACTIVATIONS:
            ratio = ds.log10_lag_ratio.sel(activation=activation)
            gain = (ratio.sel(clip=method) - ratio.sel(clip="none")).dropna("seed")  # dead: NaN
            rows.append(bootstrap(np.mean, gain, 0.0 if method == "norm" else math.nan))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the cost along training, and the ratio across lags after against before clipping."""
    from matplotlib.ticker import MaxNLocator

    fig, (left, middle, right) = canvas(13, 4.4, 1, 3)
    colors = dict(zip(METHODS, (OKABE_ITO[5], OKABE_ITO[2], OKABE_ITO[1])))
    for ax, activation in ((left, "tanh"), (middle, "relu")):
        for method in METHODS:
            one = ds.sel(clip=method, activation=activation)
            label = "not clipped" if method == "none" else f"clipped by {method}"
            lost = 100 * one.diverged.mean().item()
            label += f", {lost:.0f} % diverge" if lost else ""
            curve = one.median_log10_loss
            ax.plot(ds.iteration, 10.0**curve if ax is left else curve, color=colors[method],
                    label=label)  # fmt: skip
        ax.set_title(activation, loc="left")
        ax.set(xlabel="steps", ylabel="cost (median over networks)")
        ax.legend(frameon=False, loc="lower left" if ax is left else "upper right")
    left.set_ylim(bottom=0)
    middle.set_ylim(-1, 40)
    middle.yaxis.set_major_formatter(lambda log10, _: f"$10^{{{log10:g}}}$")
    for method, marker in (("value", "."), ("norm", "x")):
        ratio = ds.log10_lag_ratio.stack(network=("activation", "seed"))
        right.plot(ratio.sel(clip="none"), ratio.sel(clip=method), marker, linestyle="",
                   color=colors[method], markersize=4, label=f"clipped by {method}")  # fmt: skip
    right.axline((0, 0), slope=1, color="black", linewidth=1, label="as it was")
    right.set_xlabel(f"contribution of lag {LAG} over that of lag 0")
    right.set_ylabel("the same after clipping")
    right.legend(frameon=False, loc="upper left")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_major_formatter(lambda log10, _: f"$10^{{{log10:g}}}$")
    return fig


def _parts() -> tuple[Part, ...]:
    diverges = [Part(f"{a}, no clipping: diverges in most", MOST, 1.0, holds=a == "relu")
                for a in ACTIVATIONS]  # fmt: skip
    saved = [Part(f"{a}, by {m}: diverges in at most 5 %", 0.0, RARELY)
             for m in METHODS[1:] for a in ACTIVATIONS]  # fmt: skip
    tanh = [
        part
        for m in METHODS[1:]
        for part in (
            Part(f"tanh, by {m}: fewer steps undo half of all progress", FEWER, holds=False),
            Part(f"tanh, by {m}: final cost is lower", high=-LOWER, holds=m == "value"),
        )
    ]
    lags = [Part(f"{a}, by {m}: lag {LAG} gains on lag 0", GAIN, holds=False)
            for m in METHODS[1:] for a in ACTIVATIONS]  # fmt: skip
    return (*diverges, *saved, *tanh, *lags)


STUDY = Study(
    name="clipping",
    claim="Clipping cures the troubles of gradients in recurrent networks: divergence, overshoot, "
    "and that the recent past outweighs the early one.",
    statistic="share of networks that leave float64; share of steps that undo more than half of "
    "all progress, less that unclipped; mean log10 of the final cost, and of the contribution of "
    "lag 40 to dC/dW over that of lag 0, over those unclipped",
    population="tied RNN of width 10, W ~ N(0, 4 / 10), 50 steps of 2 inputs (U ~ N(0, 1/8)), "
    "squared error at the end on 4 sequences (ratio: 1, before training), 60 steps of SGD at 0.01, "
    "threshold 1",
    theory="By norm clipping multiplies the whole gradient by one number, and all contributions "
    "with it: their ratio is what it was, exactly. By value every entry has a factor of its own.",
    condition="Clipping ends the divergence of relu; tanh, which is bounded, does not diverge, and "
    "its cost falls by a further fifth by value only. Clipping does not make overshoot rarer, and "
    "lags keep their ratio: it is no remedy for vanishing.",
    parts=_parts(),
    networks=300,
    quick=8,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
