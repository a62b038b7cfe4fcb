"""JAX contenders: the natural script, and a tuned one."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .cases import SLOPES_FROM_VALUE, Case
from .harness import Contender, Setting, on_threads

VALUES = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "identity": lambda z: z,
}


def configure(dtype: str) -> None:
    """Set the precision of this process; float32 runs leave x64 off."""
    jax.config.update("jax_enable_x64", dtype == "float64")


def draw(case: Case, dtype: str, seed):
    """Weights (matrix, unit, unit) at sigma_w = 1, input and target of network ``seed``."""
    n = case.width
    keys = jax.random.split(jax.random.key(seed), 3)
    weights = jax.random.normal(keys[0], (case.matrices, n, n), dtype) / np.sqrt(n).astype(dtype)
    return weights, jax.random.normal(keys[1], (n,), dtype), jax.random.normal(keys[2], (n,), dtype)


def log_norms(case: Case, delta, previous, gradients) -> dict:
    """log10 norms from deltas and states (step, row, unit), gradients (state step, row, unit)."""
    norm = partial(jnp.linalg.norm, axis=-1)
    norms = {"delta": norm(delta).T, "weight": (norm(delta) * norm(previous)).T}
    if case.tied:
        norms["state"] = norm(gradients).T
    if case.total:
        norms["total"] = total_norm(delta, previous)
    return {name: jnp.log10(value) for name, value in norms.items()}


def total_norm(delta, previous):
    """Norm of the weight gradient summed over steps, by row (one product a row is fastest)."""

    def row(pair):
        return jnp.linalg.norm(pair[0].T @ pair[1])

    return lax.map(row, (delta.swapaxes(0, 1), previous.swapaxes(0, 1)))


def natural_row(case: Case, weights, x, y, sigma, phi):
    """Deltas, previous states and state gradients (step, unit) of one condition, by autodiff.

    Gradients per layer are derivatives with respect to zeros added to z and to the state.
    """
    n = case.width

    def loss(z_shift, state_shift):
        def step(state, scanned):
            matrix, dz, dh = scanned
            matrix = weights[0] if case.tied else matrix
            return phi(sigma * (matrix @ state) + dz) + dh, state

        matrices = None if case.tied else weights
        first = x + state_shift[0]
        last, previous = lax.scan(step, first, (matrices, z_shift, state_shift[1:]))
        return 0.5 * jnp.sum((y - last) ** 2), previous

    zeros = jnp.zeros((case.depth + 1, n), x.dtype)
    gradient = jax.grad(loss, argnums=(0, 1), has_aux=True)
    (delta, states), previous = gradient(zeros[1:], zeros)
    return delta, previous, states


def natural(case: Case, weights, x, y) -> dict:
    """All conditions of one network: sigma_w by vmap, one scan per activation."""
    sigmas = jnp.asarray(case.sigmas, x.dtype)
    rows = []
    for name in case.activations:
        row = partial(natural_row, case, weights, x, y, phi=VALUES[name])
        rows.append(jax.vmap(row, out_axes=1)(sigmas))
    return log_norms(case, *(jnp.concatenate(parts, axis=1) for parts in zip(*rows)))


def tuned(case: Case, weights, x, y) -> dict:
    """All conditions of one network at once: state (row, unit), backward pass by hand."""
    scale = case.row_scales(x.dtype)
    scale = 1 if scale is None else scale

    def by_group(functions, values):
        parts = zip(case.activations, jnp.split(values, len(case.activations)))
        results = [jnp.broadcast_to(functions[name](part), part.shape) for name, part in parts]
        return results[0] if len(results) == 1 else jnp.concatenate(results)

    def forward(state, matrix):
        matrix = weights[0] if case.tied else matrix
        new = by_group(VALUES, scale * (state @ matrix.T))
        return new, new

    def backward(gradient, saved):
        matrix, state = saved
        matrix = weights[0] if case.tied else matrix
        delta = by_group(SLOPES_FROM_VALUE, state) * gradient
        return scale * (delta @ matrix), (delta, gradient)

    first = jnp.broadcast_to(x, (case.rows, case.width))
    matrices = None if case.tied else weights
    last, states = lax.scan(forward, first, matrices, length=case.depth)
    at_start, (delta, after) = lax.scan(backward, last - y, (matrices, states), reverse=True)
    previous = jnp.concatenate([first[None], states[:-1]])
    return log_norms(case, delta, previous, jnp.concatenate([at_start[None], after]))


class Natural(Contender):
    """jit(vmap(grad(scan))) over networks, weights drawn inside."""

    name = "JAX idiomatic"
    evaluate = staticmethod(natural)

    def settings(self) -> list[Setting]:
        """Several batch sizes; XLA's own threads."""

        def network(seed):
            return natural(self.case, *draw(self.case, self.dtype, seed))

        function = jax.jit(jax.vmap(network))
        values = 8 * self.case.depth * self.case.rows + self.case.matrices * self.case.width
        largest = 2**29 / (values * self.case.width * np.dtype(self.dtype).itemsize)
        sizes = [size for size in (1, 4, 16, 64, 256) if size <= largest]
        return [self._setting(function, size) for size in sizes]

    def _setting(self, function, size: int) -> Setting:
        def run(first, networks):
            for start in range(first, first + networks, size):
                jax.block_until_ready(function(np.arange(start, start + size, dtype=np.uint32)))

        return Setting(f"vmap over {size} networks, XLA threads", size, run)


class Tuned(Contender):
    """One jitted program per Python thread, backward pass by hand, one draw for all rows."""

    name = "JAX tuned"
    evaluate = staticmethod(tuned)

    def settings(self) -> list[Setting]:
        """Networks per call (a sequential lax.map) and number of Python threads."""

        def network(seed):
            # Drawn in float32 and widened: float64 draws would take several times as long.
            drawn = draw(self.case, "float32", seed)
            return tuned(self.case, *(array.astype(self.dtype) for array in drawn))

        # The older threefry layout hashes half as many words for the same number of draws.
        with jax.threefry_partitionable(False):
            program = jax.jit(lambda seeds: lax.map(network, seeds))
            compiled = {size: self._compile(program, size) for size in (1, 8, 32)}
        return [
            self._setting(function, size, threads)
            for size, function in compiled.items()
            for threads in sorted({1, self.threads})
        ]

    def _compile(self, program, size: int):
        return program.lower(jax.ShapeDtypeStruct((size,), np.uint32)).compile()

    def _setting(self, function, size: int, threads: int) -> Setting:
        pool = ThreadPoolExecutor(threads)

        def work(start):
            jax.block_until_ready(function(np.arange(start, start + size, dtype=np.uint32)))

        def run(first, networks):
            on_threads(pool, work, first, networks, size)

        return Setting(f"{size} networks a call, {threads} Python threads", size, run)


CONTENDERS = [Natural, Tuned]


def norms_of(contender: type, case: Case, dtype: str, weights, x, y) -> dict:
    """Run a contender on the given arrays of one network; NumPy arrays come back."""
    configure(dtype)
    arrays = [jnp.asarray(array, dtype) for array in (weights, x, y)]
    result = jax.jit(partial(contender.evaluate, case))(*arrays)
    return {name: np.asarray(value) for name, value in result.items()}
