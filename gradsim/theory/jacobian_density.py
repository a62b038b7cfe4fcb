"""Density of the singular values of products of Gaussian matrices and masks."""

import math

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real, whole

_ANGLES = 2000
_ROUNDS = 200


def jacobian_density(
    factors: int, sigma_w: float = 1.0, *, masks: int = 0, share: float = 0.5
) -> xr.Dataset:
    """Density of the singular values of J = W D ... W D: `factors` Gaussian W, `masks` diagonal D.

    Asymptotic (infinite width, square matrices). Linear networks have no masks (Fuss-Catalan laws),
    relu networks one with every matrix, or one more where the output is relu too.

    Parameters
    ----------
    factors
        Number k of matrices, W_ij ~ N(0, sigma_w^2 / N), at least 1.
    sigma_w
        Their scale, > 0.
    masks
        Number d of masks, from 0 to k + 1.
    share
        Probability p that an entry of a mask is 1, else 0; in (0, 1].

    Returns
    -------
    xarray.Dataset
        dim `point`, rising: `log10_singular_value`, and `density` per decade; scalars `zero_share`
        (of exact zeros) and `log10_edge`, where the density ends.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    J. Pennington, S. S. Schoenholz and S. Ganguli, "The emergence of spectral universality in deep
    networks", AISTATS 2018, section 4: the S-transforms 1 / (sigma_w^2 (1 + m)) of W W^T and
    (1 + m) / (m + p) of D multiply, so that lambda = sigma_w^(2k) (1 + m)^(1 + k - d) (m + p)^d
    / m; the density is Im(1 + m) / (pi lambda) along the complex m of real lambda. Linear:
    Fuss-Catalan, K. Penson and K. Zyczkowski, Phys. Rev. E 83, 061118 (2011).

    Examples
    --------
    >>> round(10 ** jacobian_density(1).log10_edge.item(), 6)
    2.0
    """
    k, d = (
        whole("jacobian_density", "factors", factors),
        whole("jacobian_density", "masks", masks, least=0),
    )
    sigma_w, p = (
        real("jacobian_density", "sigma_w", sigma_w),
        real("jacobian_density", "share", share),
    )
    if sigma_w == 0:
        raise ValueError(f"sigma_w must be > 0, got {brief(sigma_w)}")
    if d > k + 1:
        raise ValueError(f"masks must be at most factors + 1 = {k + 1}, got {brief(masks)}")
    if not 0 < p <= 1:
        raise ValueError(f"share must be in (0, 1], got {brief(share)}")
    free = 1 + k - d
    # For each angle of m one modulus makes lambda real: the angle of the rest rises with it.
    angle = math.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES
    low, high = np.full(_ANGLES, -700.0), np.full(_ANGLES, 700.0)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        m = np.exp(middle + 1j * angle)
        less = free * np.angle(1 + m) + d * np.angle(m + p) < angle
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    m = np.exp(low + 1j * angle)
    log_square = (
        2 * k * math.log(sigma_w) + free * np.log(np.abs(1 + m)) + d * np.log(np.abs(m + p)) - low
    )
    order = np.argsort(log_square)
    density = 2 * math.log(10) * np.imag(m) / math.pi
    text = {"units": "1"}
    zeros = 1 - p if d else 0.0
    data = {
        "log10_singular_value": ("point", log_square[order] / (2 * math.log(10)),
                                 {"long_name": "log10 of a singular value", **text}),
        "density": ("point", density[order], {"long_name": "density per decade", **text}),
        "zero_share": ((), zeros, {"long_name": "share of exact zeros", **text}),
        "log10_edge": ((), log_square.max() / (2 * math.log(10)),
                       {"long_name": "log10 of the largest singular value", **text}),
    }  # fmt: skip
    attrs = {"title": "Singular values", "validity": "asymptotic (infinite width)"}
    return xr.Dataset(data, attrs=attrs)
