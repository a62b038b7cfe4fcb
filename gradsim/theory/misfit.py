"""How far measured gradients are from theory, in decades, and how much of that has a reason."""

import math

import numpy as np
import xarray as xr

from gradsim.analysis import layered
from gradsim.theory.predict import predict

TOLERANCE = 0.1  # decades
# name: (long_name, formula)
_VARIABLES = {
    "measured": (
        "measured mean log10 of norm(delta^l) relative to the last layer",
        "mean(log10_delta_norm[l] - log10_delta_norm[last]), zeros left out",
    ),
    "predicted": ("log10 of the rms predicted by mean field", "log10_delta_rms"),
    "misfit": ("measured mean log less the mean-field rms", "measured - predicted"),
    "finite_width_correction": (
        "what finite width adds to the mean log",
        "log10_delta_mean - log10_delta_rms",
    ),
    "remainder": ("misfit that theory does not account for", "misfit - finite_width_correction"),
    "stderr": ("standard error of the measured mean over networks", "sd / sqrt(networks)"),
    "z": ("remainder in standard errors", "remainder / stderr"),
    "zero_share": ("share of networks with an exact zero", "share of -inf"),
}


def misfit(
    ds: xr.Dataset, *, tolerance: float = TOLERANCE, x_norm: float | None = None
) -> xr.Dataset:
    """Compare measured gradient norms with theory, condition by condition and layer by layer.

    Only delta is compared, which is the norm of each example's gradient also where the cost is the
    mean over a batch: no theory is laid on the norm of a mean. Networks whose gradient is exactly 0
    are left out of the mean and counted.

    That theory holds means that the remainder is below `tolerance`, never that z is small: with
    enough networks any approximation has a large z, with few of them none has.

    Parameters
    ----------
    ds
        A result of :func:`gradsim.simulate` with `log10_delta_norm`, or a selection from one.
    tolerance
        Largest remainder in decades at which `holds` is True.
    x_norm
        As in :func:`predict`.

    Returns
    -------
    xarray.Dataset
        Over the varied dims and `layer` (or `step`), float64, in decades and relative to the last
        layer that a condition has: `measured`, `predicted` (the mean-field rms), `misfit` between
        them, `finite_width_correction`, `remainder`, `stderr`, `z` (nan where stderr is 0),
        `zero_share`, and `holds` (bool). Where the correction is not known it is nan and the
        remainder is the misfit. `mean_validity` and `rms_validity` as in :func:`predict`.

    Raises
    ------
    TypeError, ValueError
        If `ds` is no result of random networks, lacks `log10_delta_norm` or its dims, or
        `tolerance` is not a positive number.

    References
    ----------
    See :func:`predict`.

    Examples
    --------
    >>> import gradsim as gs
    >>> ds = gs.simulate(gs.MLP(depth=9, width=50, activation="relu", init="he_normal",
    ...                         loss="linear", output="identity"), 400, progress=False)
    >>> bool(misfit(ds).holds.all())
    True
    """
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be a positive number of decades, got {tolerance!r}")
    theory = predict(ds, x_norm)
    norms, dim = layered(ds, "log10_delta_norm")
    over = [name for name in ("seed", "example") if name in norms.dims]
    last = norms.notnull().any(over).cumsum(dim).argmax(dim)  # what each condition has

    def relative(values: xr.DataArray) -> xr.DataArray:
        return values - values.isel({dim: last}).drop_vars(dim)

    walk = norms.where(norms > -np.inf)
    walk, zero, known = relative(walk), norms == -np.inf, norms.notnull()
    if "example" in over:  # examples of one network are no samples
        walk, zero, known = walk.mean("example"), zero.mean("example"), known.any("example")
    count = walk.notnull().sum("seed")
    measured = walk.mean("seed")
    spread = walk.std("seed", ddof=1) if norms.sizes["seed"] > 1 else measured * np.nan
    rms = relative(theory.log10_delta_rms)
    correction = relative(theory.log10_delta_mean) - rms
    gap = measured - rms
    remainder = gap - correction.fillna(0.0)
    error = spread / np.sqrt(count)
    values = {
        "measured": measured,
        "predicted": rms,
        "misfit": gap,
        "finite_width_correction": correction,
        "remainder": remainder,
        "stderr": error,
        "z": remainder / error.where(error > 0),
        "zero_share": zero.where(known).mean("seed"),
    }
    result = xr.Dataset({name: array.drop_attrs() for name, array in values.items()})
    for name, (long_name, formula) in _VARIABLES.items():
        result[name].attrs = {"long_name": long_name, "units": "1", "formula": formula}
    text = {"long_name": f"whether the remainder is below {tolerance:g} decades", "units": "1"}
    result["holds"] = (abs(remainder) < tolerance).assign_attrs(text)
    for name in ("rms_validity", "mean_validity"):
        result[name] = theory[name]
    stale = [name for name in result.coords if name in ("fan_in", "fan_out", "n_parameters")]
    attrs = {"title": "Misfit of theory", "tolerance": float(tolerance)}
    return result.drop_vars(stale).transpose(..., dim, missing_dims="ignore").assign_attrs(attrs)
