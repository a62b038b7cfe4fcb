"""Powers of one symmetric Gaussian matrix."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product

from gradsim._validate import real, whole

MOST_STEPS = 5  # the terms grow as (2 t - 1)!! 2^t


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
    width = whole("symmetric_growth", "width", width)
    steps = whole("symmetric_growth", "steps", steps)
    sigma_w = real("symmetric_growth", "sigma_w", sigma_w)
    if steps > MOST_STEPS:
        raise ValueError(
            f"symmetric_growth(steps={steps}): steps must be at most {MOST_STEPS}, the number of "
            "terms grows too fast"
        )
    total = sum(count * width**free for free, count in _terms(steps).items())
    return sigma_w ** (2 * steps) * total / width ** (steps + 1)


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
