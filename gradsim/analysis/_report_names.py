"""Names of the conditions of a result: an activation never without its gain."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

_GAINS = ("sigma_w", "init", "gain")


class Names:
    """Names of all conditions, in the order of their index; and why there is no theory of them.

    Attributes
    ----------
    dims
        Varied dims.
    no_theory
        "" where theory may know the networks, else the reason why it does not.
    kind
        Model, with the depth and the width that all have; "" where not known.
    """

    def __init__(self, ds: xr.Dataset, template: xr.DataArray) -> None:
        self.dims = [str(name) for name in template.dims]
        models, self.no_theory = _models(ds, template)
        self.kind = _kind(models)
        indices = list(np.ndindex(*template.shape))
        self._names = [
            self._name(template[index], models[i] if models else None)
            for i, index in enumerate(indices)
        ]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def _name(self, here: xr.DataArray, model: Any) -> str:
        """Name a condition, as in `tanh at sigma_w = 1.5, depth = 50`."""
        fields = {name: here[name].item() for name in self.dims if name in here.coords}
        first = []
        if model is not None:
            said = ("activation", "sigma_w", "init", "slope", *["sigma_b"] * bool(model.sigma_b))
            first = [_activation(model)]
            fields = {name: value for name, value in fields.items() if name not in said}
        elif "activation" in fields and not any(name in here.coords for name in _GAINS):
            fields["activation"] += ", gain not recorded"
        texts = [
            value if name == "activation" else f"{name} = {text_of(value)}"
            for name, value in fields.items()
        ]
        return ", ".join([*first, *texts]) or "All networks"


def text_of(value: Any) -> str:
    """Value of a coordinate."""
    return value if isinstance(value, str) else f"{value:g}"


def _kind(models: list[Any]) -> str:
    """What all models are, as in `MLP, depth 50, width 128`."""
    if not models:
        return ""
    sizes = {"steps" if hasattr(models[0], "steps") else "depth": {m.depth for m in models}}
    sizes["width"] = {m.width for m in models}
    same = [f", {name} {found.pop()}" for name, found in sizes.items() if len(found) == 1]
    return type(models[0]).__name__ + "".join(same)


def _activation(model: Any) -> str:
    """Activation with its gain."""
    from gradsim._init_scales import gain

    own = f"{model.activation} at "
    if model.activation == "leaky_relu":
        own = f"{model.activation} (slope {model.slope:g}) at "
    bias = f", sigma_b = {model.sigma_b:g}" if model.sigma_b else ""
    if model.init == "gaussian":
        return f"{own}sigma_w = {model.sigma_w:g}{bias}"
    try:
        return f"{own}{model.init} (sigma_w = {gain(model):.4g}){bias}"
    except ValueError:  # no single gain: the initialiser itself says what the weights are
        return f"{own}{model.init} times {model.sigma_w:g}{bias}"


def _models(ds: xr.Dataset, template: xr.DataArray) -> tuple[list[Any], str]:
    """Model of every condition, or none; and why there is no theory."""
    from gradsim.theory._from_dataset import source_of

    config = json.loads(ds.attrs.get("gradsim_config", "{}"))
    if "model" not in config:
        return [], "the call that made the networks is not known"
    for key, what in (("network", "given"), ("train", "trained")):
        if key in config:
            return [], f"the weights were {what}"
    sweep = source_of(ds, 1.0).sweep
    missing = [name for name in sweep.dims if name not in template.coords]
    if missing:
        return [], f"ds has lost the coordinates {missing}"
    models = []
    for index in np.ndindex(*template.shape):
        here = template[index]
        place = [
            np.asarray(labels).tolist().index(here[name].item())
            for name, labels in zip(sweep.dims, sweep.labels)
        ]
        models.append(sweep.models[int(np.ravel_multi_index(place, sweep.shape)) if place else 0])
    given = config["inputs"]
    unknown = given is not None and "values" not in given
    return models, "the inputs are too large to be stored with the result" if unknown else ""
