"""Models of every initialiser, and comparisons of their runs, for the tests of initialisers."""

import numpy as np

import gradsim as gs
from gradsim import plan
from gradsim.examples import parse_inputs
from gradsim.kernels._jit import numba

JIT = not numba.config.DISABLE_JIT
SIGMAS = 4.5
FIELDS = {
    "eigenvalues": {"eigenvalues": (1.1, -0.7, 0.3, 0.9, -1.0)},
    "nonnormal": {"eigenvalues": (0.5, -0.7, 0.3, 0.9, 1.0), "upper": 1.5},
    "spectral_radius": {"spectral_radius": 1.2},
    "sparse": {"nonzeros": 3},
}
INITS = tuple(gs.initializers)
WHOLE = tuple(name for name in INITS if gs.initializers[name].make)
BOTH = ["gradient", "signal"]


def size(n):
    """Seeds of a law: few where every kernel runs in Python."""
    return n if JIT else max(8, n // 100)


def bias_of(init):
    return 0.0 if init == "critical" else 0.4  # relu has no critical point with a bias


def mlp(init, **fields):
    fields = {"width": 5, "depth": 4, "activation": "relu", "sigma_b": bias_of(init)} | fields
    return gs.MLP(init=init, **FIELDS.get(init, {}) | fields)


def rnn(init, **fields):
    fields = {"width": 5, "steps": 4, "activation": "relu", "sigma_b": bias_of(init),
              "sigma_u": bias_of(init), "input_width": 3} | fields  # fmt: skip
    return gs.RNN(init=init, **FIELDS.get(init, {}) | fields)


def entries(model, count, part="weights"):
    """Numbers of one kind of many networks."""
    networks = (gs.network(model, seed) for seed in range(count))
    return np.concatenate([np.ravel(getattr(net, part)) for net in networks])


def run(model, seeds=1, **options):
    return gs.simulate(model, seeds, progress=False, **options)


def assert_alike(found, wanted, tolerance):
    assert set(found.data_vars) == set(wanted.data_vars)
    for name in wanted.data_vars:
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=tolerance, atol=tolerance, err_msg=name
        )


def assert_same(found, wanted):
    for name in wanted.data_vars:
        assert np.array_equal(found[name], wanted[name], equal_nan=True), name


def passes(*models):
    options = plan.Options(np.dtype(np.float64), False, True, False, False)
    return list(
        plan.build(models, parse_inputs(None, isinstance(models[0], gs.RNN)), None, options)
    )
