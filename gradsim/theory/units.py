"""One recurrent unit: its folds, its largest factor, and the gradient of a power."""

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import choice, real, whole
from gradsim.activations import activations
from gradsim.theory._labelled import labelled

_SIGMOIDAL = ("sigmoid", "tanh", "erf", "arctan", "softsign")  # phi' falls from 0 out


def saddle_nodes(weight: float, activation: str = "sigmoid") -> xr.Dataset:
    """Biases at which one unit, x_t = w phi(x_(t-1)) + b, gains or loses two fixed points.

    Exact. Between the two biases the unit has two attractors; where b crosses one of them an
    attractor vanishes and the state jumps, and the gradient in b is infinite at that point.

    Parameters
    ----------
    weight
        Self-weight w, finite and above 1 / gamma: below there is one fixed point at every bias.
    activation
        One of the sigmoidal activations, whose slope falls from 0 outwards.

    Returns
    -------
    xarray.Dataset
        dim `fold` (lower and upper state): `state` x with w phi'(x) = 1 and `bias` = x - w phi(x);
        scalars `symmetric_bias`, at which 0 is a fixed point, and `multiplier` = w phi'(0), its
        dx_t / dx_(t-1).

    Raises
    ------
    TypeError, ValueError
        If the activation is no such one or `weight` is out of range.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013, section 2.2 and figure 3, after K. Doya, ISCAS 1992.

    Examples
    --------
    >>> [round(bias, 9) for bias in saddle_nodes(5.0).bias.values.tolist()]
    [-2.344389661, -2.655610339]
    """
    from scipy.optimize import brentq  # slow to import

    entry = activations[choice("saddle_nodes", "activation", activation, _SIGMOIDAL)]
    weight = real("saddle_nodes", "weight", weight, least=None)
    steepest = entry.gamma(0.0)
    if not weight * steepest > 1:
        raise ValueError(
            f"weight must be above 1 / gamma = {1 / steepest:g}, below which there is one fixed "
            f"point at every bias, got {brief(weight)}"
        )

    def excess(x: float) -> float:
        return float(weight * entry.slope(np.array(x), 0.0)) - 1

    far = 1.0
    while excess(far) > 0:
        far *= 2
    x = float(brentq(excess, 0.0, far, xtol=1e-15, rtol=1e-14))  # type: ignore[arg-type]
    states = np.array([-x, x])
    biases = states - weight * entry.value(states, 0.0)
    centre = -weight * float(entry.value(np.zeros(1), 0.0)[0])
    values = {
        "state": (states, "state at the fold", "w phi'(x) = 1", "fold"),
        "bias": (biases, "bias of the fold", "x - w phi(x)", "fold"),
        "symmetric_bias": (centre, "bias at which 0 is a fixed point", "-w phi(0)"),
        "multiplier": (weight * float(entry.slope(np.zeros(1), 0.0)[0]), "dx_t / dx_(t-1) there",
                       "w phi'(0)"),
    }  # fmt: skip
    return labelled("Saddle-node bifurcations", "exact", values)


def largest_factor(activation: str = "sigmoid", unit_input: float = 1.0) -> xr.Dataset:
    """Largest factor |w phi'(w a)| by which one weight can scale an error, over all weights w.

    Exact. A factor can exceed 1 only for an input of less than `largest_factor` at a = 1: larger
    weights saturate the unit that they drive.

    Parameters
    ----------
    activation
        One of the sigmoidal activations.
    unit_input
        Activity a of the unit that the weight reads, not 0.

    Returns
    -------
    xarray.Dataset
        Scalars `factor` = max_w |w phi'(w a)|, `weight`, where it is taken, and `net` = w a.

    Raises
    ------
    TypeError, ValueError
        If the activation is no such one or `unit_input` is 0 or not finite.

    References
    ----------
    S. Hochreiter, Y. Bengio, P. Frasconi and J. Schmidhuber, "Gradient flow in recurrent nets: the
    difficulty of learning long-term dependencies", 2001, section 2 (w = coth(net / 2) / a for the
    logistic sigmoid), after S. Hochreiter's thesis, 1991.

    Examples
    --------
    >>> round(largest_factor().factor.item(), 10)
    0.2238716023
    """
    from scipy.optimize import brentq  # slow to import

    entry = activations[choice("largest_factor", "activation", activation, _SIGMOIDAL)]
    a = real("largest_factor", "unit_input", unit_input, least=None)
    if a == 0:
        raise ValueError(f"unit_input must not be 0, got {brief(unit_input)}")

    def rise(z: float) -> float:  # derivative of z phi'(z)
        x = np.array(z)
        return float(entry.slope(x, 0.0) + x * entry.second(x, 0.0))

    far = 1.0
    while rise(far) > 0:
        far *= 1.5
    net = float(brentq(rise, 1e-3, far, xtol=1e-15, rtol=1e-14))  # type: ignore[arg-type]
    values = {
        "factor": (net * float(entry.slope(np.array(net), 0.0)) / abs(a), "largest factor",
                   "max over w of abs(w phi'(w a))"),
        "weight": (net / a, "weight of the largest factor", "net / a"),
        "net": (net, "net input there", "w a"),
    }  # fmt: skip
    return labelled("Largest factor", "exact", values)


def shared_weight(weight: float, steps: int, state: float = 1.0) -> xr.Dataset:
    """State of one linear unit after `steps`, x_T = w^T x_0, and its derivatives in the weight.

    Exact. Gradient and curvature explode together: their ratio falls as 1 / T only.

    Parameters
    ----------
    weight, state
        w and x_0, finite.
    steps
        T, at least 1.

    Returns
    -------
    xarray.Dataset
        Scalars `state` = w^T x_0, `gradient` = T w^(T-1) x_0 and `curvature` = T (T-1) w^(T-2) x_0.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.
    OverflowError
        If a value is beyond the range of a float.

    References
    ----------
    Pascanu, Mikolov and Bengio 2013, section 2.3 (the cliff; first and second derivatives grow
    together).

    Examples
    --------
    >>> round(shared_weight(1.1, 50).gradient.item(), 6)
    5335.947858
    """
    w = real("shared_weight", "weight", weight, least=None)
    x = real("shared_weight", "state", state, least=None)
    t = whole("shared_weight", "steps", steps)
    second = t * (t - 1) * w ** (t - 2) * x if t > 1 else 0.0
    values = {
        "state": (w**t * x, "state", "w^T x_0"),
        "gradient": (t * w ** (t - 1) * x, "derivative in the weight", "dx_T / dw"),
        "curvature": (second, "second derivative in the weight", "d^2 x_T / dw^2"),
    }
    return labelled("One linear unit", "exact", values)
