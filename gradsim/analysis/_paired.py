"""Paired differences: two conditions compared network by network, on the same seeds."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.analysis._labels import Array, check_dataset, divide, labelled, with_history, without
from gradsim.analysis._quantile import inverted_cdf
from gradsim.analysis._resample import block_columns, check_interval, resamples_of

_SAMPLES = ("seed", "example")


def paired_difference(
    ds: xr.Dataset,
    dim: str,
    baseline: Any,
    *,
    variable: str = "log10_delta_norm",
    level: float = 0.95,
    resamples: int = 1000,
) -> xr.Dataset:
    r"""Difference of a variable from a baseline condition, network by network.

    All conditions of a seed share the draws of its weights, so what a change of condition does is
    seen within each network. With the value x of seed s in condition c, over the n seeds where
    both values are finite,

    .. math:: \mathrm{difference}(c) = \frac1n \sum_s \bigl( x_s(c) - x_s(\mathrm{baseline}) \bigr)

    for each layer and each other condition on its own. The interval is from the spread between
    networks alone: whole seeds are resampled, each with both its values. `pairing_gain` is measured
    from the same finite values: the width of the interval that results when the seeds of the
    condition and those of the baseline are resampled independently, over the width of the paired
    one. About 1 means that pairing did nothing (two activations far from the output).

    Parameters
    ----------
    ds
        Results with dims (..., dim, ..., seed, ...).
    dim
        The dimension along which conditions are compared, for example a varied field; not "seed",
        and not "width": networks of different widths are independent draws.
    baseline
        The condition they are compared with: a value of the coordinate `dim`.
    variable
        A real variable over `dim` and `seed`, for example one of log10 norms or of log10 losses.
    level
        Probability content of the intervals.
    resamples
        Number of bootstrap resamples of whole seeds, with a fixed random seed and shared by all
        conditions and layers. The percentile intervals are somewhat narrow below 20 seeds.

    Returns
    -------
    xarray.Dataset
        float64 over all dims of the variable but seed and example (every example counts alike, but
        only seeds are resampled): `difference`; `low` and `high`, the ends of its interval;
        `pairing_gain`, which is inf where the paired interval alone is 0 wide (all networks change
        alike: a rescaled homogeneous network, of which rounding may leave a huge number) and NaN
        where both are; and `left_out_share`, the share of networks that are left out of all these
        because either value is an exact zero (-inf) or not a finite number. The baseline itself
        has difference 0. NaN where a condition has no such layer, intervals also where fewer than
        2 seeds are left.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable, its dims, or 2 seeds, if `baseline` is not one value of `dim`,
        if `dim` is "width" or "seed", or an argument is out of range.

    Examples
    --------
    >>> norm = [[-4.0, -3.0, -2.0], [-3.5, -2.5, -1.5]]
    >>> ds = xr.Dataset({"log10_loss": (("sigma_w", "seed"), norm)}, {"sigma_w": [1.0, 2.0]})
    >>> paired_difference(ds, "sigma_w", 1.0, variable="log10_loss").difference.values.tolist()
    [0.0, 0.5]
    """
    check_interval(level, resamples)
    array = _chosen(ds, dim, variable)
    at = _position(array, dim, baseline)
    shape, samples = array.shape, [name for name in _SAMPLES if name in array.dims and name != dim]
    inner = shape[len(shape) - len(samples) :]
    values = array.values.astype(np.float64)
    base = np.broadcast_to(values[at], values.shape).reshape(-1, inner[0], *(inner[1:] or (1,)))
    values = values.reshape(base.shape)  # (position, seed, example)

    kept = np.isfinite(values) & np.isfinite(base)
    present = ~(np.isnan(values).all(axis=(1, 2)) | np.isnan(base).all(axis=(1, 2)))
    left_out = np.where(present, 1 - kept.mean(axis=(1, 2)), np.nan)
    columns = block_columns(resamples)
    blocks = [
        _block(values[i : i + columns], base[i : i + columns], kept[i : i + columns], level,
               resamples)
        for i in range(0, len(values), columns)
    ]  # fmt: skip
    difference, low, high, gain = np.concatenate(blocks, axis=1)

    condition = without(array, *samples)
    name = f"{array.attrs.get('long_name', variable)} from {dim} = {brief(baseline)}"
    interval = f"{level:.6g} bootstrap interval over seeds of the paired difference"
    result = {
        "difference": labelled(
            condition, difference, f"mean paired difference of {name}",
            f"mean over seeds of x[{dim}] - x[baseline], both finite",
        ),
        "low": labelled(condition, low, f"lower end of the {interval}", "inverted_cdf"),
        "high": labelled(condition, high, f"upper end of the {interval}", "inverted_cdf"),
        "pairing_gain": labelled(
            condition, gain, "how much pairing narrowed the interval",
            "(high - low with independently resampled seeds) / (high - low)",
        ),
        "left_out_share": labelled(
            condition, left_out, "share of networks left out",
            f"mean(x[{dim}] or x[baseline] not finite)",
        ),
    }  # fmt: skip
    call = (
        f"paired_difference({dim!r}, {baseline!r}, variable={variable!r}, {level=}, {resamples=})"
    )
    return with_history(xr.Dataset(result), ds, call)


def _chosen(ds: xr.Dataset, dim: str, variable: str) -> xr.DataArray:
    """Pick the variable; its dims become (dim, ..., seed[, example])."""
    check_dataset(ds)
    if dim == "width":
        raise ValueError(
            "dim must not be 'width': networks of different widths are independent draws, so "
            "their seeds are not pairs"
        )
    if dim == "seed" or dim not in ds.dims:
        known = [name for name in ds.dims if name not in ("seed", "width")]
        raise ValueError(f"dim must be one of {known}, got {brief(dim)}")
    usable = [n for n, v in ds.items() if {dim, "seed"} <= set(v.dims) and v.dtype.kind in "iuf"]
    if variable not in usable:
        raise ValueError(
            f"variable must be of real numbers and have the dimensions {dim!r} and 'seed', here "
            f"one of {usable}, got {brief(variable)}"
        )
    array = ds[variable]
    if array.sizes["seed"] < 2:
        raise ValueError(f"{variable!r} must have at least 2 seeds, got {array.sizes['seed']}")
    if not array.size:
        raise ValueError(f"{variable!r} must not be empty, got the sizes {dict(array.sizes)}")
    samples = [name for name in _SAMPLES if name in array.dims and name != dim]
    return array.transpose(dim, ..., *samples)


def _position(array: xr.DataArray, dim: str, baseline: Any) -> int:
    """Where along `dim` the baseline is."""
    if dim not in array.coords:
        raise ValueError(f"{dim!r} must have a coordinate, of which baseline is a value")
    known = array[dim].values.tolist()
    found = [] if np.ndim(baseline) else [i for i, x in enumerate(known) if x == baseline]
    if len(found) != 1:
        raise ValueError(
            f"baseline must be one value of the coordinate {dim!r}, one of {brief(known)}, got "
            f"{brief(baseline)}"
        )
    return found[0]


def _block(values: Array, base: Array, kept: Array, level: float, resamples: int) -> Array:
    """Difference, low, high and pairing gain (4, position)."""
    count = kept.sum(axis=2).T.astype(np.float64)  # (seed, position)
    with np.errstate(invalid="ignore"):
        sums, origin = _sums(values - base, kept)
    (condition, _), (other, _) = _sums(values, kept), _sums(base, kept)
    paired, unpaired = [], []
    again = resamples_of(len(count), resamples, stream=1)
    for one, two in zip(resamples_of(len(count), resamples), again):
        n = one @ count
        paired.append(divide(one @ sums, n))
        unpaired.append(divide(one @ condition, n) - divide(two @ other, two @ count))
    enough = (count > 0).sum(axis=0) > 1
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    (low, high), apart = (
        np.where(enough, inverted_cdf(np.concatenate(drawn).T, ends), np.nan)
        for drawn in (paired, unpaired)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (apart[1] - apart[0]) / (high - low)
    mean = divide(sums.sum(axis=0), count.sum(axis=0))
    return np.stack([origin + mean, origin + low, origin + high, gain])


def _sums(values: Array, kept: Array) -> tuple[Array, Array]:
    """Sums over examples (seed, position) of kept values from an origin (position,) among them.

    Values that are all equal are then exact zeros, whatever the order of summation.
    """
    first = kept.reshape(len(kept), -1).argmax(axis=1)[:, None]
    origin = np.take_along_axis(values.reshape(len(values), -1), first, axis=1)
    with np.errstate(invalid="ignore"):
        from_origin = np.where(kept, values - origin[:, :, None], 0.0)
    return from_origin.sum(axis=2).T, origin[:, 0]
