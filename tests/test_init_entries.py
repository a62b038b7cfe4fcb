"""Initialisers that draw each weight by itself: their laws, and the gains that they stand for."""

import math

import numpy as np
import pytest
from init_cases import SIGMAS, entries, run, size
from scipy import stats

import gradsim as gs
from gradsim._init_scales import gain

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
