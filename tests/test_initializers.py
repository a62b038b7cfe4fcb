"""Every initialiser: its law, its agreement between the two ways to it, its bits, its refusals."""

import math

import numpy as np
import pytest
from scipy import stats

import gradsim as gs
from gradsim import _made, _pool, plan
from gradsim._init_scales import gain
from gradsim.examples import parse_inputs
from gradsim.kernels._jit import numba

JIT = not numba.config.DISABLE_JIT
SIGMAS = 4.5
FIELDS = {
    "eigenvalues": {"eigenvalues": (1.1, -0.7, 0.3, 0.9, -1.0)},
    "nonnormal": {"eigenvalues": (0.5, -0.7, 0.3, 0.9, 1.0), "upper": 1.5},
    "spectral_radius": {"spectral_radius": 1.2},
    "sparse": {"nonzeros": 3},
}
INITS = tuple(gs.initializers)
WHOLE = tuple(name for name in INITS if gs.initializers[name].make)
BOTH = ["gradient", "signal"]


def size(n):
    """Seeds of a law: few where every kernel runs in Python."""
    return n if JIT else max(8, n // 100)


def bias_of(init):
    return 0.0 if init == "critical" else 0.4  # relu has no critical point with a bias


def mlp(init, **fields):
    fields = {"width": 5, "depth": 4, "activation": "relu", "sigma_b": bias_of(init)} | fields
    return gs.MLP(init=init, **FIELDS.get(init, {}) | fields)


def rnn(init, **fields):
    fields = {"width": 5, "steps": 4, "activation": "relu", "sigma_b": bias_of(init),
              "sigma_u": bias_of(init), "input_width": 3} | fields  # fmt: skip
    return gs.RNN(init=init, **FIELDS.get(init, {}) | fields)


def entries(model, count, part="weights"):
    """Numbers of one kind of many networks."""
    networks = (gs.network(model, seed) for seed in range(count))
    return np.concatenate([np.ravel(getattr(net, part)) for net in networks])


def run(model, seeds=1, **options):
    return gs.simulate(model, seeds, progress=False, **options)


# Entries drawn one by one -----------------------------------------------------------------------

CUT = math.sqrt(1 - 4 * stats.norm.pdf(2) / (2 * stats.norm.cdf(2) - 1))
UNIFORM = stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf
LAWS = {
    "gaussian": stats.norm.cdf,
    "uniform": UNIFORM,
    "truncated_normal": stats.truncnorm(-2, 2, scale=1 / CUT).cdf,
    "pytorch_linear": UNIFORM,
    "pytorch_rnn": UNIFORM,
    "unscaled_normal": stats.norm.cdf,
}
VARIANCES = {  # with 12 units that read 30
    "gaussian": 1 / 30, "uniform": 1 / 30, "truncated_normal": 1 / 30,
    "lecun_normal": 1 / 30, "lecun_uniform": 1 / 30,
    "glorot_normal": 2 / 42, "glorot_uniform": 2 / 42,
    "he_normal": 2 / 30, "he_uniform": 2 / 30,
    "pytorch_linear": 1 / 90, "pytorch_rnn": 1 / 36, "unscaled_normal": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("init", VARIANCES)
def test_entries__have_the_variance_and_the_law(init):
    w = entries(gs.MLP(width=(30, 12), init=init), size(100)) / math.sqrt(VARIANCES[init])
    assert abs(np.mean(w)) < SIGMAS / math.sqrt(w.size)
    spread = math.sqrt(np.mean(w**4) - 1)
    assert abs(np.mean(w**2) - 1) < SIGMAS * spread / math.sqrt(w.size)
    if init in LAWS:
        assert stats.kstest(w, LAWS[init]).pvalue > 1e-4
    if init == "truncated_normal":
        assert np.max(np.abs(w)) < 2 / CUT


@pytest.mark.parametrize(("fan", "number"), [("in", 30), ("out", 12), ("average", 21)])
@pytest.mark.parametrize(
    ("init", "scale"), [("gaussian", 1), ("glorot_uniform", 1), ("he_normal", 2)]
)
def test_fan__is_what_the_variance_is_divided_by(init, scale, fan, number):
    plain = gs.network(gs.MLP(width=(30, 12), init=init), 0).weights[0]
    other = gs.network(gs.MLP(width=(30, 12), init=init, fan=fan), 0).weights[0]
    own = 21 if init.startswith("glorot") else 30
    np.testing.assert_allclose(other, plain * math.sqrt(own / number), rtol=1e-14)


def test_pytorch_linear__is_that_of_torch():
    model = gs.MLP(width=(30, 12), init="pytorch_linear", sigma_b=1.0)
    for part in ("weights", "biases"):
        drawn = entries(model, size(200), part) * math.sqrt(30)
        assert stats.kstest(drawn, stats.uniform(-1, 2).cdf).pvalue > 1e-4
    assert not np.any(gs.network(model.with_fields(sigma_b=0.0), 0).biases[0])


def test_pytorch_rnn__is_that_of_torch():
    model = gs.RNN(width=16, steps=1, input_width=5, init="pytorch_rnn", sigma_u=1.0, sigma_b=1.0)
    for part in ("weights", "input_weights"):
        drawn = entries(model, size(200), part) * 4
        assert stats.kstest(drawn, stats.uniform(-1, 2).cdf).pvalue > 1e-4
    biases = entries(model, size(400), "biases") * 4  # the sum of two uniforms on (-1, 1)
    assert stats.kstest(biases, stats.triang(0.5, -2, 4).cdf).pvalue > 1e-4


# reference/feedforward.md, item 9: units, linear exact and published, relu exact and published
GAINS = [
    (10, 1.05301778, 1.05127110, 1.64922272, 1.65610478),
    (20, 1.02574200, 1.02531512, 1.51462359, 1.51400038),
    (50, 1.01011750, 1.01005017, 1.45127573, 1.45031921),
    (100, 1.00502927, 1.00501252, 1.43230357, 1.43170877),
    (200, 1.00250730, 1.00250313, 1.42315381, 1.42282803),
    (1000, 1.00050029, 1.00050013, 1.41598533, 1.41591572),
]


@pytest.mark.parametrize("row", GAINS)
def test_random_walk__has_the_gains_of_the_reference(row):
    width, *wanted = row
    cases = [(a, i) for a in ("identity", "relu") for i in ("random_walk", "random_walk_published")]
    for (activation, init), value in zip(cases, wanted):
        model = gs.MLP(width=width, activation=activation, init=init, sigma_w=2.0)
        assert gain(model) == pytest.approx(2 * value, abs=2e-8)


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_random_walk__keeps_the_mean_log_of_the_gradient(activation):
    model = gs.MLP(
        depth=30, width=20, input_width=7, activation=activation, output="identity", loss="linear",
        init="random_walk",
    )  # fmt: skip
    log = run(model, size(1500)).log10_delta_norm
    log = log.where(np.isfinite(log).all("layer"), drop=True)  # a dead layer: 2^-20 each
    change = (log.sel(layer=1) - log.sel(layer=30)).values
    assert abs(change.mean()) < SIGMAS * change.std() / math.sqrt(change.size)


def test_unscaled__has_a_gain_of_sqrt_n():
    assert gain(gs.MLP(width=49, init="unscaled_normal", sigma_w=0.5)) == 3.5
    wide = gs.MLP(width=(3, 49, 36, 2), init="unscaled_normal", activation="identity")
    with pytest.raises(ValueError, match="unscaled_normal"):
        gs.theory.mean_field(wide)
    np.testing.assert_allclose(gs.theory.profile(wide).chi[:2], [49, 36])


def test_mean_field__knows_the_scheme_s_own_biases_and_inputs():
    model = gs.RNN(width=12, input_width=3, init="pytorch_rnn", sigma_b=1.0, sigma_u=1.0)
    plain = model.with_fields(
        init="gaussian", sigma_w=math.sqrt(1 / 3), sigma_b=math.sqrt(2 / 36 + 3 / 36), sigma_u=0.0
    )
    theory, wanted = gs.theory.mean_field(model), gs.theory.mean_field(plain)
    np.testing.assert_allclose(theory.q_star, wanted.q_star, rtol=1e-9)
    np.testing.assert_allclose(theory.chi_1, wanted.chi_1, rtol=1e-9)


# Matrices made as a whole -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 40), (40, 13), (13, 40), (1, 1)])
def test_orthogonal__has_orthonormal_rows_or_columns(shape):
    for seed in range(5):
        (w,) = gs.network(gs.MLP(width=shape, init="orthogonal", sigma_w=1.5), seed).weights
        w = w / 1.5
        gram = w @ w.T if shape[0] >= shape[1] else w.T @ w
        np.testing.assert_allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-13)


def test_orthogonal__is_haar():
    model = gs.RNN(width=4, steps=1, init="orthogonal")
    q = np.array([gs.network(model, seed).recurrent for seed in range(size(4000))])
    trace, square = np.trace(q, axis1=1, axis2=2), np.trace(q @ q, axis1=1, axis2=2)
    for sample, mean in ((trace, 0), (trace**2, 1), (trace**4, 3), (square, 1)):
        assert abs(sample.mean() - mean) < SIGMAS * sample.std() / math.sqrt(sample.size)
    assert stats.kstest(q[:, 1, 2], stats.beta(1.5, 1.5, -1, 2).cdf).pvalue > 1e-4
    share = np.mean(np.linalg.det(q) > 0)
    assert abs(share - 0.5) < SIGMAS * 0.5 / math.sqrt(len(q))


def test_orthogonal__linear_networks_keep_the_gradient_norm():
    model = gs.MLP(depth=60, width=24, activation="identity", loss="linear", init="orthogonal")
    log = run(model, 5).log10_delta_norm
    np.testing.assert_allclose(log - log.sel(layer=60), 0, atol=1e-12 / math.log(10))
    for tied in (True, False):
        linear = gs.RNN(steps=100, width=24, activation="identity", loss="linear", tied=tied,
                        init="orthogonal", sigma_w=0.9)  # fmt: skip
        log = run(linear, 5).log10_state_grad_norm
        ratio = 10 ** (log.sel(state_step=0) - log.sel(state_step=100))
        np.testing.assert_allclose(ratio, 0.9**100, rtol=1e-12)


def test_identity__is_the_identity():
    weights = gs.network(gs.MLP(width=(3, 5, 2), init="identity"), 0).weights
    for w in weights:
        assert np.array_equal(w, np.eye(*w.shape))


def test_symmetric__has_the_moments_of_the_reference():
    model = gs.RNN(steps=4, width=20, activation="identity", loss="linear", init="symmetric")
    w = gs.network(model, 0).recurrent
    assert np.array_equal(w, w.T)
    log = run(model, size(3000)).log10_state_grad_norm
    for t, moment in enumerate((1.05, 2.2625, 6.235125, 19.674431), start=1):
        square = (100 ** (log.sel(state_step=4 - t) - log.sel(state_step=4))).values
        assert abs(square.mean() - moment) < SIGMAS * square.std() / math.sqrt(square.size), t


@pytest.mark.parametrize(("nonzeros", "count"), [(None, 15), (4, 4)])
def test_sparse__has_k_weights_a_unit_anywhere(nonzeros, count):
    model = gs.MLP(width=(30, 12), init="sparse", nonzeros=nonzeros)
    w = np.array([gs.network(model, seed).weights[0] for seed in range(size(300))])
    assert np.all(np.count_nonzero(w, axis=2) == count)
    share = np.mean(w != 0, axis=(0, 1))
    spread = math.sqrt(count / 30 * (1 - count / 30) / (len(w) * 12))
    assert np.max(np.abs(share - count / 30)) < SIGMAS * spread
    assert stats.kstest(w[w != 0] * math.sqrt(count), "norm").pvalue > 1e-4


@pytest.mark.parametrize("nonzeros", [None, 15])
def test_spectral_radius__is_as_given(nonzeros):
    model = gs.RNN(
        steps=2, width=50, init="spectral_radius", spectral_radius=0.95, nonzeros=nonzeros
    )
    for seed in range(5):
        w = gs.network(model, seed).recurrent
        assert np.max(np.abs(np.linalg.eigvals(w))) == pytest.approx(0.95, rel=1e-12)
        assert nonzeros is None or np.all(np.count_nonzero(w, axis=1) == nonzeros)


def test_spectral_radius__varies_in_one_pass_over_the_same_draws():
    radii = [0.5, 0.9, 1.1]
    model = gs.RNN(steps=6, width=9, init="spectral_radius", activation="identity", loss="linear")
    ds = run(model, 4, vary={"spectral_radius": radii})
    log = ds.log10_state_grad_norm
    log = log.sel(state_step=0) - log.sel(state_step=6) - 6 * np.log10(ds.spectral_radius)
    np.testing.assert_allclose(log, log.isel(spectral_radius=[0] * 3), atol=1e-12)
    assert len(passes(*(model.with_fields(spectral_radius=r) for r in radii))) == 1


TABLE_1A = {  # reference/recurrent.md: norm of h_t, and cos^2 with the top eigenvector
    1: (0.8843076388, 0.3094629156), 5: (0.9000857343, 0.6403082394),
    10: (1.253842635, 0.8558499546), 20: (3.042175845, 0.9780673793),
    50: (52.50069022, 0.9999274376), 100: (6162.877209, 0.9999999947),
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63])
def test_eigenvalues__give_table_1a_for_any_q(seed):
    values = (1.1, 1.0, 0.9, 0.8, 0.5)
    model = gs.RNN(
        steps=100, width=5, activation="identity", init="eigenvalues", eigenvalues=values
    )
    w = gs.network(model, seed).recurrent
    found, q = np.linalg.eigh(w)
    np.testing.assert_allclose(found, values[::-1], rtol=1e-13)
    start = q @ np.full(5, math.sqrt(0.2))
    ds = run(model.with_fields(initial_state=start), [seed], measure=BOTH)
    norm = np.sqrt(5 * ds.a_mean_square.isel(seed=0))
    h = start
    for t in range(1, 101):
        h = w @ h
        if t in TABLE_1A:
            wanted = TABLE_1A[t]
            np.testing.assert_allclose(norm.sel(step=t), wanted[0], rtol=1e-9)
            np.testing.assert_allclose((q[:, -1] @ h) ** 2 / (h @ h), wanted[1], rtol=1e-9)


def test_nonnormal__grows_although_its_radius_is_small():
    model = gs.RNN(steps=20, width=2, activation="identity", init="nonnormal",
                   eigenvalues=(0.5, 0.5), upper=((0, 10), (0, 0)))  # fmt: skip
    wanted = {1: 10.0249378, 2: 10.0062461, 3: 7.50208275, 5: 3.12531247, 10: 0.195317383}
    for seed in range(3):
        w = gs.network(model, seed).recurrent
        for t, value in wanted.items():
            assert np.linalg.norm(np.linalg.matrix_power(w, t), 2) == pytest.approx(value, rel=1e-8)
    drawn = gs.network(rnn("nonnormal"), 1).recurrent
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(drawn).real),
        np.sort(FIELDS["nonnormal"]["eigenvalues"]),
        rtol=1e-9,
    )


# The two ways to a network ----------------------------------------------------------------------


def assert_alike(found, wanted, tolerance):
    assert set(found.data_vars) == set(wanted.data_vars)
    for name in wanted.data_vars:
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=tolerance, atol=tolerance, err_msg=name
        )


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


def assert_same(found, wanted):
    for name in wanted.data_vars:
        assert np.array_equal(found[name], wanted[name], equal_nan=True), name


def passes(*models):
    options = plan.Options(np.dtype(np.float64), False, True, False, False)
    return list(
        plan.build(models, parse_inputs(None, isinstance(models[0], gs.RNN)), None, options)
    )


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
