"""A thousand layers: measurements against NumPy on the arrays of the same network.

Vectors are kept as unit vectors with the log10 of their norm, so that gradients of 10**-150 are
no smaller to NumPy than others.
"""

import numpy as np
import pytest

import gradsim as gs

DEPTH, WIDTH, EXAMPLES = 1000, 100, 3
MODEL = gs.MLP(depth=DEPTH, width=WIDTH, sigma_w=0.7, loss="linear")
CLOSE = {"rtol": 0, "atol": 1e-8}


def unit(rows):
    """Rows of norm 1, and log10 of their norms."""
    size = np.max(np.abs(rows), axis=1, keepdims=True)
    norm = size[:, 0] * np.linalg.norm(rows / size, axis=1)
    return rows / norm[:, None], np.log10(norm)


class Passes:
    """Forward and backward pass in NumPy: unit rows and log10 norms of z, a and delta by layer."""

    def __init__(self, net):
        a, log = unit(net.inputs)
        self.a, self.z, self.slopes, self.delta = [(a, log)], [], [], [None] * DEPTH
        for w in net.weights:
            z, more = unit(a @ w.T)
            log = log + more
            scale = 10.0 ** log[:, None]
            slope = 1 / np.cosh(scale * z) ** 2
            a, more = unit(np.where(scale > 1e-8, np.tanh(scale * z) / scale, z))
            self.z.append((z, log))
            log = log + more
            self.a.append((a, log))
            self.slopes.append(slope)
        d, log = unit(net.targets * self.slopes[-1])
        self.delta[-1] = d, log
        for layer in reversed(range(DEPTH - 1)):
            d, more = unit(d @ net.weights[layer + 1] * self.slopes[layer])
            log = log + more
            self.delta[layer] = d, log
        self.input_gradient = unit(d @ net.weights[0])


@pytest.fixture(scope="module")
def net():
    return gs.network(MODEL, 3, inputs=EXAMPLES)


@pytest.fixture(scope="module")
def ds():
    measure = ["gradient", "signal", "correlation", "noise", "clipping"]
    return gs.simulate(MODEL, [3], inputs=EXAMPLES, measure=measure, progress=False).isel(seed=0)


@pytest.fixture(scope="module")
def passes(net):
    return Passes(net)


def test_gradient_and_signal__of_a_thousand_layers(ds, passes, net):
    delta = [log.mean() for _, log in passes.delta]
    assert delta[0] < -150
    np.testing.assert_allclose(ds.log10_delta_norm, delta, **CLOSE)
    sizes = [10 ** (2 * log[:3]) for _, log in passes.z]
    np.testing.assert_allclose(ds.z_mean_square, [s.mean() / WIDTH for s in sizes], rtol=1e-8)
    sizes = [10 ** (2 * log) for _, log in passes.a[1:]]
    np.testing.assert_allclose(ds.a_mean_square, [s.mean() / WIDTH for s in sizes], rtol=1e-8)
    norms = [np.log10(np.linalg.norm(w)) for w in net.weights]
    np.testing.assert_allclose(ds.log10_weight_norm, norms, **CLOSE)


def test_correlation__of_a_thousand_layers(ds, passes):
    for p, (i, j) in enumerate(zip(ds["first"].values, ds["second"].values)):
        for name, rows in (("signal", passes.z), ("delta", passes.delta)):
            cosine = np.array([u[i] @ u[j] for u, _ in rows])
            np.testing.assert_allclose(ds[f"{name}_correlation"][:, p], cosine, **CLOSE)
            rest = np.array([np.sum((u[i] - u[j]) ** 2) / 2 for u, _ in rows])
            log = ds[f"log10_one_minus_{name}_correlation"][:, p].values
            seen = (rest > 1e-9) & (rest < 1)  # below, rounding of NumPy's own vectors
            assert seen.sum() > 10
            np.testing.assert_allclose(log[seen], np.log10(rest[seen]), rtol=0, atol=1e-5)


def test_noise__of_a_thousand_layers(ds, passes):
    b = EXAMPLES
    for layer in range(0, DEPTH, 37):
        (d, log_d), (a, log_a) = passes.delta[layer], passes.a[layer]
        log = log_d + log_a
        top = log.max()
        gram = (d @ d.T) * (a @ a.T)
        inner = gram * np.outer(10 ** (log - top), 10 ** (log - top))
        mean, square = np.trace(inner) / b, inner.sum() / b**2
        signal, variance = (b * square - mean) / (b - 1), (mean - square) * b / (b - 1)
        here = ds.isel(layer=layer)
        assert abs(here.log10_mean_gradient_norm - 0.5 * np.log10(square) - top) < 1e-8
        assert abs(here.log10_example_gradient_rms - 0.5 * np.log10(mean) - top) < 1e-8
        assert abs(here.mean_cosine - (gram.sum() - b) / b / (b - 1)) < 1e-8
        assert abs(here.log10_gradient_square - np.log10(abs(signal)) - 2 * top) < 1e-7
        if variance > 1e-6 * mean:  # else NumPy's difference has lost its digits
            assert abs(here.log10_gradient_variance - np.log10(variance) - 2 * top) < 1e-7


def test_clipping__of_a_thousand_layers(ds):
    squares = np.concatenate([ds.log10_weight_grad_norm, ds.log10_bias_grad_norm]) * 2
    top = squares.max()
    total = 0.5 * (top + np.log10(np.sum(10 ** (squares - top))))
    assert abs(ds.log10_norm_before - total) < 1e-10


def test_lyapunov__of_a_thousand_layers():
    spec = gs.measurements.lyapunov(k=4)
    for model in (
        gs.MLP(depth=DEPTH, width=12, activation="sigmoid", sigma_w=2.0),
        gs.RNN(steps=DEPTH, width=12, sigma_w=1.5, tied=False),
    ):
        ds = gs.simulate(model, [1], measure=[spec], progress=False)
        net = gs.network(model, 1)
        h = net.initial_state if isinstance(model, gs.RNN) else net.inputs[0]
        q, total = np.eye(12)[:, :4], np.zeros(4)
        for w in net.weights:
            h = np.tanh(w @ h) if isinstance(model, gs.RNN) else 1 / (1 + np.exp(-(w @ h)))
            slope = 1 - h * h if isinstance(model, gs.RNN) else h * (1 - h)
            q, r = np.linalg.qr(slope[:, None] * (w @ q))
            total += np.log(np.abs(np.diag(r)))
        np.testing.assert_allclose(ds.lyapunov_exponent[0], total / DEPTH, rtol=0, atol=1e-6)
