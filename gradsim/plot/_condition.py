"""What the figures of one condition share: its data, and the model that a result says it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.theory._from_dataset import Source, source_of

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN


def one_condition(ds: Any, variable: str, *inner: str) -> xr.DataArray:
    """A variable whose dims are the seeds, examples and ``inner``; any other is refused."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be an xarray.Dataset, got {brief(ds)}")
    if variable not in ds:
        raise ValueError(f"ds must hold {variable!r}, got {sorted(map(str, ds.data_vars))}")
    varied = [name for name in ds[variable].dims if name not in ("seed", "example", *inner)]
    if varied:
        raise ValueError(f"ds must have one condition, got {varied}; select with ds.sel")
    return ds[variable]


def model_of(ds: xr.Dataset) -> tuple[MLP | RNN, Source]:
    """Model of a result of one condition, and what else it says of its call.

    Raises
    ------
    ValueError
        If the result does not say, or the arrays of the network were given.
    """
    source = source_of(ds)
    labels = dict(zip(source.sweep.dims, source.sweep.labels))
    place = []
    for name, label in labels.items():
        if name not in ds.coords or ds[name].ndim:
            raise ValueError(f"ds must have one value of {name!r}; select with ds.sel")
        place.append(int(np.flatnonzero(np.asarray(label) == ds[name].item())[0]))
    flat = int(np.ravel_multi_index(place, source.sweep.shape)) if place else 0
    return source.sweep.models[flat], source


def known(theory: bool | None, reason: str) -> bool:
    """Whether a law is to be drawn; ValueError where it is asked for and there is none."""
    if theory and reason:
        raise ValueError(f"theory=True: {reason}")
    return theory is not False and not reason
