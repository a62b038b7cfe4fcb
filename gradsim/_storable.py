"""What NetCDF gives back unchanged: the names, dtypes and attributes that `save` accepts."""

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief

_NUMERIC = [np.dtype(code) for code in "?bBhHiIlLqQfd"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@+-]*")
# Attributes that NetCDF, HDF5 or xarray take for themselves: they would change what is read back.
_RESERVED = re.compile(
    r"_.*|missing_value|scale_factor|add_offset|dtype|coordinates|CLASS|NAME|REFERENCE_LIST"
    r"|DIMENSION_LIST"
)


def check_storable(ds: xr.Dataset) -> None:
    """Refuse a Dataset that a file would not give back unchanged."""
    for name in [*ds.dims, *ds.variables]:
        _check_name(name, "the Dataset")
    _check_attributes(ds.attrs, "the Dataset")
    for name, variable in ds.variables.items():
        if variable.dtype.newbyteorder("=") not in _NUMERIC and not _is_text(variable):
            raise TypeError(
                f"save: variable {name!r} must be of integers, float32, float64, bool or str, "
                f"got {variable.dtype}"
            )
        _check_attributes(variable.attrs, f"variable {name!r}")


def _is_text(variable: xr.Variable) -> bool:
    if variable.dtype.kind not in "UO":
        return False
    return all(isinstance(text, str) and _is_plain(text) for text in variable.values.flat)


def _is_plain(text: str) -> bool:
    """Whether the text survives UTF-8 and NUL-terminated strings."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _check_name(name: Hashable, owner: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"save: names in {owner} must be ASCII letters, digits or any of _.@+- and start with "
            f"a letter or _, got {name!r}"
        )


def _check_attributes(attrs: dict[Any, Any], owner: str) -> None:
    for name, value in attrs.items():
        _check_name(name, owner)
        if _RESERVED.fullmatch(name):
            raise ValueError(
                f"save: attribute {name!r} of {owner} is reserved by NetCDF, rename it"
            )
        if isinstance(value, bool) or not isinstance(value, (str, int, float, np.number)):
            raise TypeError(
                f"save: attribute {name!r} of {owner} must be a str, int or float, got "
                f"{type(value).__name__} {brief(value)}; json.dumps makes a str of it"
            )
        if not _is_exact(value):
            raise ValueError(
                f"save: attribute {name!r} of {owner} must be text without NUL or a number of at "
                f"most 64 bits, got {brief(value)}"
            )


def _is_exact(value: Any) -> bool:
    if isinstance(value, (int, np.integer)):
        return -(2**63) <= int(value) < 2**63
    return _is_plain(value) if isinstance(value, str) else np.asarray(value).dtype in _NUMERIC
