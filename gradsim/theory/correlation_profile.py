"""Correlation of two examples' signals and gradients, layer by layer."""

import math

import numpy as np
import xarray as xr

from gradsim._validate import whole
from gradsim.activations import activations
from gradsim.theory._pairs import pair_slopes, pair_values
from gradsim.theory.length_map import check_finite, chi_1, fixed_point, q_map

# name: (long_name, formula)
_VARIABLES = {
    "signal_correlation": ("correlation of two examples' pre-activations", "c^l"),
    "log10_signal_decorrelation": ("log10 of one minus that correlation", "log10(1 - c^l)"),
    "delta_correlation": (
        "mean correlation of two examples' gradients for the same v",
        "prod_{r=l..L-1} chi(c^r) / chi(1)",
    ),
    "noise_scale": ("variance over squared mean of a gradient over examples", "1 / rho - 1"),
}


def correlation_profile(
    activation: str,
    depth: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    *,
    c: float = 0.0,
    q: float | None = None,
    slope: float = 0.01,
) -> xr.Dataset:
    """Correlation of two examples' signals forwards and of their gradients backwards.

    Asymptotic (infinite width), for a cost that is linear in the last pre-activation with the same
    v for both examples.

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.
    depth
        Layers L, at least 1.
    c
        Correlation of the two first pre-activations, in [-1, 1]; sigma_b^2 / q* for orthogonal
        inputs that share the biases.
    q
        Mean square of both in layer 1; None means q*.

    Returns
    -------
    xarray.Dataset
        dim `layer` 1..L, float64: `signal_correlation`, `log10_signal_decorrelation` = log10(1 -
        c), `delta_correlation` (relative to layer L, where it is 1) and `noise_scale` = 1 / rho -
        1.

    Raises
    ------
    ValueError
        If the activation is unknown, a number is out of range, or q* is 0 or infinite and `q` is
        not given.

    References
    ----------
    Poole et al. 2016, eq. 5; Schoenholz et al. 2017, section on backpropagation of two inputs; S.
    McCandlish et al., arXiv:1812.06162 (noise scale).

    Examples
    --------
    >>> ds = correlation_profile("tanh", 10, 3**0.5, 0.05**0.5)
    >>> round(ds.delta_correlation[0].item(), 5)
    0.05735
    """
    depth = whole("correlation_profile", "depth", depth)
    if not -1 <= c <= 1:
        raise ValueError(f"c must be in [-1, 1], got {c!r}")
    entry = activations[activation]
    if q is None:
        q = fixed_point(activation, sigma_w, sigma_b, slope=slope)
        if not 0 < q < math.inf:
            raise ValueError(f"q must be given where q* is {q}, got None")
    check_finite(q=q)
    eps, path, ratios = 1.0 - c, [], []
    for _ in range(depth):
        path.append(eps)
        steep = chi_1(activation, 1.0, q, slope=slope)
        ratios.append(1.0 if eps == 0 else pair_slopes(entry, q, eps, slope) / steep)
        following = q_map(activation, sigma_w, sigma_b, q, slope=slope)
        lost = sigma_w * sigma_w * pair_values(entry, q, eps, slope)[1] if eps > 0 else 0.0
        eps, q = min(lost / following, 2.0) if following > 0 else math.nan, following
    rho = np.append(np.cumprod(ratios[-2::-1])[::-1], 1.0)
    with np.errstate(divide="ignore"):
        decay, noise = np.log10(path), 1 / rho - 1
    columns = (1 - np.array(path), decay, rho, noise)
    data = {
        name: ("layer", column, {"long_name": text[0], "units": "1", "formula": text[1]})
        for (name, text), column in zip(_VARIABLES.items(), columns)
    }
    attrs = {"title": "Correlation profile", "validity": "asymptotic (infinite width)"}
    return xr.Dataset(data, {"layer": np.arange(1, depth + 1)}, attrs)
