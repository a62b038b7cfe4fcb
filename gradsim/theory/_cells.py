"""Mean-field recursions of each cell: forward mean squares, and growth of the gradient backwards.

Plain: Poole et al. 2016, eq. 3, and Schoenholz et al. 2017. Residual: G. Yang and S. S. Schoenholz,
"Mean field residual networks: on the edge of chaos", NeurIPS 2017. Batch normalisation: G. Yang et
al., "A mean field theory of batch normalization", ICLR 2019, in the limit of a large batch.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from gradsim.activations import activations
from gradsim.theory._gaussian import given_shared
from gradsim.theory._moments import slope_square, value_mean, value_square

PLAIN = ("dense", "vanilla")
RESIDUAL = ("residual", "residual_single", "residual_pre")


class Layers(NamedTuple):
    """Pre-activation mean squares q (layer,), and the factors of E ||delta||^2, (layer - 1,)."""

    q: np.ndarray
    chi: np.ndarray


def check_cell(model: Any) -> None:
    """Refuse a model whose recursion is not known; the message names the field and the value."""
    if model.cell not in PLAIN + RESIDUAL:
        raise ValueError(
            f"mean-field theory is known for the cells {list(PLAIN + RESIDUAL)}, got {model.cell!r}"
        )
    if model.norm is not None and model.cell in RESIDUAL:
        raise ValueError(
            f"mean-field theory is known for norm={model.norm!r} in the cells {list(PLAIN)}, got "
            f"{model.cell!r}"
        )


def propagate(model: Any, sigmas: list[float], biases: list[float], state: float) -> Layers:
    """Run the recursion of a model's cell from the mean square of its input or initial state."""
    check_cell(model)
    if model.cell in RESIDUAL:
        return _residual(model, sigmas, biases, state)
    entry, q, chi, cross = activations[model.activation], [], [], 0.0
    for i, (sigma, bias) in enumerate(zip(sigmas, biases)):
        q.append(sigma * sigma * state + bias * bias)
        if i + 1 == len(sigmas):  # no slope of the last layer enters
            break
        shared = sigma * sigma * cross + bias * bias
        state, slope, cross = normalised(model, entry, q[-1], shared)
        chi.append(sigmas[i + 1] ** 2 * slope)
    return Layers(np.array(q), np.array(chi))


def normalised(model: Any, entry: Any, q: float, shared: float) -> tuple[float, float, float]:
    """What a layer does to pre-activations of mean square q, of which two examples share `shared`.

    Layer normalisation subtracts the mean over units and divides by the spread over them; batch
    normalisation does so over many examples that are alike only in what they share. Both also
    project the gradient, which at infinite width and batch changes nothing.

    Returns
    -------
    tuple of float
        Mean square of the output, E of its squared derivative, E of the product of two outputs.
    """
    slope, eps = model.slope, model.norm_eps
    if model.norm is None:  # products of two examples matter to batch normalisation alone
        return value_square(entry, q, slope), slope_square(entry, q, slope), 0.0
    if model.norm_placement == "pre":
        spread = q - (shared if model.norm == "batch" else 0.0)
        width = spread + eps
        inside, inverse = (spread / width, 1 / width) if width > 0 else (0.0, math.inf)
        cross = value_mean(entry, inside, slope) ** 2
        steep = slope_square(entry, inside, slope)
        return value_square(entry, inside, slope), steep * inverse, cross
    if model.norm == "batch" and shared > 0:
        return _post_batch(entry, q, shared, slope, eps)
    spread = value_square(entry, q, slope) - value_mean(entry, q, slope) ** 2
    return spread / (spread + eps), slope_square(entry, q, slope) / (spread + eps), 0.0


def _post_batch(
    entry: Any, q: float, shared: float, slope: float, eps: float
) -> tuple[float, float, float]:
    """Batch normalisation of outputs: what examples share moves each unit to a place of its own."""
    own = max(q - shared, 0.0)
    weights, _, spread = given_shared(lambda z: entry.value(z, slope), shared, own, entry.kinks)
    _, mean, rest = given_shared(lambda z: entry.slope(z, slope), shared, own, entry.kinks)
    steep = (mean**2 + rest) / (spread + eps)
    return float(weights @ (spread / (spread + eps))), float(weights @ steep), 0.0


def _residual(model: Any, sigmas: list[float], biases: list[float], state: float) -> Layers:
    """Blocks of width n, then one affine map; `state` is the mean square of h, `mean` its mean."""
    entry, q, growth, share = activations[model.activation], [], [], []
    alpha2, mean = model.alpha * model.alpha, 0.0
    for sigma, bias in zip(sigmas[:-1], biases[:-1]):
        w2, b2 = sigma * sigma, bias * bias
        if model.cell == "residual_pre":
            q.append(w2 * value_square(entry, state, model.slope) + b2)
            slope = slope_square(entry, state, model.slope)
            state, part = state + alpha2 * q[-1], alpha2 * w2 * slope
            growth.append(part)
            share.append(alpha2)
            continue
        q.append(w2 * state + b2)
        value = value_square(entry, q[-1], model.slope)
        slope = alpha2 * slope_square(entry, q[-1], model.slope)
        if model.cell == "residual":
            state += alpha2 * w2 * value
            share.append(slope * w2)
            growth.append(slope * w2 * w2)
        else:
            centre = model.alpha * value_mean(entry, q[-1], model.slope)
            state, mean = state + 2 * mean * centre + alpha2 * value, mean + centre
            share.append(slope)
            growth.append(slope * w2)
    last = sigmas[-1] ** 2
    if model.cell == "residual_pre":  # its last map too is behind the activation
        last *= slope_square(entry, state, model.slope)
        state = value_square(entry, state, model.slope)
    q.append(sigmas[-1] ** 2 * state + biases[-1] ** 2)
    return Layers(np.array(q), _factors(np.array(growth), np.array(share), last))


def _factors(growth: np.ndarray, share: np.ndarray, last: float) -> np.ndarray:
    """From growth - 1 of the state's gradient and its share in delta to factors of delta."""
    if not growth.size:
        return np.zeros(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (1 + growth[1:]) * share[:-1] / share[1:]
    return np.append(ratio, last * share[-1])


def limit_chi(model: Any, sigma: float) -> float:
    """Growth of E ||delta||^2 per block of a residual network whose state has grown large."""
    entry = activations[model.activation]
    power = 4 if model.cell == "residual" else 2
    return 1 + (model.alpha * sigma ** (power / 2)) ** 2 * slope_square(
        entry, math.inf, model.slope
    )
