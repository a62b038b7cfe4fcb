"""Linear recurrent networks: powers of one matrix, and what its eigenvalues say of them."""

import math
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import as_numbers, whole


def linear_rnn(weights: Any, steps: int, state: Any) -> xr.Dataset:
    """Powers of one matrix: norms of W^t h_0 and W^t, and what the eigenvalues say of them.

    Exact. |lambda_1|^t is the rate after many steps; before, a matrix that is not normal may grow
    whatever its eigenvalues are.

    Parameters
    ----------
    weights
        Square matrix W (unit, unit).
    steps
        Largest power, an integer >= 1.
    state
        h_0 (unit,), not 0.

    Returns
    -------
    xarray.Dataset
        dim `step` 0..steps, float64: `log10_state_norm` = log10 ||W^t h_0||, `log10_power_norm` =
        log10 ||W^t||_2, `log10_eigenvalue` = t log10 |lambda_1|, and `top_alignment`, the squared
        cosine between W^t h_0 and the span of the eigenvectors of |lambda_1| (a pair of conjugate
        ones spans a plane).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or value.

    References
    ----------
    I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", 2016, section 10.7, eqs. 10.36 to
    10.39, and section 8.2.5 (the power method).

    Examples
    --------
    >>> ds = linear_rnn([[0.5, 10.0], [0.0, 0.5]], 3, [1.0, 0.0])
    >>> round(10 ** ds.log10_power_norm[3].item(), 6)
    7.502083
    """
    w, steps = square_matrix(weights), whole("linear_rnn", "steps", steps)
    h = as_numbers("state", state).astype(np.float64)
    if h.shape != w.shape[:1] or not np.any(h):
        raise ValueError(f"state must have shape {w.shape[:1]} and not be 0, got {brief(state)}")
    values, vectors = np.linalg.eig(w)
    size = np.abs(values)
    top = vectors[:, size >= size.max() * (1 - 1e-12)]
    plane = np.linalg.svd(np.concatenate((np.real(top), np.imag(top)), axis=1), full_matrices=False)
    basis = plane[0][:, plane[1] > 1e-9]
    rows = [_row(np.eye(len(w)), h, basis)]
    power, scales = np.eye(len(w)), [0.0, 0.0]  # log10 of what was taken out
    for _ in range(steps):
        power, h = w @ power, w @ h
        power, h = (_scaled(x, scales, i) for i, x in enumerate((power, h)))
        rows.append(_row(power, h, basis, scales))
    table = np.array(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.arange(steps + 1) * np.log10(size.max())
    rate[0] = 0.0
    texts = {
        "log10_state_norm": "log10 norm(W^t h_0)",
        "log10_power_norm": "log10 norm2(W^t)",
        "top_alignment": "squared cosine with the leading eigenspace",
        "log10_eigenvalue": "t log10 abs(lambda_1)",
    }
    columns = (*table.T, rate)
    data = {
        name: ("step", column, {"long_name": text, "units": "1", "formula": text})
        for (name, text), column in zip(texts.items(), columns)
    }
    attrs = {"title": "Linear RNN", "validity": "exact"}
    return xr.Dataset(data, {"step": np.arange(steps + 1)}, attrs)


def _scaled(x: np.ndarray, scales: list[float], i: int) -> np.ndarray:
    """Divide by the largest magnitude, and keep its log10."""
    largest = np.abs(x).max()
    if largest == 0:
        return x
    scales[i] += math.log10(largest)
    return x / largest


def _row(
    power: np.ndarray, h: np.ndarray, basis: np.ndarray, scales: Any = (0.0, 0.0)
) -> tuple[float, float, float]:
    """Logs of both norms, and the alignment."""
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.linalg.norm(h)
        aligned = np.sum((basis.T @ h) ** 2) / norm**2
        whole_norm = np.linalg.norm(power, 2)
        return np.log10(norm) + scales[1], np.log10(whole_norm) + scales[0], aligned


def square_matrix(weights: Any) -> np.ndarray:
    """Check a recurrent matrix."""
    w = as_numbers("weights", weights).astype(np.float64)
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ValueError(f"weights must be a square matrix, got shape {w.shape}")
    return w
