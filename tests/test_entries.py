"""Measurement `entries` against NumPy on the gradients of one network, and exact laws."""

import math

import numpy as np
import pytest

import gradsim as gs

CLOSE = {"float64": 1e-11, "float32": 1e-4}
NAMES = ("entry_row_variance", "entry_column_variance", "entry_residual_variance")
GAUSSIAN = math.pi**2 / 8 / math.log(10) ** 2  # Var log10 |z|, z ~ N(0, 1)


def run(model, seeds=2, **more):
    """Result of a few networks, without a bar."""
    return gs.simulate(model, seeds, measure="entries", **{"progress": False, "threads": 1} | more)


def anova(y):
    """Unbiased variances of rows, columns and residual of a complete table, by its cell means."""
    n, m = y.shape
    rows, columns = y.mean(axis=1, keepdims=True), y.mean(axis=0, keepdims=True)
    left = np.sum((y - rows - columns + y.mean()) ** 2) / ((n - 1) * (m - 1))
    return rows.var(ddof=1) - left / m, columns.var(ddof=1) - left / n, left


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("count", [1, 3])
def test_entries__equal_the_analysis_of_variance_in_numpy(dtype, count):
    model = gs.MLP(depth=3, width=7, input_width=5, output_width=4, sigma_w=1.3, sigma_b=0.3)
    ds = run(model, [5], inputs=count, dtype=dtype)
    gradients = gs.backward(gs.network(model, 5, inputs=count))
    for layer, gradient in enumerate(gradients.weights):
        y = np.log10(np.abs(gradient.to_array()))
        at = {"seed": 0, "layer": layer}
        got = [float(ds[name][at]) for name in NAMES]
        np.testing.assert_allclose(got, anova(y), rtol=0, atol=CLOSE[dtype])
        assert abs(ds.log10_entry_mean[at] - y.mean()) < CLOSE[dtype]
    assert (ds.entry_zero_share == 0).all()
    assert ((ds.entry_residual_variance == 0) == (count == 1)).all()


def test_entries__of_each_example_are_those_of_it_alone():
    model = gs.MLP(depth=3, width=6, activation="relu", loss="linear")
    inputs = np.random.default_rng(0).normal(size=(3, 6))
    each = run(model, 4, inputs=inputs, batch="each")
    for b in range(3):
        one = run(model, 4, inputs=inputs[b : b + 1])
        for name in (*NAMES, "log10_entry_mean", "entry_zero_share"):
            np.testing.assert_allclose(each[name].sel(example=b), one[name], atol=1e-12)


def test_entries__leave_zeros_out_and_count_them():
    model = gs.MLP(depth=4, width=12, activation="relu", output="identity", loss="linear")
    ds = run(model, [1])
    gradients = gs.backward(gs.network(model, 1)).weights
    for layer, gradient in enumerate(gradients):
        g = np.abs(gradient.to_array())
        kept = np.log10(g[g.any(axis=1)][:, g.any(axis=0)])
        assert np.isfinite(kept).all()
        at = {"seed": 0, "layer": layer}
        assert ds.entry_zero_share[at] == pytest.approx(np.mean(g == 0), abs=1e-15)
        assert abs(ds.log10_entry_mean[at] - kept.mean()) < 1e-12
        got = [float(ds[name][at]) for name in NAMES]
        np.testing.assert_allclose(got, anova(kept), atol=1e-12)


def test_entries__of_a_batch_mean_with_scattered_zeros():
    model = gs.MLP(depth=2, width=9, activation="relu", output="identity", loss="linear")
    ds, g = run(model, [3], inputs=2), gs.backward(gs.network(model, 3, inputs=2)).weights[1]
    g = np.abs(g.to_array())
    size = np.log10(g[g != 0])
    at = {"seed": 0, "layer": 1}
    assert ds.entry_zero_share[at] == pytest.approx(np.mean(g == 0), abs=1e-15)
    assert abs(ds.log10_entry_mean[at] - size.mean()) < 1e-12
    assert 0 < ds.entry_zero_share[at] < 1


def test_entries__far_below_the_range_of_a_float():
    model = gs.MLP(depth=1000, width=6, activation="sigmoid")
    ds, gradients = run(model, [0]), gs.backward(gs.network(model, 0)).weights
    for layer in (0, 400, 999):
        g = gradients[layer]
        y = np.log10(np.abs(g.array)) + g.exponent * np.log10(2)
        at = {"seed": 0, "layer": layer}
        assert abs(ds.log10_entry_mean[at] - y.mean()) < 1e-9
        got = [float(ds[name][at]) for name in NAMES]
        np.testing.assert_allclose(got, anova(y), atol=1e-9)
    assert ds.log10_entry_mean[0, 0] < -500


def test_entries__of_a_dead_network():
    net = gs.from_arrays([np.eye(3), -np.eye(3)], [np.zeros(3)] * 2, activation="relu")
    ds = run(net, 1, inputs=np.ones((1, 3)))
    assert (ds.log10_entry_mean == -np.inf).all()
    assert (ds.entry_zero_share == 1).all()
    assert all(ds[name].isnull().all() for name in NAMES[:2])


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_entries__pool_the_matrices_of_a_step(cell):
    model = gs.RNN(steps=3, width=5, input_width=4, sigma_u=0.8, cell=cell, tied=False)
    ds, gradients = run(model, [2]), gs.backward(gs.network(model, 2))
    for step in range(3):
        blocks = [gradients.recurrent[step].to_array(), gradients.input_weights[step].to_array()]
        gates = [gate for b in blocks for gate in np.split(np.abs(b), b.shape[0] // 5)]
        parts = [np.log10(gate) for gate in gates if gate.any()]  # no forgetting at step 1
        whole, sizes = np.concatenate([p.ravel() for p in parts]), [p.size for p in parts]
        assert len(whole) == (1 - ds.entry_zero_share[0, step]) * sum(g.size for g in gates)
        rows, columns, left = np.average([anova(p) for p in parts], axis=0, weights=sizes)
        means = [p.mean() for p in parts]
        left += np.average((means - whole.mean()) ** 2, weights=sizes)
        at = {"seed": 0, "step": step}
        got = [float(ds[name][at]) for name in NAMES]
        np.testing.assert_allclose(got, [rows, columns, left], atol=1e-10)
        assert abs(ds.log10_entry_mean[at] - whole.mean()) < 1e-10


def test_entries__of_a_linear_network_have_the_variance_of_gaussian_logs():
    """Delta in a linear network is a Gaussian vector times a number that drops out."""
    model = gs.MLP(depth=3, width=20, activation="identity", loss="linear")
    ds = run(model, 800)
    for name in NAMES[:2]:
        found = ds[name].mean("seed")
        error = ds[name].std("seed", ddof=1) / math.sqrt(800)
        assert (abs(found - GAUSSIAN) < 4 * error).all(), name
