"""Figure of the study of the sigmoid: the two factors of growth, and the price of a gain."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.studies._picture import canvas, legend

AXES = (
    "growth per step backwards\n(decades; below 0: vanishing)",
    "units with a slope below\n1/1000 of the largest (%)",
    "sd between networks\nover 30 steps (decades)",
    "directions that carry\nthe gradient (of 100)",
)
COLORS = ("#56B4E9", "#0072B2", "#D55E00")
HATCHED: dict[str, Any] = {"hatch": "////", "edgecolor": "white", "linewidth": 0.5}


def draw(ds: xr.Dataset, theory: np.ndarray, span: int) -> Any:
    """Draw medians over networks; `theory` is (architecture, gain, activation)."""
    names, x = ds.activation.values, np.arange(ds.sizes["activation"])
    fig, axes = canvas(12, 10, len(AXES), ds.sizes["architecture"], sharex=True, sharey="row")
    for (top, *price), name, expected in zip(axes.T, ds.architecture.values, theory):
        for i, (gain, color) in enumerate(zip(ds.gain.values, COLORS)):
            one, place = ds.sel(architecture=name, gain=gain), x + 0.26 * (i - 1)
            middle, first = one.median("seed"), not i
            top.bar(place, middle.weight_factor, 0.24, color=color)
            top.bar(place, middle.slope_factor, 0.24, color=color, **HATCHED)
            top.plot(place, middle.growth, "kD", markersize=4, label="both (median)" * first)
            top.hlines(expected[i], place - 0.13, place + 0.13, color="black", linewidth=1.2,
                       label="both, mean-field theory (rms)" * first)  # fmt: skip
            mean, spread = one.mean("seed"), span * one.growth.std("seed")
            for ax, bars in zip(price, (100 * mean.saturated, spread, mean.directions)):
                ax.bar(place, bars, 0.24, color=color, label=gain)
        top.axhline(0, color="grey", linewidth=0.8)
        top.set_title(name, loc="left")
        price[-1].set_xticks(x, [str(a).replace("identity", "linear") for a in names])
    for ax, words in zip(axes[:, 0], AXES):
        ax.set_ylabel(words)
    axes[0, 0].bar(0, 0, color="grey", label="factor of the weights")
    axes[0, 0].bar(0, 0, color="grey", label="factor of the slopes", **HATCHED)
    legend(fig, [axes[1, 0], axes[0, 0]], 7, "small")
    return fig
