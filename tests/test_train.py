"""Training agrees with a plain loop under autograd, and depends on nothing but its addresses."""

import json

import numpy as np
import pytest
import training_oracle
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import gradsim as gs
from gradsim._trainer import batches

MLP = gs.MLP(depth=3, width=5, sigma_w=1.5, sigma_b=0.1)
MODELS = {
    "mlp": MLP,
    "softmax": gs.MLP(depth=2, width=4, activation="relu", output="softmax", loss="cross_entropy"),
    "residual": gs.MLP(depth=3, width=4, cell="residual", residual_scale=0.5),
    "batch norm": gs.MLP(depth=3, width=4, norm="batch", norm_eps=1e-3),
    "widths": gs.MLP(width=(3, 6, 4, 2), output="identity", init="orthogonal"),
    "tied": gs.RNN(steps=4, width=4, sigma_u=0.7),
    "untied": gs.RNN(steps=3, width=4, sigma_u=0.7, tied=False, loss_at="all"),
    "lstm": gs.RNN(steps=4, width=3, input_width=2, sigma_u=1.0, cell="lstm", forget_bias=1.0),
    "gru": gs.RNN(steps=3, width=3, sigma_u=1.0, cell="gru", loss_at="all"),
    "skip": gs.RNN(steps=4, width=3, sigma_u=1.0, cell="skip", delay=2, initial_state="zeros"),
}
RULES = [
    {},
    {"l2": 0.1},
    {"optimizer": "momentum", "momentum": 0.8},
    {"optimizer": "rmsprop", "decay": 0.9, "epsilon": 1e-3},
    {"optimizer": "rmsprop", "decay": 0.5, "epsilon": 0.0},
    {"clip": 0.5},
    {"clip": 0.05, "clip_by": "value", "l2": 0.01, "optimizer": "momentum", "momentum": 0.5},
]
STEPS, EXAMPLES = 6, 5


def agree(model, rate=0.05, batch_size=None, **rule):
    count = EXAMPLES if isinstance(model, gs.MLP) or model.sigma_u else None
    arguments = {"learning_rate": rate, "steps": STEPS, "batch_size": batch_size, "inputs": count}
    ds = gs.train(model, [3], threads=1, **arguments, **rule).isel(seed=0)
    chosen = [np.arange(count or 1)] * STEPS
    if batch_size is not None:
        order = batches(EXAMPLES, batch_size, 0, 3)
        chosen = [next(order) for _ in range(STEPS)]
    rates = np.broadcast_to(rate, ds.sizes["layer"])
    expected, final = training_oracle.train((model, 3, count), chosen, rates, **rule)
    close = {"rtol": 0, "atol": 1e-10, "err_msg": f"{model} {rule}"}
    np.testing.assert_allclose(ds.log10_loss, expected["loss"], **close)
    shifts = () if model.norm == "batch" else ("bias_gradient",)  # 0 but for rounding under batch
    for name in ("gradient", *shifts, "update", "weight"):
        np.testing.assert_allclose(ds[f"log10_{name}_norm"], expected[name], **close)
    if "l2" in rule:
        np.testing.assert_allclose(ds.log10_penalty_norm, expected["penalty"], **close)
    if "clip" in rule:
        np.testing.assert_allclose(ds.log10_norm_before, expected["before"], **close)
        np.testing.assert_allclose(ds.log10_norm_after, expected["after"], **close)
    if "damping" in rule:
        np.testing.assert_allclose(ds.log10_curvature, expected["curvature"], **close)
    np.testing.assert_allclose(ds.log10_final_loss, final, **close)
    assert ds.status in (0, 1)  # 1: a relu may be dead for an example of a batch
    assert ds.stop_iteration == STEPS


@pytest.mark.parametrize("name", MODELS)
def test_train__every_model_follows_autograd(name):
    agree(MODELS[name])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", ["mlp", "tied", "lstm"])
def test_train__every_rule_follows_its_definition(name, rule):
    agree(MODELS[name], **rule)


def test_train__newton_steps_follow_their_definition():
    newton = {"optimizer": "newton"}
    agree(MODELS["tied"], rate=0.5, **newton, damping=1e-3)
    agree(MLP.with_fields(loss="linear"), rate=0.5, **newton, damping=0.02, batch_size=2)
    ds = gs.train(MLP, 20, learning_rate=1e-3, damping=0.02, steps=1, **newton)
    assert (ds.curvature_sign < 0).any()  # a step as long, and downhill still
    assert (ds.log10_final_loss < ds.log10_loss[:, 0]).all()


def test_train__a_full_newton_step_ends_in_the_minimum_of_a_quadratic():
    model = gs.MLP(width=(3, 1), activation="identity", output="identity", sigma_b=0.5)
    ds = gs.train(model, 5, optimizer="newton", learning_rate=1.0, steps=1, inputs=1)
    assert (ds.log10_final_loss < ds.log10_loss[:, 0] - 25).all()


def test_train__newton_leaves_layers_without_curvature_alone():
    model = gs.MLP(depth=3, width=5, activation="relu", loss="linear")
    ds = gs.train(model, 2, optimizer="newton", learning_rate=1.0, steps=1)
    assert np.isneginf(ds.log10_curvature).any()
    assert not np.isfinite(ds.log10_curvature).any()  # NaN of a dead network
    assert (ds.changed_share == 0).all()


@pytest.mark.parametrize("name", ["mlp", "softmax", "batch norm", "tied", "untied"])
def test_train__mini_batches_follow_autograd(name):
    agree(MODELS[name], batch_size=2)


def test_train__layers_have_learning_rates_of_their_own():
    agree(MLP, rate=(0.1, 0.0, 0.02))
    ds = gs.train(MLP, 2, learning_rate=(0.1, 0.0, 0.02), steps=3)
    assert (ds.log10_update_norm.sel(layer=2) == -np.inf).all()
    assert (ds.changed_share.sel(layer=2) == 0).all()
    assert (ds.changed_share.sel(layer=[1, 3]) > 0.5).all()


def test_train__examples_of_an_initial_state_follow_their_batch():
    h = np.random.default_rng(0).normal(size=(EXAMPLES, 3))
    agree(gs.RNN(steps=3, width=3, sigma_u=1.0, initial_state=h), batch_size=2)


@pytest.mark.parametrize(("sigma_w", "rate"), [(1e30, 1e-31), (1e-30, 1e-31)])
def test_train__weights_of_unusual_size_follow_autograd(sigma_w, rate):
    linear = {"activation": "identity", "loss": "linear"}
    agree(gs.MLP(depth=3, width=4, sigma_w=sigma_w, **linear), rate=rate)


def bits(ds):
    return {name: ds[name].values.tobytes() for name in ds.data_vars}


@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_train__a_network_is_the_same_in_any_subset_and_number_of_threads(name):
    arguments = {"learning_rate": 0.1, "steps": 4, "batch_size": 2, "inputs": EXAMPLES}
    one = gs.train(MODELS[name], 5, threads=1, **arguments)
    two = gs.train(MODELS[name], [4, 2, 0], threads=3, **arguments)
    assert bits(one.sel(seed=[4, 2, 0])) == bits(two)
    assert len(np.unique(one.log10_loss.isel(iteration=-1))) == 5


def test_train__a_sweep_holds_the_bits_of_its_conditions():
    vary = {"learning_rate": [0.1, 0.2], "depth": [2, 3], "l2": [0.0, 0.1], "clip": [None, 0.5]}
    arguments = {"steps": 3, "inputs": 4, "threads": 2}
    ds = gs.train(MLP, 2, vary=vary, learning_rate=1.0, **arguments)
    dims = ("learning_rate", "depth", "l2", "clip", "seed", "iteration", "layer")
    assert ds.log10_gradient_norm.dims == dims
    assert np.isnan(ds.log10_gradient_norm.sel(depth=2, layer=3)).all()
    one = gs.train(
        gs.MLP(depth=2, width=5, sigma_w=1.5, sigma_b=0.1), 2, learning_rate=0.2, l2=0.1, clip=0.5,
        **arguments,
    )  # fmt: skip
    part = ds.sel(learning_rate=0.2, depth=2, l2=0.1, clip="0.5", layer=[1, 2])
    assert bits(one) == bits(part)


def test_train__optimizers_vary_with_the_numbers_that_only_some_take():
    call = {"learning_rate": 0.1, "steps": 3, "inputs": 4}
    vary = {"optimizer": ["sgd", "momentum", "rmsprop"], "decay": [0.5, 0.9]}
    ds = gs.train(MLP, 2, vary=vary, optimizer="momentum", momentum=0.5, **call)
    for number in vary["decay"]:
        one = gs.train(MLP, 2, optimizer="rmsprop", decay=number, **call)
        found = ds.sel(optimizer="rmsprop", decay=number, drop=True)
        xr.testing.assert_identical(found.log10_loss, one.log10_loss)
        one = gs.train(MLP, 2, optimizer="momentum", momentum=0.5, **call)
        found = ds.sel(optimizer="momentum", decay=number, drop=True)
        xr.testing.assert_identical(found.log10_loss, one.log10_loss)


def test_train__structure_and_rules_vary_together():
    vary = {"optimizer": ["sgd", "rmsprop"], "tied": [True, False], "steps": [2, 3]}
    model = gs.RNN(width=3, sigma_u=1.0)
    ds = gs.train(model, 2, learning_rate=0.1, steps=4, vary=vary, inputs=3, batch_size=2)
    layers = np.isfinite(ds.log10_update_norm).all(["seed", "iteration"]).sum("layer")
    expected = xr.DataArray([[1, 1], [2, 3]], dims=("tied", "steps"))
    assert (layers == expected).all()
    plain = ds.sel(optimizer="sgd").log10_update_norm - ds.sel(optimizer="sgd").log10_gradient_norm
    np.testing.assert_allclose(plain.values[np.isfinite(plain)], -1, atol=1e-12)
    scaled = ds.log10_update_norm.sel(optimizer="rmsprop", iteration=0)
    size = 0.5 * np.log10(3 * 3 + 3 * 3 + 3) - 0.5  # every entry moves by 0.1 / sqrt(0.1)
    np.testing.assert_allclose(scaled.values[np.isfinite(scaled)], size, atol=1e-4)


def test_train__learns_labels_in_mini_batches():
    """Two classes that a line parts: the cost falls a hundredfold."""
    x = np.random.default_rng(0).normal(size=(40, 2)) + np.repeat([[3.0], [-3.0]], 20, axis=0)
    model = gs.MLP(width=(2, 2), output="softmax", loss="cross_entropy")
    rule = {"learning_rate": 0.5, "steps": 200, "batch_size": 7, "optimizer": "momentum"}
    ds = gs.train(model, 5, inputs=x, targets=np.repeat([0, 1], 20), **rule)
    assert (ds.log10_final_loss < -2).all()


def test_train__a_gradient_below_the_range_keeps_its_size_and_the_lost_step_is_seen():
    model = gs.MLP(depth=700, width=6, activation="sigmoid")
    of_start = gs.simulate(model, 2)
    parts = of_start.log10_weight_grad_norm, of_start.log10_bias_grad_norm
    expected = np.logaddexp(*(2 * np.log(10) * p for p in parts)) / np.log(100)
    ds = gs.train(model, 2, learning_rate=0.01, steps=2)
    first = ds.isel(iteration=0)
    assert (first.log10_gradient_norm.sel(layer=1) < -400).all()
    np.testing.assert_allclose(first.log10_gradient_norm, expected, atol=1e-9)
    np.testing.assert_allclose(first.log10_update_norm, expected - 2, atol=1e-9)
    assert (first.changed_share.sel(layer=1) == 0).all()
    assert (first.changed_share.sel(layer=700) == 1).all()
    clipped = gs.train(model, 2, learning_rate=0.01, steps=2, clip=1e-3).isel(iteration=0)
    shift = np.log10(1e-3) - clipped.log10_norm_before
    np.testing.assert_allclose(clipped.log10_update_norm, expected - 2 + shift, atol=1e-9)


def test_train__rmsprop_without_epsilon_is_blind_to_the_scale():
    """Its first step is learning_rate / sqrt(1 - decay) in every entry."""
    model = gs.MLP(depth=700, width=6, activation="sigmoid")
    ds = gs.train(
        model, 2, optimizer="rmsprop", epsilon=0.0, decay=0.75, learning_rate=1e-3, steps=1
    )
    np.testing.assert_allclose(ds.log10_update_norm, np.log10(2e-3 * np.sqrt(42)), atol=1e-9)
    assert (ds.changed_share == 1).all()


@pytest.mark.parametrize("tied", [True, False])
def test_train__states_far_below_the_range_meet_gradients_far_above(tied):
    """Linear, W = 0.01 I, U = 0: every step adds the same v h_0^T 0.01^(T - 1) to dC/dW."""
    steps, count = 300, 1 if tied else 300
    w, h, v = np.eye(2) * 0.01, np.array([1.0, 2.0]), np.array([[3.0, 4.0]])
    net = gs.from_arrays(
        w if tied else [w] * steps, steps=steps, cell="vanilla", activation="identity",
        loss="linear", initial_state=h, targets=v,
    )  # fmt: skip
    ds = gs.train(net, [0], learning_rate=1.0, steps=1)
    share = 300 if tied else 1
    expected = np.log10(share * 5 * 5**0.5) - 2 * (steps - 1)
    weights = gs.backward(net).weights
    assert len(weights) == count
    for gradient in weights:
        assert gradient.log10_norm() == pytest.approx(expected, abs=1e-9)
    assert ds.log10_weight_norm.shape == (1, 1, count)


def test_train__what_leaves_the_range_is_reported_and_ends_there():
    model = gs.MLP(depth=3, width=4, activation="identity")
    ds = gs.train(model, 3, learning_rate=1e5, steps=40)
    assert (ds.status == 2).all()
    assert np.isnan(ds.log10_final_loss).all()
    for seed in ds.seed:
        one = ds.sel(seed=seed)
        stop = int(one.stop_iteration)
        assert 1 < stop < 40
        assert np.isfinite(one.log10_update_norm[:stop]).all()
        assert np.isnan(one.log10_update_norm[stop:]).all()
        assert (one.log10_loss[stop - 1] > 20).all()


def test_train__goes_on_from_a_network():
    net = gs.network(MLP, 3, inputs=EXAMPLES)
    arguments = {"learning_rate": 0.1, "steps": 3}
    assert bits(gs.train(net, **arguments)) == bits(
        gs.train(MLP, [3], inputs=EXAMPLES, **arguments)
    )


@pytest.mark.parametrize("name", ["mlp", "residual", "lstm", "untied"])
def test_train__kept_parameters_are_a_network_that_goes_on(name):
    rule = {"learning_rate": 0.1, "inputs": EXAMPLES}
    whole = gs.train(MODELS[name], [7, 3], steps=4, keep=True, **rule).sel(seed=3)
    half = gs.train(MODELS[name], [7, 3], steps=2, keep=True, **rule).sel(seed=3)
    net = gs.network(MODELS[name], 3, inputs=EXAMPLES).with_parameters(half.final_parameter)
    rest = gs.train(net, steps=2, learning_rate=0.1, keep=True).isel(seed=0)
    np.testing.assert_array_equal(rest.final_parameter, whole.final_parameter)
    np.testing.assert_array_equal(rest.log10_loss, whole.log10_loss[2:])
    loss = gs.simulate(net).log10_loss.item()
    assert loss == pytest.approx(half.log10_final_loss.item(), abs=1e-12)
    with pytest.raises(ValueError, match="values must have shape"):
        net.with_parameters(half.final_parameter[1:])
    with pytest.raises(ValueError, match="finite"):
        net.with_parameters(half.final_parameter * np.nan)


def test_train__shows_every_step(monkeypatch):
    shown = []

    class Shown:
        def __init__(self, *, total, unit, **_):
            shown.append((total, unit))

        def refresh(self):
            shown.append(self.n)

        def close(self):
            shown.append("closed")

    monkeypatch.setattr("gradsim._pool.tqdm", Shown)
    monkeypatch.setattr("gradsim._pool.POLL_SECONDS", 1e-3)
    call = {"learning_rate": 0.1, "steps": 30, "vary": {"sigma_w": [1.0, 2.0]}}
    gs.train(MLP, 3, **call, progress=True)
    first, *counts, last = shown
    assert (first, last) == ((180, "step"), "closed")
    assert counts == sorted(counts)
    assert counts[-1] == 180
    assert len(set(counts)) > 2  # on the way too
    gs.train(MLP, 3, **call, progress=False)
    assert shown[-1] == "closed"
    with pytest.raises(TypeError, match="progress must be True, False or None"):
        gs.train(MLP, 3, **call, progress="no")


def test_train__result_survives_a_file(tmp_path):
    ds = gs.train(MLP, 2, learning_rate=[0.1, 0.2, 0.3], steps=2, clip=1.0, vary={"l2": [0, 0.1]})
    gs.save(ds, tmp_path / "run.nc")
    xr.testing.assert_identical(gs.load(tmp_path / "run.nc"), ds)
    config = json.loads(ds.attrs["gradsim_config"])
    assert config["train"]["learning_rate"] == [0.1, 0.2, 0.3]
    assert config["train"]["vary"] == [["l2", [0, 0.1]]]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.data())
def test_batches__every_epoch_is_an_order_of_all_examples(count, data):
    size, seed = data.draw(st.integers(1, count)), data.draw(st.integers(0, 2**64 - 1))
    order, whole = batches(count, size, 0, seed), count // size
    for _ in range(2):
        epoch = np.concatenate([next(order) for _ in range(whole)])
        assert len(np.unique(epoch)) == whole * size
        assert set(epoch) <= set(range(count))


def test_batches__differ_between_epochs_and_seeds():
    order = [next(batches(50, 50, 0, seed)).tolist() for seed in range(3)]
    epochs = batches(50, 50, 0, 0)
    assert next(epochs).tolist() == order[0]
    assert len({tuple(o) for o in [*order, next(epochs).tolist()]}) == 4


REFUSED = {
    "optimizer must be one of": {"optimizer": "sdg"},
    "did you mean 'newton'": {"optimizer": "newtn"},
    "l2 must be 0": {"optimizer": "newton", "l2": 0.1},
    "clip_by must be 'norm'": {"optimizer": "newton", "clip": 1.0, "clip_by": "value"},
    "damping, which belongs to .'newton'.": {"damping": 0.1},
    "damping=-1": {"optimizer": "newton", "damping": -1},
    "learning_rate=-0.1": {"learning_rate": -0.1},
    "learning_rate must be a finite": {"learning_rate": [0.1, np.nan, 0.1]},
    "one for each of the 3 layers": {"learning_rate": [0.1, 0.2]},
    "learning_rate must not be empty": {"learning_rate": []},
    r"steps=0\)": {"steps": 0},
    "steps=2.0": {"steps": 2.0},
    "at most the number of examples, 4": {"batch_size": 5},
    "batch_size=0": {"batch_size": 0},
    "threshold must be a finite number > 0": {"clip": 0.0},
    "clip_by must be one of": {"clip_by": "size"},
    "l2=-1": {"l2": -1},
    "belongs to .'momentum'.": {"momentum": 0.9},
    "momentum must be below 1": {"momentum": 1.0, "optimizer": "momentum"},
    "decay must be below 1": {"decay": 1, "optimizer": "rmsprop"},
    r"vary\['learning_rate'\] must not be empty": {"vary": {"learning_rate": []}},
    "field of MLP": {"vary": {"steps": [1, 2]}},
    "vary must map": {"vary": 3},
}


@pytest.mark.parametrize("message", REFUSED)
def test_train__refuses_by_name(message):
    arguments = {"learning_rate": 0.1, "steps": 2, "inputs": 4} | REFUSED[message]
    with pytest.raises((TypeError, ValueError), match=message):
        gs.train(MLP, 1, **arguments)


def test_train__refuses_a_batch_of_one_under_batch_norm():
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        gs.train(MODELS["batch norm"], 1, learning_rate=0.1, steps=1, inputs=4, batch_size=1)


def test_train__refuses_to_vary_what_a_networks_arrays_fix():
    with pytest.raises(ValueError, match="a Network's arrays fix it"):
        gs.train(gs.network(MLP, 0), learning_rate=0.1, steps=1, vary={"width": [3]})


def test_train__refuses_what_does_not_fit_before_any_work():
    with pytest.raises(MemoryError, match="result"):
        gs.train(MLP, 10**9, learning_rate=0.1, steps=10**9)
