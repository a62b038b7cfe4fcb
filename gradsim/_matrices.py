"""Initialisers that make a matrix as a whole: one function each, from addressed numbers.

``make(draw, n_out, n_in, model)`` returns W at sigma_w = 1, float64 (n_out, n_in).
"""

from math import sqrt
from typing import Any

import numpy as np

from gradsim.kernels import random

NONZEROS = 15  # of a unit, Martens 2010


class Draw:
    """Numbers of one matrix: each call goes on where the one before stopped.

    Parameters
    ----------
    stream, layer, key, seed
        Address of the matrix.
    """

    def __init__(self, stream: int, layer: int, key: int, seed: int) -> None:
        self._address = layer, stream, np.uint64(key), np.uint64(seed)
        self._next = 0

    def _fill(self, distribution: int, shape: tuple[int, ...]) -> np.ndarray:
        out = np.empty(int(np.prod(shape)))
        random.fill(out, distribution, self._next, *self._address)
        self._next += out.size
        return out.reshape(shape)

    def normals(self, *shape: int) -> np.ndarray:
        """Standard normals."""
        return self._fill(random.NORMAL, shape)

    def uniforms(self, *shape: int) -> np.ndarray:
        """Uniforms in (0, 1)."""
        return 0.5 + self._fill(random.UNIFORM, shape) / sqrt(12)


def orthogonal(draw: Draw, n_out: int, n_in: int, model: Any = None) -> np.ndarray:
    """Haar measure: Q of a Gaussian matrix with the signs that make R's diagonal positive."""
    gauss = draw.normals(n_out, n_in)
    q, r = np.linalg.qr(gauss if n_out >= n_in else gauss.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return q if n_out >= n_in else q.T


def identity(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """Ones on the diagonal."""
    return np.eye(n_out, n_in)


def symmetric(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """Gaussian orthogonal ensemble: variance 1/n, on the diagonal 2/n."""
    gauss = draw.normals(n_out, n_in)
    return (gauss + gauss.T) / sqrt(2 * n_in)


def sparse(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """``nonzeros`` weights N(0, 1/nonzeros) at random places of each row."""
    k = min(NONZEROS, n_in) if model.nonzeros is None else model.nonzeros
    places = np.argsort(draw.uniforms(n_out, n_in), axis=1, kind="stable")[:, :k]
    weights = np.zeros((n_out, n_in))
    np.put_along_axis(weights, places, draw.normals(n_out, k) / sqrt(k), axis=1)
    return weights


def spectral_radius(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """Gaussian or sparse, over its own spectral radius."""
    if model.nonzeros is None:
        weights = draw.normals(n_out, n_in) / sqrt(n_in)
    else:
        weights = sparse(draw, n_out, n_in, model)
    # Not 0: with a weight in every row there is a cycle, which a nilpotent matrix has not.
    return weights / np.max(np.abs(np.linalg.eigvals(weights)))


def eigenvalues(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """Q diag(eigenvalues) Q^T with Haar Q."""
    q = orthogonal(draw, n_out, n_in)
    weights = (q * np.array(model.eigenvalues)) @ q.T
    return (weights + weights.T) / 2  # symmetric to the last bit


def nonnormal(draw: Draw, n_out: int, n_in: int, model: Any) -> np.ndarray:
    """Q (diag(eigenvalues) + T) Q^T with Haar Q, T strictly upper: any real Schur form."""
    q = orthogonal(draw, n_out, n_in)
    if isinstance(model.upper, tuple):
        upper = np.array(model.upper)
    else:
        upper = model.upper / sqrt(n_in) * np.triu(draw.normals(n_out, n_in), 1)
    return q @ (np.diag(model.eigenvalues) + upper) @ q.T
