"""Every activation against mpmath: pairs in ulps, facts to ten digits, rows and programs."""

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from exact import EXACT, ONE, bell, sigmoid
from mpmath import mp, mpf

import gradsim as gs
from gradsim.activations import activations, engine_facts
from gradsim.kernels import rows
from gradsim.kernels._jit import jit, load_units
from gradsim.kernels.activations import NEVER, TABLE
from gradsim.kernels.pairs import PAIRS
from gradsim.kernels.program import CONTEXT

from .ulp import JIT, any_numbers, apply, error, size

FLOATS = [np.float32, np.float64]
ULP = 4 if JIT else 8  # plain Python rounds twice where compiled code rounds once
SLOPE = 0.25  # of leaky_relu, in either precision
BUILT_IN = [entry.name for entry in TABLE]


def test_exact__has_every_activation():
    assert set(EXACT) == set(BUILT_IN)


# Pairs ------------------------------------------------------------------------------------------


def loop(pair):
    @jit(inline=True)
    def run(z, value, slope):
        leak = value.dtype.type(SLOPE)
        for i in range(z.size):
            value[i], slope[i] = pair(z[i], leak)

    return run


LOOPS = {name: loop(pair) for name, pair in PAIRS.items()}


def arguments(dtype):
    """Points over the whole range, over that of the exponentials, near 0 and at the kinks."""
    info, n = np.finfo(dtype), size(120)
    rng = np.random.default_rng(5)
    reach = 0.75 * info.maxexp
    kinks = np.array([0, -0.0, 1, -1, 3, -3, 0.5, info.tiny, -info.smallest_subnormal], dtype)
    return np.concatenate([
        rng.uniform(-5, 5, 3 * n),
        rng.uniform(-reach, reach, n),
        rng.uniform(-1.4, 1.4, n) * np.sqrt(reach),
        rng.uniform(-1, 1, n) * 2.0 ** -rng.uniform(0, info.nmant + 5, n),
        any_numbers(dtype, n, 4),
        kinks, np.nextafter(kinks, dtype(9)), np.nextafter(kinks, dtype(-9)),
    ]).astype(dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_pair__is_accurate_over_the_whole_range(name, dtype):
    """4 ulp where the condition number is at most 2; near the zeros of a slope, more.

    Results below the smallest normal number may be anything between 0 and it.
    """
    z, tiny = arguments(dtype), float(np.finfo(dtype).tiny)
    got = apply(LOOPS[name], z, 2)
    with mpmath.workdps(50):
        for i, x in enumerate(z):
            exact = [f(mpf(float(x))) for f in EXACT[name]]
            for k in (0, 1):
                if abs(exact[k]) < tiny:
                    assert abs(got[k][i]) <= 1.1 * tiny, (x, got[k][i])
                    continue
                # near its zeros a slope is worth what its argument is
                ill = abs(x * exact[k + 1] / exact[k]) if k and abs(x) < 5 else 0
                assert error(got[k][i], exact[k], dtype) <= ULP + 1.5 * max(0, ill - 2), (
                    x,
                    k,
                    got[k][i],
                )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_pair__has_limits_and_signs(name, dtype):
    entry = activations[name]
    big = np.finfo(dtype).max
    value, slope = apply(LOOPS[name], np.array([0, -0.0, np.inf, -np.inf, np.nan], dtype), 2)
    far = apply(LOOPS[name], np.array([big, -big], dtype), 2)
    left, _ = entry.slopes_at_zero(SLOPE)
    assert slope[0] == slope[1] == dtype(left)
    if entry.linear_below[0] != NEVER:  # phi(0) = 0
        assert value[0] == value[1] == 0
        assert not np.signbit(value[0])
        assert np.signbit(value[1]) == (name != "relu")
    assert np.isnan(value[4])
    if name == "sine":
        assert np.isnan(value[2:4]).all()
        assert np.isnan(slope[2:4]).all()
        return
    for at in (0, 1):
        limit = far[0][at] if abs(far[0][at]) < 10 else np.copysign(dtype(np.inf), far[0][at])
        assert value[2 + at] == limit
        assert slope[2 + at] == far[1][at]
    assert np.isfinite(slope[:4]).all()


@pytest.mark.skipif(not JIT, reason="there is no machine code")
@pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx2"), reason="vectors are short")
@pytest.mark.parametrize("name", BUILT_IN)
def test_pair__becomes_vector_code(name):
    for dtype in FLOATS:
        apply(LOOPS[name], np.array([0.5], dtype), 2)
    for code in LOOPS[name].inspect_asm().values():
        assert "ymm" in code or "zmm" in code


# Facts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_forms__agree_with_mpmath(name):
    """The NumPy forms, to 1e-13 of the larger of the result and what its terms may cancel from."""
    entry = activations[name]
    z = np.concatenate([np.linspace(-30, 30, size(150)), [-0.5, 0.1, -1e-8, 1e-8]])
    z = z[np.abs(z) > 1e-9]
    for form, exact in zip((entry.value, entry.slope, entry.second), EXACT[name]):
        with mpmath.workdps(50):
            wanted = [float(exact(mpf(float(x)))) for x in z]
        scale = np.maximum(np.abs(wanted), 1e-3 * np.minimum(1, np.exp(-np.abs(z))))
        got = form(z, SLOPE)
        assert np.max(np.abs(got - wanted) / scale) < 3e-12 * 100 ** (name == "gelu_tanh")
    step = 1e-30
    found = entry.value(z + 1j * step, SLOPE).imag / step
    np.testing.assert_allclose(found, entry.slope(z, SLOPE), rtol=1e-12, atol=1e-15)


# Where phi'' = 0 at the steepest point inside the line.
PEAKS = {"gelu": 1.41, "gelu_tanh": 1.42, "silu": 2.4, "mish": 1.49, "sigmoid": 0.1, "tanh": 0.1,
         "erf": 0.1, "arctan": 0.1, "lecun_tanh": 0.1, "sine": 0.1}  # fmt: skip


@pytest.mark.parametrize("name", BUILT_IN)
def test_gamma__is_the_largest_slope(name):
    entry, (_, slope, second) = activations[name], EXACT[name]
    gamma = entry.gamma(SLOPE)
    with mpmath.workdps(30):
        if name in PEAKS:
            at = mp.findroot(second, PEAKS[name])
            assert abs(gamma - float(abs(slope(at)))) <= 1e-15
        grid = [mpf(x) for x in np.linspace(-40, 40, size(800))] + [mpf(-1e-12), mpf(1e-12)]
        largest = max(float(abs(slope(z))) for z in grid)
    assert largest <= gamma * (1 + 1e-14)
    assert largest >= 0.99 * gamma
    if name == "leaky_relu":
        assert entry.gamma(-1.5) == 1.5


@pytest.mark.parametrize("name", BUILT_IN)
def test_slopes_at_zero__are_the_one_sided_limits(name):
    left, right = activations[name].slopes_at_zero(SLOPE)
    with mpmath.workdps(30):
        for side, stated in ((-1, left), (1, right)):
            assert stated == pytest.approx(float(EXACT[name][1](mpf(side) / 10**25)), rel=1e-15)


@pytest.mark.parametrize("name", BUILT_IN)
def test_homogeneous__is_true_where_it_is_said(name):
    z = np.array([-30.0, -2.0, -0.3, 0.3, 2.0, 30.0])
    value = activations[name].value
    same = np.allclose(value(7 * z, SLOPE), 7 * value(z, SLOPE), rtol=1e-14)
    assert same == activations[name].homogeneous


@pytest.mark.parametrize("name", BUILT_IN)
def test_zero_slopes__are_where_units_can_die(name):
    entry = activations[name]
    slope = entry.slope(np.linspace(-5, 5, 1001), 0.0)
    assert entry.has_zero_slope == bool(np.sum(slope == 0) > 1)


def assert_linear(entry, exact, bits):
    """Value and slope are linear below the stated exponent, to half a unit of the last place."""
    for exponent, digits in zip(entry.linear_below, bits):
        if exponent == NEVER:
            assert exact[0](mpf(0)) != 0
            continue
        for side, slope in zip((-1, 1), entry.slopes_at_zero(SLOPE)):
            for share in (0.999, 0.3, 1e-3):
                z = mpf(side * share) * mpf(2) ** exponent
                if slope == 0:
                    assert exact[0](z) == exact[1](z) == 0
                    continue
                stated = mpf(slope)
                for error_ in (exact[0](z) / z / stated - 1, exact[1](z) / stated - 1):
                    assert abs(error_) <= mpf(2) ** -digits + mpf(2) ** -53


@pytest.mark.parametrize("name", BUILT_IN)
def test_linear_below__holds_to_working_precision(name):
    with mpmath.workdps(50):
        assert_linear(activations[name], EXACT[name], (24, 53))


def test_table__prints_every_activation():
    text = str(gs.activations)
    assert len(text.splitlines()) == 1 + len(gs.activations)
    for name, digits in (("gelu ", "1.128904145"), ("selu ", "1.758099341"), ("mish ", "0.6")):
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert digits in line


# Rows -------------------------------------------------------------------------------------------


def record(dtype):
    """What the row functions read, and the arrays behind it."""
    load_units(CONTEXT, np.dtype(dtype))
    arrays = engine_facts() | {"program_rows": np.zeros((64, rows.BLOCK))}
    x = np.zeros(1, CONTEXT).view(np.recarray)[0]
    for name, array in arrays.items():
        field = getattr(x, name)
        field.at, (field.rows, field.columns) = array.ctypes.data, array.shape
    return x, arrays


def mapped(name, z, e=0):
    """Rows of phi and phi' of z * 2**e by the engine, with the exponents of phi."""
    x, arrays = record(z.dtype)
    z, a, s = z.copy(), np.empty_like(z), np.empty_like(z)
    with np.errstate(all="ignore"):
        exponents = [
            rows.map_row(x, activations[name].code, SLOPE, z, a, s, r, e) for r in range(len(z))
        ]
    assert arrays
    return a, s, exponents


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_map_row__is_the_pair(name, dtype):
    z = np.random.default_rng(2).normal(0, 3, (2, size(300))).astype(dtype)
    a, s, exponents = mapped(name, z)
    wanted = [apply(LOOPS[name], row, 2) for row in z]
    for r in range(2):
        np.testing.assert_allclose(a[r], wanted[r][0], rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(s[r], wanted[r][1], rtol=1e-5, atol=4 * np.finfo(dtype).eps)
    assert exponents == [0, 0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_map_row__keeps_the_exponent_of_what_is_linear(name, dtype):
    entry = activations[name]
    z = np.random.default_rng(3).normal(size=(1, 20)).astype(dtype)
    a, s, exponents = mapped(name, z, -5000)
    if entry.linear_below[0] == NEVER:
        assert exponents == [0]
        np.testing.assert_array_equal(a, dtype(entry.value(0.0, SLOPE)))
        return
    left, right = entry.slopes_at_zero(SLOPE)
    assert exponents == [-5000]
    np.testing.assert_array_equal(s, np.where(z > 0, dtype(right), dtype(left)))
    np.testing.assert_allclose(a, s * z, rtol=1e-15)


# Activations of users ---------------------------------------------------------------------------


def leaky(slope):
    return lambda t, z: t.map("leaky_relu", z, slope=slope)


USERS = {  # name: (expression, phi, phi')
    "test_mish": (lambda t, z: z * t.tanh(t.softplus(z)), *EXACT["mish"][:2]),
    "test_swish_2": (
        lambda t, z: z * t.sigmoid(2 * z), lambda z: z * sigmoid(2 * z),
        lambda z: sigmoid(2 * z) + 2 * z * bell(2 * z),
    ),
    "test_snake": (
        lambda t, z: z + 0.5 - 0.5 * t.sin(2 * z + 1.5),
        lambda z: z + (1 - mp.sin(2 * z + 1.5)) / 2,
        lambda z: 1 - mp.cos(2 * z + mpf("1.5")),
    ),
    "test_square": (lambda t, z: t.relu(z) * t.relu(z), lambda z: max(z, 0) ** 2,
                    lambda z: 2 * max(z, 0)),
    "test_leaky": (leaky(0.2), lambda z: z if z > 0 else z * mpf(0.2),
                   lambda z: ONE if z > 0 else mpf(0.2)),
    "test_cubic": (lambda t, z: t.erf(z) - 1 - (-t.arctan(z)) + 1.0,
                   lambda z: mp.erf(z) + mp.atan(z),
                   lambda z: EXACT["erf"][1](z) + EXACT["arctan"][1](z)),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def users():
    for name, (f, *_) in USERS.items():
        gs.activation(name, f)
    gs.activation("test_inner", lambda t, z: 2 * t.map("test_mish", 0.5 * z))
    yield
    for name in [name for name in gs.activations if name.startswith("test_")]:
        gs.activations._entries.pop(name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", USERS)
def test_user__has_the_value_and_slope_of_its_expression(name, dtype):
    z = np.random.default_rng(1).normal(0, 2, (1, size(300))).astype(dtype)
    a, s, _ = mapped(name, z)
    entry, eps = activations[name], np.finfo(dtype).eps
    with mpmath.workdps(40):
        for got, form, exact in zip((a[0], s[0]), (entry.value, entry.slope), USERS[name][1:]):
            wanted = np.array([float(exact(mpf(float(x)))) for x in z[0]])
            np.testing.assert_allclose(got, wanted, rtol=8 * eps, atol=8 * eps)
            np.testing.assert_allclose(
                form(z[0].astype(float), 0.0), wanted, rtol=1e-13, atol=1e-14
            )
    x, step = z[0].astype(np.float64), 1e-5
    bend = (entry.slope(x + step, 0.0) - entry.slope(x - step, 0.0)) / (2 * step)
    smooth = np.abs(x) > step
    np.testing.assert_allclose(entry.second(x, 0.0)[smooth], bend[smooth], atol=1e-8)


def test_user__has_the_facts_of_its_expression():
    mish_, own = activations["mish"], activations["test_mish"]
    assert own.gamma(0.0) == pytest.approx(mish_.gamma(0.0), rel=1e-12)
    assert float(own.gamma_at) == pytest.approx(1.49057, abs=1e-5)
    assert own.slopes_at_zero(0.0) == pytest.approx((0.6, 0.6), rel=1e-15)
    assert not own.has_zero_slope
    assert activations["test_leaky"].homogeneous
    assert activations["test_leaky"].slopes_at_zero(0.0) == (0.2, 1.0)
    assert activations["test_square"].gamma(0.0) == np.inf
    assert activations["test_square"].has_zero_slope
    assert activations["test_snake"].linear_below == (NEVER, NEVER)
    assert activations["test_square"].linear_below == (NEVER, NEVER)
    with mpmath.workdps(50):
        for name in ("test_mish", "test_swish_2", "test_cubic"):
            assert activations[name].linear_below[1] > -80
            assert_linear(activations[name], USERS[name][1:], (24, 53))


def test_user__may_be_built_from_another():
    z = np.linspace(-4, 4, 50)
    wanted = 2 * activations["mish"].value(z / 2, 0.0)
    np.testing.assert_allclose(activations["test_inner"].value(z, 0.0), wanted, rtol=1e-14)


@pytest.mark.parametrize("kind", ["MLP", "RNN"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_user__runs_beside_the_built_in_activations(kind, dtype):
    model = {"MLP": gs.MLP(depth=4, width=5, sigma_b=0.3), "RNN": gs.RNN(steps=4, width=5)}[kind]
    names = ["tanh", "mish", "test_mish", "relu"]
    options = {"dtype": np.dtype(dtype).name, "measure": ["gradient", "signal"]}
    ds = gs.simulate(model, 3, vary={"activation": names}, **options)
    for name in ds.data_vars:
        own, built_in = (ds[name].sel(activation=a).values for a in ("test_mish", "mish"))
        np.testing.assert_allclose(
            own, built_in, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13
        )
    if kind == "MLP":
        both = gs.simulate(model, 3, vary={"output": ["mish", "test_mish"]}, **options)
        same = both.log10_delta_norm
        np.testing.assert_allclose(same[0], same[1], atol=1e-5 if dtype == np.float32 else 1e-13)


def test_user__is_accepted_wherever_a_name_is(tmp_path):
    assert gs.theory.edge_of_chaos("test_mish", 2.0) == pytest.approx(
        gs.theory.edge_of_chaos("mish", 2.0), rel=1e-12
    )
    model = gs.MLP(depth=3, width=4, activation="test_mish", init="critical", sigma_b=2.0)
    net = gs.network(model, 1)
    again = gs.from_arrays(net.weights, net.biases, activation="test_mish", inputs=net.inputs,
                           targets=net.targets)  # fmt: skip
    for one, two in zip(gs.backward(net).deltas, gs.backward(again).deltas):
        np.testing.assert_allclose(one.to_array(), two.to_array(), rtol=1e-12)
    ds = gs.simulate(model, 2)
    gs.save(ds, tmp_path / "own.nc")
    assert "test_mish" in gs.load(tmp_path / "own.nc").attrs["gradsim_config"]


@pytest.mark.parametrize(("name", "f", "kind", "parts"), [
    ("tanh", lambda t, z: 2 * z, ValueError, ["'tanh'", "built-in"]),
    ("test_mish", lambda t, z: 2 * z, ValueError, ["'test_mish'", "existing"]),
    ("softmax", lambda t, z: z, ValueError, ["'softmax'", "taken"]),
    ("", lambda t, z: z, TypeError, ["name"]),
    (3, lambda t, z: z, TypeError, ["name", "3"]),
    ("test_new", 3, TypeError, ["test_new", "f must be a function"]),
    ("test_new", lambda t, z: t.tahn(z), ValueError, ["test_new", "did you mean 'tanh'"]),
    ("test_new", lambda t, z: t.map("rleu", z), ValueError, ["test_new", "did you mean"]),
    ("test_new", lambda t, z: t.linear(z), ValueError, ["test_new", "linear"]),
    ("test_new", lambda t, z: 1.0, TypeError, ["test_new", "expression in z", "1.0"]),
    ("test_new", lambda t, z: np.tanh(z), TypeError, ["test_new", "t.tanh"]),
    ("test_new", lambda t, z: z / 2 if z > 0 else z, TypeError, ["test_new", "t.tanh"]),
    ("test_new", lambda t, z: z * np.inf, ValueError, ["test_new", "finite"]),
    ("test_new", lambda t, z: t.tanh(1.0), TypeError, ["test_new", "expression in z"]),
])  # fmt: skip
def test_user__is_refused_by_name(name, f, kind, parts):
    with pytest.raises(kind) as caught:
        gs.activation(name, f)
    for part in parts:
        assert part in str(caught.value)
    assert "test_new" not in gs.activations


def test_user__may_be_given_again():
    f, *_ = USERS["test_mish"]
    assert gs.activation("test_mish", f) is activations["test_mish"]


# The slope as a field of a row ------------------------------------------------------------------


def test_slope__varies_like_any_row_field():
    model = gs.MLP(depth=4, width=5, activation="leaky_relu")
    slopes = [-0.5, 0.0, 0.3, 1.0]
    ds = gs.simulate(model, 4, vary={"slope": slopes, "activation": ["leaky_relu", "silu"]})
    for slope in slopes:
        alone = gs.simulate(model.with_fields(slope=slope), 4).log10_delta_norm
        found = ds.log10_delta_norm.sel(slope=slope, activation="leaky_relu")
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-13)
    for name, slope in (("relu", 0.0), ("identity", 1.0)):
        alone = gs.simulate(model.with_fields(activation=name), 4).log10_delta_norm
        found = ds.log10_delta_norm.sel(slope=slope, activation="leaky_relu")
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-13)
