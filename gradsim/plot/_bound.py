"""A measured norm below its two bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from gradsim.analysis import layered
from gradsim.plot._profile import OKABE_ITO, profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVES = (
    ("log10_delta_norm", "measured", OKABE_ITO[0], "-"),
    ("log10_local_bound", "bound by the slopes met", OKABE_ITO[4], "--"),
    ("log10_gamma_bound", "bound by the largest slope gamma", OKABE_ITO[5], ":"),
)


def bound(
    ds: xr.Dataset, *, ax: Axes | None = None, band: tuple[float, float] | None = (0.05, 0.95)
) -> Axes:
    """Draw the norm of delta with its local bound and its gamma bound, against layer (or step).

    Medians over networks with bands of quantiles, as :func:`gradsim.plot.profile`.

    Parameters
    ----------
    ds
        Results of one condition, measured with "gradient" and "bounds".
    ax
        Axes to draw into; None makes a new figure.
    band
        Lower and upper quantile of the bands; None draws the medians alone.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks one of the variables, or has varied fields.
    """
    for variable, *_ in _CURVES:
        norms, dim = layered(ds, variable)
        varied = [name for name in norms.dims if name not in ("seed", "example", dim)]
        if varied:
            raise ValueError(f"ds must have one condition, got {varied}; select with ds.sel")
    for variable, label, color, dashes in _CURVES:
        drawn = 0 if ax is None else len(ax.lines)
        ax = profile(ds, variable=variable, ax=ax, band=band, legend=False)
        for line in ax.lines[drawn:]:
            line.set(color=color, linestyle=dashes)
            line.set_label(label)
        if band is not None:
            ax.collections[-1].set_facecolor(color)
    assert ax is not None
    ax.set_ylabel("log10 norm of delta and its bounds")
    ax.legend(fontsize="small")
    return ax
