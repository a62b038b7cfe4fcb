"""Phase diagrams: a grid of sigma_w and sigma_b in colours, with the edge of chaos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim._validate import choice
from gradsim.analysis import phase_diagram as analyse
from gradsim.plot._profile import OKABE_ITO, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERS = (
    "growth_typical", "growth_rms", "predicted_rms", "predicted_typical", "predicted_limit",
    "misfit", "finite_width_correction", "remainder", "zero_share",
)  # fmt: skip
_GREYS = {"undecided": "#DDDDDD", "no theory": "#FFFFFF"}
WORDS = {
    "regime": {"mean field": OKABE_ITO[2], "finite width": OKABE_ITO[1], "neither": OKABE_ITO[5]},
    "phase": {"ordered": OKABE_ITO[4], "critical": OKABE_ITO[7], "chaotic": OKABE_ITO[5]},
}
WORDS["predicted_phase"] = WORDS["phase"]


def phase_diagram(
    ds: xr.Dataset,
    *,
    show: str = "growth_typical",
    ax: Axes | None = None,
    theory: bool = True,
    limit: float | None = None,
    key: bool = True,
) -> Axes:
    """Draw one quantity of a phase diagram over sigma_w and sigma_b.

    Numbers are on colours that are white at 0 and go both ways alike; texts have a colour each.

    Parameters
    ----------
    ds
        What :func:`gradsim.analysis.phase_diagram` returns, or results from which it is made, over
        sigma_w and sigma_b alone.
    show
        A number or a text that it has: "growth_typical", "misfit", "remainder", "regime", ….
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to draw the edge of chaos, where the predicted growth deep inside is 0.
    limit
        Size of a number at the ends of the colours; None: the largest.
    key
        Whether to draw the colour bar, or the legend of the texts, beside the axes.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` is neither, has further varied fields, or has no `show`.
    """
    choice("phase_diagram", "show", show, (*NUMBERS, *WORDS))
    found = ds if "growth_typical" in ds else analyse(ds)
    varied = [name for name in found.growth_typical.dims if name not in ("sigma_w", "sigma_b")]
    if varied:
        raise ValueError(f"ds must be over sigma_w and sigma_b, got {varied}; select with ds.sel")
    array = found[show].transpose("sigma_b", "sigma_w")
    if ax is None:
        ax = new_axes(show in WORDS)
    edges = [_edges(array[name].values) for name in ("sigma_w", "sigma_b")]
    if show in WORDS:
        _draw_words(ax, edges, array.values, WORDS[show] | _GREYS, key)
    else:
        _draw_numbers(ax, edges, array, limit, key)
    if theory:
        _draw_edge(ax, found.predicted_limit.transpose("sigma_b", "sigma_w"))
    ax.set(xlabel="sigma_w", ylabel="sigma_b")
    if not ax.get_title(loc="left"):
        ax.set_title(array.attrs["long_name"], loc="left", fontsize="small", wrap=True)
    return ax


def _edges(values: Any) -> np.ndarray:
    """Edges half way between values, which rise or fall; of a single one a unit wide."""
    if len(values) == 1:
        return values[0] + np.array([-0.5, 0.5])
    middle = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _draw_numbers(
    ax: Axes, edges: list[Any], array: xr.DataArray, limit: float | None, key: bool
) -> None:
    finite = array.values[np.isfinite(array.values)]
    most = limit or (float(np.abs(finite).max()) if finite.size else 1.0) or 1.0
    mesh = ax.pcolormesh(*edges, array.values, cmap="PuOr_r", vmin=-most, vmax=most)
    ax.set_facecolor("0.6")  # nothing there
    if key:
        extend = "both" if finite.size and np.abs(finite).max() > most else "neither"
        ax.figure.colorbar(mesh, ax=ax, label=array.name, extend=extend)


def _draw_words(
    ax: Axes, edges: list[Any], words: np.ndarray, colors: dict[str, str], key: bool
) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    names = list(colors)
    places = np.array([[names.index(word) for word in row] for row in words], dtype=np.float64)
    ax.pcolormesh(
        *edges, places, cmap=ListedColormap(list(colors.values())), vmin=-0.5,
        vmax=len(names) - 0.5,
    )  # fmt: skip
    if key:
        met = [name for name in names if name in words]
        ax.legend(
            [Patch(facecolor=colors[name], edgecolor="0.5") for name in met], met, frameon=False,
            loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, fontsize="small",
        )  # fmt: skip


def _draw_edge(ax: Axes, growth: xr.DataArray) -> None:
    """Draw where the predicted growth turns positive along sigma_w, between points of the grid."""
    at, points = growth.sigma_w.values, []
    for sigma_b, row in zip(growth.sigma_b.values, growth.values):
        known = np.isfinite(row)
        x, y = at[known], row[known]
        for k in np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))[:1]:
            points.append((x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k]), sigma_b))
    if points:
        ax.plot(*zip(*points), color="black", marker="." if len(points) == 1 else None)
