"""Components of variance of balanced tables, one for every term of crossed and nested factors.

The sums of squares of all terms follow from those of each network and from one sum over networks,
so that resampled networks cost two small products.
"""

from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np

from gradsim.analysis._labels import Array

Term = tuple[str, ...]
NETWORK, EXAMPLE = "network", "example"


class Design(NamedTuple):
    """Factors within a network, in the order of the axes; examples may be nested in networks."""

    factors: Term
    nested: bool

    @property
    def terms(self) -> list[Term]:
        """Every term that has a component, by the number of its factors, networks first."""
        count = len(self.factors) + 1
        subsets = [s for k in range(count) for s in combinations(self.factors, k)]
        alone = [s for s in subsets if s and not self._hides(s)]
        found = [(NETWORK, *s) for s in subsets] + alone
        return sorted(found, key=lambda t: (len(t) - self._hides(t), NETWORK not in t))

    def _hides(self, term: Term) -> bool:
        """Whether the term is one of networks by its example alone."""
        return self.nested and EXAMPLE in term

    def name(self, term: Term) -> str:
        """Name of the component of a term; an example within a network is an example."""
        return " x ".join(f for f in term if f != NETWORK or not self._hides(term))


class Table:
    """Values (network, *levels of each factor) without holes, and their components."""

    def __init__(self, design: Design, values: Array) -> None:
        self._design = design
        self._levels = dict(zip(design.factors, values.shape[1:]))
        self._networks = len(values)
        values = values - values.mean()
        self._parts = {
            term: _part(values, [f in term for f in design.factors])
            for term in {tuple(f for f in t if f != NETWORK) for t in design.terms}
        }

    def variances(self, weights: Array) -> list[Array]:
        """Variance of every term (resample,), with each network counted `weights` times."""
        found: dict[Term, Array] = {}
        for term in reversed(self._design.terms):  # those with most factors first
            square, free = self._mean_square(term, weights)
            if not free:
                found[term] = np.full(len(weights), np.nan)
                continue
            above = [t for t in found if set(term) < set(t)]
            rest = sum(np.nan_to_num(found[t]) * self._copies(t) for t in above)
            found[term] = (square - rest) / self._copies(term)
        return [found[term] for term in self._design.terms]

    def _copies(self, term: Term) -> int:
        """Values of the table at one combination of the term's levels."""
        inside = prod(n for factor, n in self._levels.items() if factor not in term)
        return inside if NETWORK in term else inside * self._networks

    def _mean_square(self, term: Term, weights: Array) -> tuple[Array, int]:
        """Mean square (resample,) and degrees of freedom of a term."""
        own = tuple(f for f in term if f != NETWORK)
        centre, each, square = self._parts[own]
        copies = prod(n for factor, n in self._levels.items() if factor not in own)
        free, n = prod(self._levels[f] - 1 for f in own), self._networks
        if NETWORK in term and EXAMPLE in term and self._design.nested:
            total = weights @ (square + 2 * (each @ centre)) + n * (centre @ centre)
            return copies * total / max(free * n, 1), free * n
        between = _square_of_sum(weights, each) / n
        if NETWORK in term:
            total, free = weights @ square - between, free * (n - 1)
        else:
            total = n * (centre @ centre) + 2 * (weights @ (each @ centre)) + between
        return copies * total / max(free, 1), free


def _part(values: Array, inside: list[bool]) -> tuple[Array, Array, Array]:
    """Effects of one term: their mean over networks, each network's from it, and its square."""
    for axis, kept in enumerate(inside, start=1):
        mean = values.mean(axis=axis, keepdims=True)
        values = values - mean if kept else mean
    flat = values.reshape(len(values), -1)
    centre = flat.mean(axis=0)
    each = flat - centre
    return centre, each, np.einsum("sk,sk->s", each, each)


def _square_of_sum(weights: Array, each: Array) -> Array:
    """||weights @ each||^2 for every row of weights, by the smaller of two products."""
    if each.shape[1] <= len(each):
        return np.square(weights @ each).sum(axis=1)
    return np.einsum("rs,rs->r", weights @ (each @ each.T), weights)
