"""Shares of networks whose norm has vanished or exploded, layer by layer."""

import numpy as np
import xarray as xr

from gradsim.analysis._labels import at, divide, flat, labelled, layered, output_layer, without
from gradsim.analysis._onset import threshold_of


def vanished_share(
    ds: xr.Dataset, below: float = 1e-3, *, variable: str = "log10_delta_norm"
) -> xr.DataArray:
    """Share of networks whose norm is below a threshold, relative to their output layer's.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    below
        Ratio, less than 1; an exact zero is below any.
    variable
        A variable of log10 norms over `layer`, `step` or `state_step`.

    Returns
    -------
    xarray.DataArray
        float64 (..., layer or step); examples count as networks, an absent layer is NaN.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or the ratio is out of range.

    Examples
    --------
    >>> norm = [[-4.0, -3.5, 0.0], [-1.0, -3.5, 0.0]]
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)}, {"layer": [1, 2, 3]})
    >>> vanished_share(ds).values.tolist()
    [0.5, 1.0, 0.0]
    """
    return _share(ds, variable, threshold_of(below, None), "vanished_share")


def exploded_share(
    ds: xr.Dataset, above: float = 1e3, *, variable: str = "log10_delta_norm"
) -> xr.DataArray:
    """Share of networks whose norm is above a threshold, relative to their output layer's.

    As :func:`vanished_share`, with a ratio of more than 1.
    """
    return _share(ds, variable, threshold_of(None, above), "exploded_share")


def _share(ds: xr.Dataset, variable: str, threshold: float, name: str) -> xr.DataArray:
    norms, dim = layered(ds, variable)
    values, layers = flat(norms), norms[dim].values
    base = at(values, np.searchsorted(layers, output_layer(values, layers)))[..., None]
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isneginf(values) & ~np.isnan(base), -np.inf, values - base)
        hit = ratio < threshold if threshold < 0 else ratio > threshold
    known = ~np.isnan(ratio)
    shares = divide((hit & known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))
    sign = "<" if threshold < 0 else ">"
    formula = f"mean(x[{dim}] - x[output] {sign} {threshold:.6g})"
    template = without(norms, "seed", "example")
    return labelled(template, shares, f"share of networks with {formula[5:-1]}", formula).rename(
        name
    )
