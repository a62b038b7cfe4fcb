"""Measurements that users write: right on every model, and combined with everything else."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

import gradsim as gs
from gradsim.kernels import random

STATES = {"dims": ("state_step",)}


def mean_log(rows):
    """Mean over examples of the log10 norm of the rows of a `Scaled`."""
    with np.errstate(divide="ignore"):
        norms = np.log10(np.linalg.norm(rows.normalised().array, axis=1))
    return np.mean(norms) + rows.normalised().exponent * np.log10(2)


def joint(weights, drives):
    """log10 norms of W and U together, or of W where there is no U."""
    if not drives:
        return [w.log10_norm() for w in weights]
    norms = [np.hypot(10 ** w.log10_norm(), 10 ** u.log10_norm()) for w, u in zip(weights, drives)]
    return np.log10(norms).tolist()


def mean_square(rows):
    return np.mean(rows.to_array() ** 2)


@gs.measurement(
    "recomputed",
    {
        "my_delta": {"long_name": "log10 norm of delta", "formula": "log10 ||delta||"},
        "my_weight_gradient": "log10 norm of the weight gradient",
        "my_z": "mean square of z",
        "my_a": "mean square of a",
        "my_input_gradient": {"long_name": "log10 norm of dC/dx or dC/dh_0", "dims": ()},
    },
)
def recomputed(view):
    """What `gradient` and `signal` measure, from the view."""
    return {
        "my_delta": [mean_log(delta) for delta in view.deltas],
        "my_weight_gradient": joint(view.weight_gradients, view.input_weight_gradients),
        "my_z": [mean_square(z) for z in view.pre_activations],
        "my_a": [mean_square(a) for a in view.activations[1:]],
        "my_input_gradient": mean_log(view.input_gradient) + np.log10(len(view.deltas[0].array)),
    }


@gs.measurement(
    "moments_of_delta",
    {"delta_moment": {"long_name": "moment of abs(delta)", "dims": ("layer", "order")}},
    coords={"order": [1.0, 2.0, 4.0]},
    examples=False,
)
def moments_of_delta(view, *, root=True):
    """Moments of the sizes of delta over units and examples."""
    sizes = [np.abs(delta.to_array()) for delta in view.deltas]
    found = [[np.mean(size**q) ** (1 / q if root else 1) for q in (1, 2, 4)] for size in sizes]
    return {"delta_moment": found}


@gs.measurement("state_sizes", {"state_size": {"long_name": "log10 norm of h"} | STATES})
def state_sizes(view):
    return {"state_size": [mean_log(state) for state in view.activations]}


@gs.measurement(
    "total",
    {"total_size": {"long_name": "log10 norm of all weight gradients", "dims": ()},
     "bias_size": {"long_name": "log10 norm of all bias gradients", "dims": ()}},
)  # fmt: skip
def total(view):
    weights, biases, drives = view.gradients
    squares = [
        sum(10 ** (2 * g.log10_norm()) for g in kind) for kind in ([*weights, *drives], biases)
    ]
    return dict(zip(("total_size", "bias_size"), 0.5 * np.log10(squares)))


@gs.measurement("weight_sizes", {"weight_size": "log10 norm of W"})
def weight_sizes(view):
    """Norms of the weights, of every step where they are shared."""
    sizes = joint(view.weights, view.input_weights)
    return {"weight_size": sizes * (len(view.layers) if len(sizes) == 1 else 1)}


def run(model, seeds=3, **more):
    return gs.simulate(model, seeds, **{"progress": False} | more)


@pytest.fixture
def forgetful(monkeypatch):
    """The registry as it was, after the test."""
    monkeypatch.setattr(gs.measurements, "_entries", dict(gs.measurements._entries))


MODELS = [
    gs.MLP(depth=4, width=(5, 7, 6, 8, 3), sigma_b=0.3, output="identity"),
    gs.MLP(depth=5, width=6, activation="relu", sigma_w=1e-5, cell="residual_pre"),
    gs.MLP(depth=4, width=6, cell="residual", norm="layer"),
    gs.RNN(steps=5, width=6, sigma_u=0.5, loss_at="all"),
    gs.RNN(steps=4, width=6, sigma_u=0.5, cell="lstm", tied=False),
    gs.RNN(steps=4, width=6, cell="gru", activation="relu"),
]


@pytest.mark.parametrize("batch", ["mean", "each"])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_view__gives_what_gradient_and_signal_measure(model, batch):
    inputs = None if getattr(model, "sigma_u", 1) == 0 else 3
    measure = ["recomputed", "gradient", "signal"]
    ds = run(model, inputs=inputs, batch=batch, measure=measure)
    pairs = {"my_delta": "log10_delta_norm", "my_weight_gradient": "log10_weight_grad_norm"}
    for mine, name in pairs.items():
        np.testing.assert_allclose(ds[mine], ds[name], atol=1e-10, err_msg=name)
    far = ds.log10_input_grad_norm if isinstance(model, gs.MLP) else ds.log10_state_grad_norm
    far = far if isinstance(model, gs.MLP) else far.isel(state_step=0)
    np.testing.assert_allclose(ds.my_input_gradient, far, atol=1e-10)
    for mine, name in {"my_z": "z_mean_square", "my_a": "a_mean_square"}.items():
        over = ds[mine].mean("example") if batch == "each" else ds[mine]
        np.testing.assert_allclose(over, ds[name], rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_view__is_of_its_own_condition_in_a_sweep(dtype):
    vary = {"activation": ["tanh", "relu"], "depth": [2, 5], "width": [4, 6], "sigma_w": [0.5, 2.0]}
    measure = ["moments_of_delta", "recomputed", "gradient", "noise"]
    options = {"inputs": 3, "dtype": dtype, "measure": measure}
    ds = run(gs.MLP(), vary=vary, **options)
    close = {"rtol": 0, "atol": 1e-10 if dtype == "float64" else 1e-5}
    np.testing.assert_allclose(ds.my_delta, ds.log10_delta_norm, **close)
    np.testing.assert_allclose(ds.my_weight_gradient, ds.log10_mean_gradient_norm, **close)
    alone = run(gs.MLP(activation="relu", depth=5, width=6, sigma_w=2.0), **options)
    one = ds.sel(activation="relu", depth=5, width=6, sigma_w=2.0)
    np.testing.assert_allclose(one.delta_moment, alone.delta_moment, rtol=1e-5)
    assert ds.delta_moment.dims == (*vary, "seed", "layer", "order")
    assert ds.delta_moment.sel(depth=2, layer=3).isnull().all()


def test_measurement__has_the_same_bits_however_it_is_run():
    model, measure = gs.MLP(depth=4, width=9), ["recomputed", "moments_of_delta", "weight_sizes"]
    whole = run(model, 40, measure=measure, threads=1)
    parts = [run(model, [*range(30, 40)], measure=measure, threads=2),
             run(model, 40, measure=[*measure, "bounds"], threads=3)]  # fmt: skip
    for name in whole.data_vars:
        for part in parts:
            expected = whole[name].sel(seed=part.seed)
            assert np.array_equal(part[name].values, expected.values, equal_nan=True), name


@pytest.mark.parametrize("model", [*MODELS, gs.MLP(depth=3, width=6, init="orthogonal")], ids=str)
def test_view__weights_are_those_of_the_network(model):
    drawn, net = run(model, [2], measure=["weight_sizes", "signal"]), gs.network(model, 2)
    np.testing.assert_allclose(drawn.weight_size, drawn.log10_weight_norm, atol=1e-12)
    given = run(net, [2], measure="weight_sizes")
    assert np.array_equal(given.weight_size, drawn.weight_size)


def test_view__weights_of_all_conditions_are_drawn_once(monkeypatch):
    fill, drawn = random.fill, []

    def watched(out, *address):
        drawn.append(address)
        fill(out, *address)

    monkeypatch.setattr(random, "fill", watched)
    model, vary = gs.RNN(steps=3, width=6, sigma_u=0.5), {"sigma_w": [0.5, 1.0, 2.0]}
    ds = run(model, [2], vary=vary, measure="weight_sizes")
    assert len(drawn) == len(set(drawn)) == 2  # W and U
    for sigma in vary["sigma_w"]:
        one = run(model.with_fields(sigma_w=sigma), [2], measure="weight_sizes")
        assert np.array_equal(ds.weight_size.sel(sigma_w=sigma), one.weight_size)


def test_measurement__of_states_and_parameters():
    model = gs.RNN(steps=6, width=5)
    ds = run(model, measure=["state_sizes", gs.measurements.moments_of_delta(root=False)])
    assert ds.state_size.sizes == {"seed": 3, "state_step": 7}
    h0 = gs.network(model, 1).initial_state
    assert ds.state_size[1, 0] == pytest.approx(np.log10(np.linalg.norm(h0)), abs=1e-14)
    config = json.loads(ds.attrs["gradsim_config"])
    assert config["measure"]["moments_of_delta"] == {"root": False}
    root = run(model, measure="moments_of_delta").delta_moment
    np.testing.assert_allclose(ds.delta_moment, root**root.order, rtol=1e-12)


@pytest.mark.parametrize("batch", ["mean", "each"])
def test_view__gradients_are_those_of_all_steps(batch):
    model = gs.RNN(steps=5, width=6, sigma_u=0.5, loss_at="all", cell="gru")
    ds = run(model, inputs=3, batch=batch, measure=["total", "gradient"])
    np.testing.assert_allclose(ds.total_size, ds.log10_total_weight_grad_norm, atol=1e-10)
    if batch == "mean":
        g = gs.backward(gs.network(model, 2, inputs=3)).biases
        assert ds.bias_size[2].item() == pytest.approx(g[0].log10_norm(), abs=1e-10)


def test_measurement__over_examples_has_one_result_of_all():
    options = {"inputs": 3, "measure": ["moments_of_delta", "state_sizes"]}
    model = gs.RNN(steps=3, width=5, sigma_u=0.5)
    each, mean = (run(model, batch=batch, **options) for batch in ("each", "mean"))
    assert each.state_size.dims == ("seed", "example", "state_step")
    assert np.array_equal(each.delta_moment, mean.delta_moment)
    np.testing.assert_allclose(each.state_size.mean("example"), mean.state_size, atol=1e-12)


def test_measurement__leaves_out_networks_that_left_the_range():
    model = gs.MLP(depth=30, width=4, activation="softplus", sigma_w=1e30)
    ds = run(model, measure=["recomputed", "gradient"])
    assert (ds.status == 2).all()
    assert ds.my_delta.isnull().all()


def test_measurement__keeps_its_range(forgetful):
    sizes = {"size": "log10 norm of delta"}
    gs.measurement("sizes", sizes)(lambda view: {"size": [d.log10_norm() for d in view.deltas]})
    model = gs.MLP(depth=1200, width=4, activation="sigmoid")
    ds = run(model, 1, measure=["sizes", "gradient"])
    assert ds.log10_delta_norm[0, 0] < -700
    np.testing.assert_allclose(ds["size"], ds.log10_delta_norm, atol=1e-10)


def sample(name="sample", variables=None, **more):
    variables = {"sample_variable": "text"} if variables is None else variables
    return gs.measurement(name, variables, **more)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sample("not one"), "must be an identifier"),
    (lambda: sample(variables={}), "must map names to texts"),
    (lambda: sample(variables={"x": {"formula": "y"}}), "must have a long_name"),
    (lambda: sample(variables={"x": {"long_name": "y", "dims": ("layer", "k")}}), "dims of 'x'"),
    (lambda: sample(coords={"k": [[1.0]]}), "coords must map"),
    (lambda: sample(variables={"depth": "text"})(lambda view: {}), "'depth' is taken"),
    (lambda: sample(variables={"noise_scale": "text"})(lambda view: {}), "'noise_scale' is taken"),
    (lambda: sample("bounds")(lambda view: {}), "there is a measurement of that name"),
    (lambda: sample()(lambda view, q: {}), "parameter 'q' must have a default"),
    (lambda: sample()(3), "must decorate a function"),
    (lambda: run(gs.MLP(depth=2), measure="state_sizes"), "state_step, which an RNN alone has"),
    (lambda: run(gs.MLP(), measure=gs.measurements.moments_of_delta(power=2)), "power"),
])  # fmt: skip
def test_measurement__refuses_by_name(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


@pytest.mark.parametrize(("returned", "words"), [
    ({}, "must return a dict of"), ([1.0], "must return a dict of"),
    ({"bad": [1.0]}, r"of shape \(3,\), got float64 of shape \(1,\)"),
    ({"bad": ["a"] * 3}, "must be real numbers"),
])  # fmt: skip
def test_measurement__of_a_wrong_result_is_refused(forgetful, returned, words):
    gs.measurement("wrong", {"bad": "text"})(lambda view: returned)
    with pytest.raises(ValueError, match=words):
        run(gs.MLP(depth=3, width=4), measure="wrong")


def test_measurement__that_raises_says_where(forgetful):
    gs.measurement("wrong", {"bad": "text"})(lambda view: {"bad": [1 / 0]})
    with pytest.raises(ZeroDivisionError) as caught:
        run(gs.MLP(depth=3, width=4), [7], measure="wrong")
    assert "measurement 'wrong' of seed 7" in caught.value.__notes__[0]


SCRIPT = """
import gradsim as gs

gs.activation("inner_phi", lambda t, z: t.tanh(2 * z))
gs.activation("own_phi", lambda t, z: t.map("inner_phi", z) + 0.1 * z)

@gs.initializer("own_init")
def own_init(draw, n_out, n_in, model):
    return draw.normals(n_out, n_in) / n_in**0.5

@gs.measurement("own_measurement", {"own_variable": "text"})
def own_measurement(view):
    return {"own_variable": [delta.log10_norm() for delta in view.deltas]}

def simulated():
    model = gs.MLP(depth=3, width=4, activation="own_phi", init="own_init")
    return gs.simulate(model, 2, measure="own_measurement", progress=False)
"""
AGAIN = """
import json, sys
import gradsim as gs, xarray as xr

ds = gs.load(sys.argv[1])
assert ds.own_variable.notnull().all()
assert "own_phi" not in gs.activations and "own_measurement" not in gs.measurements
config = json.loads(ds.attrs["gradsim_config"])
for kind, name in (
    ("activations", "own_phi"), ("initializers", "own_init"), ("measurements", "own_measurement")
):
    exec(config[kind][name])
model = gs.MLP(depth=3, width=4, activation="own_phi", init="own_init")
again = gs.simulate(model, 2, measure="own_measurement", progress=False)
xr.testing.assert_equal(ds, again)
"""


def test_file__carries_what_users_wrote_and_loads_without_it(forgetful, monkeypatch, tmp_path):
    for registry in (gs.activations, gs.initializers):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (tmp_path / "own_script.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    gs.save(importlib.import_module("own_script").simulated(), tmp_path / "own.nc")
    monkeypatch.delitem(sys.modules, "own_script")
    subprocess.run([sys.executable, "-c", AGAIN, tmp_path / "own.nc"], check=True)
