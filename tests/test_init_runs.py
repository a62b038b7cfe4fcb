"""Every initialiser in a run: two ways to a network, its bits, one of a user, and its memory."""

import numpy as np
import pytest
from init_cases import BOTH, INITS, WHOLE, assert_alike, assert_same, mlp, passes, rnn, run

import gradsim as gs
from gradsim import _made, _pool

# The two ways to a network ----------------------------------------------------------------------


def models(init):
    square = gs.initializers[init].square
    shapes = [{}, {"loss": "linear", "output": "identity", "sigma_w": 0.7}]
    shapes += [] if square else [{"input_width": 4, "output_width": 3}]
    yield from (mlp(init, **fields) for fields in shapes)
    inputs = {"sigma_u": 0.0, "sigma_b": 0.0}
    yield from (rnn(init, **fields) for fields in ({}, {"tied": False}, inputs))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("init", INITS)
def test_network__has_the_arrays_that_simulate_runs(init, dtype):
    tolerance = {"float64": 1e-11, "float32": 1e-4}[dtype]
    for model in models(init):
        net = gs.network(model, 3, key=2)
        options = {"measure": BOTH, "dtype": dtype, "key": 2}
        assert_alike(run(net, [3], **options), run(model, [3], **options), tolerance)


# Bits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("init", [*WHOLE, "truncated_normal", "pytorch_linear", "pytorch_rnn"])
def test_simulate__same_bits_however_it_is_cut_up(init, dtype, monkeypatch):
    for model in (mlp(init), rnn(init)):
        options = {"dtype": dtype, "vary": {"sigma_w": [0.8, 1.0]}, "measure": BOTH}
        whole = run(model, 12, threads=1, **options)
        assert_same(run(model, 12, threads=3, **options), whole)
        assert_same(run(model, [7, 2, 11], threads=2, **options), whole.sel(seed=[7, 2, 11]))
        with monkeypatch.context() as patch:
            patch.setattr(_pool, "CHUNK_SECONDS", 1e3)
            assert_same(run(model, 12, threads=1, **options), whole)


@pytest.mark.parametrize("init", [n for n in WHOLE if not gs.initializers[n].square])
def test_depth__of_a_draw_that_does_not_nest_has_the_bits_that_it_has_alone(init):
    model = mlp(init, output_width=3)
    sweep = run(model, 3, vary={"depth": [2, 5]})
    for depth in (2, 5):
        alone = run(model.with_fields(depth=depth), 3)
        assert_same(sweep.sel(depth=depth, layer=slice(depth)), alone)
    deep = [model.with_fields(depth=depth) for depth in (2, 5)]
    assert len(passes(*deep)) == 2
    assert len(passes(*(m.with_fields(output_width=5) for m in deep))) == 1


@pytest.mark.parametrize("init", WHOLE)
def test_depth__of_square_matrices_shares_a_pass(init):
    model = mlp(init)
    sweep = run(model, 3, vary={"depth": [2, 5]})
    for depth in (2, 5):
        alone = run(model.with_fields(depth=depth), 3)
        assert_alike(sweep.sel(depth=depth, layer=slice(depth)), alone, 1e-11)


# Adding one, memory, interruption ---------------------------------------------------------------


@pytest.fixture
def shift():
    @gs.initializer("shift", formula="a shifted identity", square=True)
    def make(draw, n_out, n_in, model):
        return np.roll(np.eye(n_out), 1, axis=0) + 0.1 * draw.normals(n_out, n_in)

    yield "shift"
    del gs.initializers._entries["shift"]


def test_initializer__of_a_user_works_everywhere(shift):
    assert "a shifted identity" in repr(gs.initializers)
    for model in models(shift):
        net = gs.network(model, 3)
        assert_alike(run(net, [3], measure=BOTH), run(model, [3], measure=BOTH), 1e-11)
    ds = run(mlp("gaussian"), 3, vary={"init": ["gaussian", shift], "depth": [2, 4]})
    assert np.isfinite(ds.log10_loss).all()
    with pytest.raises(ValueError, match="square"):
        mlp(shift, input_width=3)
    with pytest.raises(ValueError, match="exists"):
        gs.initializer(shift)(lambda draw, n_out, n_in, model: None)


def test_initializer__that_makes_another_shape_is_refused(shift):
    @gs.initializer("crooked")
    def crooked(draw, n_out, n_in, model):
        return np.eye(n_out, n_in + 1)

    try:
        with pytest.raises(ValueError, match=r"crooked.*of shape"):
            run(mlp("crooked"))
    finally:
        del gs.initializers._entries["crooked"]


def test_table__shows_every_initialiser():
    table = repr(gs.initializers)
    assert table.splitlines()[0].split() == ["name", "formula", "variance", "fan", "reference"]
    assert all(any(line.startswith(name) for line in table.splitlines()) for name in INITS)


def test_memory__that_all_weights_take_is_refused_by_name():
    model = gs.MLP(depth=500, width=400, init="orthogonal")  # 640 MB of weights
    with pytest.raises(MemoryError, match="orthogonal"):
        run(model, 1, memory_limit=500_000_000)


def test_maker__stops_between_matrices():
    (item,) = passes(mlp("orthogonal"))
    memory = np.zeros(item.shapes["weights"][1])
    stop = np.ones((1, 1), np.int64)
    item.maker.fill(memory, 0, 0, stop)
    assert not memory.any()
    stop[:] = 0
    item.maker.fill(memory, 0, 0, stop)
    net = gs.network(mlp("orthogonal"), 0)
    assert np.array_equal(memory, np.concatenate([w.ravel() for w in net.weights]))
    assert isinstance(item.maker, _made.Maker)
