"""What each initialiser gives: the sigma_w that mean-field theory has for it."""

import math
from typing import Any

import numpy as np
import xarray as xr

from gradsim._init_scales import gain
from gradsim.initializers import initializers
from gradsim.theory.mean_field import mean_field


def effective_sigma_w(model: Any, width: int | None = None) -> float:
    """Standard deviation of a weight times sqrt(fan_in) that the model's initialiser gives.

    Exact for what is drawn entry by entry; that mean field holds with it is asymptotic, and for
    matrices made as a whole (orthogonal, spectral_radius) a matter of the first moments alone.

    Parameters
    ----------
    model
        An :class:`gradsim.MLP` or :class:`gradsim.RNN`.
    width
        Units of a square layer; None means the hidden width.

    Returns
    -------
    float
        The sigma_w of theory.

    Raises
    ------
    ValueError
        If mean-field theory does not hold for the initialiser, or the gain depends on the width and
        the hidden layers have several.

    References
    ----------
    X. Glorot and Y. Bengio, AISTATS 2010, eqs. 1, 12 and 16; K. He et al., ICCV 2015, eq. 10; Y.
    LeCun et al., "Efficient backprop", 1998.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(effective_sigma_w(MLP(init="pytorch_linear")) ** 2, 12)
    0.333333333333
    """
    return gain(model, width)


def initial_gains(model: Any) -> xr.Dataset:
    """What every initialiser gives for a model, in its hidden layers.

    Parameters
    ----------
    model
        An :class:`gradsim.MLP` or :class:`gradsim.RNN` with a plain cell; its own `init` is
        replaced by each in turn.

    Returns
    -------
    xarray.Dataset
        dim `init`: `sigma_w` (nan where theory does not hold or the initialiser refuses the model),
        `q_star`, `chi_1`, `growth_rms` as in :func:`mean_field`, `mean_field` (bool, whether theory
        holds at all) and `reason`, text where there is no sigma_w.

    References
    ----------
    See :func:`effective_sigma_w` and :func:`mean_field`.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> ds = initial_gains(MLP(activation="relu"))
    >>> abs(ds.growth_rms.sel(init="he_normal").item()) < 1e-12
    True
    """
    rows = [_row(model, name) for name in initializers]
    texts = {
        "sigma_w": "standard deviation of a weight times sqrt(fan_in)",
        "q_star": "fixed point of the pre-activation mean square",
        "chi_1": "growth of the gradient mean square per layer",
        "growth_rms": "decades per layer, positive when the gradient explodes",
        "mean_field": "whether mean-field theory holds",
        "reason": "why there is no sigma_w",
    }
    data = {
        name: ("init", np.array(column), {"long_name": texts[name], "units": "1"})
        for name, column in zip(texts, zip(*rows))
    }
    attrs = {"title": "Initialisers", "validity": "asymptotic (infinite width)"}
    return xr.Dataset(data, {"init": np.array(list(initializers))}, attrs)


def _row(model: Any, name: str) -> tuple[float, float, float, float, bool, str]:
    holds = initializers[name].mean_field
    taken = dict.fromkeys(("fan", "nonzeros", "spectral_radius", "eigenvalues", "upper"))
    try:
        changed = model.with_fields(init=name, **taken)
        limit = mean_field(changed)
        sigma_w = gain(changed)
    except ValueError as error:  # said in the result
        return math.nan, math.nan, math.nan, math.nan, holds, str(error)
    numbers = (limit[v].item() for v in ("q_star", "chi_1", "growth_rms"))
    return sigma_w, *numbers, holds, ""  # type: ignore[return-value]
