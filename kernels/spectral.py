"""Largest singular value of a matrix, by Lanczos steps on M^T M with full reorthogonalisation.

Golub and Van Loan, Matrix Computations (4th ed.), chapter 10.  A value is accepted when its
residual says that an eigenvalue of M^T M lies within 1e-10 of it, relatively; after as many steps
as there are columns the tridiagonal matrix is M^T M itself in another basis.
"""

import numpy as np

from ._jit import jit
from .sums import dot

ONE = np.float64(1)
TOLERANCE = 1e-10  # of the eigenvalue; half of it of the singular value
STEPS = 512  # between restarts
EVERY = 4  # steps between looks at the residual


@jit
def _norm(v):
    """Euclidean norm of v (units,), whose entries are of a usual size."""
    return np.sqrt(dot(v, 0, v, 0, v.size, ONE, ONE))


@jit
def _start(v):
    """Fill v with a unit vector without structure: fractions of multiples of squares."""
    for i in range(v.size):
        t = 0.6180339887498949 * ((i + 1.0) * (i + 1.0) % 1048576.0)
        v[i] = t - np.floor(t) - 0.3
    size = _norm(v)
    for i in range(v.size):
        v[i] /= size


@jit
def _above(alpha, beta, k, t):
    """Whether t lies above all eigenvalues of the tridiagonal matrix of order k (Sturm)."""
    d = t - alpha[0]
    for j in range(1, k):
        if d <= 0.0:
            return False
        d = (t - alpha[j]) - beta[j - 1] * beta[j - 1] / d
    return d > 0.0


@jit
def _top(alpha, beta, k, low):
    """Largest eigenvalue of the tridiagonal matrix of order k, which is at least ``low``."""
    high = 0.0
    for j in range(k):
        low = max(low, alpha[j])
        left, right = beta[j - 1] if j > 0 else 0.0, beta[j] if j < k - 1 else 0.0
        high = max(high, alpha[j] + left + right)
    high *= 1.0 + 1e-15
    while high - low > 1e-14 * high:
        middle = 0.5 * (low + high)
        if _above(alpha, beta, k, middle):
            high = middle
        else:
            low = middle
    return high


@jit
def _top_vector(alpha, beta, k, top, p):
    """Eigenvector p (k,) of the largest eigenvalue, from its last entry 1 up; returns its norm."""
    p[k - 1], square = 1.0, 1.0
    for j in range(k - 1, 0, -1):
        below = beta[j] * p[j + 1] if j < k - 1 else 0.0
        p[j - 1] = ((top - alpha[j]) * p[j] - below) / beta[j - 1]
        square += p[j - 1] * p[j - 1]
    return np.sqrt(square)


@jit
def _next(basis, k, w, c):
    """Make w (units,) orthogonal to rows 0..k of the basis, twice; returns its norm."""
    for _ in range(2):
        np.dot(basis[: k + 1], w, c[: k + 1])
        for j in range(k + 1):
            for i in range(w.size):
                w[i] -= c[j] * basis[j, i]
    return _norm(w)


@jit
def largest_singular(m, basis, u, work, stop):
    """Largest singular value of m (rows, columns), finite and of a usual size.

    basis (steps + 1, columns), u (rows,) and work (4, steps + 1) are scratch; steps is the smaller
    of the columns and `STEPS`.  A ``stop`` (1, 1) is seen within a step; the value is then none.
    """
    steps = basis.shape[0] - 1
    alpha, beta, p, c = work[0], work[1], work[2], work[3]
    top = 0.0
    _start(basis[0])
    while True:
        for k in range(steps):
            if stop[0, 0]:
                return np.nan
            w = basis[k + 1]
            np.dot(m, basis[k], u)
            np.dot(u, m, w)
            alpha[k] = dot(u, 0, u, 0, u.size, ONE, ONE)
            beta[k] = _next(basis, k, w, c)
            ended = beta[k] <= 1e-14 * max(top, alpha[k]) or k + 1 == m.shape[1]
            if ended or k % EVERY == EVERY - 1 or k + 1 == steps:
                top = _top(alpha, beta, k + 1, top if k > 0 else 0.0)
                size = _top_vector(alpha, beta, k + 1, top, p)
                if ended or beta[k] <= TOLERANCE * top * size:
                    return np.sqrt(top)
            for i in range(w.size):
                w[i] /= beta[k]
        for i in range(m.shape[1]):  # start again from the best vector so far
            total = 0.0
            for j in range(steps):
                total += p[j] * basis[j, i]
            basis[steps, i] = total / size
        for i in range(m.shape[1]):
            basis[0, i] = basis[steps, i]
