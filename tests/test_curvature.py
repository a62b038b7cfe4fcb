"""Curvature along each layer's gradient: autograd twice, fifty digits, and exact quadratics."""

import cell_oracle
import curvature_oracle
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

import gradsim as gs
from gradsim import _curvature
from gradsim.activations import activations
from gradsim.kernels import bends

NAMES = ("log10_gradient_norm", "log10_curvature", "curvature_sign")


@gs.cell("cubic_gate")
def cubic_gate(t, h, phi):
    gate = t.map(phi, t.linear(h))
    return 0.5 * h + gate * gate * h - t.linear(gate)


def _cubic_gate(lin, h, phi):
    gate = phi(lin("W", h))
    return 0.5 * h + gate * gate * h - lin("V", gate)


bump = gs.activation("curved_bump", lambda t, z: z * t.sigmoid(2 * z) + 0.3 * t.sin(z * z) - 1)


@pytest.fixture(autouse=True)
def _references(monkeypatch):
    monkeypatch.setitem(cell_oracle.USERS, "cubic_gate", _cubic_gate)
    monkeypatch.setitem(cell_oracle.LAYOUT, "cubic_gate", cell_oracle.LAYOUT["highway"])
    monkeypatch.setitem(
        oracle.ACTIVATIONS, "curved_bump",
        lambda z, slope: z * oracle._sigmoid(2 * z) + 0.3 * jnp.sin(z * z) - 1,
    )  # fmt: skip


def run(model, inputs=None, seed=3, **more):
    """Result of one network."""
    more = {"measure": ["curvature"], "progress": False, "threads": 1} | more
    return gs.simulate(model, [seed], inputs=inputs, **more).isel(seed=0)


def agree(ds, want, limit):
    """Compare with (log10 ||g||, g'Hg / g'g)."""
    norms, numbers = want
    got = [np.atleast_1d(ds[name].values) for name in NAMES]
    np.testing.assert_allclose(got[0], norms, rtol=0, atol=limit)
    curvature = got[2] * 10 ** got[1]
    np.testing.assert_allclose(
        curvature, numbers, rtol=5 * limit, atol=limit * np.max(abs(numbers))
    )


MODELS = [
    gs.MLP(width=(4, 6, 3, 5), sigma_w=1.4, sigma_b=0.3),
    gs.MLP(width=(4, 6, 3), activation="sigmoid", output="softmax", loss="cross_entropy"),
    gs.MLP(depth=2, width=4, activation="silu", output="softmax"),
    gs.MLP(depth=2, width=3, output="sigmoid", loss="cross_entropy", sigma_w=2.0),
    gs.MLP(depth=3, width=5, activation="gelu", norm="layer", norm_eps=0.1, loss="linear"),
    gs.MLP(depth=3, width=4, norm="batch", norm_eps=0.1, output="identity"),
    gs.MLP(depth=3, width=4, cell="residual", norm="layer", norm_placement="post", norm_eps=0.2),
    gs.MLP(depth=3, width=4, cell="residual_pre", output_width=6, activation="mish", sigma_b=0.2),
    gs.MLP(width=(2, 140, 2), activation="curved_bump"),
    gs.MLP(depth=3, width=4, cell="cubic_gate", activation="curved_bump", sigma_b=0.1),
    gs.RNN(steps=4, width=4, sigma_u=0.5, input_width=3, loss_at="all", sigma_b=0.1),
    gs.RNN(steps=3, width=3, sigma_u=1.0, activation="sigmoid", loss="cross_entropy", tied=False),
    gs.RNN(steps=2, width=2, cell="lstm", sigma_u=0.7, input_width=2, sigma_b=0.2),
    gs.RNN(steps=2, width=3, cell="gru", sigma_u=0.7, tied=False, loss="linear"),
    gs.RNN(steps=3, width=3, cell="skip", delay=2, norm="layer", norm_eps=0.2, sigma_u=1.0),
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.cell}-{m.activation}-{m.norm}")
def test_curvature__agrees_with_autograd_twice(model):
    net = gs.network(model, 3, inputs=3)
    want = curvature_oracle.autograd(net)
    agree(run(model, 3), want, 1e-11)
    agree(run(model, 3, dtype="float32"), want, 1e-4)


@pytest.mark.parametrize("model", [MODELS[0], MODELS[11]], ids=lambda m: m.cell)
def test_curvature__of_single_examples_and_of_weights_alone(model):
    net = gs.network(model, 3, inputs=2)
    weights = gs.measurements.curvature(biases=False)
    ds = run(model, 2, batch="each", measure=[weights, "gradient"])
    agree(ds.isel(example=1), curvature_oracle.autograd(net, biases=False, chosen=[1]), 1e-11)
    for b in range(2):
        one = ds.isel(example=b)
        whole = "log10_weight_grad_norm" if one.log10_curvature.ndim else (
            "log10_total_weight_grad_norm")  # fmt: skip
        np.testing.assert_allclose(one.log10_gradient_norm, one[whole], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", [*bends.CURVED, "relu"])
def test_bends__are_the_second_derivatives_of_the_table(name):
    entry = activations[name]
    z = np.concatenate([np.linspace(-30, 30, 601), [0.0, 1e-9, -1e-9, 700.0, -1e3, 1e5]])
    got = np.empty_like(z)
    bends._builtin(entry.code, z, got, z.size)
    want = entry.second(z, 0.01)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("activation", "sigma_w"), [("sigmoid", 1.0), ("tanh", 0.5)])
def test_curvature__of_300_layers_keeps_its_range(activation, sigma_w):
    model = gs.MLP(depth=300, width=4, activation=activation, sigma_w=sigma_w)
    layers = [1, 2, 60, 150, 240, 299, 300]
    want = curvature_oracle.series(gs.network(model, 7), layers, 400)
    weights = [gs.measurements.curvature(biases=False)]
    for dtype, limit in (("float64", 1e-9), ("float32", 2e-3)):
        ds = run(model, seed=7, measure=weights, dtype=dtype)
        assert np.isfinite(ds.log10_curvature).all()
        got = np.array([ds[name].sel(layer=layers).values for name in NAMES])
        np.testing.assert_allclose(got, want, rtol=0, atol=limit)
    assert want[1].min() < -150


def test_curvature__of_a_linear_network_says_what_a_newton_step_does():
    """In the weights of one layer the cost of a linear network is a quadratic."""
    model = gs.MLP(depth=5, width=6, activation="identity", output="identity", sigma_b=0.4)
    net, ds = gs.network(model, 2, inputs=4), run(model, 4, seed=2)

    def cost(net):
        return 10 ** float(run(net, net.inputs, seed=2, measure=["gradient"]).log10_loss)

    before, g = cost(net), gs.backward(net)
    np.testing.assert_allclose(ds.log10_gauss_newton_curvature, ds.log10_curvature, atol=1e-12)
    for i in range(5):
        step = 10 ** float(ds.log10_newton_step[i])
        weights, biases = list(net.weights), list(net.biases)
        weights[i] = weights[i] - step * g.weights[i].to_array()
        biases[i] = biases[i] - step * g.biases[i].to_array()
        moved = gs.Network(net.model, weights, biases, inputs=net.inputs, targets=net.targets)
        change = cost(moved) - before
        np.testing.assert_allclose(float(ds.newton_loss_change[i]), change, rtol=1e-9)
    np.testing.assert_allclose(
        ds.newton_loss_change, -(10**ds.log10_newton_loss_change), rtol=1e-14
    )


def test_curvature__of_a_piecewise_linear_network_under_a_linear_cost_is_zero():
    ds = run(gs.MLP(depth=4, width=8, activation="relu", loss="linear"))
    assert np.isneginf(ds.log10_curvature).all()
    assert (ds.curvature_sign == 0).all()
    assert np.isnan(ds.log10_newton_step).all()
    assert np.isneginf(ds.log10_gauss_newton_curvature).all()


def test_curvature__without_a_gradient_has_no_direction():
    net = gs.from_arrays(
        [np.eye(2), -np.eye(2), np.eye(2)], [np.zeros(2)] * 3, activation="relu",
        inputs=np.ones((1, 2)), targets=np.ones((1, 2)),
    )  # fmt: skip
    ds = run(net, seed=0)
    assert np.isneginf(ds.log10_gradient_norm).all()
    assert np.isnan(ds.log10_curvature).all()
    assert np.isnan(ds.curvature_sign).all()


@pytest.mark.parametrize("rows", [1, 6])
def test_curvature__does_not_depend_on_the_layers_of_a_block(rows, monkeypatch):
    model = gs.MLP(depth=7, width=5, cell="residual", sigma_b=0.2)
    whole = run(model, 2)
    monkeypatch.setattr(_curvature, "ROWS", rows)
    for name, values in run(model, 2).data_vars.items():
        np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-12, err_msg=str(name))


def test_curvature__of_conditions_of_one_pass_is_each_ones_own():
    vary = {"activation": ["tanh", "relu", "softplus"], "depth": [2, 5]}
    model = gs.MLP(depth=5, width=6, sigma_b=0.2)
    ds = gs.simulate(model, [4, 9], vary=vary, inputs=2, measure=["curvature"], progress=False)
    for activation in vary["activation"]:
        for depth in vary["depth"]:
            one = ds.sel(activation=activation, depth=depth, seed=9)
            alone = run(model.with_fields(activation=activation, depth=depth), 2, seed=9)
            for name in NAMES:
                np.testing.assert_allclose(
                    one[name].values[:depth], alone[name], rtol=0, atol=1e-11
                )
                assert np.isnan(one[name].values[depth:]).all()


def test_curvature__refuses_tied_and_untied_in_one_run():
    with pytest.raises(ValueError, match="vary must leave tied alone"):
        gs.simulate(
            gs.RNN(steps=3, width=4), 1, vary={"tied": [True, False]}, measure=["curvature"]
        )
