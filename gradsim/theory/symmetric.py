"""Powers of one Gaussian matrix, symmetric or not."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

from gradsim._validate import real, whole

MOST_STEPS = 5  # the terms grow as (2 t - 1)!! 2^t
MOST_TIED = 6  # the terms grow as (2 t - 1)!!


def symmetric_growth(width: int, steps: int, sigma_w: float = 1.0) -> float:
    """E ||W^t v||^2 / ||v||^2 for a symmetric Gaussian W, shared by all steps.

    Exact at any width, for off-diagonal entries of variance sigma_w^2 / N and diagonal ones of
    twice that (init="symmetric"). The spectral radius tends to 2 sigma_w, so that the critical
    sigma_w of many steps is 1/2.

    Parameters
    ----------
    width
        Units N, an integer >= 1.
    steps
        Power t, from 1 to 5.
    sigma_w
        Standard deviation of an entry off the diagonal times sqrt(N).

    Returns
    -------
    float
        sigma_w^(2 t) m_2t, with m_2t = E tr W^(2 t) / N at sigma_w = 1: (1 + n), (2 + 5 n + 5 n^2),
        (5 + 22 n + 52 n^2 + 41 n^3), ... for n = 1/N, the Catalan numbers at infinite width.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    E. P. Wigner, Ann. Math. 62, 548 (1955); by Wick's formula: a sum over pairings of the factors,
    each pair in two orientations, of N to the number of free indices.

    Examples
    --------
    >>> symmetric_growth(20, 1)
    1.05
    """
    return _growth("symmetric_growth", width, steps, sigma_w, MOST_STEPS, _terms)


def tied_growth(width: int, steps: int, sigma_w: float = 1.0) -> float:
    """E ||W^t v||^2 / ||v||^2 for a Gaussian W that is shared by all steps.

    Exact at any width, for real entries of variance sigma_w^2 / N. Weights drawn anew at every step
    have sigma_w^(2 t); sharing them adds a part that is small in 1/N and grows with the steps.

    Parameters
    ----------
    width
        Units N, an integer >= 1.
    steps
        Power t, from 1 to 6.
    sigma_w
        Standard deviation of an entry times sqrt(N).

    Returns
    -------
    float
        sigma_w^(2 t) E tr(W^t (W^T)^t) / N at sigma_w = 1: 1, 1 + 2 n^2, 1 + 10 n^2 + 4 n^3, ...
        for n = 1/N.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    J. Ginibre, J. Math. Phys. 6, 440 (1965) (the ensemble); by Wick's formula: a sum over pairings
    of the factors of N to the number of free indices.

    Examples
    --------
    >>> tied_growth(10, 2)
    1.02
    """
    return _growth("tied_growth", width, steps, sigma_w, MOST_TIED, _tied_terms)


def _growth(
    where: str, width: int, steps: int, sigma_w: float, most: int, terms: Callable[[int], Counter]
) -> float:
    """sigma_w^(2 steps) times the sum of N to the number of free indices, over N^(steps + 1)."""
    width, steps = whole(where, "width", width), whole(where, "steps", steps)
    sigma_w = real(where, "sigma_w", sigma_w)
    if steps > most:
        raise ValueError(
            f"{where}(steps={steps}): steps must be at most {most}, the number of terms grows too "
            "fast"
        )
    total = sum(count * width**free for free, count in terms(steps).items())
    return sigma_w ** (2 * steps) * total / width ** (steps + 1)


@cache
def _tied_terms(steps: int) -> Counter:
    """Number of terms of E tr(W^steps (W^T)^steps) by their number of free indices."""
    size, found = 2 * steps, Counter()
    # (row, column) of each factor, by the places of its indices on the circle
    ends = [(p, p + 1) if p < steps else ((p + 1) % size, p) for p in range(size)]
    for pairs in _pairings(tuple(range(size))):
        parent = list(range(size))
        for p, q in pairs:
            for a, b in zip(ends[p], ends[q]):
                parent[_root(parent, a)] = _root(parent, b)
        found[sum(parent[i] == i for i in range(size))] += 1
    return found


@cache
def _terms(steps: int) -> Counter:
    """Number of terms of E tr W^(2 steps) by their number of free indices."""
    size, found = 2 * steps, Counter()
    for pairs in _pairings(tuple(range(size))):
        for turned in product((False, True), repeat=steps):
            parent = list(range(size))
            for (p, q), turn in zip(pairs, turned):
                ends = (q + 1, q) if turn else (q, q + 1)
                for a, b in zip((p, p + 1), ends):
                    parent[_root(parent, a % size)] = _root(parent, b % size)
            found[sum(parent[i] == i for i in range(size))] += 1
    return found


def _pairings(items: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], ...]]:
    """All ways to pair the items off."""
    if not items:
        yield ()
        return
    first, *rest = items
    for i, other in enumerate(rest):
        for pairs in _pairings((*rest[:i], *rest[i + 1 :])):
            yield ((first, other), *pairs)


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        i = parent[i]
    return i
