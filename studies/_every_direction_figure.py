"""Figure of the study of directions: spectra, their spread, and training."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.plot import OKABE_ITO
from gradsim.studies._study import band, canvas, decades, legend

LOWEST = -8.0  # decades; singular values below are drawn there
COLORS = {"gaussian": OKABE_ITO[5], "orthogonal": OKABE_ITO[4]}


def draw(ds: xr.Dataset, theory: dict[tuple[str, str], float]) -> Any:
    """Draw spectra, what they mean for directions (`theory` of the share), and training."""
    names = ds.activation.values.tolist()
    fig, axes = canvas(13, 9.5, 3, len(names), sharey="row")
    for (top, middle, bottom), activation in zip(axes.T, names):
        for i, (init, color) in enumerate(COLORS.items()):
            at = ds.sel(activation=activation, init=init)
            ranks = 100 * (np.arange(ds.sizes["index"]) + 0.5) / ds.sizes["index"]
            band(top, ranks, np.maximum(at.log10_singular_value, LOWEST), color, init)
            bars = [min(at.condition.median(), -LOWEST), at.spread.median(), at.carried.mean()]
            middle.bar(np.arange(3) + 0.36 * (i - 0.5), bars, 0.34, color=color)
            place = 2 + 0.36 * (i - 0.5) + np.array([-0.17, 0.17])
            middle.plot(place, [theory[activation, init]] * 2, "k", label="theory" if i else None)
            for effective, style in zip(ds.effective.values, ("-", "--")):
                loss = 10 ** at.log10_loss.sel(effective=effective).median("trained")
                bottom.plot(loss.iteration, loss, style, color=color)
        top.axhline(0, color="black", linewidth=0.8)
        top.set_ylim(LOWEST, 2)
        decades(top.yaxis)
        top.set_title("linear" if activation == "identity" else activation, loc="left")
        top.set_xlabel("rank among singular values (%)")
        middle.set_yscale("log")
        middle.set_ylim(1e-2, 20)
        middle.set_xticks(range(3), ["10 to 90 % of\nsingular values\n(decades, up to 8)",
                                     "gradient over\ndirections (sd,\ndecades)",
                                     "directions\nthat carry\nit (share)"], fontsize=7)  # fmt: skip
        bottom.set(yscale="log", xlabel="step of training")
    axes[0, 0].set_ylabel("singular values of the Jacobian\n(median and 5 to 95 % band)")
    axes[1, 0].set_ylabel("what they mean (log scale;\nno bar: below 0.01)")
    axes[2, 0].set_ylabel("loss on digits (median)")
    for effective, style in zip(ds.effective.values, ("-", "--")):
        label = f"step of {100 * effective:g} % of the loss"
        axes[2, 0].plot([], [], style, color="grey", label=label)
    legend(fig, axes[:, 0].tolist(), 5)
    return fig
