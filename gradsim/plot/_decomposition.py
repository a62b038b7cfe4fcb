"""Components of the spread of log10 |dC/dw|, side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from gradsim.analysis import decompose
from gradsim.plot._profile import OKABE_ITO, beside, condition_text, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAUSSIAN = math.pi / math.sqrt(8) / math.log(10)  # sd of log10 |z|, z ~ N(0, 1)


def decomposition(ds: xr.Dataset, *, ax: Axes | None = None, theory: bool = True) -> Axes:
    """Draw the sd of every component in decades, with its interval, a colour for each condition.

    Parameters
    ----------
    ds
        What :func:`gradsim.analysis.decompose` returns, or results from which it is made, of up to
        eight conditions.
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to mark, at the row and column components, what the entries of a Gaussian vector
        have: pi / (sqrt(8) ln 10) = 0.482 decades.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` is neither, or has more conditions.
    """
    found = ds if isinstance(ds, xr.Dataset) and "component" in ds.dims else decompose(ds)
    varied = [name for name in found.sd.dims if name != "component"]
    shape = [found.sizes[name] for name in varied]
    if math.prod(shape) > len(OKABE_ITO):
        raise ValueError(
            f"ds must have at most {len(OKABE_ITO)} conditions, got {math.prod(shape)} of "
            f"{varied}; select with ds.sel"
        )
    if ax is None:
        ax = new_axes(1 if varied or theory else 0)
    names = [str(name) for name in found.component.values]
    place, count = np.arange(len(names))[::-1], math.prod(shape)
    for i, index in enumerate(np.ndindex(*shape)):
        here = found.isel(dict(zip(varied, index)))
        at = place + 0.6 * ((count - 1) / 2 - i) / count
        color = OKABE_ITO[i]
        ax.hlines(at, here.low, here.high, color=color, linewidth=2)
        label = condition_text(here, varied) or "_sd"
        ax.plot(here.sd, at, "o", color=color, markersize=5, label=label)
    marked = [k for k, name in zip(place, names) if name in ("row", "column")]
    if theory and marked:
        label = f"Gaussian vector, {GAUSSIAN:.3f}"
        low, high = min(marked) - 0.4, max(marked) + 0.4
        ax.vlines(GAUSSIAN, low, high, color="0.4", linestyle="--", label=label)
    ax.set_yticks(place, names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(left=0)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel(str(found.sd.attrs["long_name"]))
    if not ax.get_title(loc="left"):
        networks = sorted({int(n) for n in found.networks.values.ravel()})
        text = " to ".join(str(n) for n in {networks[0]: 0, networks[-1]: 0})
        ax.set_title(f"{text} networks, intervals over seeds", loc="left", fontsize="small")
    if ax.get_legend_handles_labels()[1]:
        beside(ax)
    return ax
