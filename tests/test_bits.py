"""The same bits however a run is cut up, and the same weights whatever surrounds them."""

import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import gradsim as gs
from gradsim import _layout, _pool, plan

SEEDS = 40
KINDS = {"float64": 1e-11, "float32": 1e-4}  # decades that a reordered sum may move a log by
MODELS = {
    "mlp": (
        gs.MLP(width=19, input_width=7, output_width=5, sigma_w=1.1, sigma_b=0.3),
        {"activation": ["tanh", "relu", "sigmoid"], "depth": [2, 7]},
    ),
    "softmax": (
        gs.MLP(width=(9, 17, 4, 12), output="softmax", loss="cross_entropy", init="he_uniform"),
        {"sigma_w": [0.5, 1.0]},
    ),
    "wide": (gs.MLP(depth=4, width=150, init="glorot_normal"), {"sigma_w": [0.9, 1.1]}),
    "dead": (gs.MLP(depth=30, width=3, activation="relu"), {"sigma_b": [0.0, 0.01]}),
    "tied": (
        gs.RNN(width=17, input_width=6, sigma_u=0.4, sigma_b=0.2, loss_at="all"),
        {"steps": [3, 8], "activation": ["tanh", "leaky_relu"]},
    ),
    "untied": (
        gs.RNN(steps=6, width=18, sigma_u=0.4, tied=False),
        {"sigma_u": [0.0, 0.4], "activation": ["sigmoid", "relu"]},
    ),
}
CASES = [
    (name, dtype, batch)
    for name in MODELS
    for dtype in KINDS
    for batch in ("mean", "each")
]  # fmt: skip


def run(case, seeds=SEEDS, **changes):
    """Run one of `CASES`, with arguments of `simulate` to change."""
    name, dtype, batch = case
    model, vary = MODELS[name]
    usual = {
        "vary": vary, "inputs": 3, "batch": batch, "dtype": dtype,
        "measure": ["gradient", "signal"], "threads": 2, "progress": False,
    }  # fmt: skip
    if name == "untied":  # without inputs sigma_u may be 0
        usual["inputs"] = None
    return gs.simulate(model, seeds, **usual | changes)


def assert_same(got, expected):
    """Every variable and coordinate has the same bits."""
    assert dict(got.sizes) == dict(expected.sizes)
    assert set(got.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        same = np.array_equal(
            got[name].values, variable.values, equal_nan=variable.dtype.kind == "f"
        )
        assert same, f"{name} differs"
    for name, variable in expected.data_vars.items():
        assert got[name].dtype == variable.dtype


def assert_close(got, expected, decades):
    """Every variable agrees to rounding; NaN, infinity and status exactly."""
    assert set(got.data_vars) == set(expected.data_vars)
    for name in expected.data_vars:
        np.testing.assert_allclose(
            got[name].values, expected[name].values, rtol=decades, atol=decades, err_msg=name
        )


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def reference(request):
    """Case and its result on one thread."""
    return request.param, run(request.param, threads=1)


# The same bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3])
def test_simulate__same_bits_for_any_number_of_threads(reference, threads):
    case, expected = reference
    assert_same(run(case, threads=threads), expected)


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 1e3])
def test_simulate__same_bits_for_any_chunk_size(reference, seconds, monkeypatch):
    case, expected = reference
    monkeypatch.setattr(_pool, "CHUNK_SECONDS", seconds)
    assert_same(run(case), expected)


def test_simulate__same_bits_when_repeated(reference):
    case, expected = reference
    assert_same(run(case), expected)


def test_simulate__cases_hold_dead_networks_beside_live_ones():
    ds = run(("dead", "float64", "mean"))
    assert set(np.unique(ds.status)) == {0, 1}
    assert np.array_equal((ds.status == 1), np.isneginf(ds.log10_delta_norm).any("layer"))


def test_simulate__same_bits_in_two_parts():
    for case in CASES[::3]:
        whole = run(case, range(100))
        parts = [run(case, range(60)), run(case, range(60, 100))]
        joined = xr.concat(parts, "seed", data_vars="minimal", coords="minimal", compat="override",
                           join="exact", combine_attrs="override")  # fmt: skip
        assert_same(joined, whole)


@settings(max_examples=25, deadline=None)
@given(
    case=st.sampled_from(CASES),
    seeds=st.lists(st.integers(0, SEEDS - 1), min_size=1, unique=True),
    threads=st.integers(1, 3),
)
def test_simulate__same_bits_for_any_subset_and_order_of_seeds(case, seeds, threads):
    whole = run(case)
    assert_same(run(case, seeds, threads=threads), whole.sel(seed=seeds))


@pytest.mark.parametrize("seeds", [np.arange(7), (n for n in range(7)), {3: 0, 1: 0}, (5, 2)])
def test_simulate__same_bits_for_any_iterable_of_seeds(seeds):
    whole = run(CASES[0])
    got = run(CASES[0], seeds)
    assert_same(got, whole.sel(seed=got.seed.values))


def test_simulate__same_bits_under_the_smallest_memory_limit(reference):
    case, expected = reference
    limit = 1
    while True:
        try:
            result = run(case, threads=3, memory_limit=limit)
            break
        except MemoryError:
            limit += limit // 4 + 1
    assert limit > expected.nbytes
    assert_same(result, expected)


def test_simulate__same_bits_with_weights_drawn_again_in_the_backward_pass(reference, monkeypatch):
    case, expected = reference
    monkeypatch.setattr(_layout, "STORE_BYTES", 0)
    assert_same(run(case), expected)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_simulate__same_bits_for_large_seeds_alone_and_together(name, dtype):
    seeds = [2**64 - 1, 5, 2**63, 2**63 + 5, 2**32 + 5]
    case = name, dtype, "mean"
    together = run(case, seeds, key=2**32 - 1)
    assert together.seed.dtype == np.uint64
    assert together.seed.values.tolist() == seeds
    for i, seed in enumerate(seeds):
        alone = run(case, [seed], key=2**32 - 1, threads=1)
        assert_same(alone.drop_vars("seed"), together.isel(seed=[i]).drop_vars("seed"))
    loss = together.log10_loss.values.reshape(-1, len(seeds))
    assert all(len(set(row)) == len(seeds) for row in loss)


def test_simulate__same_bits_in_another_process():
    text = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_bits import CASES, digest, run\n"
        "print(digest(run(CASES[0])), digest(run(CASES[-1], threads=1)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", text, *sys.path], capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == [digest(run(CASES[0], threads=3)), digest(run(CASES[-1]))]


def digest(ds):
    """SHA-256 of all values."""
    total = sha256()
    for name in sorted(map(str, ds.variables)):
        total.update(name.encode() + ds[name].values.tobytes())
    return total.hexdigest()


# The same weights, results to rounding ----------------------------------------------------------

PLACES = [
    (_layout, "TILE", 40),  # two or three rows of a matrix at a time
    (_layout, "ROW_WORK", 400),  # a few rows of a product at a time
    (plan, "BLOCK_BYTES", 1),  # one family of conditions a pass
]


@pytest.mark.parametrize("store", [2**27, 0])
@pytest.mark.parametrize(("module", "name", "size"), PLACES, ids=[place[1] for place in PLACES])
def test_simulate__same_weights_for_any_tile_and_block(
    reference, module, name, size, store, monkeypatch
):
    case, expected = reference
    monkeypatch.setattr(module, name, size)
    monkeypatch.setattr(_layout, "STORE_BYTES", store)
    got = run(case)
    assert_close(got, expected, KINDS[case[1]])
    if name == "BLOCK_BYTES":
        assert_same(got[["log10_weight_norm"]], expected[["log10_weight_norm"]])


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_simulate__same_weights_for_any_vary(name, dtype):
    case, vary = (name, dtype, "mean"), MODELS[name][1]
    whole = run(case)
    for condition in np.ndindex(*(len(values) for values in vary.values())):
        fields = {field: vary[field][i] for (field, i) in zip(vary, condition)}
        alone = run(case, vary={field: [value] for field, value in fields.items()})
        layers = alone.sizes.get("layer", alone.sizes.get("step"))
        part = whole.isel({field: [i] for field, i in zip(vary, condition)})
        along = {dim: slice(layers + (dim == "state_step")) for dim in part.dims
                 if dim in ("layer", "step", "state_step")}  # fmt: skip
        part = part.isel(along)
        shared = [n for n in part.data_vars if n in alone.data_vars]
        assert_close(alone[shared], part[shared], KINDS[dtype])
        assert_same(
            alone[["log10_weight_norm"]].reset_coords(drop=True),
            part[["log10_weight_norm"]].reset_coords(drop=True),
        )


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", [name for name in MODELS if name != "untied"])
def test_simulate__same_weights_and_first_examples_for_more_examples(name, dtype):
    case = name, dtype, "each"
    few, many = run(case, inputs=2), run(case, inputs=6)
    assert_same(few[["log10_weight_norm"]], many[["log10_weight_norm"]])
    layered = [n for n, v in few.data_vars.items() if "example" in v.dims]
    assert_close(few[layered], many[layered].isel(example=slice(2)), KINDS[dtype])


@pytest.mark.parametrize("name", MODELS)
def test_simulate__float32_and_float64_run_the_same_network(name):
    single, double = run((name, "float32", "mean")), run((name, "float64", "mean"))
    logs = [n for n in double.data_vars if n.startswith("log10_")]
    assert_close(single[logs], double[logs], 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_simulate__other_seeds_and_keys_are_other_networks(name):
    case = name, "float64", "mean"
    results = [
        run(case),
        run(case, range(SEEDS, 2 * SEEDS)),
        run(case, key=1),
        run(case, key=2**31),
    ]
    drawn = np.stack([ds.log10_loss.values.reshape(-1, SEEDS) for ds in results], axis=1)
    for condition in drawn:
        assert len(np.unique(condition)) == condition.size
    weights = np.stack([ds.log10_weight_norm.values.reshape(-1) for ds in results])
    assert not np.any(weights[0] == weights[1:])
