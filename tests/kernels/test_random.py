"""Philox words against published vectors, and the numbers of each distribution made from them."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from gradsim.kernels import random, transforms
from gradsim.kernels._jit import jit

from .ulp import JIT, error, size

FLOATS = [np.float32, np.float64]


def filler(kind):
    """Fill an array with the numbers of one distribution."""
    return lambda out, *address: random.fill(out, kind, *address)


normals, uniforms, truncated, triangular = (
    filler(kind) for kind in (random.NORMAL, random.UNIFORM, random.TRUNCATED, random.TRIANGULAR)
)
FILLS = [
    (random.words, np.uint32),
    *((f, dtype) for f in (normals, uniforms, truncated, triangular) for dtype in FLOATS),
]
ADDRESS = (3, 5, 7, np.uint64(0x8000_0000_0000_0001))  # layer, stream, key, seed beyond 2**63
ALL_ONES = np.uint64(2**64 - 1)


def fill(function, dtype, count, start=0, layer=3, stream=5, key=7, seed=ADDRESS[3]):
    out = np.empty(count, dtype)
    function(out, start, layer, stream, key, np.uint64(seed))
    return out


def philox(counter, seed):
    """Philox4x32-10 with Python integers, as in the paper."""
    c, k = list(counter), [seed % 2**32, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 % 2**32, (p0 >> 32) ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


# Random123's kat_vectors, philox4x32 10: counter, key, result
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_words__equal_the_published_vectors(counter, key, result):
    index, *address = counter
    got = fill(random.words, np.uint32, 4, 4 * index, *address, key[0] + (key[1] << 32))
    assert got.tolist() == result


def test_words__equal_the_paper_at_any_address():
    rng = np.random.default_rng(1)
    for _ in range(size(100)):
        counter = [int(v) for v in rng.integers(0, 2**32, 4)]
        seed, lane = int(rng.integers(0, 2**64, dtype=np.uint64)), int(rng.integers(4))
        got = fill(random.words, np.uint32, 1, 4 * counter[0] + lane, *counter[1:], seed)
        assert got[0] == philox(counter, seed)[lane]


@pytest.mark.parametrize("part", ["layer", "stream", "key", "seed"])
def test_words__differ_in_every_part_of_the_address(part):
    values = [0, 2**32, 2**63, 2**64 - 1] if part == "seed" else [0, 1, 2, 2**31, 2**32 - 1]
    every = np.concatenate([fill(random.words, np.uint32, 64, **{part: v}) for v in values])
    assert np.unique(every).size == every.size


@pytest.mark.parametrize(("function", "dtype"), FILLS)
def test_fills__have_the_same_bits_whole_and_in_pieces(function, dtype):
    block = random.BLOCK
    start = 4 * block + 1
    whole = fill(function, dtype, 5 * block, start)
    rng = np.random.default_rng(2)
    pieces = [
        (0, 1),
        (1, 3),
        (3, 3 + block),
        (2, 2 * block + 7),
        (0, block),
        (block - 1, block + 1),
    ]
    pieces += [tuple(np.sort(rng.integers(0, whole.size, 2)).tolist()) for _ in range(size(40))]
    for begin, end in pieces:
        piece = fill(function, dtype, end - begin, start + begin)
        assert piece.tobytes() == whole[begin:end].tobytes()
    last = fill(function, dtype, 7, 2**34 - 7)
    assert fill(function, dtype, 1, 2**34 - 1).tobytes() == last[-1:].tobytes()


@pytest.mark.parametrize(("function", "dtype"), FILLS)
def test_fills__write_nothing_outside(function, dtype):
    guarded = np.full(300, 77, dtype)
    function(guarded[100:211], 2, *ADDRESS)
    assert (guarded[:100] == 77).all()
    assert (guarded[211:] == 77).all()
    assert guarded[100:211].tobytes() == fill(function, dtype, 111, 2).tobytes()
    function(guarded[:0], 1, *ADDRESS)


def test_uniform_word__is_the_word_over_2_to_the_32():
    words = fill(random.words, np.uint32, 9, 2**33 + 2)
    for i, word in enumerate(words):
        u = uniform_word(2**33 + 2 + i, *ADDRESS)
        assert u == (float(word) + 0.5) / 2**32
        assert 0 < u < 1


@jit(inline=True)
def uniform_word(index, layer, stream, key, seed):
    return random.uniform_word(index, layer, stream, key, seed)


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniforms__are_the_symmetric_unit_variance_uniforms(dtype):
    words = fill(random.words, np.uint32, size(20_000))
    exact = math.sqrt(3) * (2 * words.astype(float) + 1 - 2.0**32) / 2**32
    got = fill(uniforms, dtype, words.size)
    np.testing.assert_allclose(got, exact, rtol=2 * np.finfo(dtype).eps, atol=0)
    for word in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):  # the two ends and the middle
        exact = math.sqrt(3) * (2 * word + 1 - 2**32) / 2**32
        assert abs(uniform(dtype(0), np.uint64(word)) / exact - 1) <= 2 * np.finfo(dtype).eps


UNIT = mpmath.sqrt(1 - 4 * mpmath.npdf(2) / mpmath.erf(mpmath.sqrt(2)))  # sd of one cut at 2


def exact_truncated(u):
    """Quantile u of a normal cut at two standard deviations, over its standard deviation."""
    with mpmath.workdps(40):
        c = mpmath.erf(mpmath.sqrt(2))
        return mpmath.sqrt(2) * mpmath.erfinv(c * (2 * u - 1)) / UNIT


def exact_triangular(u):
    """Quantile u of the sum of two uniforms, over its standard deviation."""
    with mpmath.workdps(40):
        v = 2 * u - 1
        return mpmath.sign(v) * mpmath.sqrt(6) * (1 - mpmath.sqrt(1 - abs(v)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("function", "exact"), [("truncated", exact_truncated), ("triangular", exact_triangular)]
)
def test_quantiles__are_those_of_their_words(function, exact, dtype):
    rng = np.random.default_rng(3)
    ends = [0, 1, 2**31 - 2, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1]
    for word in [*ends, *rng.integers(0, 2**32, 300).tolist()]:
        with mpmath.workdps(40):
            wanted = exact((mpmath.mpf(word) + 0.5) / 2**32)
        got = quantile(function, dtype(0), np.uint64(word))
        ulps = 8 if dtype is np.float64 else 1
        assert abs(float(got) / wanted - 1) <= ulps * np.finfo(dtype).eps, word


def quantile(function, like, word):
    return (cut if function == "truncated" else tent)(like, word)


@jit
def cut(like, word):
    return transforms.truncated(like, word)


@jit
def tent(like, word):
    return transforms.triangular(like, word)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("function", "kind"), [(truncated, cut), (triangular, tent)])
def test_quantiles__fill_as_their_words_say(function, kind, dtype):
    words = fill(random.words, np.uint32, 402, 6).astype(np.uint64)
    wanted = [kind(dtype(0), word) for word in words]
    got = fill(function, dtype, 402, 6)
    np.testing.assert_allclose(got, wanted, rtol=4 * np.finfo(dtype).eps, atol=0)


@jit(inline=True)
def uniform(like, word):
    return transforms.uniform(like, word)


@jit(inline=True)
def pairs(first, second, out):
    """Fill ``out`` (2, n) with the normals of n pairs of words (n,) uint64."""
    for i in range(first.size):
        out[0, i], out[1, i] = transforms.pair(out[0, i], first[i], second[i])


def edge_words():
    """Powers of two, their neighbours and the octants, where the formulas change."""
    words = {0, 1, 2, 3, 2**32 - 1}
    for k in range(33):
        for centre in (2**k, round(2**k * math.sqrt(0.5)), 2**32 - 2**k, k * 2**29 // 2):
            words.update(range(centre - 2, centre + 3))
    return np.array(sorted(w for w in words if 0 <= w < 2**32), dtype=np.uint64)


def normals_of(first, second, dtype):
    out = np.zeros((2, first.size), dtype)
    pairs(first, second, out)
    return out


def test_normals__agree_between_precisions_for_every_pair_of_words():
    # A search over all 2**32 radii and all 2**32 angles bounds the difference by 3.92 of the 4.
    rng = np.random.default_rng(3)
    edges = edge_words()[:: 1 if JIT else 40]
    first, second = (w.ravel() for w in np.meshgrid(edges, edges))
    loose = rng.integers(0, 2**32, (2, size(500_000)), dtype=np.uint64)
    if not JIT:
        loose = loose[:, :500]
    # radii just above powers of two meet angles whose sine is just above one: the worst case
    radius = np.exp(-(np.array([1.0, 1.42, 2.0, 4.0]) ** 2) / 2) * 2**32
    hard = (radius[:, None] - rng.integers(0, 2000, (4, size(50_000)))).clip(0).astype(np.uint64)
    angle = rng.integers(0, 2**32, hard.shape, dtype=np.uint64)
    if not JIT:
        hard, angle = hard[:, :50], angle[:, :50]
    first = np.concatenate([first, loose[0], hard.ravel()])
    second = np.concatenate([second, loose[1], angle.ravel()])
    single, double = (normals_of(first, second, dtype) for dtype in FLOATS)
    assert np.isfinite(double).all()
    difference = np.abs(single - double) / np.maximum(1, np.abs(double))
    assert difference.max() <= 4 * 2.0**-24
    assert difference.max() > 2.0**-25  # float32 is not secretly float64


def test_normals__are_accurate_in_float64():
    rng = np.random.default_rng(4)
    edges = edge_words()
    first = np.concatenate([edges, rng.integers(0, 2**32, size(500), dtype=np.uint64)])[
        :: 1 if JIT else 5
    ]
    second = rng.permutation(first)
    got = normals_of(first, second, np.float64)
    worst = 0.0
    with mpmath.workdps(50):
        for w, v, x, y in zip(first, second, *got):
            radius = mpmath.sqrt(-2 * mpmath.log((int(w) + mpmath.mpf(0.5)) / 2**32))
            angle = 2 * mpmath.pi * (int(v) + mpmath.mpf(0.5)) / 2**32
            worst = max(worst, error(x, radius * mpmath.cos(angle), np.float64),
                        error(y, radius * mpmath.sin(angle), np.float64))  # fmt: skip
    assert worst <= 5


@pytest.mark.parametrize("dtype", FLOATS)
def test_normals__are_those_of_their_words(dtype):
    start, count = 6, 402
    words = fill(random.words, np.uint32, count, start).astype(np.uint64)
    x, y = normals_of(words[0::2], words[1::2], dtype)
    got = fill(normals, dtype, count, start)
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, np.column_stack([x, y]).ravel(), rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", [0, 12345, 2**64 - 1])
def test_normals__are_standard_and_independent(dtype, seed):
    z = fill(normals, dtype, size(200_000), seed=seed).astype(np.float64)
    n = z.size
    limit = 4.5  # standard errors
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        spread = math.sqrt(math.prod(range(1, 2 * power, 2)) - moment**2)
        assert abs((z**power).mean() - moment) < limit * spread / math.sqrt(n)
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for lag in (1, 2, 3, 4, random.BLOCK):
        assert abs((z[lag:] * z[:-lag]).mean()) < limit / math.sqrt(n - lag)
        assert abs(((z[lag:] ** 2 - 1) * (z[:-lag] ** 2 - 1)).mean()) < 2 * limit / math.sqrt(
            n - lag
        )
    other = fill(normals, dtype, n, seed=seed, layer=4).astype(np.float64)
    assert abs((z * other).mean()) < limit / math.sqrt(n)
