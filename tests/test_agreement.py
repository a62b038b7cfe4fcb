"""Every variable against autograd on the arrays of the same network.

All activations, outputs, costs and initialisers are gone through, twice where they can be; what
is left is sampled with fixed seeds.
Combinations that the models refuse are part of the sample: they must raise ValueError by name.
"""

import itertools
import math
from collections import Counter

import numpy as np
import oracle
import pytest
import xarray as xr

import gradsim as gs

LN10 = math.log(10)
RELATIVE = {"float64": 1e-10, "float32": 1e-4}
CHAOS = 1.05  # chi_1 above which rounding grows from layer to layer
BOTH = ("gradient", "signal")
LOSSES = ("mse", "cross_entropy", "linear")
LINEAR = ("identity", "relu")  # whose gain a random walk has
SIZES = (3, 5)
EXAMPLES = 3


# Comparison -------------------------------------------------------------------------------------


def as_error(name, actual, expected):
    """Error of a variable: of the logarithm in units of relative error, else relative."""
    with np.errstate(invalid="ignore"):
        difference = np.where(actual == expected, 0.0, np.abs(actual - expected))
    if name.startswith("log10"):
        return difference * LN10
    return difference / np.maximum(np.abs(expected), 1e-300)


def assert_agrees(ds, expected, allowed, cancelling, label):
    """Variables of the only seed of ``ds`` against the reference, within ``allowed[name]``."""
    assert set(ds.data_vars) == set(expected), label
    for name, wanted in expected.items():
        actual = ds[name].isel(seed=0).values
        assert actual.shape == np.shape(wanted), (label, name)
        if name in ("status", "status_layer") or name.endswith("_share"):
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, err_msg=f"{label} {name}")
            continue
        limit = allowed[name] * (cancelling if name == "log10_loss" else 1.0)
        worst = np.max(as_error(name, actual, wanted))
        assert worst <= limit, f"{label}: {name} is off by {worst:.3g}, allowed {limit:.3g}"


def sensitivity(net, options, ds, dtype):
    """Ten times the change that one ulp of the input makes, the largest along each variable."""
    model, arguments = net.model, {"targets": net.targets}
    recurrent = isinstance(model, gs.RNN)

    def nudge(x):
        return np.nextafter(np.asarray(x, dtype), np.inf).astype(np.float64)

    if recurrent:
        model = model.with_fields(initial_state=nudge(net.initial_state).tolist())
    if net.inputs is not None:
        arguments["inputs"] = nudge(net.inputs)
    moved = gs.simulate(model, [net.seed], key=net.key, **arguments, **options, dtype=dtype)
    changes = {}
    for name in ds.data_vars:
        error = as_error(name, moved[name].values, ds[name].values)
        changes[name] = 10 * float(np.max(error))
    return changes


def chi_1(model):
    """chi_1 of mean field; where every q is fixed it does not depend on q; inf without theory."""
    try:
        return float(gs.theory.mean_field(model).chi_1)
    except ValueError:
        return math.inf


def check(model, seed, key=0, inputs=None, targets=None, batch="mean"):
    """Compare all results of one network, in both dtypes, and its gradients as arrays."""
    label = f"{model} seed={seed} key={key} batch={batch} inputs={type(inputs).__name__}"
    label += f" targets={np.shape(targets) if targets is not None else None}"
    net = gs.network(model, seed, key=key, inputs=inputs, targets=targets)
    ref = oracle.reference(net)
    expected = oracle.variables(ref, batch == "each")
    options = {"batch": batch, "measure": BOTH}
    for dtype, relative in RELATIVE.items():
        ds = gs.simulate(
            model, [seed], key=key, inputs=inputs, targets=targets, dtype=dtype, **options
        )
        allowed = dict.fromkeys(expected, relative)
        if chi_1(net.model) > CHAOS:
            change = sensitivity(net, options, ds, dtype)
            allowed = {name: max(relative, change[name]) for name in expected}
        assert_agrees(ds, expected, allowed, ref.cancelling, f"{dtype} {label}")
    assert_gradients(net, ref, label)


def assert_gradients(net, ref, label):
    """Arrays of gs.backward against autograd, relative to the largest entry."""
    grads = gs.backward(net)
    recurrent = isinstance(net.model, gs.RNN)
    tied = recurrent and net.model.tied
    allowed = RELATIVE["float64"]
    if chi_1(net.model) > CHAOS:
        ds = gs.simulate(net.model, [net.seed], key=net.key, **_data(net))
        allowed = max(allowed, *sensitivity(net, {}, ds, "float64").values())

    def same(scaled, wanted, what):
        actual = scaled.to_array()
        assert actual.shape == wanted.shape, f"{label} {what}"
        error = np.max(np.abs(actual - wanted)) / max(np.max(np.abs(wanted)), 1e-300)
        assert error <= allowed, f"{label}: {what} is off by {error:.3g}, allowed {allowed:.3g}"
        log = oracle.log10(np.linalg.norm(wanted))
        assert as_error("log10", scaled.log10_norm(), log) <= allowed, f"{label} {what}"

    def each_same(values, wanted, what):
        assert len(values) == len(wanted), f"{label} {what}"
        for i, pair in enumerate(zip(values, wanted)):
            same(*pair, f"{what}[{i}]")

    weights = [w.mean(0) for w in ref.weight]
    biases = [d.mean(0) for d in ref.delta]
    count = len(ref.cost)
    each_same(grads.deltas, ref.delta, "deltas")
    each_same(grads.weights, [ref.shared["W"]] if tied else weights, "weights")
    each_same(grads.biases, [sum(biases)] if tied else biases, "biases")
    if not recurrent:
        same(grads.inputs, ref.state[0] / count, "inputs")
        return
    same(grads.initial_state, ref.state[0] / count, "initial_state")
    if not ref.drive:
        assert grads.inputs is None, label
        assert grads.input_weights is None, label
        return
    each_same(grads.inputs, list(ref.x / count), "inputs")
    if tied:
        same(grads.input_weights, ref.shared["U"], "input_weights")
    else:
        each_same(grads.input_weights, [u.mean(0) for u in ref.drive], "input_weights")


def _data(net):
    return {"inputs": net.inputs, "targets": net.targets}


# MLP --------------------------------------------------------------------------------------------

ACTIVATIONS = tuple(oracle.ACTIVATIONS)
INITS = tuple(gs.initializers)
# Matrices made as a whole, and unscaled ones (whose outputs saturate beyond the range of the
# oracle), are in test_initializers.
ENTRYWISE = tuple(n for n in INITS if not gs.initializers[n].make and n != "unscaled_normal")
SWEPT = tuple(n for n in INITS if not n.startswith("random_walk") and not gs.initializers[n].square)
# Least bias at which there is a critical point; see the theory's tests.
EDGELESS = {"gelu": 0.416, "gelu_tanh": 0.416, "silu": 0.745, "mish": 0.318, "softplus": math.inf}


def shuffled(*choices):
    """All combinations, in an order in which the first ones are as mixed as the rest."""
    grid = list(itertools.product(*choices))
    return [grid[i] for i in np.random.default_rng(0).permutation(len(grid))]


MLP_GRID = shuffled(ACTIVATIONS, (None, *ACTIVATIONS, "softmax"), LOSSES)
SAMPLED, TIMES = 400, 2
GONE_THROUGH = ("activation", "output", "loss", "init", "tied", "loss_at", "sigma_u")


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def mlp_fields(rng, i):
    """Fields of sampled model i: the first ones go through all activations, outputs and costs."""
    chosen = MLP_GRID[i] if i < len(MLP_GRID) else MLP_GRID[rng.integers(len(MLP_GRID))]
    fields = dict(zip(("activation", "output", "loss"), chosen))
    fields |= {
        "sigma_w": pick(rng, 0.5, 1.0, 1.5, 2.5),
        "sigma_b": pick(rng, 0.0, 0.5),
        "init": pick(rng, *ENTRYWISE),
        "slope": pick(rng, 0.01, 0.3, -0.2, 1.5),
    }
    shape = rng.integers(3)
    depth = int(pick(rng, 1, 2, 5))
    if shape == 0:
        return fields | {"depth": depth, "width": pick(rng, *SIZES)}
    if shape == 1:
        return fields | {"width": tuple(int(pick(rng, *SIZES)) for _ in range(depth + 1))}
    ends = {"input_width": pick(rng, None, *SIZES), "output_width": pick(rng, None, *SIZES)}
    return fields | {"depth": depth, "width": pick(rng, *SIZES)} | ends


def sampled_inputs(rng, shape, names):
    """Inputs of a sampled network in one of their forms, and the number of examples."""
    form = rng.integers(6)
    if form < 2:
        return None, 1
    if form == 2:
        return EXAMPLES, EXAMPLES
    if form == 3:  # one example, alone; an RNN has no such form
        x = rng.standard_normal(shape)
        return (x if len(shape) == 1 else x[None]), 1
    x = rng.standard_normal((EXAMPLES, *shape))
    if form == 4:
        return x, EXAMPLES
    order = rng.permutation(len(names))
    return xr.DataArray(x, dims=names).transpose(*(names[k] for k in order)), EXAMPLES


def sampled_targets(rng, loss, count, n_out, steps=None):
    """Targets in one of their forms; ``steps`` for an RNN, whose steps may have their own."""
    lead = [(count,), ()] + ([(count, steps)] if steps else [])
    form = rng.integers(3 + len(lead))
    if form < 2:
        return None
    if form == 2 and loss == "cross_entropy":  # labels
        shape = pick(rng, *lead[::2])
        return rng.integers(0, n_out, shape)
    shape = (*lead[rng.integers(len(lead))], n_out)
    return rng.random(shape) if loss == "cross_entropy" else rng.standard_normal(shape)


def refusal(fields, homogeneous):
    """What must be named where a model has to be refused, or None."""
    kind = "activation" if "steps" in fields else "output"
    last = fields["activation"] if kind == "activation" else fields["output"]
    last = fields["activation"] if last is None else last
    if fields["loss"] == "cross_entropy" and last not in ("sigmoid", "softmax"):
        return f"cross_entropy.*{kind}.*{last}"
    bias = math.hypot(fields["sigma_b"], fields.get("sigma_u", 0.0))
    if fields["init"].startswith("random_walk") and fields["activation"] not in LINEAR:
        return f"{fields['init']}.*identity.*relu.*{fields['activation']}"
    if fields["init"] != "critical":
        return None
    if homogeneous and bias > 0:
        return f"{fields['activation']}.*no such point"
    if bias < EDGELESS.get(fields["activation"], 0.0):
        return f"{fields['activation']}.*(no such point|no finite)"
    return None


REFUSED = []


def cases(model, fields_of, kind):
    """Samples that have a value met less than twice so far; the refused ones go to `REFUSED`."""
    met, kept = Counter(), []
    for i in range(SAMPLED):
        fields = fields_of(np.random.default_rng([kind, i]), i)
        wrong = refusal(fields, gs.activations[fields["activation"]].homogeneous)
        values = [(name, fields.get(name)) for name in GONE_THROUGH]
        if wrong and not met[wrong]:
            REFUSED.append((model, fields, wrong))
            met[wrong] += 1
        elif not wrong and min(met[value] for value in values) < TIMES:
            kept.append(i)
            met.update(values)
    return kept


@pytest.mark.parametrize(("activation", "output"), [
    *((name, None) for name in ACTIVATIONS), *(("tanh", name) for name in ACTIVATIONS),
    ("tanh", "softmax"), ("relu", "softmax"),
])  # fmt: skip
def test_mlp__agrees_with_autograd_where_an_input_is_zero(activation, output):
    inputs = np.array([[0.0, 0.0, 0.0], [0.4, -1.0, 0.3]])
    for batch in ("mean", "each"):
        model = gs.MLP(depth=3, width=3, activation=activation, output=output)
        check(model, seed=1, inputs=inputs, batch=batch)


def test_oracle__knows_every_activation():
    builtin = {name for name, phi in gs.activations.items() if phi.program is None}
    assert set(oracle.ACTIVATIONS) == builtin


@pytest.mark.parametrize("i", cases(gs.MLP, mlp_fields, 1))
def test_mlp__agrees_with_autograd(i):
    rng = np.random.default_rng([1, i])
    model = gs.MLP(**mlp_fields(rng, i))
    inputs, count = sampled_inputs(rng, (model.widths[0],), ("example", "feature"))
    targets = sampled_targets(rng, model.loss, count, model.widths[-1])
    batch, seed, key = pick(rng, "mean", "each"), int(rng.integers(2**63)), pick(rng, 0, 7)
    check(model, seed, key, inputs, targets, batch)


# RNN --------------------------------------------------------------------------------------------

RNN_GRID = shuffled((True, False), ("last", "all"), ACTIVATIONS, LOSSES, (0.0, 0.7))


def rnn_fields(rng, i):
    """Fields of sampled model i: the first ones go through tying, costs, activations, inputs."""
    chosen = RNN_GRID[i] if i < len(RNN_GRID) else RNN_GRID[rng.integers(len(RNN_GRID))]
    fields = dict(zip(("tied", "loss_at", "activation", "loss", "sigma_u"), chosen))
    return fields | {
        "steps": int(pick(rng, 1, 3, 6)),
        "width": pick(rng, *SIZES),
        "input_width": pick(rng, None, *SIZES),
        "sigma_w": pick(rng, 0.5, 1.0, 1.5, 2.5),
        "sigma_b": pick(rng, 0.0, 0.5),
        "init": pick(rng, *ENTRYWISE),
        "slope": pick(rng, 0.01, 0.3, -0.2, 1.5),
    }


def sampled_state(rng, width, count):
    form = rng.integers(4)
    if form < 2:
        return ("gaussian", "zeros")[form]
    return rng.standard_normal((width,) if form == 2 else (count, width))


@pytest.mark.parametrize("i", cases(gs.RNN, rnn_fields, 2))
def test_rnn__agrees_with_autograd(i):
    rng = np.random.default_rng([2, i])
    model = gs.RNN(**rnn_fields(rng, i))
    features = model.width if model.input_width is None else model.input_width
    steps = model.steps + int(rng.integers(2))  # more steps than the model has are not read
    inputs, count = sampled_inputs(rng, (steps, features), ("example", "step", "feature"))
    state = sampled_state(rng, model.width, count)
    targets = sampled_targets(rng, model.loss, count, model.width, model.steps)
    model = model.with_fields(initial_state=state)
    if model.sigma_u == 0 and inputs is not None:
        with pytest.raises(ValueError, match="sigma_u"):
            gs.simulate(model, 1, inputs=inputs, targets=targets)
        inputs, count = None, 1
        model = model.with_fields(initial_state=sampled_state(rng, model.width, count))
        targets = sampled_targets(rng, model.loss, count, model.width, model.steps)
    batch, seed, key = pick(rng, "mean", "each"), int(rng.integers(2**63)), pick(rng, 0, 7)
    check(model, seed, key, inputs, targets, batch)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rnn__agrees_with_autograd_where_states_and_inputs_are_zero(activation):
    quiet = gs.RNN(steps=3, width=3, activation=activation, initial_state="zeros", loss_at="all")
    check(quiet, seed=1)
    check(quiet.with_fields(tied=False, loss="linear", loss_at="last"), seed=1)
    inputs = np.zeros((2, 3, 3))
    inputs[1, 1:] = [[0.4, -1.0, 0.3], [1.0, 2.0, -0.5]]
    check(quiet.with_fields(sigma_u=1.0), seed=1, inputs=inputs)


def test_model__that_has_to_be_refused_is_refused_by_name():
    assert {model for model, _, _ in REFUSED} == {gs.MLP, gs.RNN}
    for model, fields, wrong in REFUSED:
        with pytest.raises(ValueError, match=wrong):
            gs.simulate(model(**fields), 1)


def test_rnn__refuses_states_of_another_number_of_examples():
    model = gs.RNN(steps=3, width=3, sigma_u=1.0, initial_state=np.ones((2, 3)))
    with pytest.raises(ValueError, match="initial_state"):
        gs.simulate(model, 1, inputs=3)


# Sweeps -----------------------------------------------------------------------------------------


def assert_alike(sweep, alone, dtype="float64", label=""):
    """A condition of a sweep has the values that it has alone, and NaN beyond its layers."""
    assert set(sweep.data_vars) == set(alone.data_vars)
    for name, wanted in alone.data_vars.items():
        found = sweep[name]
        for dim in ("layer", "step", "state_step"):
            if dim in wanted.dims:
                inside = found[dim] <= wanted[dim].max()
                beyond = found.isel({dim: np.flatnonzero(~inside)})
                assert beyond.isnull().all(), (label, name)
                found = found.isel({dim: np.flatnonzero(inside)})
        found = found.transpose(*wanted.dims).values
        if np.issubdtype(found.dtype, np.integer):
            np.testing.assert_array_equal(found, wanted.values, err_msg=f"{label} {name}")
            continue
        assert not np.isnan(wanted.values).any(), (label, name)
        error = np.max(as_error(name, found, wanted.values), initial=0.0)
        assert error <= {"float64": 1e-11, "float32": 1e-4}[dtype], (label, name, error)


def conditions(vary):
    """Every combination of the values of a sweep."""
    for values in itertools.product(*vary.values()):
        yield dict(zip(vary, values))


SWEEPS = {
    "depth": (
        gs.MLP(width=5, activation="tanh", sigma_w=1.1, sigma_b=0.2),
        {"depth": [1, 2, 4, 7]},
        {},
    ),
    "depth, wide softmax output": (
        gs.MLP(width=4, input_width=3, output_width=7, output="softmax", loss="cross_entropy"),
        {"depth": [6, 1, 3], "activation": ["relu", "sigmoid"]},
        {"inputs": 3},
    ),
    "depth, narrow output": (
        gs.MLP(width=6, output_width=2, activation="relu", init="he_uniform"),
        {"depth": [5, 2]},
        {"inputs": 2, "batch": "each"},
    ),
    "width": (gs.MLP(depth=4, sigma_b=0.3), {"width": [3, 5, 8]}, {"inputs": 2}),
    "ragged widths": (
        gs.MLP(width=(3, 5, 2)), {"width": [(3, 5, 2), (3, 4, 4, 4, 2), (1, 1)]}, {}
    ),
    "activation, sigma_w, init": (
        gs.MLP(depth=4, width=5, output="identity", loss="linear"),
        {
            "activation": [name for name in ACTIVATIONS if name not in EDGELESS],
            "sigma_w": [0.5, 1.0],
            "init": list(SWEPT),
        },
        {},
    ),
    "all activations, init": (
        gs.MLP(depth=4, width=5, sigma_b=0.3),
        {"activation": list(ACTIVATIONS), "init": [n for n in SWEPT if n != "critical"]},
        {},
    ),
    "loss, output, sigma_b": (
        gs.MLP(depth=3, width=4, activation="tanh"),
        {"output": [None, "identity", "softmax"], "loss": ["mse", "linear"], "sigma_b": [0, 1.0]},
        {"inputs": 2},
    ),
    "steps, tied": (
        gs.RNN(width=4, sigma_u=0.5, sigma_b=0.1),
        {"steps": [1, 3, 6], "tied": [True, False], "loss_at": ["last", "all"]},
        {"inputs": 2},
    ),
    "states, sigma_u": (
        gs.RNN(steps=4, width=3, activation="sigmoid", loss="cross_entropy", input_width=3),
        {
            "initial_state": ["gaussian", "zeros", (0.5, -1.0, 2.0)],
            "sigma_u": [0.5, 1.0],
            "loss_at": ["all", "last"],
        },
        {},
    ),
    "sigma_u from 0": (
        gs.RNN(steps=4, width=3, activation="relu", loss="linear"), {"sigma_u": [0.0, 0.8]}, {}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sweep__has_the_values_of_each_condition_alone(name, dtype):
    model, vary, options = SWEEPS[name]
    options = options | {"measure": BOTH, "dtype": dtype}
    sweep = gs.simulate(model, 3, vary=vary, **options)
    assert sweep.log10_delta_norm.dims[: len(vary)] == tuple(vary)
    grid = list(zip(np.ndindex(*map(len, vary.values())), conditions(vary)))
    for i in np.random.default_rng(0).permutation(len(grid))[:20]:
        place, values = grid[i]
        alone = gs.simulate(_with(model, values), 3, **options)
        chosen = sweep.isel(dict(zip(vary, place)))
        if chosen.sizes.get("step") and values.get("sigma_u") == 0.0:  # a run without inputs
            names = ("log10_input_grad_norm", "log10_input_weight_grad_norm")
            assert names[0] not in alone
            for absent in names:
                assert not np.isfinite(chosen[absent]).any()
            chosen = chosen.drop_vars(names)
        assert_alike(chosen, alone, dtype, f"{name} {values}")


def _with(model, values):
    """Model of one condition; a tuple of widths brings its own ends and depth."""
    if isinstance(values.get("width"), tuple):
        return gs.MLP(width=values["width"])
    return model.with_fields(**values)


def test_sweep__leaves_layers_beyond_a_depth_empty():
    ds = gs.simulate(gs.MLP(width=3), 2, vary={"depth": [2, 5]}, measure=BOTH)
    shallow = ds.sel(depth=2)
    assert ds.layer.values.tolist() == [1, 2, 3, 4, 5]
    for variable in shallow.data_vars.values():
        if "layer" in variable.dims:
            assert variable.sel(layer=[1, 2]).notnull().all()
            assert variable.sel(layer=[3, 4, 5]).isnull().all()


@pytest.mark.parametrize(
    ("activation", "sigma_b"), [("tanh", 0.0), ("tanh", 0.5), ("relu", 0.0), ("sigmoid", 1.0)]
)
def test_critical__is_a_gaussian_at_the_edge_of_chaos(activation, sigma_b):
    model = gs.MLP(depth=5, width=5, activation=activation, sigma_b=sigma_b, init="critical")
    sigma_w = gs.theory.edge_of_chaos(activation, sigma_b)
    plain = model.with_fields(init="gaussian", sigma_w=sigma_w)
    assert_alike(gs.simulate(model, 3, measure=BOTH), gs.simulate(plain, 3, measure=BOTH))
    assert chi_1(model) == pytest.approx(1.0, abs=1e-9)
    for init in ("gaussian", "critical"):
        check(model.with_fields(init=init, sigma_w=1.0), seed=5)


def test_critical__counts_inputs_of_an_rnn_as_a_bias():
    model = gs.RNN(steps=4, width=5, sigma_b=0.3, sigma_u=0.4, init="critical")
    sigma_w = gs.theory.edge_of_chaos("tanh", 0.5)
    plain = model.with_fields(init="gaussian", sigma_w=sigma_w)
    found, wanted = gs.network(model, 3), gs.network(plain, 3)
    np.testing.assert_allclose(found.recurrent, wanted.recurrent, rtol=1e-12)
    np.testing.assert_allclose(found.input_weights, wanted.input_weights, rtol=1e-12)
    assert_alike(gs.simulate(model, 3), gs.simulate(plain, 3))


# Networks from arrays ---------------------------------------------------------------------------

ROUND_TRIPS = {
    "mlp": (gs.MLP(width=(3, 5, 4, 2), activation="tanh", sigma_b=0.5), {"inputs": 3}),
    "softmax": (
        gs.MLP(depth=3, width=4, activation="leaky_relu", slope=0.2, output="softmax",
               loss="cross_entropy", sigma_w=1.4), {"inputs": 2},
    ),
    "tied": (gs.RNN(steps=5, width=4, sigma_b=0.2, activation="tanh"), {}),
    "tied with inputs": (
        gs.RNN(steps=5, width=4, sigma_u=0.5, input_width=2, loss_at="all"), {"inputs": 3}
    ),
    "untied with inputs": (
        gs.RNN(steps=5, width=4, sigma_u=0.5, activation="relu", tied=False, loss="linear"),
        {"inputs": 2},
    ),
}  # fmt: skip


def from_network(net, **changes):
    """Network again from its arrays alone."""
    model = net.model
    fields = {name: getattr(model, name) for name in ("activation", "loss", "slope")}
    if isinstance(model, gs.RNN):
        fields |= {"loss_at": model.loss_at, "initial_state": net.initial_state, "cell": "vanilla"}
        fields |= {"steps": model.steps} if model.tied else {}
        weights = net.recurrent
        biases = net.biases[0] if model.tied else net.biases
    else:
        weights, biases = net.weights, net.biases
        fields |= {"output": model.output}
    return gs.from_arrays(
        weights, biases, input_weights=net.input_weights, **_data(net), **(fields | changes)
    )


@pytest.mark.parametrize("name", ROUND_TRIPS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_from_arrays__gives_what_the_model_gives(name, dtype):
    model, options = ROUND_TRIPS[name]
    for batch in ("mean", "each"):
        run = {"measure": BOTH, "dtype": dtype, "batch": batch}
        drawn = gs.simulate(model, [12], **options, **run)
        net = from_network(gs.network(model, 12, **options))
        given = gs.simulate(net, [12], **run)
        for variable in ("log10_delta_norm", "log10_weight_grad_norm"):
            assert np.isfinite(drawn[variable]).any()
        assert_alike(given, drawn, dtype, f"{name} {batch}")


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_from_arrays__has_the_gradients_of_autograd(name):
    model, options = ROUND_TRIPS[name]
    drawn = gs.network(model, 12, **options)
    net = from_network(drawn)
    again = oracle.reference(drawn)
    assert_gradients_of(net, again, drawn.model)


def assert_gradients_of(net, ref, model):
    """gs.backward on rebuilt arrays, against the reference of the drawn network."""
    grads, tied = gs.backward(net), isinstance(model, gs.RNN) and model.tied
    wanted = [ref.shared["W"]] if tied else [w.mean(0) for w in ref.weight]
    for scaled, array in zip(grads.weights, wanted, strict=True):
        np.testing.assert_allclose(
            scaled.to_array(), array, rtol=0, atol=1e-10 * np.abs(array).max()
        )
    for scaled, array in zip(grads.deltas, ref.delta, strict=True):
        np.testing.assert_allclose(
            scaled.to_array(), array, rtol=0, atol=1e-10 * np.abs(array).max()
        )


def test_simulate__runs_a_network_as_its_model():
    for model, options in ROUND_TRIPS.values():
        net = gs.network(model, 12, **options)
        assert_alike(
            gs.simulate(net, measure=BOTH), gs.simulate(model, [12], **options, measure=BOTH)
        )
