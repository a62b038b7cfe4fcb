"""Inputs of known correlation, made for the width of the model that they are given to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real, whole
from gradsim.kernels import random
from gradsim.kernels.draws import STREAMS
from gradsim.models import MLP, RNN


@dataclass(frozen=True)
class Arrangement:
    """Examples at given angles in one random plane, all of one norm.

    Every example x has mean(x^2) = 1; an RNN has a plane of its own at each step.

    Attributes
    ----------
    angles
        Angle of each example in its plane, in radians.
    """

    angles: tuple[float, ...]

    def array(self, width: int, steps: int | None = None) -> xr.DataArray:
        """Inputs (example, feature), or (example, step, feature) for a number of steps.

        Parameters
        ----------
        width
            Features, at least 2.
        steps
            Steps of an RNN; None for an MLP.

        Returns
        -------
        xarray.DataArray
            float64, with the coordinate ``angle`` on ``example``.

        Raises
        ------
        ValueError
            For a width below 2.
        """
        if width < 2:
            raise ValueError(f"inputs of a given correlation need at least 2 features, got {width}")
        angles = np.array(self.angles)
        planes = np.array([_plane(width, t) for t in range(steps or 1)])
        sides = np.array([_cosines(angles), np.sin(angles)]).T
        values = np.sqrt(width) * np.einsum("bi,tif->btf", sides, planes)
        dims = ("example", "step", "feature")
        text = {"long_name": "angle of an example", "units": "rad"}
        coords = {"angle": ("example", angles, text)}
        if steps is None:
            return xr.DataArray(values[:, 0], dims=(dims[0], dims[2]), coords=coords)
        return xr.DataArray(values, dims=dims, coords=coords)


def _cosines(angles: np.ndarray) -> np.ndarray:
    """Cosines, exactly 0 at right angles."""
    return np.sin(np.pi / 2 - angles)


def _plane(width: int, step: int) -> np.ndarray:
    """Two orthonormal vectors (2, feature), the same in every call."""
    normals = np.empty(2 * width)
    random.fill(normals, random.NORMAL, 0, step, STREAMS["x"], np.uint64(0), np.uint64(0))
    first, second = normals.reshape(2, width)
    first = first / np.linalg.norm(first)
    for _ in range(2):  # once more, for what rounding left
        second = second - (second @ first) * first
        second = second / np.linalg.norm(second)
    return np.array([first, second])


def pair(c0: float) -> Arrangement:
    """Two examples of correlation c0: <x_1, x_2> / n_0 = c0 and mean(x^2) = 1.

    Parameters
    ----------
    c0
        Correlation in [-1, 1].

    Returns
    -------
    Arrangement
        To be given as ``inputs``; it takes the width of the model.

    Raises
    ------
    TypeError, ValueError
        If c0 is not a number in [-1, 1].

    References
    ----------
    Poole et al. (2016), Exponential expressivity in deep neural networks through transient chaos,
    equation 5: the map of correlations that such pairs measure.

    Examples
    --------
    >>> from gradsim import MLP, simulate
    >>> ds = simulate(MLP(depth=3, width=50), 2, inputs=pair(0.5), measure="correlation",
    ...               progress=False)
    >>> ds.signal_correlation.dims
    ('seed', 'layer', 'pair')
    """
    value = real("inputs.pair", "c0", c0, least=None)
    if not -1 <= value <= 1:
        raise ValueError(f"inputs.pair(c0={brief(c0)}): c0 must be in [-1, 1]")
    angle = 2 * math.atan2(math.sqrt(1 - value), math.sqrt(1 + value))
    return Arrangement((0.0, angle))


def circle(k: int) -> Arrangement:
    """K examples at equal angles on a circle of radius sqrt(n_0): a closed curve of inputs.

    Parameters
    ----------
    k
        Number of examples, at least 2.

    Returns
    -------
    Arrangement
        To be given as ``inputs``; it takes the width of the model.

    Raises
    ------
    TypeError, ValueError
        If k is not an integer of at least 2.

    References
    ----------
    Poole et al. (2016), Exponential expressivity in deep neural networks through transient chaos,
    section 3: how a circle of inputs propagates.

    Examples
    --------
    >>> circle(4).array(3).shape
    (4, 3)
    """
    count = whole("inputs.circle", "k", k)
    if count < 2:
        raise ValueError(f"inputs.circle(k={count}): k must be at least 2")
    return Arrangement(tuple(2 * math.pi * i / count for i in range(count)))


def resolve(inputs: Any, models: Sequence[MLP | RNN]) -> Any:
    """Inputs as they are given, or the array of an `Arrangement` for the width of all models.

    Raises
    ------
    ValueError
        If the models have inputs of different widths.
    """
    if not isinstance(inputs, Arrangement):
        return inputs
    widths = {m.ends[0] if isinstance(m, MLP) else m.input_width or m.width for m in models}
    if len(widths) > 1:
        raise ValueError(
            f"inputs: one arrangement must have one width, got models with {sorted(widths)}; "
            "set input_width"
        )
    steps = max(m.steps for m in models if isinstance(m, RNN)) if _recurrent(models) else None
    return inputs.array(widths.pop(), steps)


def _recurrent(models: Sequence[MLP | RNN]) -> bool:
    return isinstance(models[0], RNN)
