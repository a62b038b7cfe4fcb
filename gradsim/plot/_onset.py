"""The share of networks whose gradient has vanished or exploded, against depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim.analysis import layered
from gradsim.analysis import onset as passages
from gradsim.analysis._onset import threshold_of
from gradsim.plot._condition import known
from gradsim.plot._profile import OKABE_ITO, _colors, _condition, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def onset(
    ds: xr.Dataset,
    *,
    below: float | None = None,
    above: float | None = None,
    ax: Axes | None = None,
    theory: bool | None = None,
) -> Axes:
    """Draw the share of networks whose norm of delta is beyond a threshold, against depth.

    Depth counts from the output, the norm is relative to the one there. A dot marks the median
    depth of the first passage (:func:`gradsim.analysis.onset`), where half the networks get there.
    Dashed lines are the share that a normal law of the log gives, with the mean and the standard
    deviation of :func:`gradsim.theory.predict`.

    Parameters
    ----------
    ds
        Results with `log10_delta_norm`.
    below, above
        Ratio below which it has vanished, or above which it has exploded; 1e-3 if neither is given.
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to draw the law; None draws it where it is known.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, both thresholds are given, or `theory` is True and
        nothing is known of a condition.
    """
    below = 1e-3 if below is None and above is None else below
    threshold = threshold_of(below, above)
    norms, dim = layered(ds, "log10_delta_norm")
    first = passages(ds, below, above).first_passage
    law = _law(ds, theory)
    varied = [name for name in norms.dims if name not in ("seed", "example", dim)]
    indices = [dict(zip(varied, i)) for i in np.ndindex(*(norms.sizes[n] for n in varied))]
    few = len(indices) <= len(OKABE_ITO)
    colors = OKABE_ITO[: len(indices)] if few else _colors(len(indices), True)
    ax = new_axes(0) if ax is None else ax
    for index, color in zip(indices, colors):
        here = norms.isel(index)
        depth, share = _shares(here, dim, threshold, above is None)
        ax.plot(depth, share, color=color, label=_condition(here, varied) or "networks")
        over = [name for name in first.dims if name not in varied]
        middle = first.isel(index).quantile(0.5, over, method="inverted_cdf").item()
        if np.isfinite(middle):
            ax.plot([middle], [0.5], "o", color=color, markersize=5)
        if law is not None:
            expected = _expected(law.isel(index), depth, dim, threshold, above is None)
            ax.plot(depth, expected, "--", color=color, linewidth=1.0)
    if law is not None:
        ax.plot([], [], "k--", linewidth=1.0, label="normal law of the log")
    ax.plot([], [], "ko", markersize=5, label="median first passage")
    side = "below" if above is None else "above"
    ax.set_xlabel(f"{dim}s from the output")
    ax.set_ylabel(f"share of networks {side} {below or above:g} of the output's norm")
    ax.set_ylim(-0.02, 1.02)
    if not ax.get_title(loc="left"):
        ax.set_title(f"norm of delta, {ds.sizes['seed']} networks", loc="left", fontsize="small")
    ax.legend(fontsize="small")
    return ax


def _law(ds: xr.Dataset, theory: bool | None) -> Any:
    """Predictions on the axes of a result, or None."""
    from gradsim.theory import predict  # SciPy is slow to import

    if theory is False:
        return None
    try:
        law = predict(ds)
    except ValueError as error:
        known(theory, str(error))  # refuses where theory=True
        return None
    without = [text for text in np.ravel(law.mean_validity.values) if text.startswith("none")]
    if without and theory:
        raise ValueError(f"theory=True: {without[0]}")
    return law


def _shares(
    here: xr.DataArray, dim: str, threshold: float, below: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Depths from the output, and the share of networks beyond the threshold at each."""
    values = here.transpose(..., dim).values.reshape(-1, here.sizes[dim])
    present = ~np.isnan(values).all(axis=0)
    values = values[:, present]
    last = values[:, -1:]
    with np.errstate(invalid="ignore"):
        ratio = values - last
    beyond = (ratio < threshold) | np.isneginf(values) if below else ratio > threshold
    counted = ~np.isnan(values) & ~np.isnan(last)
    share = (beyond & counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    depth = here[dim].values[present]
    return depth[-1] - depth, share


def _expected(
    law: xr.Dataset, depth: np.ndarray, dim: str, threshold: float, below: bool
) -> np.ndarray:
    """Share beyond the threshold at each depth, by a normal law and the exact zeros."""
    from scipy.special import ndtr  # slow to import

    mean, sd, zero = (
        law[name].values[: depth.size]
        for name in ("log10_delta_mean", "log10_delta_sd", "zero_probability")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        under = np.where(sd > 0, ndtr((threshold - mean) / sd), mean < threshold)
    zero = np.nan_to_num(zero)
    return zero + (1 - zero) * under if below else (1 - zero) * (1 - under)
