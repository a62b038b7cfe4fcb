"""The law of ln ||delta||^2 at finite width, against published numbers, samples and simulation."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.activations import activations
from gradsim.theory import finite_width, random_walk_gain, walk_coefficients
from gradsim.theory._layer_law import Slopes, cumulants

HE = math.sqrt(2)
EXACT = {"loss": "linear", "output": "identity"}
RELU, LINEAR = Slopes(0.0, 1.0), Slopes(1.0, 1.0)

# One layer at chi_1 = 1: n, relu mean and variance, linear mean and variance of ln of the ratio;
# Hanin and Nica 2018 in exact form
LAYER = [
    (5, -0.62339286, 2.36226876, -0.21313409, 0.49035776),
    (10, -0.30746101, 0.86673425, -0.10332024, 0.22132296),
    (20, -0.13718672, 0.31175808, -0.05083250, 0.10516634),
    (30, -0.08839567, 0.19114818, -0.03370354, 0.06893823),
    (50, -0.05173878, 0.10816813, -0.02013331, 0.04081066),
    (64, -0.04010860, 0.08299735, -0.01570637, 0.03174337),
    (100, -0.02542089, 0.05193999, -0.01003333, 0.02020133),
    (128, -0.01978640, 0.04023399, -0.00783284, 0.01574771),
    (200, -0.01260362, 0.02547341, -0.00500833, 0.01005017),
    (256, -0.00982866, 0.01981871, -0.00391134, 0.00784310),
    (500, -0.00501643, 0.01007469, -0.00200133, 0.00400801),
    (1000, -0.00250410, 0.00501859, -0.00100033, 0.00200200),
]


@pytest.mark.parametrize(("n", "relu", "relu_var", "linear", "linear_var"), LAYER)
def test_layer__has_the_table(n, relu, relu_var, linear, linear_var):
    for slopes, mean, variance, gain in (
        (RELU, relu, relu_var, 2),
        (LINEAR, linear, linear_var, 1),
    ):
        law = cumulants(slopes, n)
        assert law.mean + math.log(gain) == pytest.approx(mean, abs=6e-9)
        assert law.variance == pytest.approx(variance, abs=6e-9)


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.2, 1.0), (-0.5, 2.0)])
def test_layer__has_the_cumulants_and_quantiles_of_a_sample(slopes):
    rng, n, size = np.random.default_rng(1), 7, 400_000
    m = rng.binomial(n, 0.5, size)
    parts = [rng.chisquare(np.maximum(k, 1)) * (k > 0) for k in (n - m, m)]
    square = (slopes[0] ** 2 * parts[0] + slopes[1] ** 2 * parts[1]) / n
    sample, law = np.log(square[square > 0]), cumulants(Slopes(*slopes), n)
    centred = sample - law.mean
    assert abs(centred.mean()) < 4 * math.sqrt(law.variance / size)
    assert abs(np.mean(centred**2) - law.variance) < 4 * np.std(centred**2) / math.sqrt(size)
    assert abs(np.mean(centred**3) - law.third) < 4 * np.std(centred**3) / math.sqrt(size)
    model = gs.MLP(width=(3, n, 2), activation="leaky_relu", slope=slopes[0], **EXACT)
    if slopes[1] == 1.0:  # zeros included as -inf
        found = finite_width(model, [0.02, 0.3, 0.9]).log10_delta_quantile.sel(layer=1)
        for level, value in zip((0.02, 0.3, 0.9), found.values):
            share = np.mean(square < 10 ** (2 * value))
            assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / size)


# n, hidden layers, quantiles 5, 50 and 95 % of log10 ||d^1|| / ||d^L||; mean, sd (He, relu), from
# 200 000 draws of the exact law
QUANTILES = [
    (20, 49, (-2.880, -1.447, -0.092), -1.45970, 0.84871),
    (50, 49, (-1.380, -0.546, 0.266), -0.55051, 0.49992),
    (100, 99, (-1.362, -0.543, 0.262), -0.54649, 0.49241),
]


@pytest.mark.parametrize(("n", "hidden", "levels", "mean", "sd"), QUANTILES)
def test_finite_width__has_the_quantiles_of_the_exact_law(n, hidden, levels, mean, sd):
    law = finite_width(gs.MLP(depth=hidden + 1, width=n, activation="relu", sigma_w=HE, **EXACT))
    assert law.log10_delta_quantile[0].values == pytest.approx(levels, abs=0.006)
    assert law.log10_delta_mean[0].item() == pytest.approx(mean, abs=6e-6)
    assert law.log10_delta_sd[0].item() == pytest.approx(sd, abs=6e-6)
    # Hanin and Nica 2018: N(-beta / 2, beta), beta = 5 sum 1/n
    assert law.var_log_limit[0].item() == pytest.approx(5 * hidden / n)
    assert law.mean_log_limit[0].item() == pytest.approx(-2.5 * hidden / n)
    assert law.attrs["validity"] == "exact"


# Probabilities of an untied linear RNN below 1e-3: N, g, T (Newman 1986; Goodfellow et al. 2016)
@pytest.mark.parametrize(("n", "g", "steps", "below"), [
    (1, 1.0, 10, 0.40609), (1, 1.0, 20, 0.88473), (1, 1.8873645212, 50, 0.18684),
    (10, 0.9, 50, 0.71219), (10, 1.0, 100, 0.22841), (50, 0.5, 10, 0.64820),
    (50, 0.9, 50, 0.05660),
])  # fmt: skip
def test_finite_width__inverts_the_tails_of_untied_linear_networks(n, g, steps, below):
    model = gs.RNN(steps=steps + 1, width=n, activation="identity", loss="linear", sigma_w=g,
                   tied=False)  # fmt: skip
    ends = finite_width(model, [below - 1e-5, below + 1e-5]).log10_delta_quantile[0].values
    assert ends[0] <= -3 <= ends[1]


WIDTHS = (4, 6, 5, 7, 6, 3)
CASES = {
    "relu": {"activation": "relu", "init": "he_normal"},
    "relu with bias": {"activation": "relu", "init": "he_normal", "sigma_b": 0.4},
    "relu output": {"activation": "relu", "init": "he_normal", "sigma_b": 0.4, "output": None},
    "leaky": {"activation": "leaky_relu", "slope": 0.2, "sigma_w": 1.3},
    "glorot": {"activation": "relu", "init": "glorot_normal"},
    "orthogonal": {"activation": "relu", "init": "orthogonal", "width": (8,) * 5},
}


@pytest.mark.parametrize("case", CASES)
def test_finite_width__is_the_law_of_simulation(case):
    seeds = 3000 if case == "orthogonal" else 6000  # its matrices are slow to make
    model = gs.MLP(**{"width": WIDTHS} | EXACT | CASES[case])
    law, ds = finite_width(model), gs.simulate(model, seeds, dtype="float32")
    assert law.attrs["validity"] == "exact"
    delta = ds.log10_delta_norm
    for layer in range(1, model.depth):
        one = law.sel(layer=layer)
        x = 2 * math.log(10) * (delta.sel(layer=layer) - delta.sel(layer=model.depth)).values
        finite = x[np.isfinite(x)]
        mean, var = one.mean_log.item(), one.var_log.item()
        assert abs(finite.mean() - mean) < 4 * math.sqrt(var / finite.size)
        error = math.sqrt((2 * var**2 + one.fourth_cumulant_log.item()) / finite.size)
        assert abs(finite.var() - var) < 4 * error
        gone, p = 1 - finite.size / seeds, one.zero_probability.item()
        assert abs(gone - p) <= 4 * math.sqrt(p * (1 - p) / seeds)
        for level in (0.05, 0.5, 0.95) if case != "orthogonal" else ():
            value = one.log10_delta_quantile.sel(quantile=level).item() * 2 * math.log(10)
            if value > -math.inf:
                share = 1 - np.mean(x > value)
                assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / seeds)
    near = np.where(np.isfinite(x), np.exp(x), 0.0)  # the last hidden layer: a light tail
    error = near.std() / math.sqrt(seeds)
    assert abs(near.mean() - math.exp(one.log_mean_square.item())) < 4 * error
    square = np.mean(near**2) / np.exp(2 * one.log_mean_square.item())
    error = np.std(near**2) / np.exp(2 * one.log_mean_square.item()) / math.sqrt(seeds)
    assert abs(square - math.exp(one.log_square_ratio.item())) < 4 * error


# c of E ||delta||^4 = (1 + c / n) (E ||delta||^2)^2, Hanin and Nica 2018: leaky of three slopes
@pytest.mark.parametrize(("slope", "c"), [(0.01, 4.998800), (0.1, 4.88236), (0.2, 4.556213)])
def test_square_ratio__of_leaky_relu(slope, c):
    assert 10 * Slopes(slope, 1.0).square_excess(10) == pytest.approx(c, abs=6e-6)
    assert Slopes(0.0, 1.0, False).square_excess(10) == pytest.approx(3 / 12)
    assert 10 * RELU.square_excess(10) == 5
    assert 10 * LINEAR.square_excess(10) == 2


# Sussillo and Abbott 2014, "Random walk initialization": N, linear exact / published, relu
GAINS = [
    (10, 1.05301778, 1.05127110, 1.64922272, 1.65610478),
    (20, 1.02574200, 1.02531512, 1.51462359, 1.51400038),
    (50, 1.01011750, 1.01005017, 1.45127573, 1.45031921),
    (100, 1.00502927, 1.00501252, 1.43230357, 1.43170877),
    (200, 1.00250730, 1.00250313, 1.42315381, 1.42282803),
    (1000, 1.00050029, 1.00050013, 1.41598533, 1.41591572),
]


@pytest.mark.parametrize(("n", "linear", "linear_printed", "relu", "relu_printed"), GAINS)
def test_random_walk_gain__has_the_table(n, linear, linear_printed, relu, relu_printed):
    assert random_walk_gain("identity", n) == pytest.approx(linear, abs=6e-9)
    assert random_walk_gain("relu", n) == pytest.approx(relu, abs=6e-9)
    assert random_walk_gain("identity", n, published=True) == pytest.approx(
        linear_printed, abs=6e-9
    )
    assert random_walk_gain("relu", n, published=True) == pytest.approx(relu_printed, abs=6e-9)
    law = finite_width(gs.MLP(depth=9, width=n, activation="relu", init="random_walk", **EXACT))
    assert law.mean_log[0].item() == pytest.approx(0, abs=1e-11)


def test_random_walk_gain__refuses_other_activations():
    with pytest.raises(ValueError, match="gain is known for activation 'identity' and 'relu'"):
        random_walk_gain("tanh", 10)


WALKS = [
    ("tanh", 1.0, 0.05**0.5), ("erf", 1.5, 0.3), ("gelu", 1.2, 0.8), ("sigmoid", 1.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "sigma_w", "sigma_b"), WALKS)
def test_walk_coefficients__are_those_of_simulation(activation, sigma_w, sigma_b):
    """The derived drift and variance, measured at two widths and moved to 1/n = 0."""
    walk = walk_coefficients(activation, sigma_w, sigma_b)
    found, errors = [], []
    for n in (32, 64):
        model = gs.MLP(depth=36, width=n, activation=activation, sigma_w=sigma_w, sigma_b=sigma_b,
                       **EXACT)  # fmt: skip
        limit = gs.theory.mean_field(model)
        x = np.random.default_rng(1).standard_normal(n)
        x *= math.sqrt(n * (limit.q_star.item() - sigma_b**2)) / sigma_w / np.linalg.norm(x)
        seeds = 2000
        ds = gs.simulate(model, seeds, inputs=x, dtype="float32")
        delta = 2 * math.log(10) * ds.log10_delta_norm
        long = (delta.sel(layer=5) - delta.sel(layer=30)).values
        short = (delta.sel(layer=12) - delta.sel(layer=23)).values
        drift = n * (long.mean() / 25 - math.log(limit.chi_1.item()))
        variance = n * (long.var() - short.var()) / 14
        scale = n * long.var() / 14 * math.sqrt(2 / seeds)
        found.append((drift, variance))
        errors.append((n * long.std() / 25 / math.sqrt(seeds), 1.2 * scale))
    limit = 2 * np.array(found[1]) - found[0]
    error = np.hypot(2 * np.array(errors[1]), errors[0])
    assert abs(limit[0] - walk.drift.item()) < 4 * error[0]
    assert abs(limit[1] - walk.variance.item()) < 4 * error[1]
    assert error[0] < 0.2
    assert walk.attrs["status"] == "derived"


@pytest.mark.parametrize("sigma_b", [0.3, 1.0])
def test_walk_coefficients__are_known_for_every_activation(sigma_b):
    for name, entry in activations.items():
        if entry.program is not None:  # that of another test
            continue
        walk = walk_coefficients(name, 1.0, sigma_b)
        assert walk.variance.item() >= 2 * (1 - 1e-12)  # F >= 1: no less than linear weights have
        assert math.isfinite(walk.drift.item())
        assert (walk.attrs["status"] == "derived") == (not entry.homogeneous)


def test_walk_coefficients__become_those_of_what_the_activation_becomes():
    linear = walk_coefficients("tanh", 0.8, 0.0)  # q* = 0
    assert (linear.variance.item(), linear.drift.item()) == (2.0, -1.0)
    relu = walk_coefficients("gelu", 2.5, 0.1)  # q* = inf
    assert (relu.variance.item(), relu.drift.item()) == (5.0, -2.5)


def test_finite_width__of_tanh_is_the_profile_with_its_walk():
    model = gs.MLP(depth=40, width=80, activation="tanh", sigma_w=1.5, **EXACT)
    law = finite_width(model)
    assert law.attrs["validity"].startswith("asymptotic")
    delta = gs.simulate(model, 1600, dtype="float32").log10_delta_norm
    x = (delta.sel(layer=1) - delta.sel(layer=40)).values
    assert abs(x.mean() - law.log10_delta_mean[0].item()) < 4 * x.std() / 40 + 0.02
    assert x.std() == pytest.approx(law.log10_delta_sd[0].item(), rel=0.1)


def test_finite_width__survives_what_explodes_vanishes_or_is_cut():
    """Far from 1 a mean square leaves relu of gelu and a linear network of tanh."""
    up = finite_width(gs.MLP(depth=400, activation="gelu", sigma_w=10.0, **EXACT))
    assert up.var_log[0].item() == pytest.approx(5 * 399 / 64, rel=1e-3)
    down = finite_width(gs.MLP(depth=1200, activation="tanh", sigma_w=0.3, **EXACT))
    assert down.var_log[0].item() == pytest.approx(2 * 1199 / 64, rel=1e-3)
    assert (up.mean_log[0] > 1000) & (down.mean_log[0] < -1000)
    for name in ("relu", "tanh"):
        cut = finite_width(gs.MLP(depth=3, activation=name, sigma_w=0.0, **EXACT))
        assert cut.mean_log.values.tolist() == [-math.inf, -math.inf, 0.0]


def test_theory__of_a_users_expression_is_that_of_the_activation_it_spells():
    gs.activation("theory_mish", lambda t, z: z * t.tanh(t.softplus(z)))
    fields = {"depth": 6, "width": 30, "sigma_w": 1.4, "sigma_b": 0.5}
    own, known = (finite_width(gs.MLP(activation=a, **fields)) for a in ("theory_mish", "mish"))
    np.testing.assert_allclose(own.mean_log, known.mean_log, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(own.var_log, known.var_log, rtol=1e-10, atol=1e-13)


def test_finite_width__refuses_by_name():
    with pytest.raises(ValueError, match="must have tied=False, got tied=True"):
        finite_width(gs.RNN())
    with pytest.raises(ValueError, match=r"cells \['dense', 'vanilla'\].*got 'residual'"):
        finite_width(gs.MLP(cell="residual"))
    with pytest.raises(ValueError, match="quantiles must be numbers between 0 and 1"):
        finite_width(gs.MLP(), [1.5])
