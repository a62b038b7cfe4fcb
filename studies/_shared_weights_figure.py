"""Figure of the study of shared weights: scalars, the spread of matrices, and what a gain saves."""

import math
from typing import Any

import xarray as xr

from gradsim.plot import OKABE_ITO
from gradsim.studies._study import band, canvas, decades, log10_rms


def draw(ds: xr.Dataset, best: Any, mean: float, untied_sd: Any) -> Any:
    """Draw products of scalars, the spread against T, and the share that the best gain saves.

    `mean` is the exact mean log10 of one independent scalar.
    """
    times, widths = ds.time.values, ds.width.values.tolist()
    fig, (first, left, right) = canvas(14.5, 4.6, 1, 3)
    _scalars(first, ds, mean)
    for width, color in zip(widths, (OKABE_ITO[5], OKABE_ITO[3], OKABE_ITO[4])):
        for tied, marker in ((True, "o"), (False, "s")):
            factor = ds.log10_factor.sel(width=width, tied=tied)
            label = f"width {width}, {'shared' if tied else 'independent'}"
            style = {"color": color, "marker": marker, "mfc": color if tied else "white"}
            spread = factor.std("seed")
            left.plot(times, spread, linestyle="--" if tied and width > 1 else "", **style)
            shares = [100 * best(factor.sel(time=t).values).mean() for t in times]
            right.plot(times, shares, linestyle="-" if tied else ":", label=label, **style)
        left.plot(times, untied_sd(width, times), color=color, linewidth=1)
    scalar = math.pi / math.sqrt(8) / math.log(10)
    left.plot(times, scalar * times, color=OKABE_ITO[5], linewidth=1)
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


def _scalars(ax: Any, ds: xr.Dataset, mean: float) -> None:
    """Draw products of scalars: one of 0.98, and independent ones of variance 1."""
    logs, steps = ds.log10_factor.sel(width=1, tied=False), ds.time.values
    band(ax, steps, logs, OKABE_ITO[5], "independent, variance 1: median, 5 to 95 %")
    ax.plot(steps, steps * mean, ":k", label="mean of the log, exact")
    ax.plot(steps, [log10_rms(logs.sel(time=t).values) for t in steps], "s", mfc="white",
            color=OKABE_ITO[5], label=f"their rms, {ds.sizes['seed']} samples")  # fmt: skip
    ax.axhline(0, color="black", linewidth=1, label="their rms, exact: v^(T/2) = 1")
    ax.plot(steps, steps * math.log10(0.98), "--", color=OKABE_ITO[4], label="one scalar: 0.98^T")
    decades(ax.yaxis)
    ax.set(xlabel="steps T", ylabel="size of a product of T scalars", ylim=(-75, 32))
    ax.legend(frameon=False, fontsize="small", loc="upper left")
