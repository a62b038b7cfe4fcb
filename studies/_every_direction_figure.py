"""Figure of the study of directions: spectra, their spread, and training."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.plot import OKABE_ITO
from gradsim.studies._study import band, canvas, decades

LOWEST = -8.0  # decades; singular values below are drawn there
COLORS = {"gaussian": OKABE_ITO[5], "orthogonal": OKABE_ITO[4]}


def draw(ds: xr.Dataset, theory: dict, share: Any, spread: Any) -> Any:
    """Draw spectra, what they mean for directions (`theory` by condition), and training."""
    names = ds.activation.values.tolist()
    fig, axes = canvas(13, 9.5, 3, len(names), sharey="row")
    for (top, middle, bottom), activation in zip(axes.T, names):
        for i, (init, color) in enumerate(COLORS.items()):
            at = ds.sel(activation=activation, init=init)
            logs = at.log10_singular_value.values
            ranks = 100 * (np.arange(ds.sizes["index"]) + 0.5) / ds.sizes["index"]
            band(top, ranks, np.maximum(at.log10_singular_value, LOWEST), color, init)
            ends = np.quantile(logs, [0.1, 0.9], axis=-1, method="inverted_cdf")
            condition = min(np.median(ends[1] - ends[0]), -LOWEST)
            bars = [condition, np.median(spread(logs)), share(logs).mean()]
            middle.bar(np.arange(3) + 0.36 * (i - 0.5), bars, 0.34, color=color)
            place = 2 + 0.36 * (i - 0.5) + np.array([-0.17, 0.17])
            middle.plot(place, [theory[activation, init]] * 2, "k", label="theory" if i else None)
            for effective, style in zip(ds.effective.values, ("-", "--")):
                loss = at.log10_loss.sel(effective=effective)
                bottom.plot(loss.iteration, loss.median("trained"), style, color=color)
        top.axhline(0, color="black", linewidth=0.8)
        top.set_ylim(LOWEST, 2)
        decades(top.yaxis)
        top.set_title("linear" if activation == "identity" else activation, loc="left")
        top.set_xlabel("rank among singular values (%)")
        middle.set_yscale("log")
        middle.set_ylim(1e-2, 20)
        middle.set_xticks(range(3), ["decades from 10 to\n90 % of singular\nvalues",
                                     "sd over directions\nof the gradient\n(decades)",
                                     "share of directions\nthat carry it"], fontsize=7)  # fmt: skip
        bottom.set_xlabel("step of training")
    axes[0, 0].set_ylabel("singular values of the Jacobian\n(median and 5 to 95 % band)")
    axes[1, 0].set_ylabel("what they mean (log scale;\nno bar: below 0.01)")
    decades(axes[2, 0].yaxis)
    axes[2, 0].set_ylabel("loss on digits (median)")
    handles = [*axes[0, 0].get_legend_handles_labels()[0], axes[1, 0].lines[-1]]
    handles += [axes[2, -1].plot([], [], style, color="grey")[0] for style in ("-", "--")]
    words = [
        *COLORS,
        "theory",
        *(f"step of {100 * e:g} % of the loss" for e in ds.effective.values),
    ]
    fig.legend(handles, words, frameon=False, ncols=6, loc="outside lower center")
    return fig
