"""Arrays under PyTorch's names: agreement with PyTorch's own numbers, and what is refused.

PyTorch wrote them once (tests/golden/make_torch_cells.py); it is not needed here.
"""

from pathlib import Path

import numpy as np
import pytest

import gradsim as gs

TOLERANCE = 1e-11
with np.load(Path(__file__).with_name("golden") / "torch_cells.npz") as _file:
    GOLDEN = dict(_file)
NAMES = sorted({key.split("/")[0] for key in GOLDEN if "/" in key})
CELLS = {"relu": "vanilla", "rnn": "vanilla", "lstm": "lstm", "gru": "gru"}


def part(name, kind):
    """Golden arrays of a network by their name: its state, data or gradients."""
    start = f"{name}/{kind}/"
    return {key[len(start) :]: value for key, value in GOLDEN.items() if key.startswith(start)}


def network(name, state=None, **fields):
    """The golden network, with its parameters in float64 or as given."""
    data, state = part(name, "data"), part(name, "state") if state is None else state
    if name == "linear":
        return gs.from_arrays(state, **{"output": "identity"} | data | fields)
    fields = {
        "activation": "relu" if name.startswith("relu") else "tanh",
        "steps": data["inputs"].shape[1],
        "loss_at": "last" if name.endswith("last") else "all",
    } | fields
    return gs.from_arrays(state, **data | fields)


def log10_norm(*parts):
    with np.errstate(divide="ignore"):  # relu kills an example
        return np.log10(np.linalg.norm(np.concatenate([np.ravel(p) for p in parts])))


def test_golden__holds_every_layer_that_a_mapping_may_hold():
    found = {"dense" if name == "linear" else CELLS[name.split("_")[0]] for name in NAMES}
    assert found == {"dense", "vanilla", "lstm", "gru"}
    assert {"relu_last", "relu_all", "rnn_without_bias", "gru_without_bias"} < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_mapping__has_the_outputs_of_torch(name):
    """Size of each output unit, by the linear cost on it; the costs below have the signs."""
    wanted = GOLDEN[f"{name}/outputs"]
    examples, units = len(wanted), wanted.shape[-1]
    last = {} if name == "linear" else {"loss_at": "last"}
    vary = {} if name == "linear" else {"steps": range(1, wanted.shape[1] + 1)}
    for unit in range(units):
        targets = np.tile(np.eye(units)[unit], (examples, 1))
        net = network(name, loss="linear", targets=targets, **last)
        got = 10 ** gs.simulate(net, 1, vary=vary, batch="each").log10_loss.isel(seed=0)
        column = np.moveaxis(wanted, 0, -1)[..., unit, :]
        np.testing.assert_allclose(got, np.abs(column), rtol=TOLERANCE, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_mapping__has_the_losses_of_torch(name):
    each = gs.simulate(network(name), 1, batch="each").log10_loss.isel(seed=0)
    np.testing.assert_allclose(10**each, GOLDEN[f"{name}/cost"], rtol=TOLERANCE)
    mean = gs.simulate(network(name), 1).log10_loss.item()
    np.testing.assert_allclose(10**mean, GOLDEN[f"{name}/cost"].mean(), rtol=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_mapping__has_the_gradients_of_torch(name):
    g, wanted = gs.backward(network(name)), part(name, "grad")
    pairs = [(g.inputs, wanted["inputs"])]
    if name == "linear":
        for i, layer in enumerate(("0", "2", "4")):
            pairs += [(g.weights[i], wanted[f"{layer}.weight"])]
            pairs += [(g.biases[i], wanted[f"{layer}.bias"])]
    else:
        pairs = [(step, wanted["inputs"][:, t]) for t, step in enumerate(g.inputs)]
        pairs += [(g.recurrent, wanted["rnn.weight_hh_l0"])]
        pairs += [(g.input_weights, wanted["rnn.weight_ih_l0"])]
        pairs += [(g.initial_state, wanted["initial_state"])]
        if "rnn.bias_ih_l0" in wanted:
            ih, hh = wanted["rnn.bias_ih_l0"], wanted["rnn.bias_hh_l0"]
            if name.startswith("gru"):  # b_hn is inside the reset gate, and before b_n
                n = len(ih) // 3
                ih = np.concatenate([ih[: 2 * n], hh[2 * n :], ih[2 * n :]])
            pairs += [(g.biases[0], ih)]
    for got, expected in pairs:
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(got.to_array(), expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", NAMES)
def test_mapping__has_the_gradient_norms_of_torch(name):
    ds, wanted = gs.simulate(network(name), 1).isel(seed=0), part(name, "grad")
    examples = len(wanted["inputs"])

    def of_examples(gradient):
        """Mean over examples of the log norm of each one's own cost."""
        return np.mean([log10_norm(examples * row) for row in gradient])

    if name == "linear":
        got = [*ds.log10_weight_grad_norm, *ds.log10_bias_grad_norm, ds.log10_input_grad_norm]
        expected = [log10_norm(wanted[f"{i}.{leaf}"]) for leaf in ("weight", "bias") for i in "024"]
        expected.append(of_examples(wanted["inputs"]))
    else:
        weights = wanted["rnn.weight_hh_l0"], wanted["rnn.weight_ih_l0"]
        expected = [log10_norm(*weights), of_examples(wanted["initial_state"])]
        got = [ds.log10_total_weight_grad_norm, ds.log10_state_grad_norm.sel(state_step=0)]
        got += [*ds.log10_input_grad_norm]
        expected += [of_examples(step) for step in np.moveaxis(wanted["inputs"], 1, 0)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


def test_mapping__has_the_numbers_of_torch_in_float32():
    for name in NAMES:
        state = {key: value.astype(np.float32) for key, value in part(name, "state").items()}
        ds = gs.simulate(network(name, state), 1, dtype="float32", batch="each")
        np.testing.assert_allclose(10 ** ds.log10_loss[0], GOLDEN[f"{name}/cost"], rtol=1e-5)


# Names ------------------------------------------------------------------------------------------


def layer(blocks=4, width=2, features=3, prefix="", bias=True):
    """Parameters of a recurrent layer, all ones."""
    shapes = {
        "weight_ih_l0": (blocks * width, features), "weight_hh_l0": (blocks * width, width),
        **dict.fromkeys(("bias_ih_l0", "bias_hh_l0") if bias else (), (blocks * width,)),
    }  # fmt: skip
    return {prefix + name: np.ones(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("prefix", ["", "rnn.", "model.encoder.0."])
@pytest.mark.parametrize(("blocks", "cell"), [(1, "vanilla"), (3, "gru"), (4, "lstm")])
def test_mapping__tells_the_cell_by_its_shape_under_any_prefix(prefix, blocks, cell):
    model = gs.from_arrays(layer(blocks, prefix=prefix), steps=2).model
    assert (model.cell, model.width, model.input_width) == (cell, 2, 3)


def test_mapping__of_linear_layers_keeps_its_order_and_may_lack_biases():
    state = {"out.weight": np.ones((3, 2)), "in.bias": np.ones(4), "in.weight": np.ones((4, 3))}
    net = gs.from_arrays(state, output="identity")
    assert net.model.widths == (2, 3, 4)
    assert [b.tolist() for b in net.biases] == [[0.0] * 3, [1.0] * 4]
    assert gs.from_arrays({"weight": np.ones((3, 2))}).model.widths == (2, 3)


class WithGradient:
    """Refuses to become an array, as a tensor that requires a gradient does."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


REFUSED = {
    "several layers": (layer() | {"weight_hh_l1": 1}, "weight_hh_l1.*of one layer"),
    "both directions": (layer() | {"weight_ih_l0_reverse": 1}, "_reverse.*one direction"),
    "a projection": (layer() | {"weight_hr_l0": 1}, "weight_hr_l0.*not a parameter"),
    "a second prefix": (layer(prefix="a.") | layer(prefix="b."), "b.weight_ih_l0.*'a.'"),
    "a head": (layer() | {"fc.weight": 1}, "fc.weight.*not a parameter of the one recurrent"),
    "an unknown name": (
        {"0.weight": np.ones((2, 2)), "1.running_mean": 1},
        "running_mean.*unknown",
    ),
    "no name": ({0: np.ones((2, 2))}, "names must be text, got 0"),
    "nothing": ({}, "mapping is empty"),
    "no weight": ({"0.bias": np.ones(2)}, "0.weight.*missing"),
    "no U": (without(layer(), "weight_ih_l0"), "weight_ih_l0.*missing"),
    "no W": (without(layer(), "weight_hh_l0"), "weight_hh_l0.*missing"),
    "one bias": (without(layer(), "bias_hh_l0"), "bias_hh_l0.*missing"),
    "two blocks": (layer(2), "1 .nn.RNN., 3 .nn.GRU. or 4 .nn.LSTM.*4, 2"),
    "rows of U": (layer() | {"weight_ih_l0": np.ones((7, 3))}, "weight_ih_l0.*8 rows.*7, 3"),
    "rows of a bias": (layer() | {"bias_hh_l0": np.ones(7)}, "bias_hh_l0.*8 rows"),
    "dimensions": (layer() | {"bias_hh_l0": np.ones((8, 1))}, "bias_hh_l0.*1 dimensions"),
    "no chain": ({"0.weight": np.ones((3, 2)), "1.weight": np.ones((3, 4))}, "1.weight.*3 columns"),
    "a tensor": ({"0.weight": WithGradient()}, "0.weight.*requires grad"),
    "text": ({"0.weight": "ones"}, "0.weight.*real numbers"),
    "no numbers": ({"0.weight": np.full((2, 2), np.nan)}, "0.weight.*finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mapping__that_is_no_network_is_refused_by_name(case):
    mapping, words = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=words):
        gs.from_arrays(mapping, steps=2)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"biases": [np.ones(8)]}, "biases=.*mapping"),
    ({"input_weights": np.ones((8, 3))}, "input_weights=.*mapping"),
    ({"cell": "gru"}, "cell='gru'.*holds cell 'lstm'"),
    ({"steps": None}, "steps=None"),
])  # fmt: skip
def test_mapping__beside_what_contradicts_it_is_refused(arguments, words):
    with pytest.raises((TypeError, ValueError), match=words):
        gs.from_arrays(layer(), **{"steps": 2} | arguments)
