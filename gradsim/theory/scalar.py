"""Products of scalar weights: shared over time against independent ones."""

import math

import numpy as np
import xarray as xr

from gradsim._validate import real, whole
from gradsim.theory import _layer_law
from gradsim.theory._labelled import labelled
from gradsim.theory._layer_law import Slopes

_LINEAR = Slopes(1.0, 1.0)


def scalar_product(
    steps: int, sigma_w: float = 1.0, tied: bool = False, *, below: float = 1e-3, above: float = 1e3
) -> xr.Dataset:
    """Law of the product of `steps` scalar weights w ~ N(0, sigma_w^2), shared or independent.

    Exact. Independent weights keep the mean square at sigma_w = 1, and yet typically vanish as
    exp(-0.635 steps); a shared weight has the same typical product, but its log has a standard
    deviation in proportion to the steps, not to their root.

    Parameters
    ----------
    steps
        Number of factors T, at least 1.
    sigma_w
        Standard deviation of a weight, > 0.
    tied
        Whether all factors are the same weight.
    below, above
        Sizes that count as vanished and as exploded, > 0.

    Returns
    -------
    xarray.Dataset
        Scalars, float64, natural logs: `log_mean_square` = ln E prod^2, `mean_log` = E ln |prod|,
        `var_log`, `below_probability` = P(|prod| < below), `above_probability` = P(|prod| > above).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", 2016, section 10.7 (the variance of
    the product is v^n); D. Sussillo and L. F. Abbott, arXiv:1412.6558 (the typical product).

    Examples
    --------
    >>> ds = scalar_product(10)
    >>> ds.log_mean_square.item(), round(ds.mean_log.item(), 4)
    (0.0, -6.3518)
    """
    from scipy.special import erf, erfc, gammaln  # slow to import

    steps = whole("scalar_product", "steps", steps)
    sizes = {"sigma_w": sigma_w, "below": below, "above": above}
    for name, value in sizes.items():
        if real("scalar_product", name, value) == 0:
            raise ValueError(f"scalar_product({name}=0): {name} must be > 0")
    law, scale = _layer_law.cumulants(_LINEAR, 1), math.log(sigma_w)
    mean = steps * (law.mean / 2 + scale)
    if tied:  # E w^(2T) = (2T - 1)!!
        log_square = 2 * steps * scale + float(
            gammaln(steps + 0.5) - gammaln(0.5) + steps * math.log(2)
        )
        ends = [math.exp(math.log(c) / steps) / sigma_w / math.sqrt(2) for c in (below, above)]
        low, high = float(erf(ends[0])), float(erfc(ends[1]))
    else:
        log_square = 2 * steps * scale
        ends = [2 * (math.log(c) - steps * scale) for c in (below, above)]
        found = _layer_law.distribution(_LINEAR, [1] * steps, np.array(ends))
        low, high = float(found[0]), 1 - float(found[1])
    values = {
        "log_mean_square": (log_square, "ln of the mean square", "ln E prod^2"),
        "mean_log": (mean, "mean log", "E ln abs(prod)"),
        "var_log": (
            law.variance / 4 * steps * (steps if tied else 1),
            "variance of the log",
            "Var ln abs(prod)",
        ),
        "below_probability": (low, f"probability below {below:g}", "P(abs(prod) < below)"),
        "above_probability": (high, f"probability above {above:g}", "P(abs(prod) > above)"),
    }
    return labelled("Product of scalar weights", "exact", values)
