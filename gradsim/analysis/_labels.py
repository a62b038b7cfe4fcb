"""Between labelled results and plain arrays (condition, seed, example, layer)."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

LAYER_DIMS = ("layer", "step", "state_step")

Array = NDArray[Any]


def layered(ds: xr.Dataset, variable: str) -> tuple[xr.DataArray, str]:
    """Pick a variable over layers or steps; its dims become (..., seed, [example,] layer).

    Returns
    -------
    tuple of xarray.DataArray and str
        The transposed variable and the name of its dimension of layers or steps.
    """
    check_dataset(ds)
    usable = [n for n, v in ds.items() if "seed" in v.dims and set(LAYER_DIMS) & set(v.dims)]
    if variable not in usable:
        raise ValueError(
            f"variable must have the dimension 'seed' and one of {list(LAYER_DIMS)}, here one of "
            f"{usable}, got {variable!r}"
        )
    array = ds[variable]
    dim = next(name for name in LAYER_DIMS if name in array.dims)
    if dim not in array.coords or not array.indexes[dim].is_monotonic_increasing:
        raise ValueError(f"{dim!r} must have a coordinate of increasing numbers")
    if not array.sizes["seed"] or not array.sizes[dim]:
        raise ValueError(f"{variable!r} must have at least one seed and one {dim}")
    tail = [name for name in ("seed", "example", dim) if name in array.dims]
    return array.transpose(..., *tail), dim


def check_dataset(ds: xr.Dataset) -> None:
    """Refuse anything but a Dataset."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be an xarray.Dataset, got {type(ds).__name__}")


def flat(norms: xr.DataArray) -> Array:
    """Return the values as (condition, seed, example, layer)."""
    inner = (norms.sizes["seed"], norms.sizes.get("example", 1), norms.shape[-1])
    return norms.values.astype(np.float64).reshape(-1, *inner)


def without(norms: xr.DataArray, *dims: str) -> xr.DataArray:
    """Return an array to be filled, with the dims and coordinates that do not involve `dims`."""
    stale = [name for name, coord in norms.coords.items() if set(dims) & set(coord.dims)]
    return norms.drop_vars(stale).isel(dict.fromkeys(dims, 0), missing_dims="ignore", drop=True)


def labelled(template: xr.DataArray, values: Array, long_name: str, formula: str) -> xr.DataArray:
    """Fill a template with values and its attributes."""
    filled = template.copy(data=values.reshape(template.shape))
    filled.attrs = {"long_name": long_name, "units": "1", "formula": formula}
    return filled


def with_history(result: xr.Dataset, source: xr.Dataset, call: str) -> xr.Dataset:
    """Give a result the attributes of its source, with the call added to the history."""
    lines = [source.attrs.get("history", ""), f"gradsim.analysis.{call}"]
    return result.assign_attrs(source.attrs | {"history": "\n".join(filter(None, lines))})


def output_layer(values: Array, layers: Array) -> Array:
    """Return the last layer that has a value, per condition; the first layer if none has."""
    present = ~np.isnan(values).all(axis=(1, 2))
    return np.where(present, layers, layers[0]).max(axis=1)


def at(values: Array, index: Array) -> Array:
    """Values (condition, seed, example) at one layer per condition."""
    return np.take_along_axis(values, index[:, None, None, None], axis=-1)[..., 0]


def share(hit: Any, known: Any) -> Array:
    """Share of networks (condition,) among those that have a value."""
    return divide((hit & known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))


def divide(total: Array, count: Array) -> Array:
    """Quotient, NaN where the count is 0."""
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
