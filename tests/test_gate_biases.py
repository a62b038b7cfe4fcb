"""Biases of gates: the forget bias, chrono, and PyTorch's own."""

import numpy as np
import pytest
from init_cases import assert_alike, assert_same, run, size
from scipy import stats

import gradsim as gs

WIDTH = 6
GATES = {"lstm": "ifgo", "gru": ("r", "z", "hn", "n")}


def lstm(**fields):
    return gs.RNN(**{"steps": 4, "width": WIDTH, "cell": "lstm"} | fields)


def biases(model, seed, layer=0):
    """Biases of each gate of one network."""
    parts = np.split(gs.network(model, seed).biases[layer], 4)
    return dict(zip(GATES[model.cell], parts))


def test_forget_bias__is_added_to_the_forget_gate_alone():
    plain, moved = (biases(lstm(sigma_b=0.3, forget_bias=f), 2) for f in (0.0, 1.5))
    for gate in "ifgo":
        np.testing.assert_array_equal(moved[gate], plain[gate] + (1.5 if gate == "f" else 0.0))


@pytest.mark.parametrize("longest", [2.5, 10, 784])
def test_chrono__has_its_exact_law(longest):
    """exp(b_f) ~ U[1, T_max - 1], b_i = -b_f (Tallec and Ollivier 2018, eq. 16)."""
    drawn = [biases(lstm(width=100, chrono=longest), seed) for seed in range(size(100))]
    f = np.concatenate([b["f"] for b in drawn])
    assert stats.kstest(np.exp(f), stats.uniform(1, longest - 2).cdf).pvalue > 1e-4
    assert f.min() >= 0
    assert np.exp(f.max()) <= longest - 1
    for b in drawn:
        np.testing.assert_array_equal(b["i"], -b["f"])
        assert not np.any([b["g"], b["o"]])


def test_chrono__of_the_shortest_dependency_is_no_bias():
    assert not np.any(gs.network(lstm(chrono=2), 0).biases[0])
    assert_same(run(lstm(chrono=2), 3), run(lstm(), 3))


def test_chrono__is_added_to_other_biases():
    fields = {"sigma_b": 0.4, "forget_bias": 1.0, "init": "pytorch_rnn"}
    both, plain, alone = (
        biases(m, 5) for m in (lstm(chrono=30, **fields), lstm(**fields), lstm(chrono=30))
    )
    for gate in "ifgo":
        np.testing.assert_allclose(both[gate], plain[gate] + alone[gate], rtol=1e-14)


def test_chrono__is_drawn_by_address():
    """The same uniforms whatever T_max, other weights or the width; others at each untied step."""
    f = {longest: biases(lstm(chrono=longest), 7)["f"] for longest in (5, 50)}
    np.testing.assert_allclose(np.expm1(f[5]) / 3, np.expm1(f[50]) / 48, rtol=1e-12)
    np.testing.assert_array_equal(biases(lstm(chrono=5, init="orthogonal"), 7)["f"], f[5])
    np.testing.assert_array_equal(biases(lstm(chrono=5, width=4), 7)["f"], f[5][:4])
    untied = lstm(chrono=5, tied=False)
    assert not np.any(biases(untied, 7, 0)["f"] == biases(untied, 7, 1)["f"])
    assert not np.any(biases(lstm(chrono=5), 8)["f"] == f[5])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fields", [
    {}, {"sigma_b": 0.5}, {"sigma_u": 0.7}, {"sigma_u": 1e-40, "tied": False, "sigma_b": 1e-30},
    {"sigma_u": 1e30, "sigma_b": 1e25}, {"init": "orthogonal", "norm": "layer", "sigma_u": 1.0},
])  # fmt: skip
def test_chrono__is_what_simulate_runs(fields, dtype):
    """Its agreement with autograd on these arrays is in test_combinations."""
    model = lstm(chrono=40, forget_bias=0.3, **fields)
    options = {"measure": ["gradient", "signal"], "dtype": dtype}
    tolerance = {"float64": 1e-11, "float32": 1e-4}[dtype]
    assert_alike(run(gs.network(model, 3), [3], **options), run(model, [3], **options), tolerance)


def test_chrono__has_the_same_bits_in_any_sweep():
    model = lstm(sigma_b=0.2, loss_at="all", sigma_u=0.5)
    sweep = run(model, 9, vary={"chrono": [None, 10, 100], "sigma_b": [0.0, 0.2]}, threads=2)
    assert_same(sweep.isel(chrono=0), run(model, 9, vary={"sigma_b": [0.0, 0.2]}))
    for i, longest in enumerate((None, 10, 100)):
        one = model.with_fields(chrono=longest)
        alone = run(one, [4, 8], vary={"sigma_b": [0.0, 0.2]}, threads=1)
        assert_same(sweep.isel(chrono=i).sel(seed=[4, 8]), alone)


def test_chrono__keeps_the_path_of_the_cell():
    """W = 0: dc_T/dc_t = sigmoid(b_f)^(T-t), and sigmoid(log v) = v / (1 + v), unit by unit."""
    model = lstm(steps=30, chrono=100, sigma_w=0.0, loss="linear")
    got = run(model, [1]).log10_cell_grad_norm.isel(seed=0)
    v, target = np.exp(biases(model, 1)["f"]), gs.network(model, 1).targets[0]
    for step in (0, 10, 29):  # c stays 0, so that dh_T/dc_T = sigmoid(0)
        wanted = np.linalg.norm(0.5 * target * (v / (1 + v)) ** (30 - step))
        np.testing.assert_allclose(10 ** got.sel(state_step=step), wanted, rtol=1e-12)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: lstm(chrono=1.5), "chrono=1.5.*>= 2"),
    (lambda: lstm(chrono=float("inf")), "chrono=inf.*finite"),
    (lambda: lstm(cell="gru", chrono=9), "cell='gru' does not take chrono.*lstm"),
    (lambda: run(lstm(), vary={"chrono": [9], "cell": ["lstm", "vanilla"]}), "'vanilla' does not"),
    (lambda: gs.MLP(chrono=9), "chrono"),
    (lambda: gs.from_arrays(np.ones((8, 2)), cell="lstm", steps=2, chrono=9), "argument 'chrono'"),
    (lambda: run(gs.network(lstm(chrono=9), 0), vary={"chrono": [3]}), "arrays fix it"),
])  # fmt: skip
def test_chrono__is_refused_in_words_where_it_has_no_meaning(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_pytorch_rnn__has_the_biases_of_torch(cell):
    """Each gate sums b_ih and b_hh; the candidate of a GRU has b_in and b_hn apart."""
    model = gs.RNN(steps=1, width=25, cell=cell, init="pytorch_rnn", sigma_b=1.0, sigma_u=1.0)
    drawn = [biases(model, seed) for seed in range(size(200))]
    for gate in GATES[cell]:
        b = 5 * np.concatenate([d[gate] for d in drawn])
        one = gate in ("n", "hn")
        law = stats.uniform(-1, 2) if one else stats.triang(0.5, -2, 4)
        assert stats.kstest(b, law.cdf).pvalue > 1e-4, gate
    net = gs.network(model, 0)
    for matrix in (*net.weights, net.input_weights):
        assert 0.15 < np.max(np.abs(matrix)) < 0.2 + 1e-12  # 1 / sqrt(25)
