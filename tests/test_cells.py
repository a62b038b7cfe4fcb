"""Every cell, normalisation and placement agrees with autograd on the arrays of its network."""

import subprocess
import sys

import cell_oracle
import numpy as np
import pytest

import gradsim as gs
from gradsim.cells import table_of

DTYPES = {"float64": 1e-11, "float32": 1e-4}
ZERO = {"float64": -13, "float32": -5}


@gs.cell("highway")
def highway(t, h, phi):
    gate = t.sigmoid(t.linear(h))
    return gate * h + (1 - gate) * t.map(phi, t.linear(h))


MLP_CELLS = ["dense", "residual", "residual_single", "residual_post", "residual_pre", "highway"]
RNN_CELLS = ["vanilla", "leaky", "skip", "lstm", "gru", "highway"]


def assert_variables(ds, expected, each, model, dtype="float64"):
    """One network's variables of `gradient`, ([example,] layer), are those of the oracle."""
    assert set(np.unique(ds.status)) <= {0, 1}, model
    if each and "example" not in ds.dims:
        ds = ds.expand_dims("example")
    assert not {n for n in ds.data_vars if n.startswith("log10")} - set(expected)
    for name, values in expected.items():
        got = ds[name].values
        # A sum that is 0 in exact arithmetic (of delta over a normalised batch) is rounding.
        cancelled = (got < ZERO[dtype]) & (values < ZERO[dtype])
        got, values = np.where(cancelled, 0, got), np.where(cancelled, 0, values)
        text = f"{name} of {model}"
        np.testing.assert_allclose(got, values, rtol=0, atol=DTYPES[dtype], err_msg=text)


def agree(model, seed, batch, examples, dtype="float64"):
    inputs = examples if isinstance(model, gs.MLP) or model.sigma_u else None
    net = gs.network(model, seed, inputs=inputs)
    each = batch == "each"
    ((mean, of_each),) = cell_oracle.variables([net])
    for source in (model, net):
        given = {"inputs": inputs} if source is model else {}
        ds = gs.simulate(source, [seed], batch=batch, dtype=dtype, **given).isel(seed=0)
        assert_variables(ds, of_each if each else mean, each, model, dtype)


def test_file__of_a_users_cell_carries_its_source_and_loads_without_it(tmp_path):
    path = tmp_path / "highway.nc"
    gs.save(gs.simulate(gs.MLP(depth=3, width=4, cell="highway"), 2), path)
    code = (
        "import json, sys, gradsim as gs\n"
        "assert 'highway' not in gs.cells\n"
        "print(json.loads(gs.load(sys.argv[1]).attrs['gradsim_config'])['cells']['highway'])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "gate * h + (1 - gate)" in out.stdout


@pytest.mark.parametrize("name", gs.cells)
def test_table__names_the_fields_that_a_cell_reads(name):
    model = gs.MLP(cell=name) if "MLP" in gs.cells[name].models else gs.RNN(cell=name)
    read = {*table_of(model).fields} | ({"delay"} if name == "skip" else set())
    assert set(gs.cells[name].fields) == read
    line = next(line for line in repr(gs.cells).splitlines() if line.split()[0] == name)
    assert all(field in line for field in read)


def models(count):
    """Combinations at random, none left out but what is refused by name."""
    rng = np.random.default_rng(7)

    def pick(*values):
        return values[rng.integers(len(values))]

    made = 0
    while made < count:
        common = {
            "width": int(pick(3, 5, 8)),
            "activation": str(pick("tanh", "sigmoid", "relu", "identity", "leaky_relu")),
            "sigma_w": float(pick(0.7, 1.0, 1.5)), "sigma_b": float(pick(0.0, 0.3)),
            "loss": str(pick("mse", "linear")),
            "init": str(pick("gaussian", "uniform", "he_normal", "glorot_uniform")),
            "norm": pick(None, None, "layer", "batch"), "norm_placement": str(pick("pre", "post")),
            "norm_eps": float(pick(1e-5, 1e-2)),
        }  # fmt: skip
        if rng.random() < 0.5:
            model = gs.MLP(
                depth=int(pick(1, 2, 4)), cell=str(pick(*MLP_CELLS)),
                output_width=pick(None, 4), output=pick(None, "identity"),
                residual_scale=pick(1.0, 0.4, "1/sqrt(depth)"), **common,
            )  # fmt: skip
        else:
            model = gs.RNN(
                steps=int(pick(1, 3, 5)), cell=str(pick(*RNN_CELLS)), tied=bool(pick(True, False)),
                sigma_u=float(pick(0.0, 1.0)), loss_at=str(pick("last", "all")),
                initial_state=str(pick("gaussian", "zeros")), leak=float(pick(0.1, 0.8)),
                delay=int(pick(1, 2, 3)), skip=float(pick(0.5, -0.3)),
                forget_bias=float(pick(0.0, 1.0)), **common,
            )  # fmt: skip
            model = model if model.sigma_u else model.with_fields(initial_state="gaussian")
        examples = int(pick(1, 2, 3))
        if model.norm == "batch":
            examples = 4
            if isinstance(model, gs.RNN) and not model.sigma_u:
                model = model.with_fields(sigma_u=1.0)
        batch = "mean" if model.norm == "batch" else str(pick("mean", "each"))
        made += 1
        yield model, batch, examples


@pytest.mark.parametrize(("model", "batch", "examples"), list(models(8)))
def test_cell__agrees_with_autograd(model, batch, examples):
    agree(model, 5, batch, examples)
