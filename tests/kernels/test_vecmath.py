"""Elementary functions against mpmath at 50 digits, at their edges, and as machine code."""

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest

from gradsim.kernels import vecmath
from gradsim.kernels._jit import jit

from .ulp import JIT, any_numbers, apply, errors, loop, size

FLOATS = [np.float32, np.float64]


@jit(inline=True)
def rescale(x, k, out):
    for i in range(x.size):
        out[i] = vecmath.scale(x[i], k)


@jit(inline=True)
def powers(k, out):
    for i in range(k.size):
        out[i] = vecmath.pow2(k[i], out[i])


@jit(inline=True)
def log10_of(total, exponent):
    return vecmath.log10_of(total, exponent)


LOOPS = {
    "exp": (loop(vecmath.exp), 1),
    "log": (loop(vecmath.log), 1),
    "log1p": (loop(vecmath.log1p), 1),
    "tanh": (loop(vecmath.tanh), 1),
    "sigmoid": (loop(vecmath.sigmoid), 1),
    "tanh_pair": (loop(vecmath.tanh_pair, 2), 2),
    "sigmoid_pair": (loop(vecmath.sigmoid_pair, 2), 2),
    "sincos": (loop(vecmath.sincos, 2), 2),
}


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def sigmoid_slope(x):
    t = mpmath.exp(-abs(x))
    return t / (1 + t) ** 2


# name: (exact functions, allowed ulp, where the interesting arguments lie)
CASES = {
    "exp": ([mpmath.exp], 2, 1.1),
    "log": ([mpmath.log], 2, None),
    "log1p": ([mpmath.log1p], 4, None),
    "tanh": ([mpmath.tanh], 4, 0.6),
    "sigmoid": ([sigmoid], 4, 1.1),
    "tanh_pair": ([mpmath.tanh, lambda x: mpmath.sech(x) ** 2], 4, 0.6),
    "sigmoid_pair": ([sigmoid, sigmoid_slope], 4, 1.1),
    "sincos": ([mpmath.sin, mpmath.cos], 4, 2.0),
}


def run(name, values, dtype):
    loop_, outputs = LOOPS[name]
    return apply(loop_, np.array(values, dtype=dtype), outputs)


def arguments(name, dtype):
    """Points over the whole range, over the range of the exponential, near 0 and near 1."""
    info, n = np.finfo(dtype), size(400)
    rng = np.random.default_rng(11)
    reach = (CASES[name][2] or 1.0) * np.log(2.0) * info.maxexp
    x = np.concatenate([
        any_numbers(dtype, n, 5),
        rng.uniform(-reach, reach, n),
        rng.uniform(-4, 4, n),
        rng.uniform(-1, 1, n) * 2.0 ** -rng.uniform(0, info.nmant + 3, n),
        np.pi / 2 * np.arange(1, n // 4),
        [0, -0.0, 0.5, 1, -0.5, info.tiny, info.smallest_subnormal, info.max, -info.max],
    ]).astype(dtype)  # fmt: skip
    near_one = dtype(1) + x[3 * n : 4 * n]
    if name == "log":
        return np.abs(np.concatenate([x, near_one]))
    if name == "log1p":
        return x[x > -1]
    return np.concatenate([x, near_one])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_vecmath__is_accurate_over_the_whole_range(name, dtype):
    exact, allowed, _ = CASES[name]
    x = arguments(name, dtype)
    if name == "log":
        x = x[x > 0]
    for got, function in zip(run(name, x, dtype), exact):
        error = errors(got, x, function, dtype)
        if "tanh" in name or "sigmoid" in name:  # below the normal numbers: anything down to 0
            tiny = np.finfo(dtype).tiny
            error[(np.abs(got) < tiny) & (error * np.finfo(dtype).smallest_subnormal < tiny)] = 0
        assert error.max() <= allowed, (x[error.argmax()], got[error.argmax()], error.max())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "exact"), [("tanh_pair", CASES["tanh_pair"][0][1]),
                                             ("sigmoid_pair", sigmoid_slope)])  # fmt: skip
def test_slopes__are_relatively_accurate_down_to_the_smallest_normal(name, exact, dtype):
    tiny = float(np.finfo(dtype).tiny)
    edge = (np.log(4) - np.log(tiny)) / 2 if name == "tanh_pair" else -np.log(tiny)
    x = np.concatenate([np.linspace(0.05, 1, size(200)), 1 - np.geomspace(1e-6, 1e-2, 40)]) * edge
    x = np.concatenate([x, -x]).astype(dtype)
    slope = run(name, x, dtype)[1]
    with mpmath.workdps(50):
        normal = np.array([exact(mpmath.mpf(float(v))) >= tiny for v in x])
    assert normal.sum() > 0.9 * x.size
    assert errors(slope, x, exact, dtype)[normal].max() <= 4
    assert (slope[normal] >= tiny * (1 - np.finfo(dtype).eps)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_vecmath__has_the_right_limits(dtype):
    inf, nan, big = np.inf, np.nan, float(np.finfo(dtype).max)
    expected = {
        "exp": ([0, -0.0, inf, -inf, nan, big, -big], [[1, 1, inf, 0, nan, inf, 0]]),
        "log": ([0, -0.0, inf, -inf, nan, 1, -1], [[-inf, -inf, inf, nan, nan, 0, nan]]),
        "log1p": ([0, -0.0, inf, -inf, nan, -1, -2], [[0, -0.0, inf, nan, nan, -inf, nan]]),
        "tanh_pair": (
            [0, -0.0, inf, -inf, nan, big, -big],
            [[0, -0.0, 1, -1, nan, 1, -1], [1, 1, 0, 0, nan, 0, 0]],
        ),
        "sigmoid_pair": (
            [0, -0.0, inf, -inf, nan, big, -big],
            [[0.5, 0.5, 1, 0, nan, 1, 0], [0.25, 0.25, 0, 0, nan, 0, 0]],
        ),
        "sincos": ([0, -0.0, inf, -inf, nan], [[0, -0.0, nan, nan, nan], [1, 1, nan, nan, nan]]),
    }
    for name, (x, wanted) in expected.items():
        for got, want in zip(run(name, x, dtype), wanted):
            np.testing.assert_array_equal(got, np.array(want, dtype), err_msg=name)
            zero = got == 0
            np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want)[zero], name)


@pytest.mark.parametrize("dtype", FLOATS)
def test_exp__overflows_and_underflows_at_the_right_argument(dtype):
    info = np.finfo(dtype)
    most = dtype(np.log(np.float64(info.max)) if dtype == np.float32 else 709.782712893384)
    least = dtype(np.log(np.float64(info.smallest_subnormal)))
    x = np.array([np.nextafter(most, dtype(0)), np.nextafter(most, dtype(np.inf)),
                  least, least - dtype(1)], dtype=dtype)  # fmt: skip
    got = run("exp", x, dtype)[0]
    assert np.isfinite(got[0])
    assert np.isinf(got[1]) or errors(got[1:2], x[1:2], mpmath.exp, dtype)[0] <= 2
    assert got[2] == info.smallest_subnormal
    assert got[3] == 0


def test_sincos__is_exact_at_the_hardest_arguments():
    # The float64 nearest to a multiple of pi/2 (Muller et al., Handbook, section 11.6), and others
    hard = [
        6381956970095103.0 * 2.0**797,
        2.0**1023,
        1e22,
        np.pi,
        2**20 * np.pi,
        0.7853981633974484,
    ]
    hard32 = [16367173.0 * 2.0**72, 2.0**127, 1e22, np.pi, 8192 * np.pi, 0.7853982]
    for dtype, values in ((np.float64, hard), (np.float32, hard32)):
        x = np.array(values, dtype=dtype)
        for got, exact in zip(run("sincos", x, dtype), (mpmath.sin, mpmath.cos)):
            assert errors(got, x, exact, dtype).max() <= 4


@pytest.mark.skipif(not JIT, reason="there is no machine code")
@pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx2"), reason="vectors are short")
@pytest.mark.parametrize("name", CASES)
def test_vecmath__loops_become_vector_code(name):
    for dtype in FLOATS:
        run(name, [0.5], dtype)
    for code in LOOPS[name][0].inspect_asm().values():
        assert "ymm" in code or "zmm" in code


@pytest.mark.parametrize("dtype", FLOATS)
def test_bits__order_magnitudes_and_put_nan_on_top(dtype):
    x = np.array([0, np.finfo(dtype).smallest_subnormal, -1, 1.5, -np.finfo(dtype).max, np.inf,
                  np.nan], dtype=dtype)  # fmt: skip
    patterns = np.empty(x.size, np.int64)
    loop(vecmath.bits)(x, patterns)
    assert patterns[0] == 0
    assert (np.diff(patterns) > 0).all()
    flipped = np.empty(x.size, np.int64)
    loop(vecmath.bits)(-x, flipped)
    np.testing.assert_array_equal(flipped, patterns)


@jit(inline=True)
def exponent(x):
    return vecmath.exponent_of(vecmath.bits(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_exponent_of__is_the_floor_of_the_logarithm(dtype):
    exponents = loop(exponent)
    info = np.finfo(dtype)
    edges = np.array([info.tiny, info.smallest_subnormal, info.max, 1, -2], dtype)
    x = np.concatenate([any_numbers(dtype, size(500), 3), edges])
    x = x[x != 0]
    np.testing.assert_array_equal(apply(exponents, x)[0], np.frexp(x)[1] - 1)
    special = apply(exponents, np.array([0, np.inf, np.nan], dtype))[0]
    assert special[0] < np.log2(float(info.smallest_subnormal))
    assert special[1] == special[2] == info.maxexp


@pytest.mark.parametrize("dtype", FLOATS)
def test_pow2_and_scale__are_exact(dtype):
    info = np.finfo(dtype)
    k = np.arange(info.minexp, info.maxexp)
    got = np.ones(k.size, dtype)
    powers(k, got)
    np.testing.assert_array_equal(got, np.ldexp(dtype(1), k))
    x = any_numbers(dtype, size(60), 4)
    x = np.concatenate([x, [dtype(0), info.max, info.smallest_subnormal]])
    with np.errstate(all="ignore"):
        for k in (-2100, -1100, -300, -130, -24, 0, 7, 127, 140, 1023, 1030, 2097, 5000):
            want = np.ldexp(x, k)
            exact = (np.ldexp(want, -k) == x) | np.isinf(want) | (np.abs(want) >= info.tiny)
            got = np.empty_like(x)
            rescale(x, k, got)
            np.testing.assert_array_equal(got[exact], want[exact])
            assert (np.abs(got - want)[~exact] <= info.smallest_subnormal).all()


def test_log10_of__carries_any_exponent():
    for total, exponent in ((3.7, 0), (1.0, -4150), (2.5e-300, 12345), (1e308, -1)):
        with mpmath.workdps(50):
            exact = mpmath.log10(mpmath.sqrt(total)) + exponent * mpmath.log10(2)
            got = log10_of(total, exponent)
            assert abs(got - exact) <= 4e-16 * max(1, abs(exact))
    with np.errstate(all="ignore"):
        assert log10_of(0.0, 100) == -np.inf
        assert log10_of(np.inf, 0) == np.inf
        assert np.isnan(log10_of(np.nan, 0))
