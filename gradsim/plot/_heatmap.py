"""Heat map of a norm: layers across, conditions upwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from gradsim.analysis import layered, quantile
from gradsim.plot._profile import new_axes, text_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heatmap(ds: xr.Dataset, *, variable: str = "log10_delta_norm", ax: Axes | None = None) -> Axes:
    """Draw the median over networks against layer (or step) and condition.

    Log norms are shown relative to their value at the output layer, on colours that are white at
    0 and go both ways alike; exact zeros are black, absent layers blank.

    Parameters
    ----------
    ds
        Results with dims (condition, seed, [example,] layer or step): one varied field.
    variable
        A variable over `layer`, `step` or `state_step`.
    ax
        Axes to draw into; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or has not exactly one varied field.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> norm = np.linspace([[-9.0], [3.0]], 0.0, 10, axis=-1)
    >>> dims, coords = ("sigma_w", "seed", "layer"), {"sigma_w": [1, 2], "layer": np.arange(1, 11)}
    >>> heatmap(xr.Dataset({"log10_delta_norm": (dims, norm)}, coords)).get_ylabel()
    'sigma_w'
    """
    norms, dim = layered(ds, variable)
    varied = [name for name in norms.dims if name not in ("seed", "example", dim)]
    if len(varied) != 1:
        raise ValueError(f"ds must have one varied field, got {varied}; select with ds.sel")
    over = [name for name in ("seed", "example") if name in norms.dims]
    median = quantile(norms.to_dataset(name="norm"), 0.5, dim=over)["norm"].transpose(
        varied[0], dim
    )
    name = text_of(norms)
    if variable.startswith("log10_"):
        present = median.notnull().values
        last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
        with np.errstate(invalid="ignore"):
            median = median - np.take_along_axis(median.values, last[:, None], axis=1)
        name = f"{name}, relative to the output"
    if ax is None:
        ax = new_axes(0)
    _draw(ax, median, dim, name)
    networks = norms.sizes["seed"]
    ax.set_title(
        f"median of {networks} network{'s' * (networks > 1)}", loc="left", fontsize="small"
    )
    return ax


def _draw(ax: Axes, median: xr.DataArray, dim: str, name: str) -> None:
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    condition = median.dims[0]
    values = median.values
    finite = values[np.isfinite(values)]
    both = finite.size and finite.min() < 0 < finite.max()
    limit = float(np.abs(finite).max()) if finite.size else 1.0
    colors = matplotlib.colormaps["PuOr" if both else "viridis"].with_extremes(bad="white")
    limits = (-limit, limit) if both else (finite.min(), finite.max()) if finite.size else (0, 1)
    edges = np.append(median[dim].values - 0.5, median[dim].values[-1] + 0.5)
    rows = np.arange(len(values) + 1)
    shown = np.where(np.isfinite(values), values, np.nan)
    mesh = ax.pcolormesh(edges, rows, shown, cmap=colors, vmin=limits[0], vmax=limits[1])
    if np.isneginf(values).any():
        zeros = np.where(np.isneginf(values), 1.0, np.nan)
        ax.pcolormesh(edges, rows, zeros, cmap="gray", vmin=1.0, vmax=2.0)
        name += " (black: exact zero)"
    ax.figure.colorbar(mesh, ax=ax, label=name)
    labels = [f"{v:g}" if median[condition].dtype.kind in "iuf" else str(v)
              for v in median[condition].values]  # fmt: skip
    step = -(-len(labels) // 20)
    ax.set_yticks(rows[:-1:step] + 0.5, labels[::step])
    ax.set_ylabel(str(condition))
    ax.set_xlabel(str(median[dim].attrs.get("long_name", dim)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
