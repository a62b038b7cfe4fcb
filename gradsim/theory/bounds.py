"""Norm bounds on gradients, and how loose they are expected to be."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.activations import activations
from gradsim.theory import _cells
from gradsim.theory.mean_field import layer_sigmas, layer_widths, profile

# name: (long_name, formula)
_VARIABLES = {
    "log10_gamma_bound": (
        "expected log10 bound on norm(delta^l) relative to norm(delta^L)",
        "log10(gamma^(L-l) prod_{r=l+1..L} norm2(W^r))",
    ),
    "log10_delta_rms": ("log10 of the rms of the same", "mean field"),
    "looseness": ("decades by which the bound exceeds the rms", "log10_gamma_bound - rms"),
}


def norm_bounds(model: Any, x_norm: float | None = None) -> xr.Dataset:
    """Expected bound gamma^(L-l) prod ||W^r||_2 on ||delta^l|| / ||delta^L||, and its looseness.

    The bound holds for every network and input; what is expected of it here is asymptotic
    (infinite width): ||W||_2 tends to sigma_w (1 + sqrt(n_out / n_in)) for independent entries, and
    is sigma_w for orthogonal matrices. Per layer of one width the bound exceeds the typical factor
    by 2 gamma / sqrt(E phi'^2). A finite matrix has a norm below the limit: 0.97 of it at width 50,
    0.98 at 100.

    Parameters
    ----------
    model
        An MLP or RNN with the plain cell, not normalised.
    x_norm
        As in :func:`profile`.

    Returns
    -------
    xarray.Dataset
        dim `layer` 1..L (RNN: `step`), float64, decades relative to the last layer:
        `log10_gamma_bound`, `log10_delta_rms` and their difference `looseness`; scalar `gamma` =
        sup |phi'|. For the loss "mse" ||delta^L|| <= gamma ||a^L - y|| adds one factor.

    Raises
    ------
    ValueError
        If the cell is not plain, or as :func:`profile` does.

    References
    ----------
    Z. D. Bai and Y. Q. Yin, Ann. Probab. 21, 1275 (1993) (||W||_2); R. Pascanu, T. Mikolov and Y.
    Bengio, ICML 2013, eqs. 6 and 7; S. Hochreiter et al. 2001, section 2.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(norm_bounds(MLP(depth=11, activation="relu")).looseness[0].item(), 4)
    4.5154
    """
    if model.cell not in _cells.PLAIN or model.norm is not None:
        raise ValueError(
            f"norm_bounds is known for the cells {list(_cells.PLAIN)} with norm=None, got "
            f"{model.cell!r} with norm={model.norm!r}"
        )
    gamma = activations[model.activation].gamma(model.slope)
    rms = profile(model, x_norm).log10_delta_rms.values
    norms = spectral_norms(model)[1:]
    with np.errstate(divide="ignore"):
        steps = math.log10(gamma) + np.log10(norms) if gamma > 0 else np.full(len(norms), -np.inf)
    bound = np.append(np.cumsum(steps[::-1])[::-1], 0.0)
    with np.errstate(invalid="ignore"):  # no weights at all
        values = dict(zip(_VARIABLES, (bound, rms, bound - rms)))
    dim = "step" if hasattr(model, "steps") else "layer"
    data: dict[str, Any] = {
        name: (dim, value, dict(zip(("long_name", "formula"), _VARIABLES[name])) | {"units": "1"})
        for name, value in values.items()
    }
    data["gamma"] = ((), gamma, {"long_name": "largest slope", "units": "1", "formula": "gamma"})
    attrs = {"title": "Norm bounds", "validity": "asymptotic (infinite width)"}
    return xr.Dataset(data, {dim: np.arange(1, len(rms) + 1)}, attrs)


def spectral_norms(model: Any) -> np.ndarray:
    """Limits of ||W^l||_2 for each layer (layer,)."""
    sigmas, shapes = np.array(layer_sigmas(model)), list(pairwise(layer_widths(model)))
    if model.init == "orthogonal":  # orthonormal rows or columns, whichever are fewer
        return np.full(len(sigmas), model.sigma_w)
    return sigmas * np.array([1 + math.sqrt(n_out / n_in) for n_in, n_out in shapes])


def gaussian_norm_bound(sigma_w: float, gamma: float) -> bool:
    """Whether a wide Gaussian matrix satisfies ||W||_2 < 1 / gamma, so that gradients must vanish.

    Asymptotic (infinite width): 2 sigma_w < 1 / gamma. Mean field has them vanish wherever chi_1 <
    1, which is far above it: up to sigma_w = 1 against 1/2 for tanh, 10.149 against 2 for sigmoid.

    Parameters
    ----------
    sigma_w
        Standard deviation of a weight times sqrt(fan_in).
    gamma
        Largest slope.

    Returns
    -------
    bool
        Whether the condition holds.

    Raises
    ------
    ValueError
        If a number is not finite and positive.

    References
    ----------
    Pascanu et al. 2013, section 2.1; Bai and Yin 1993.

    Examples
    --------
    >>> gaussian_norm_bound(0.49, 1.0), gaussian_norm_bound(0.51, 1.0)
    (True, False)
    """
    for name, value in (("sigma_w", sigma_w), ("gamma", gamma)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number > 0, got {brief(value)}")
    return 2 * sigma_w * gamma < 1
