"""Figure of the study of gains: calibrated gains, and what recommended gains do."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.plot import OKABE_ITO

TITLES = ("size of z, forward", "rms gradient, backward", "typical gradient, backward")
TYPICAL_COLORS = (OKABE_ITO[1], OKABE_ITO[5], OKABE_ITO[4])


def draw(ds: xr.Dataset, cases: Any, numbers: dict, margin: float) -> Any:
    """Draw `numbers`, (measured, theory) by case, column and width; a frame marks the judge."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(14, 10.5), layout="constrained")
    parts: Any = fig.subfigures(2, 1, height_ratios=(1, 1.05))
    top, bottom = parts
    _gains(top, ds, cases)
    axes = bottom.subplots(1, 3, sharey=True)
    places = np.arange(len(cases))[::-1]
    columns = list(dict.fromkeys(key[1] for key in numbers))
    for ax, column, title in zip(axes, columns, TITLES):
        ax.axvspan(-margin, margin, color="0.9", label="within a factor 2")
        for width, color, shift in ((50, TYPICAL_COLORS[0], 0.17), (400, OKABE_ITO[2], -0.17)):
            measured, theory = np.array([numbers[case, column, width] for case in cases]).T
            ax.plot(measured, places + shift, "o", color=color, label=f"width {width}")
            ax.plot(theory, places + shift, "|", color="black", markersize=10,
                    label="theory (typical: where exact)" if width == 50 else None)  # fmt: skip
        for place, case in zip(places, cases):
            if case[3] == column:
                ax.axhspan(place - 0.42, place + 0.42, facecolor="none", edgecolor="black",
                           linewidth=1)  # fmt: skip
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(-40, 40)
        ax.set_xticks([-20, -5, -1, 0, 1, 5, 20], ["-20", "-5", "-1", "0", "1", "5", "20"])
        ax.minorticks_off()
        ax.set_title(title, loc="left")
        ax.set_xlabel("change over 30 layers (decades)")
        ax.set_yticks(places, [f"{_word(a)}, {g:.4g} ({who})" for a, g, who, _, _ in cases])
    handles, labels = axes[0].get_legend_handles_labels()
    handles.append(axes[0].plot([], [], "s", mfc="none", mec="black", markersize=10)[0])
    bottom.legend(handles, [*labels, "judged by this criterion"], frameon=False, ncols=5,
                  loc="outside lower center")  # fmt: skip
    return fig


def _word(activation: str) -> str:
    return activation.replace("identity", "linear")


def _gains(fig: Any, ds: xr.Dataset, cases: Any) -> None:
    """Gains by activation: one mark for each criterion, one for each recommendation."""
    ax, names = fig.subplots(), ds.activation.values.tolist()
    x, widths = np.arange(len(names)), ds.calibrated_width.values
    gain = ds.gain_sigma_w
    for criterion, marker, color in (("forward", "s", "0.6"), ("mean_square_backward", "_", "k")):
        shown = gain.sel(criterion=criterion, calibrated_width=widths[0])
        ax.plot(x, shown, marker, color=color, markersize=15 if marker == "_" else 6,
                label=f"keeps {WORDS[criterion]}")  # fmt: skip
    typical = ds.sel(criterion="typical_backward")
    for width, color, shift in zip(widths, TYPICAL_COLORS, (-0.22, 0.0, 0.22)):
        one = typical.sel(calibrated_width=width)
        ends = np.abs(np.stack([one.gain_low, one.gain_high]) - one.gain_sigma_w.values)
        ax.errorbar(x + shift, one.gain_sigma_w, ends, fmt="o", color=color, markersize=4,
                    label=f"keeps the typical gradient, width {width} (95 %)")  # fmt: skip
    places = [names.index(case[0]) + 0.38 for case in cases]
    ax.plot(places, [case[1] for case in cases], "x", color=OKABE_ITO[6], label="recommended")
    ax.set_yscale("log")
    ax.set_yticks([0.7, 1, 1.5, 2, 3, 5, 10], ["0.7", "1", "1.5", "2", "3", "5", "10"])
    ax.minorticks_off()
    ax.set_xticks(x, [_word(name) for name in names], rotation=30, ha="right")
    ax.set_ylabel("gain sigma_w (log scale)")
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    fig.legend(frameon=False, ncols=3, loc="outside upper center")


WORDS = {
    "forward": "z forward, at mean square 1 (theory)",
    "mean_square_backward": "the rms gradient (theory; missing: no such gain)",
}
