"""Time constants of gated, leaky and delayed recurrent units, where the recurrence is linear."""

import math

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real, whole
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._labelled import labelled


def gate(bias: float, spread: float = 0.0) -> xr.Dataset:
    """Forgetting of a memory whose gate is f = sigmoid(bias + spread Z), drawn anew at every step.

    Exact for the path through the memory alone (an LSTM's cell with no recurrent weights; the z of
    a GRU): the mean of the product over T steps is mean^T, the typical one exp(T mean_log).

    Parameters
    ----------
    bias
        Bias of the forget gate (LSTM) or of z (GRU).
    spread
        Standard deviation of what inputs add to it, at least 0.

    Returns
    -------
    xarray.Dataset
        Scalars `mean` = E f, `mean_log` = E ln f, `var_log` = Var ln f, and `time_constant` =
        -1 / E ln f, in steps.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite number or `spread` is negative.

    References
    ----------
    F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12, 2451
    (2000); I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", 2016, eqs. 10.40 to 10.44.

    Examples
    --------
    >>> round(gate(1.0).time_constant.item(), 4)
    3.1922
    """
    bias = real("gate", "bias", bias, least=None)
    variance = real("gate", "spread", spread) ** 2

    def log_f(z: np.ndarray) -> np.ndarray:
        return -np.logaddexp(0.0, -(bias + z))

    mean = gaussian_mean(lambda z: np.exp(log_f(z)), variance)
    mean_log = gaussian_mean(log_f, variance)
    values = {
        "mean": (mean, "mean of the gate", "E f"),
        "mean_log": (mean_log, "mean log of the gate", "E ln f"),
        "var_log": (
            gaussian_mean(lambda z: (log_f(z) - mean_log) ** 2, variance),
            "variance of the log of the gate",
            "Var ln f",
        ),
        "time_constant": (
            -1 / mean_log if mean_log < 0 else math.inf,
            "time constant in steps",
            "-1 / E ln f",
        ),
    }
    return labelled("Gate", "exact", values)


def chrono_retention(longest: float, steps: int) -> float:
    """Mean over units of what is kept after `steps`, under chrono initialisation. Exact.

    Forget biases are ln U, U uniform on [1, longest - 1], so that a gate is f = U / (1 + U).

    Parameters
    ----------
    longest
        T_max > 2, the longest dependency expected.
    steps
        Number of steps, at least 1.

    Returns
    -------
    float
        E f^steps.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018, eq. 16.

    Examples
    --------
    >>> round(chrono_retention(100, 10), 8)
    0.73258937
    """
    top, steps = real("chrono_retention", "longest", longest) - 1, whole("chrono", "steps", steps)
    if top <= 1:
        raise ValueError(f"longest must be > 2, got {brief(longest)}")
    x, w = np.polynomial.legendre.leggauss(64)
    edges = np.geomspace(1.0, top, 33)  # panels in proportion: f changes where U does
    half = np.diff(edges)[:, None] / 2
    u = edges[:-1, None] + half * (1 + x)
    kept = np.exp(-steps * np.log1p(1 / u))
    return float(np.sum(half * w * kept) / (top - 1))


def leaky(leak: float, gain: float = 0.0) -> xr.Dataset:
    """Largest modulus and time constant of a linear leaky unit: (1 - leak) I + leak W.

    Asymptotic (infinite width) for Gaussian W of that gain; exact for gain = 0.

    Parameters
    ----------
    leak
        Share of the new value, in [0, 1].
    gain
        Spectral radius sigma_w of W.

    Returns
    -------
    xarray.Dataset
        Scalars `radius` = 1 - leak + leak gain, and `time_constant` = -1 / ln radius, in steps (inf
        where the radius is 1 or more).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    H. Jaeger, M. Lukosevicius, D. Popovici and U. Siewert, "Optimization and applications of echo
    state networks with leaky-integrator neurons", Neural Networks 20, 335 (2007).

    Examples
    --------
    >>> round(leaky(0.1).radius.item(), 3)
    0.9
    """
    leak, gain = real("leaky", "leak", leak), real("leaky", "gain", gain)
    if leak > 1:
        raise ValueError(f"leak must be in [0, 1], got {brief(leak)}")
    radius = 1 - leak + leak * gain
    values = {
        "radius": (radius, "largest modulus of the eigenvalues", "1 - leak + leak gain"),
        "time_constant": (_time_constant(radius), "time constant in steps", "-1 / ln radius"),
    }
    validity = "exact" if gain == 0 else "asymptotic (infinite width)"
    return labelled("Leaky unit", validity, values)


def skip(weight: float, strength: float, delay: int, steps: int) -> xr.Dataset:
    """Impulse response of h_t = weight h_(t-1) + strength h_(t-delay), and its largest root.

    Exact.

    Parameters
    ----------
    weight, strength
        The connections of one step and of `delay` steps.
    delay
        Steps that the second one spans, at least 1.
    steps
        Length of the response, at least 1.

    Returns
    -------
    xarray.Dataset
        dim `step` 0..steps: `response` = dh_t / dh_0; scalars `radius`, the largest modulus of the
        roots of z^delay = weight z^(delay-1) + strength, and `time_constant` = -1 / ln radius.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    T. Lin, B. G. Horne, P. Tino and C. L. Giles, IEEE Trans. Neural Networks 7, 1329 (1996);
    Goodfellow et al. 2016, section 10.9.1 (gradients fall as tau / delay).

    Examples
    --------
    >>> round(skip(0.5, 0.4, 10, 20).radius.item(), 10)
    0.9799558731
    """
    weight = real("skip", "weight", weight, least=None)
    strength = real("skip", "strength", strength, least=None)
    delay, steps = whole("skip", "delay", delay), whole("skip", "steps", steps)
    response = np.zeros(steps + 1)
    response[0] = 1.0
    for t in range(1, steps + 1):
        far = response[t - delay] if t >= delay else 0.0
        response[t] = weight * response[t - 1] + strength * far
    polynomial = np.zeros(delay + 1)
    polynomial[0] = 1.0
    polynomial[1] -= weight
    polynomial[-1] -= strength
    radius = float(np.abs(np.roots(polynomial)).max())
    values = {
        "response": (response, "impulse response", "dh_t / dh_0", "step"),
        "radius": (radius, "largest modulus of the roots", "z^d = weight z^(d-1) + strength"),
        "time_constant": (_time_constant(radius), "time constant in steps", "-1 / ln radius"),
    }
    return labelled("Skip", "exact", values, {"step": np.arange(steps + 1)})


def _time_constant(radius: float) -> float:
    if radius >= 1:
        return math.inf
    return -1 / math.log(radius) if radius > 0 else 0.0
