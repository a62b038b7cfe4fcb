"""Quantiles over networks."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gradsim.analysis._labels import Array, check_dataset, with_history


def quantile(ds: xr.Dataset, q: ArrayLike, *, dim: str | Sequence[str] = "seed") -> xr.Dataset:
    """Quantiles over networks, each of them one of the values, so that -inf stays -inf.

    The definition is NumPy's `inverted_cdf`: the smallest value that at least a share `q` of the
    values does not exceed. NaN (an absent layer) does not count; all NaN gives NaN.

    Parameters
    ----------
    ds
        Results with any dims.
    q
        A probability or a sequence of them.
    dim
        The dimension or dimensions to reduce, for example `("seed", "example")`.

    Returns
    -------
    xarray.Dataset
        Variables with `dim` lose it, keep their dtype, and gain a leading dimension `quantile` if
        `q` is a sequence (else a scalar coordinate). Others are unchanged; text along `dim` goes.

    Raises
    ------
    TypeError, ValueError
        If `ds` is not a Dataset, `q` is not in [0, 1], or `dim` is missing or empty.

    Examples
    --------
    >>> ds = xr.Dataset({"log10_loss": ("seed", [-np.inf, -np.inf, -3.0, 1.0])})
    >>> quantile(ds, [0.5, 0.75]).log10_loss.values.tolist()
    [-inf, -3.0]
    """
    dims = {dim} if isinstance(dim, str) else set(dim)
    levels = np.asarray(q, dtype=np.float64)
    check_dataset(ds)
    if not levels.size or levels.ndim > 1 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"q must be a probability in [0, 1] or a sequence of them, got {q!r}")
    for name in dims:
        if not ds.sizes.get(name):
            raise ValueError(f"dim must be among {list(ds.sizes)} and not empty, got {name!r}")
    reduced = {
        name: _reduce(array.variable, levels, dims) if dims & set(array.dims) else array.variable
        for name, array in ds.data_vars.items()
        if array.dtype.kind in "biuf" or not dims & set(array.dims)
    }
    axis = xr.Variable(["quantile"] * levels.ndim, levels, {"long_name": "quantile", "units": "1"})
    result = ds.drop_dims(dims).assign(reduced)[list(reduced)].assign_coords(quantile=axis)
    return with_history(result, ds, f"quantile(q={levels.tolist()}, dim={dim!r})")


def _reduce(variable: xr.Variable, levels: Array, dims: set[str]) -> xr.Variable:
    inner = [name for name in variable.dims if name in dims]
    array = variable.transpose(..., *inner)
    rest = array.dims[: array.ndim - len(inner)]
    values = array.values.reshape(*array.shape[: len(rest)], -1)
    return xr.Variable(
        ("quantile",) * levels.ndim + rest, inverted_cdf(values, levels), variable.attrs
    )


def inverted_cdf(values: Array, levels: Array) -> Array:
    """Quantiles over the last axis without NaN: (...) for a number, else (level, ...)."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.sum(ordered == ordered, axis=-1, keepdims=True)
    position = np.ceil(np.expand_dims(levels, tuple(range(-ordered.ndim, 0))) * count - 1)
    index = position.clip(0, ordered.shape[-1] - 1).astype(np.intp)
    return np.take_along_axis(ordered[(None,) * levels.ndim], index, axis=-1)[..., 0]
