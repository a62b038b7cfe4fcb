"""Figures of the studies: a canvas, bands over networks, and decades on an axis of logs."""

from typing import Any

import xarray as xr


def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Figure without a window, and its axes as `Figure.subplots` gives them."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **options)


def legend(fig: Any, axes: Any = None, columns: int = 4, size: str = "medium") -> None:
    """Put the labels of these axes (default: of all) into one row below the figure."""
    handles = [h for ax in axes or fig.axes for h in ax.get_legend_handles_labels()[0]]
    fig.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=size
    )


def decades(axis: Any) -> None:
    """Write 10^x on an axis of logs."""
    axis.set_major_formatter(lambda log10, _: f"$10^{{{log10:g}}}$")


def band(ax: Any, x: Any, values: xr.DataArray, color: str, label: str, **style: Any) -> None:
    """Draw the median over networks and, where they differ, its 5 to 95 % band."""
    low, middle, high = values.quantile([0.05, 0.5, 0.95], "seed", method="inverted_cdf")
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=color, label=label, **style)
