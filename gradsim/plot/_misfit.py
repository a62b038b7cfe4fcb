"""Misfit: how far measured gradients are from mean field, and what finite width leaves of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from gradsim.plot._profile import OKABE_ITO, beside, condition_text, new_axes
from gradsim.theory import misfit as compare

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def misfit(
    ds: xr.Dataset, *, ax: Axes | None = None, theory: bool = True, band: float = 2.0
) -> Axes:
    """Draw the misfit of mean field against layer (or step), one colour for each condition.

    The remainder that finite width does not account for is solid, with a band of standard errors;
    the misfit itself is dashed where a correction is known. Grey is the tolerance.

    Parameters
    ----------
    ds
        What :func:`gradsim.theory.misfit` returns, or results from which it is made, of up to eight
        conditions.
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to draw the misfit beside the remainder: what finite width accounts for.
    band
        Half of the band in standard errors; 0 draws none.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` is neither, has more conditions, or `band` is negative.
    """
    from matplotlib.ticker import MaxNLocator

    if not 0 <= band < math.inf:
        raise ValueError(f"band must be a finite number >= 0, got {band!r}")
    found = ds if isinstance(ds, xr.Dataset) and "remainder" in ds else compare(ds)
    dim = next(name for name in ("layer", "step") if name in found.dims)
    varied = [name for name in found.remainder.dims if name != dim]
    shape = [found.sizes[name] for name in varied]
    if math.prod(shape) > len(OKABE_ITO):
        raise ValueError(
            f"ds must have at most {len(OKABE_ITO)} conditions, got {math.prod(shape)} of "
            f"{varied}; select with ds.sel"
        )
    if ax is None:
        ax = new_axes(1)
    tolerance = found.attrs["tolerance"]
    ax.axhspan(-tolerance, tolerance, color="0.92", label=f"within {tolerance:g} decades", zorder=0)
    x, kinds = found[dim].values, set()
    for color, index in zip(OKABE_ITO, np.ndindex(*shape)):
        here = found.isel(dict(zip(varied, index)))
        known = bool(here.finite_width_correction.notnull().any())
        kinds.add(known)
        left, error = here.remainder.values, band * here.stderr.fillna(0.0).values
        ax.plot(x, left, color=color, label=condition_text(here, varied) or "_condition")
        if band:
            ax.fill_between(x, left - error, left + error, color=color, alpha=0.2, linewidth=0)
        if theory and known:
            ax.plot(x, here.misfit.values, color=color, linestyle="--")
    if True in kinds:
        ax.plot([], [], color="0.4", label="remainder after finite width")
    if theory and True in kinds:
        ax.plot([], [], color="0.4", linestyle="--", label="misfit of mean field")
    if False in kinds:
        ax.plot([], [], color="0.4", label="misfit (no correction known)")
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.set_xlabel(dim)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("measured less predicted\nmean log10 of norm(delta), decades")
    if not ax.get_title(loc="left"):
        errors = f"; band: {band:g} standard errors" if band else ""
        ax.set_title(f"relative to the last {dim}{errors}", loc="left", fontsize="small")
    beside(ax)
    return ax
