"""Theory as labelled arrays: one way to name the values of a function."""

from collections.abc import Mapping
from typing import Any

import xarray as xr


def labelled(
    title: str, validity: str, values: Mapping[str, tuple], coords: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Dataset of dimensionless values, each given as (value, long_name, formula, *dims)."""
    data = {
        name: (dims, value, {"long_name": long_name, "units": "1", "formula": formula})
        for name, (value, long_name, formula, *dims) in values.items()
    }
    return xr.Dataset(data, coords, {"title": title, "validity": validity})
