"""The law of single derivatives: how the sizes of dC/dW_jk and dC/db_j are spread in a layer."""

import math

import numpy as np
import xarray as xr

from gradsim.activations import activations
from gradsim.kernels.activations import Activation
from gradsim.theory.length_map import check_variance

_BIN = 0.01  # decades
_LOW, _HIGH = -10.0, 4.0  # of one factor; a convolution reaches further
_POINTS = 2**15


def partial_law(
    activation: str, q: float, q_below: float | None = None, *, slope: float = 0.01
) -> xr.Dataset:
    """Law of log10 |dC/dW_jk| and log10 |dC/db_j| within one hidden layer of one example.

    Asymptotic (infinite width): delta_j = phi'(sqrt(q) Z) G and a_k = phi(sqrt(q_below) Z') with
    independent normal Z, Z' and G, so that the log of a derivative is a sum of independent logs.
    Sizes are relative to the root mean square of the layer's derivatives, ||dC/dW|| / sqrt(number).

    Parameters
    ----------
    activation, slope
        As in :func:`q_map`.
    q
        Mean square of the layer's pre-activations, >= 0.
    q_below
        That of the layer below; None for the first layer with normal inputs.

    Returns
    -------
    xarray.Dataset
        dim `bin` with coordinate `log10_partial`, the lower edge of a bin of 0.01 decade:
        `weight_density` and `bias_density` per decade, to about 0.01 decade; they and the scalars
        `weight_zero_share` and `bias_zero_share` add up to 1.

    Raises
    ------
    ValueError
        If the activation is unknown or a mean square is negative or not finite.

    References
    ----------
    The independence of z, of what comes back and of the layer below is that of mean field: S. S.
    Schoenholz, J. Gilmer, S. Ganguli and J. Sohl-Dickstein, "Deep information propagation", ICLR
    2017, section 4; the law itself is derived here.

    Examples
    --------
    >>> law = partial_law("relu", 1.0, 1.0)
    >>> round(law.weight_zero_share.item(), 3)
    0.75
    """
    entry = activations[activation]
    check_variance(q)
    z = _normal_points()
    slopes = np.abs(entry.slope(math.sqrt(q) * z, slope))
    if q_below is None:
        below, square, zeros = _normal_masses(), 1.0, 0.0
    else:
        check_variance(q_below)
        below, square, zeros = _masses(np.abs(_value(entry, q_below, z, slope)))
    back, steep, dead = _masses(slopes)
    bias = np.convolve(back, _normal_masses())
    weight = np.convolve(bias, below)
    weight = _centred(weight, 3, 0.5 * math.log10(steep * square) if steep * square > 0 else 0.0)
    bias = _centred(bias, 2, 0.5 * math.log10(steep) if steep > 0 else 0.0)
    text = {"units": "1"}
    data = {
        "weight_density": ("bin", weight / _BIN, {"long_name": "density per decade", **text}),
        "bias_density": ("bin", bias / _BIN, {"long_name": "density per decade", **text}),
        "weight_zero_share": ((), 1 - (1 - dead) * (1 - zeros),
                              {"long_name": "share of exact zeros", **text}),
        "bias_zero_share": ((), dead, {"long_name": "share of exact zeros", **text}),
    }  # fmt: skip
    edges = _LOW + _BIN * np.arange(weight.size)
    prose = {"long_name": "log10 of a derivative over the layer's rms, lower edge", "units": "1"}
    ds = xr.Dataset(data, {"log10_partial": ("bin", edges, prose)})
    return ds.assign_attrs(title="Law of partials", validity="asymptotic (infinite width)")


def _value(entry: Activation, q: float, z: np.ndarray, slope: float) -> np.ndarray:
    return np.asarray(entry.value(math.sqrt(q) * z, slope), np.float64)


def _normal_points() -> np.ndarray:
    """Standard normal numbers of equal weight."""
    from scipy.special import ndtri  # slow to import

    return ndtri((np.arange(_POINTS) + 0.5) / _POINTS)


def _masses(sizes: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Masses of log10 of the sizes by bin, their mean square and the share that is 0."""
    live = sizes[sizes > 0]
    places = np.floor((np.log10(live) - _LOW) / _BIN).astype(np.int64)
    count = round((_HIGH - _LOW) / _BIN)
    found = np.bincount(np.clip(places, 0, count - 1), minlength=count)
    return found / sizes.size, float(np.mean(sizes**2)), 1 - live.size / sizes.size


def _normal_masses() -> np.ndarray:
    """Masses of log10 |G| by bin."""
    from scipy.special import erf  # slow to import

    edges = 10.0 ** (_LOW + _BIN * np.arange(round((_HIGH - _LOW) / _BIN) + 1))
    edges[0] = 0.0
    return np.diff(erf(edges / math.sqrt(2)))


def _centred(masses: np.ndarray, terms: int, rms: float) -> np.ndarray:
    """Masses on the grid of one factor, of a sum of ``terms`` factors, in units of the rms."""
    shift = (terms - 1) * (_LOW + 0.5 * _BIN) - rms
    grid = _LOW + _BIN * (np.arange(round((_HIGH - _LOW) / _BIN)) + 0.5)
    middle = _LOW + shift + _BIN * (np.arange(masses.size) + 0.5)
    return np.interp(grid, middle, masses, left=0.0, right=0.0)
