"""From a result, or a file loaded, back to the models and inputs of its conditions."""

import json
import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gradsim._config import model_of, vary_of
from gradsim.models import MLP, RNN
from gradsim.sweep import Sweep, expand

_UNLIMITED = 2**62  # bytes: the conditions are already in a result


class Source(NamedTuple):
    """What a result says of its own call."""

    sweep: Sweep
    x_norm: float | None  # of the input of an MLP; None: drawn, of unit mean square
    examples: int


def source_of(ds: xr.Dataset, x_norm: float | None = None) -> Source:
    """Models of all conditions of the call that made a result, and the norm of its input.

    `x_norm` is that norm where the caller knows it, of an RNN that of one step's input.

    Raises
    ------
    TypeError, ValueError
        If `ds` is no result of :func:`gradsim.simulate`, or of arrays that a user gave.
    """
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be an xarray.Dataset, got {type(ds).__name__}")
    if "gradsim_config" not in ds.attrs:
        raise ValueError(
            "ds must be a result of gradsim.simulate: it has no attribute 'gradsim_config'"
        )
    config = json.loads(ds.attrs["gradsim_config"])
    made = "train" if "train" in config else "a study" if "study" in config else None
    if made is not None:
        raise ValueError(
            "theory is for random weights: ds must be a result of gradsim.simulate, got one of "
            f"{made}"
        )
    if "network" in config:
        raise ValueError(
            "theory is for random weights: ds is a result of a Network, whose weights were given"
        )
    model = model_of(config)
    kind = type(model)
    given = config["inputs"]
    if given is not None and model.input_width is None:
        model = model.with_fields(input_width=given["shape"][-1])
    targets = config["targets"]
    if targets is not None and len(targets["shape"]) > 2 and isinstance(model, MLP):
        model = model.with_fields(output_width=model.output_width or targets["shape"][-1])
    sweep = expand(model, vary_of(config), _UNLIMITED)
    if given is None:
        return Source(sweep, None if kind is RNN else x_norm, config["examples"])
    features = given["shape"][-1]
    norm = math.sqrt(features * _mean_square(given)) if x_norm is None else x_norm
    if kind is MLP:
        return Source(sweep, norm, config["examples"])
    scale = norm / math.sqrt(features)  # inputs act through sigma_u times their size
    models = (m.with_fields(sigma_u=m.sigma_u * scale) for m in sweep.models if isinstance(m, RNN))
    return Source(Sweep(sweep.dims, sweep.labels, tuple(models)), None, config["examples"])


def _mean_square(given: dict[str, Any]) -> float:
    """Mean square of an entry of the inputs, over all examples and steps."""
    if "values" not in given:
        raise ValueError(
            f"the inputs of shape {tuple(given['shape'])} are too large to be stored with the "
            "result; pass their norm as x_norm"
        )
    return float(np.mean(np.square(np.array(given["values"]))))
