"""Profiles: a norm against layer or step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim.analysis import layered, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008), distinguishable with any colour vision; yellow, faint on white, comes last.
OKABE_ITO = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#F0E442",
)

_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 4)))
_LEGEND_ROWS = 20


def profile(
    ds: xr.Dataset,
    *,
    variable: str = "log10_delta_norm",
    ax: Axes | None = None,
    band: tuple[float, float] | None = (0.05, 0.95),
    legend: bool = True,
) -> Axes:
    """Draw a norm against layer (or step): median over networks and a band of quantiles.

    One line per condition. Up to 8 conditions have a colour each; with more, one dimension (the
    longest numeric one, unless that leaves too few line styles) gives the colours, numbers
    through a colormap, and the others give the line styles. Examples count as networks: the
    quantiles are over seeds and examples together.

    Exact zeros cannot stand on a logarithmic axis. The legend gives the share of networks that
    have one in any layer; where the median is zero the line stops and a triangle at the lower edge
    marks the first such layer from the output, and where the lower quantile is zero the band is
    paler and goes down to the lowest finite value drawn.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    variable
        A variable over `layer`, `step` or `state_step`.
    ax
        Axes to draw into; None makes a new figure.
    band
        Lower and upper quantile of the band; None draws the medians alone.
    legend
        Whether to draw a legend, beside the axes where the figure has a layout engine (as
        `plt.subplots(layout="constrained")` has), else inside where it covers least.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or `band` is not a pair of rising quantiles.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> norm = np.tile(np.linspace(-9.0, 0.0, 10), (3, 1))
    >>> coords = {"layer": np.arange(1, 11)}
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)}, coords)
    >>> profile(ds).get_xlabel()
    'layer'
    """
    norms, dim = layered(ds, variable)
    if band is not None and not (len(band) == 2 and 0 <= band[0] < band[1] <= 1):
        raise ValueError(f"band must be two rising quantiles in [0, 1] or None, got {band!r}")
    varied = [name for name in norms.dims if name not in ("seed", "example", dim)]
    styles = _styles(norms, varied)
    if ax is None:
        ax = new_axes(_columns(len(styles)) if legend and varied else 0)
    curves = _curves(norms, band)
    floor = float(curves.where(np.isfinite(curves)).min())
    for index, style in styles:
        here = norms.isel(index)
        label = ", ".join(filter(None, [_condition(here, varied), _zeros(here, dim)]))
        _draw(ax, curves.isel(index), dim, floor, style | {"label": label or "_median"})
    _label(ax, norms, dim, band, curves)
    if legend and ax.get_legend_handles_labels()[1]:
        legend_of(ax)
    return ax


def new_axes(columns: int) -> Axes:
    """Make a figure with room for a legend of so many columns beside the axes."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.6 + 2.0 * columns, 4.4), layout="constrained")[1]


def _columns(entries: int) -> int:
    return -(-entries // _LEGEND_ROWS)


def _curves(norms: xr.DataArray, band: tuple[float, float] | None) -> xr.DataArray:
    """Quantiles (quantile, ..., layer): the median, then the ends of the band."""
    over = [name for name in ("seed", "example") if name in norms.dims]
    reduced = quantile(norms.to_dataset(name="norm"), [0.5, *(band or ())], dim=over)
    return reduced["norm"]


def _styles(norms: xr.DataArray, varied: list[Any]) -> list[tuple[dict[Any, int], dict[str, Any]]]:
    """Pair each condition's index with its colour and line style."""
    sizes = [norms.sizes[name] for name in varied]
    indices = [dict(zip(varied, map(int, index))) for index in np.ndindex(*sizes)]
    if len(indices) <= len(OKABE_ITO):
        return [(index, {"color": OKABE_ITO[i]}) for i, index in enumerate(indices)]

    def suits_colors(name: Any) -> tuple[bool, bool, int]:
        enough_dashes = len(indices) <= len(_DASHES) * norms.sizes[name]
        return enough_dashes, _is_numeric(norms, name), norms.sizes[name]

    leader = max(varied, key=suits_colors)
    colors = _colors(norms.sizes[leader], _is_numeric(norms, leader))
    others = np.ndindex(*(n for name, n in zip(varied, sizes) if name != leader))
    dashes = {rest: _DASHES[i % len(_DASHES)] for i, rest in enumerate(others)}
    return [
        (
            index,
            {
                "color": colors[index[leader]],
                "linestyle": dashes[tuple(i for name, i in index.items() if name != leader)],
            },
        )
        for index in indices
    ]


def _is_numeric(norms: xr.DataArray, name: Any) -> bool:
    return norms[name].dtype.kind in "biuf"


def _colors(count: int, ordered: bool) -> list[Any]:
    import matplotlib

    if not ordered and count <= len(OKABE_ITO):
        return list(OKABE_ITO[:count])
    # The end of viridis is too light for lines on white.
    return list(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, count)))


def _condition(here: xr.DataArray, varied: list[Any]) -> str:
    """Name a condition, as in `tanh, sigma_w = 1.5`."""
    values = {name: here[name].item() if name in here.coords else "?" for name in varied}
    return ", ".join(
        value if isinstance(value, str) else f"{name} = {value:g}" for name, value in values.items()
    )


def _zeros(here: xr.DataArray, dim: str) -> str:
    """Say which share of the networks has an exact zero in any layer."""
    present = here.notnull().any(dim)
    share = float((here == -np.inf).any(dim).sum() / max(1, int(present.sum())))
    return f"{100 * share:.3g} % exact zeros" if share else ""


def _draw(ax: Axes, curve: xr.DataArray, dim: str, floor: float, style: dict[str, Any]) -> None:
    x, (median, *ends) = curve[dim].values, curve.values
    drawn = np.where(np.isfinite(median), median, np.nan)
    alone = np.isfinite(median).sum() == 1  # a line needs two points
    ax.plot(x, drawn, marker="o" if alone else None, **style)
    if ends:
        _fill(ax, x, ends[0], ends[1], floor, style["color"])
    if np.isneginf(median).any():
        edge, where = ax.get_xaxis_transform(), x[np.isneginf(median)].max()
        ax.plot([where], [0.02], "v", color=style["color"], transform=edge)


def _fill(ax: Axes, x: Any, low: Any, high: Any, floor: float, color: Any) -> None:
    """Fill a band, paler where it goes on down to zero."""
    ax.fill_between(x, low, high, where=np.isfinite(low), color=color, alpha=0.2, linewidth=0)
    open_below = np.isneginf(low) & np.isfinite(high)
    if open_below.any():
        ax.fill_between(x, floor, high, where=open_below, color=color, alpha=0.08, linewidth=0)


def _label(ax: Axes, norms: xr.DataArray, dim: str, band: Any, curves: xr.DataArray) -> None:
    from matplotlib.ticker import MaxNLocator

    logarithmic = str(norms.name).startswith("log10_")
    ax.set_ylabel(text_of(norms))
    ax.set_xlabel(str(norms[dim].attrs.get("long_name", dim)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    finite = curves.values[np.isfinite(curves.values)]
    if logarithmic and finite.size and np.ptp(finite) > 3:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    networks = norms.sizes["seed"]
    spread = f", {100 * band[0]:g} to {100 * band[1]:g} % band" if band else ""
    if not ax.get_title(loc="left"):
        title = f"median of {networks} network{'s' * (networks > 1)}{spread}"
        ax.set_title(title, loc="left", fontsize="small")


def text_of(norms: xr.DataArray) -> str:
    """What a variable is, in words, for an axis."""
    name = str(norms.attrs.get("long_name", norms.name))
    spelled = "log10" in name or not str(norms.name).startswith("log10_")
    return name if spelled else f"log10 {name}"


def legend_of(ax: Axes) -> None:
    """Draw a legend beside the axes, or inside where the figure has no layout engine."""
    columns = _columns(len(ax.get_legend_handles_labels()[1]))
    if ax.figure.get_layout_engine() is None:
        ax.legend(fontsize="small", ncols=columns)
    else:
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0.0,
            fontsize="small",
            frameon=False,
            ncols=columns,
        )
