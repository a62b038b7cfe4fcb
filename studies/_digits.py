"""Handwritten digits with their labels, for the studies that need real data."""

from typing import Any

import numpy as np


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (example, feature) in [0, 1] and one-hot targets (example, class).

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn, which has the digits, is not installed.
    ValueError
        If there are not as many.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        needed = 'the digits come with scikit-learn: pip install "gradsim[data]"'
        raise ModuleNotFoundError(needed) from error
    data: Any = load_digits()
    if not 1 <= count <= len(data.target):
        raise ValueError(f"examples must be from 1 to {len(data.target)}, got {count}")
    return data.data[:count] / 16, np.eye(10)[data.target[:count]]


def levelled_digits(count: int, mean_square: float) -> tuple[np.ndarray, np.ndarray]:
    """Digits less their mean image, each scaled to a mean square over pixels, and targets."""
    pixels, targets = digits(count)
    pixels = pixels - pixels.mean(axis=0)
    return pixels * np.sqrt(mean_square / (pixels**2).mean(axis=1, keepdims=True)), targets
