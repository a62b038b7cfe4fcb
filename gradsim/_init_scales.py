"""What a model takes from its initialiser: scales, what it shares with others, and its theory."""

from math import hypot, sqrt
from typing import Any

from gradsim._initializer import SHAPING, Bias, Initializer
from gradsim.initializers import initializers


def weight_std(model: Any, fan_in: int, fan_out: int) -> float:
    """Factor on the unit draws of W, or on the matrix that was made."""
    entry = initializers[model.init]
    std = 1.0 if entry.make else entry.std(fan_in, fan_out, model.fan)
    return model.sigma_w * entry.gain(model, fan_in) * std


def input_std(model: Any) -> float:
    """Standard deviation of an entry of U."""
    entry, width = initializers[model.init], model.input_width or model.width
    own = sqrt(1 / width) if entry.make else entry.std(width, model.width, model.fan)
    return model.sigma_u * own


def init_structure(model: Any) -> tuple:
    """What of the model's initialiser cannot be a row of a shared pass."""
    entry = initializers[model.init]
    if entry.make is None:
        return entry.distribution, entry.name if entry.bias != Bias() else ""
    key = (entry.name, *(getattr(model, name) for name in SHAPING if name != "spectral_radius"))
    nests = not isinstance(getattr(model, "output_width", None), int)
    return key if nests or model.ends[1] == model.width else (*key, model.depth)


def bias_spread(model: Any, fan_in: int) -> float:
    """Standard deviation of what the previous layer does not set: b, and U x of unit inputs."""
    bias = model.sigma_b * initializers[model.init].bias.std(fan_in)
    if getattr(model, "sigma_u", 0.0) == 0:
        return bias
    return hypot(bias, input_std(model) * sqrt(model.input_width or model.width))


def gain(model: Any, width: int | None = None) -> float:
    """Standard deviation of a weight times sqrt(fan_in) in a square layer of the model.

    It is the sigma_w of mean-field theory for the model's initialiser.

    Parameters
    ----------
    model
        MLP or RNN.
    width
        Units of the layer; None means the hidden width.

    Raises
    ------
    ValueError
        If the theory does not hold for the initialiser, or the gain depends on the width and the
        hidden layers have several.
    """
    entry = initializers[model.init]
    if not entry.mean_field:
        raise ValueError(f"mean-field theory does not hold for init={model.init!r}")
    hidden = (model.width,) if isinstance(model.width, int) else model.width[1:-1] or model.width
    gains = {_gain(entry, model, n) for n in (hidden if width is None else (width,))}
    if max(gains) - min(gains) > 1e-12:
        raise ValueError(f"init={model.init!r} has another gain in layers of other widths")
    return gains.pop()


def _gain(entry: Initializer, model: Any, n: int) -> float:
    squared = entry.scale * n if entry.fan == "-" else entry.scale
    return model.sigma_w * entry.gain(model, n) * sqrt(squared)
