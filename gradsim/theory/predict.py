"""Predictions for a result, on its own axes, and how far the measurements are from them."""

from typing import Any

import numpy as np
import xarray as xr

from gradsim.theory._from_dataset import Source, source_of
from gradsim.theory.finite_width import finite_width
from gradsim.theory.mean_field import limits, profile

# name: (long_name, formula)
_LAYERED = {
    "q": ("pre-activation mean square", "q^l = sigma_w^2 E phi(sqrt(q^(l-1)) Z)^2 + sigma_b^2"),
    "log10_delta_rms": (
        "log10 of the rms of norm(delta^l) relative to that of norm(delta^L)",
        "0.5 log10(E norm(delta^l)^2 / E norm(delta^L)^2)",
    ),
    "log10_weight_grad_rms": (
        "log10 of the rms of norm(dC/dW^l) relative to that of norm(delta^L)",
        "0.5 log10(E norm(delta^l)^2 E norm(a^(l-1))^2 / E norm(delta^L)^2)",
    ),
    "log10_delta_mean": (
        "mean log10 of norm(delta^l) relative to norm(delta^L)",
        "E log10(norm(delta^l) / norm(delta^L)), zeros left out",
    ),
    "log10_delta_sd": ("standard deviation of the same log10", "decades"),
    "zero_probability": ("probability of an exact zero", "P(delta^l = 0)"),
}
_SCALAR = {
    "q_star": ("fixed point of the pre-activation mean square", "q* = V(q*)"),
    "chi_1": ("growth of the gradient mean square per layer", "sigma_w^2 E phi'(sqrt(q*) Z)^2"),
    "growth_rms": ("decades per layer, positive when the gradient explodes", "0.5 log10 chi_1"),
}
_VALIDITY = {
    "rms_validity": "validity of log10_delta_rms: 'exact', or the limit in which it holds",
    "mean_validity": "validity of log10_delta_mean, log10_delta_sd and zero_probability",
    "q_validity": "validity of q, log10_weight_grad_rms, q_star, chi_1 and growth_rms",
}
_LIMIT = "asymptotic (infinite width)"


def predict(ds: xr.Dataset, x_norm: float | None = None) -> xr.Dataset:
    """Predict what a result shows, along its own varied dimensions and layers.

    The call that made the result is read from its attributes, so that a loaded file or a selection
    will do. The mean and standard deviation over networks are those of :func:`finite_width`; the
    rms and q are those of :func:`profile`.

    Parameters
    ----------
    ds
        A result of :func:`gradsim.simulate`, or what is left of one after selecting from it.
    x_norm
        Euclidean norm of the input (of an RNN: of one step's), for inputs too large to be stored
        with the result; None means what the result says.

    Returns
    -------
    xarray.Dataset
        Over the varied dims and `layer` (or `step`), float64, relative to the last layer: `q`,
        `log10_delta_rms`, `log10_weight_grad_rms` (as :func:`profile` has it), `log10_delta_mean`,
        `log10_delta_sd`, `zero_probability`; over the
        varied dims `q_star`, `chi_1`, `growth_rms`, and text that says what each condition's
        entries are: `q_validity`, `rms_validity`, `mean_validity`, "exact", "asymptotic (...)" or
        "none: " with the reason, where they are nan.

    Raises
    ------
    TypeError, ValueError
        If `ds` is no result of random networks, or its inputs are not known.

    References
    ----------
    See :func:`profile`, :func:`mean_field` and :func:`finite_width`.

    Examples
    --------
    >>> import gradsim as gs
    >>> ds = gs.simulate(gs.MLP(depth=4, width=20, activation="relu", init="he_normal",
    ...                         loss="linear", output="identity"), 3, progress=False)
    >>> predict(ds).rms_validity.item()
    'exact'
    """
    source = source_of(ds, x_norm)
    dim = "step" if hasattr(source.sweep.models[0], "steps") else "layer"
    layers = max(model.depth for model in source.sweep.models)
    conditions = [_condition(model, source, layers) for model in source.sweep.models]
    shape, dims = source.sweep.shape, source.sweep.dims
    data = {}
    for name, (long_name, formula) in (_LAYERED | _SCALAR).items():
        values = np.array([condition[name] for condition in conditions], np.float64)
        inner = (dim,) if name in _LAYERED else ()
        attrs = {"long_name": long_name, "units": "1", "formula": formula}
        data[name] = ((*dims, *inner), values.reshape((*shape, *values.shape[1:])), attrs)
    for name, long_name in _VALIDITY.items():
        text = np.array([condition[name] for condition in conditions])
        data[name] = (dims, text.reshape(shape), {"long_name": long_name, "units": "1"})
    coords = dict(zip(dims, source.sweep.labels)) | {dim: np.arange(1, layers + 1)}
    result = xr.Dataset(data, coords, {"title": "Theory"})
    return _like(result, ds, [*dims, dim])


def _condition(model: Any, source: Source, layers: int) -> dict[str, Any]:
    """Everything that is known of one condition; what is not is nan, with its reason."""
    values: dict[str, Any] = {name: np.full(layers, np.nan) for name in _LAYERED}
    values |= dict.fromkeys(_SCALAR, np.nan)
    try:
        limit, path = limits(model), profile(model, source.x_norm)
    except ValueError as error:  # said in the result
        return values | dict.fromkeys(_VALIDITY, f"none: {error}")
    values |= limit
    values["q"] = _padded(path.q.values, layers)
    values["log10_delta_rms"] = _padded(path.log10_delta_rms.values, layers)
    if "log10_weight_grad_rms" in path:
        values["log10_weight_grad_rms"] = _padded(path.log10_weight_grad_rms.values, layers)
    values |= {"q_validity": _LIMIT, "rms_validity": _LIMIT}
    try:
        law = finite_width(model, (), source.x_norm)
    except ValueError as error:  # said in the result
        return values | {"mean_validity": f"none: {error}"}
    values["mean_validity"] = law.attrs["validity"]
    for name in ("log10_delta_mean", "log10_delta_sd", "zero_probability"):
        values[name] = _padded(law[name].values, layers)
    if law.attrs["validity"] == "exact":
        square = law.log_mean_square.values / (2 * np.log(10))
        values |= {"log10_delta_rms": _padded(square, layers), "rms_validity": "exact"}
    return values


def _padded(values: np.ndarray, layers: int) -> np.ndarray:
    return np.concatenate((values, np.full(layers - values.size, np.nan)))


def _like(result: xr.Dataset, ds: xr.Dataset, dims: list[str]) -> xr.Dataset:
    """Select the conditions and layers that a result still has."""
    for name in dims:
        if name not in ds.coords:
            raise ValueError(f"ds must keep the coordinate {name!r}, which names its conditions")
        known, kept = result[name].values.tolist(), ds[name].values.tolist()
        missing = [v for v in np.atleast_1d(ds[name].values).tolist() if v not in known]
        if missing:
            raise ValueError(
                f"ds[{name!r}] must be of {known}, as its call has them, got {missing}"
            )
        place = [known.index(v) for v in kept] if isinstance(kept, list) else known.index(kept)
        result = result.isel({name: place})
    return result
