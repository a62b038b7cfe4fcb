"""What the machine allows: the draws alone, the products alone, and its rate on large products."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .harness import Contender, Setting

GEMM_SIZE = 1024
GEMM_FLOPS = 2 * GEMM_SIZE**3


def _jit(function):
    from gradsim.kernels._jit import jit

    return jit(function)


def layer_products(weights, states, out, depth):
    """Multiply as one network's forward and backward pass do; states are (row, unit)."""
    matrices = weights.shape[0]
    for layer in range(depth):
        np.dot(states, weights[layer % matrices].T, out)
    for layer in range(depth - 1, -1, -1):
        np.dot(states, weights[layer % matrices], out)


def vector_products(weights, state, out, depth):
    """Do the same for a single row: matrix times vector."""
    matrices = weights.shape[0]
    for layer in range(depth):
        np.dot(weights[layer % matrices], state, out)
    for layer in range(depth - 1, -1, -1):
        np.dot(weights[layer % matrices].T, state, out)


class _Limit(Contender):
    """Each Python thread works on its own networks; BLAS has one thread throughout."""

    role = "limit"
    kinds = ("mlp", "rnn", "lstm")

    def _setting(self, label: str, work) -> Setting:
        pool = ThreadPoolExecutor(self.threads)

        def run(first, networks):
            share = -(-networks // self.threads)
            starts = range(first, first + networks, share)
            list(pool.map(lambda start: work(start, min(share, first + networks - start)), starts))

        return Setting(label, self.threads, run)


class Draws(_Limit):
    """Drawing the weights alone, with gradsim's own generator."""

    name = "draws alone"

    def settings(self) -> list[Setting]:
        """Return one setting: each thread its own networks."""
        from gradsim.kernels.random import NORMAL, fill

        matrices, size = self.case.matrices, self.case.width**2

        def work(start, count):
            out = np.empty(size, self.dtype)
            for seed in range(start, start + count):
                for layer in range(matrices):
                    fill(out, NORMAL, 0, layer, 0, 0, seed)

        return [self._setting(f"{self.threads} Python threads", work)]


class Products(_Limit):
    """The case's matrix products alone, at their own shapes."""

    name = "products alone"

    def settings(self) -> list[Setting]:
        """Return one setting: each thread its own networks."""
        rows, n = self.case.rows, self.case.width
        settings = [self._products("matrix products", layer_products, (rows, n))]
        if rows == 1:
            settings.append(self._products("vector products", vector_products, (n,)))
        return settings

    def _products(self, label: str, function, shape: tuple[int, ...]) -> Setting:
        kernel = _jit(function)
        n, depth = self.case.width, self.case.depth * self.case.maps

        def work(start, count):
            rng = np.random.default_rng(start)
            weights = rng.standard_normal((self.case.matrices, n, n)).astype(self.dtype)
            states = rng.standard_normal(shape).astype(self.dtype)
            out = np.empty_like(states)
            for _ in range(count):
                kernel(weights, states, out, depth)

        return self._setting(f"{label}, {self.threads} Python x 1 BLAS thread", work)


class Gemm(_Limit):
    """Large square products; one 'network' is one product."""

    name = f"GEMM {GEMM_SIZE} x {GEMM_SIZE}"

    def settings(self) -> list[Setting]:
        """Return one setting: each thread its own networks."""
        ones = np.ones((GEMM_SIZE, GEMM_SIZE), self.dtype)

        def work(_start, count):
            out = np.empty_like(ones)
            for _ in range(count):
                np.dot(ones, ones, out)

        return [self._setting(f"{self.threads} Python x 1 BLAS thread", work)]


CONTENDERS = [Draws, Products, Gemm]
