"""Random combinations of all that a model can be agree with autograd, or are refused by name.

A draw takes the next value of every axis, each from a shuffled deck of its own, so that no value
is rarer than another, and runs with four initialisers.  None is left out: `refusal` says what is
refused and in which words, and everything else must run and agree.
"""

import math
from collections import Counter
from itertools import chain

import cell_oracle
import numpy as np
import pytest
from init_cases import FIELDS, INITS, run
from test_cells import MLP_CELLS, RNN_CELLS, assert_variables

import gradsim as gs

DRAWS, TOGETHER, EXAMPLES, WIDTH = 38, 4, 3, 5  # draws of each kind of model that run
NORMS = [None, ("layer", "pre"), ("layer", "post"), ("batch", "pre"), ("batch", "post")]
COSTS = [
    ("mse", None), ("mse", "identity"), ("linear", None), ("linear", "relu"),
    ("cross_entropy", "softmax"), ("cross_entropy", "sigmoid"), ("cross_entropy", None),
]  # fmt: skip
AXES = {
    "MLP": {
        "activation": list(gs.activations), "cell": MLP_CELLS, "norm": NORMS, "cost": COSTS,
        "residual_scale": [1.0, -0.4, "1/sqrt(depth)"], "output_width": [None, 3],
    },
    "RNN": {
        "activation": list(gs.activations), "cell": RNN_CELLS, "norm": NORMS,
        "cost": [("mse", None), ("linear", None)] * 3 + [("cross_entropy", None)],
        "tied": [True, False], "loss_at": ["last", "all"], "sigma_u": [0.8, 0.8, 0.0],
        "leak": [0.1, 0.8], "delay": [1, 2, 3], "skip": [0.5, -0.3], "forget_bias": [0.0, 1.0],
        "chrono": [None, 20.0], "initial_state": ["gaussian", "gaussian", "zeros"],
    },
}  # fmt: skip
WALKS = ("random_walk", "random_walk_published")
FEW = {"identity": WALKS, "relu": WALKS}  # initialisers for these activations alone
SHARED = {"sigma_w": [0.8, 1.2], "sigma_b": [0.0, 0.3, 0.3], "slope": [0.2, -0.1]}


def deck(rng, values):
    """Every value as often as any other, in random order without end."""
    while True:
        for i in rng.permutation(len(values)):
            yield values[i]


def draws(kind):
    """Fields of models but for their initialiser, with a deck of initialisers."""
    rng = np.random.default_rng(len(kind))
    decks = {name: deck(rng, values) for name, values in (AXES[kind] | SHARED).items()}
    inits = deck(rng, INITS)
    for _ in range(DRAWS):
        fields = {name: next(values) for name, values in decks.items()}
        norm, (loss, output) = fields.pop("norm"), fields.pop("cost")
        fields |= {"width": WIDTH, "loss": loss, "norm_eps": 1e-2}
        if norm is not None:
            fields |= {"norm": norm[0], "norm_placement": norm[1]}
        if kind == "MLP":
            fields |= {"output": output, "depth": 3}
        else:
            fields |= {"steps": 3, "input_width": 3 if fields["sigma_u"] else None}
            if fields["activation"] == "sigmoid":  # here alone it is allowed
                fields |= {"cell": "vanilla", "loss": "cross_entropy", "norm_placement": "pre"}
        yield fields, inits


def examples_of(fields):
    """Examples of a network; an RNN without inputs has one."""
    return EXAMPLES if fields.get("sigma_u", 1.0) else 1


def structure_refusal(kind, fields):
    """Words in which a model is refused with any initialiser, and what mends it, or None."""
    unchanged = fields["cell"] == "vanilla" and fields.get("norm_placement") != "post"
    plain = kind == "MLP" or unchanged
    last = fields.get("output") or fields["activation"]
    if fields.get("chrono") and fields["cell"] != "lstm":
        return f"cell='{fields['cell']}' does not take chrono", {"chrono": None}
    if fields["loss"] == "cross_entropy" and not (plain and last in ("sigmoid", "softmax")):
        return "cross_entropy", {"loss": "mse"}
    if fields.get("norm") == "batch" and examples_of(fields) < 2:
        return "norm='batch'.*at least 2", {"sigma_u": 0.8}
    return None


def has_edge(fields):
    """Whether there is a sigma_w of chi_1 = 1."""
    spread = math.hypot(fields["sigma_b"], fields.get("sigma_u", 0.0))
    try:
        gs.theory.edge_of_chaos(fields["activation"], spread, slope=fields["slope"])
    except ValueError:
        return False
    return True


def refusal(fields, init):
    """Words in which an initialiser is refused; None where it is not."""
    if gs.initializers[init].square and fields.get("output_width"):
        return f"init='{init}'.*square"
    if init in WALKS and fields["activation"] not in FEW:
        return f"init='{init}'.*got '{fields['activation']}'"
    if init == "critical" and not has_edge(fields):
        return f"init='critical'.*edge_of_chaos.'{fields['activation']}'"
    return None


def model_of(kind, fields, init):
    return getattr(gs, kind)(init=init, **fields, **FIELDS.get(init, {}))


def assert_refused(kind, fields, init, words):
    inputs = EXAMPLES if examples_of(fields) > 1 else None
    with pytest.raises(ValueError, match=words):
        run(model_of(kind, fields, init), 1, inputs=inputs)


RAN = {"MLP": [], "RNN": []}


def assert_draw(kind, fields, inits):
    """Run a draw with the next initialisers, asserting and mending on the way what is refused."""
    while (refused := structure_refusal(kind, fields)) is not None:
        assert_refused(kind, fields, "gaussian", refused[0])
        fields = fields | refused[1]
    chosen, first = [], FEW.get(fields["activation"], ())
    inits = chain(first, (init for init in inits if init not in first))
    while len(chosen) < TOGETHER:
        init = next(inits)
        words = refusal(fields, init)
        if words is None:
            chosen.append(init)
        else:
            assert_refused(kind, fields, init, words)
    examples = examples_of(fields)
    seeds = range(EXAMPLES // examples)  # as many rows in any case: JAX compiles each shape
    inputs = examples if examples > 1 else None
    models = [model_of(kind, fields, init) for init in chosen]
    nets = [gs.network(m, seed, inputs=inputs) for m in models for seed in seeds]
    expected = list(cell_oracle.variables(nets))
    batched = fields.get("norm") == "batch"
    for i, model in enumerate(models):
        each = i % 2 == 1 and not batched
        options = {"inputs": inputs, "batch": "each" if each else "mean"}
        ds = run(model, len(seeds), **options)
        for seed in seeds:
            k = i * len(seeds) + seed
            assert_variables(ds.isel(seed=seed), expected[k][each], each, model)
        if i == 0:  # and the arrays themselves
            again = run(nets[0], [0], batch=options["batch"])
            assert_variables(again.isel(seed=0), expected[0][each], each, model)
            single = run(model, 1, dtype="float32", **options).isel(seed=0)
            assert_variables(single, expected[0][each], each, model, "float32")
        RAN[kind].append({**fields, "init": model.init})
    if batched:
        with pytest.raises(ValueError, match="batch='each'"):
            run(models[0], 1, inputs=inputs, batch="each")


@pytest.mark.parametrize("kind", AXES)
def test_combination__agrees_with_autograd_or_is_refused_by_name(kind):
    for fields, inits in draws(kind):
        assert_draw(kind, fields, inits)
    for axis, values in (AXES[kind] | {"init": INITS}).items():
        if axis not in ("norm", "cost"):
            count = Counter(fields[axis] for fields in RAN[kind])
            assert not [v for v in values if not count[v]], (axis, count)
    assert len({repr(sorted(fields.items())) for fields in RAN[kind]}) >= 150
