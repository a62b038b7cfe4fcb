"""Figure of the study of order and chaos: phase diagram, depth scales, and what learns."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.plot import OKABE_ITO
from gradsim.studies._study import canvas

EDGE = 1.327  # critical sigma_w at the sigma_b of scales and training


def draw(ds: xr.Dataset, edge: Any, theory: dict, scales: Any, change: xr.DataArray) -> Any:
    """Draw the three.

    `edge` is (sigma_b, theory, measured), `theory` has xi_c over sigma_w, `scales` are rows
    (measured, low, high, theory over the same layers), `change` the decades of loss at the best
    rate (trained_w, depth).
    """
    fig, (left, middle, right) = canvas(14.5, 4.8, 1, 3)
    _phases(left, ds.growth.median("seed"), edge)
    ordered = theory["sigma_w"] < EDGE
    for fine, label in ((ordered, "xi_c, theory"), (~ordered, None)):
        middle.plot(theory["sigma_w"][fine], theory["xi_c"][fine], color="black", label=label)
    measured, low, high, same = scales.T
    middle.plot(ds.scale_w, same, "_", color="black", markersize=14,
                label="theory over the same layers")  # fmt: skip
    middle.errorbar(ds.scale_w, measured, [measured - low, high - measured], fmt="o",
                    color=OKABE_ITO[4], label="measured (99 % interval)")  # fmt: skip
    middle.axvline(EDGE, color="grey", linestyle=":", label="edge of chaos")
    middle.set(
        yscale="log",
        xlabel="sigma_w (sigma_b = 0.22)",
        ylim=(0.8, 60),
        ylabel="depth scale xi_c of the correlation\nof two inputs (layers, log scale)",
    )
    middle.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    middle.legend(frameon=False, fontsize="small", loc="upper right")
    _learning(right, change, theory)
    return fig


def _phases(ax: Any, growth: xr.DataArray, edge: Any) -> None:
    shown = growth.transpose("sigma_b", "sigma_w")
    limit = float(np.abs(shown).max())
    mesh = ax.pcolormesh(shown.sigma_w, np.arange(len(shown.sigma_b)), shown, cmap="RdBu_r",
                         vmin=-limit, vmax=limit, shading="nearest")  # fmt: skip
    places = np.arange(len(edge[0]))
    ax.plot(edge[1], places, "k-", label="edge of chaos, theory")
    ax.plot(edge[2], places, "wo", mec="black", label="rms growth 0, measured")
    ax.set_yticks(places, [f"{b:g}" for b in edge[0]])
    ax.set(xlabel="sigma_w", ylabel="sigma_b")
    bar = ax.figure.colorbar(mesh, ax=ax, location="top", fraction=0.06)
    bar.set_label("growth of the gradient per layer backwards (decades, median)")
    ax.legend(frameon=False, fontsize="small", ncols=2, loc="upper center",
              bbox_to_anchor=(0.5, -0.13))  # fmt: skip


def _learning(ax: Any, change: xr.DataArray, theory: dict) -> None:
    shown = change.transpose("depth", "trained_w")
    rows, columns = np.arange(len(shown.depth)), np.arange(len(shown.trained_w))
    mesh = ax.pcolormesh(columns, rows, shown, cmap="viridis_r", shading="nearest")
    for j in columns:
        for i in rows:
            value = shown.values[i, j]
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8,
                    color="black" if value < shown.values.mean() else "white")  # fmt: skip
    for factor, style in ((3, "--"), (6, "-"), (12, ":")):
        known = np.interp(shown.trained_w, theory["sigma_w"], theory["xi_c"])
        place = np.log2(factor * known / shown.depth.values[0])
        known_ends = [j for j in columns if j != 2]
        for j in known_ends:
            ax.plot([j - 0.5, j + 0.5], [place[j]] * 2, style, color="#D55E00", linewidth=2,
                    label=f"depth = {factor} xi_c" if j == 0 else None)  # fmt: skip
    ax.set_ylim(-0.5, len(rows) - 0.5)
    ax.set_yticks(rows, [str(depth) for depth in shown.depth.values])
    ax.set_xticks(columns, [f"{s:.3g}" for s in shown.trained_w.values])
    ax.set(xlabel="sigma_w (1.33: critical; sigma_b = 0.22)", ylabel="depth (log scale)")
    bar = ax.figure.colorbar(mesh, ax=ax, location="top", fraction=0.06)
    bar.set_label("loss on digits after training over before (log10, mean)")
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="upper center",
              bbox_to_anchor=(0.5, -0.13))  # fmt: skip
