"""Ensembles against exact laws of random matrix products and against mean-field theory.

Statistics of a sample are allowed four standard errors.  The standard error of a variance comes
from the exact fourth cumulant, as logarithms of random products are far from normal.  Means of
||delta||^2 itself are tested only where its logarithm varies little: the sample mean of a
log-normal is no estimate.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.special import binom, polygamma

import gradsim as gs

LN10 = math.log(10)
SIGMAS = 4.0
HE = math.sqrt(2)  # sigma_w that keeps the mean square of a relu network


# Laws of one layer ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cumulants:
    """First four cumulants of a sum of independent terms."""

    mean: float
    variance: float
    third: float
    fourth: float

    def times(self, count):
        """Sum of ``count`` independent terms."""
        return Cumulants(*(count * k for k in (self.mean, self.variance, self.third, self.fourth)))

    def standard_errors(self, samples):
        """Standard errors of the sample mean and of the sample variance."""
        spread = 2 * self.variance**2 / (samples - 1) + self.fourth / samples
        return math.sqrt(self.variance / samples), math.sqrt(spread)


@cache
def log_chi2(n, scale=1.0):
    """ln(scale chi^2_n): cumulants are polygamma functions."""
    k = [float(polygamma(j, n / 2)) for j in range(4)]
    return Cumulants(k[0] + math.log(2 * scale), *k[1:])


@cache
def relu_layer(n, sigma_w=HE):
    """ln of (sigma_w^2 / n) chi^2_M with M ~ Binomial(n, 1/2), given M > 0.

    The exact law of ||delta^l||^2 / ||delta^(l+1)||^2 in a relu network (Hanin and Nica,
    "Products of many large random matrices and gradients in deep neural networks", 2018;
    Zavatone-Veth and Pehlevan 2021 for the mixture), for any symmetric law of the biases.
    """
    count = np.arange(1, n + 1)
    weight = binom(n, count)
    weight /= weight.sum()
    k = [polygamma(j, count / 2) for j in range(4)]  # cumulants given M
    raw = [k[0], k[1] + k[0] ** 2, k[2] + 3 * k[0] * k[1] + k[0] ** 3]
    raw.append(k[3] + 4 * k[2] * k[0] + 3 * k[1] ** 2 + 6 * k[1] * k[0] ** 2 + k[0] ** 4)
    m1, m2, m3, m4 = (float(weight @ r) for r in raw)
    fourth = m4 - 4 * m3 * m1 - 3 * m2**2 + 12 * m2 * m1**2 - 6 * m1**4
    third = m3 - 3 * m2 * m1 + 2 * m1**3
    return Cumulants(m1 + math.log(2 * sigma_w**2 / n), m2 - m1**2, third, fourth)


def assert_law(sample, law):
    """Mean and variance of a sample within four standard errors of a law."""
    mean_error, variance_error = law.standard_errors(len(sample))
    assert abs(np.mean(sample) - law.mean) < SIGMAS * mean_error
    assert abs(np.var(sample, ddof=1) - law.variance) < SIGMAS * variance_error


def log_square_ratio(ds):
    """ln ||delta^1||^2 - ln ||delta^L||^2 of every seed whose gradient is not exactly 0."""
    delta = ds.log10_delta_norm
    dim = "step" if "step" in delta.dims else "layer"
    ratio = 2 * LN10 * (delta.isel({dim: 0}) - delta.isel({dim: -1})).values
    return ratio[np.isfinite(ratio)]


@pytest.mark.parametrize(("law", "n", "mean", "variance"), [
    (relu_layer, 10, -0.30746101, 0.86673425),
    (relu_layer, 20, -0.13718672, 0.31175808),
    (relu_layer, 50, -0.05173878, 0.10816813),
    (relu_layer, 1000, -0.00250410, 0.00501859),
    (lambda n: log_chi2(n, 1 / n), 20, -0.05083250, 0.10516634),
    (lambda n: log_chi2(n, 1 / n), 50, -0.02013331, 0.04081066),
])  # fmt: skip
def test_law__of_one_layer_has_its_known_numbers(law, n, mean, variance):
    """Sussillo and Abbott 2014, "Random walk initialization": <ln z> and its variance, exact."""
    assert law(n).mean == pytest.approx(mean, abs=5e-9)
    assert law(n).variance == pytest.approx(variance, abs=5e-9)


def test_law__fourth_cumulants_are_those_of_a_sample():
    rng = np.random.default_rng(0)
    active = rng.binomial(6, 0.5, 2_000_000)
    sample = np.log(rng.chisquare(active[active > 0]))
    exact = relu_layer(6, math.sqrt(6.0))
    for k, value in enumerate((exact.mean, exact.variance, exact.third, exact.fourth), start=1):
        parts = [stats.kstat(part, k) for part in np.array_split(sample, 50)]
        assert abs(np.mean(parts) - value) < SIGMAS * np.std(parts) / math.sqrt(50)


# Rectifiers and linear networks at any width ----------------------------------------------------

DEPTHS = {10: 20000, 50: 6000}  # networks
WALKS = {  # mean and variance of ln ||delta^1||^2 / ||delta^L||^2 at width 20
    ("relu", 10): (-1.23468, 2.80582),
    ("relu", 50): (-6.72215, 15.27615),
    ("identity", 10): (-0.45749, 0.94650),
    ("identity", 50): (-2.49079, 5.15315),
}


def layer_law(activation, n, sigma_w):
    if activation == "relu":
        return relu_layer(n, sigma_w)
    return log_chi2(n, sigma_w**2 / n)


@pytest.mark.parametrize("sigma_b", [0.0, 1.0])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_log_gradient__is_the_exact_random_walk(activation, depth, sigma_b):
    """Hanin 2018, "Which neural net architectures give rise to exploding and vanishing
    gradients?"; Hanin and Nica 2018: exact for a fixed delta^L, with any symmetric bias."""
    sigma_w = HE if activation == "relu" else 1.0
    model = gs.MLP(
        depth=depth, width=20, activation=activation, output="identity", loss="linear",
        sigma_w=sigma_w, sigma_b=sigma_b,
    )  # fmt: skip
    law = layer_law(activation, 20, sigma_w).times(depth - 1)
    assert (law.mean, law.variance) == pytest.approx(WALKS[activation, depth], abs=6e-6)
    ds = gs.simulate(model, DEPTHS[depth], dtype="float32")
    sample = log_square_ratio(ds)
    if activation == "relu":  # P(gradient exactly 0) = 1 - (1 - 2^-20)^(depth - 1)
        gone = DEPTHS[depth] - len(sample)
        assert gone <= stats.poisson.ppf(1 - 1e-6, DEPTHS[depth] * (depth - 1) * 2.0**-20)
        assert gone == int((ds.status == 1).sum())
    else:
        assert len(sample) == DEPTHS[depth]
    assert_law(sample, law)


def test_log_gradient__is_the_exact_random_walk_at_ragged_widths():
    """One term a hidden layer, whatever its width; the input gradient adds (sigma_w^2 / n_0)
    chi^2 of n_0 as the input has no activation."""
    widths = (7, 30, 12, 40, 25, 10)
    model = gs.MLP(width=widths, activation="relu", output="identity", loss="linear",
                   init="he_normal", sigma_b=0.5)  # fmt: skip
    ds = gs.simulate(model, 20000)
    parts = [relu_layer(n) for n in widths[1:-1]]
    total = Cumulants(*(sum(getattr(p, k) for p in parts) for k in Cumulants.__annotations__))
    alive = np.isfinite(ds.log10_delta_norm).all("layer").values
    assert_law(log_square_ratio(ds), total)
    gone = np.sum(~alive)  # P = 1 - prod (1 - 2^-n)
    expected = len(alive) * (1 - math.prod(1 - 2.0**-n for n in widths[1:-1]))
    assert abs(gone - expected) < SIGMAS * math.sqrt(expected)
    last = 2 * LN10 * (ds.log10_input_grad_norm - ds.log10_delta_norm.isel(layer=0)).values[alive]
    assert_law(last, log_chi2(7, 2 / 7))


@pytest.mark.parametrize(("activation", "sigma_w", "constant"), [
    ("relu", HE, 5.0), ("identity", 1.0, 2.0),
    ("leaky_relu", math.sqrt(2 / 1.01), 6 * (1 + 1e-4) / 1.01**2 - 1),
])  # fmt: skip
def test_fourth_moment__of_one_layer_is_exact_at_any_width(activation, sigma_w, constant):
    """E ||delta||^4 = (1 + c / n) (E ||delta||^2)^2 a layer, c = 5 for relu and 2 for linear
    networks (Hanin and Nica 2018)."""
    n, seeds = 50, 20000
    model = gs.MLP(depth=2, width=n, activation=activation, output="identity", loss="linear",
                   sigma_w=sigma_w, slope=0.1)  # fmt: skip
    ratio = np.exp(log_square_ratio(gs.simulate(model, seeds)))
    for sample, value in ((ratio, 1.0), (ratio**2, 1 + constant / n)):
        assert abs(sample.mean() - value) < SIGMAS * sample.std() / math.sqrt(seeds)


# Slopes of mean field ---------------------------------------------------------------------------

SLOPES = {  # decades a layer at sigma_w^2 = 1/3, 1, 2; exact at any width
    "identity": (-0.23856063, 0.0, 0.15051500),
    "relu": (-0.38907563, -0.15051500, 0.0),
    "leaky_relu": (-0.38691494, -0.14835431, 0.00216069),
}
SQUARES = (1 / 3, 1.0, 2.0)


@pytest.mark.parametrize("activation", SLOPES)
def test_rms_growth__of_homogeneous_activations_is_exact_at_any_width(activation):
    """Glorot and Bengio 2010, eq. 6; He et al. 2015, eq. 14.

    The rms over networks is E ||delta||^2: sampled where its logarithm varies little, and moved
    to the other sigma_w by homogeneity, which is exact for every network."""
    depth, n, seeds = 5, 64, 4000
    model = gs.MLP(depth=depth, width=n, activation=activation, output="identity", loss="linear",
                   slope=0.1)  # fmt: skip
    ds = gs.simulate(model, seeds, vary={"sigma_w": np.sqrt(SQUARES)})
    for i, (square, slope) in enumerate(zip(SQUARES, SLOPES[activation])):
        theory = gs.theory.mean_field(model.with_fields(sigma_w=math.sqrt(square)))
        assert theory.growth_rms == pytest.approx(slope, abs=5e-9)
        ratio = np.exp(log_square_ratio(ds.isel(sigma_w=i)))
        growth = 0.5 * np.log10(ratio.mean()) / (depth - 1)
        error = 0.5 * ratio.std() / math.sqrt(seeds) / ratio.mean() / LN10 / (depth - 1)
        assert error < 1e-3
        assert abs(growth - slope) < SIGMAS * error
    first = ds.log10_delta_norm.isel(sigma_w=1)
    layers = depth - ds.layer
    for i, square in enumerate(SQUARES):
        moved = ds.log10_delta_norm.isel(sigma_w=i) - 0.5 * math.log10(square) * layers
        np.testing.assert_allclose(moved, first, rtol=0, atol=1e-12)


# tanh and sigmoid: (sigma_w^2, sigma_b^2), q* and decades a layer; Poole et al. 2016, eqs. 3 and 6,
# Schoenholz et al. 2017, evaluated by quadrature
MEAN_FIELD = [
    ("tanh", 1.5, 0.0, 0.28689423, 0.0086351),
    ("tanh", 2.0, 0.0, 0.61796477, 0.0217850),
    ("tanh", 3.0, 0.0, 1.34539323, 0.0465001),
    ("tanh", 0.5, 0.05, 0.08757987, -0.1822645),
    ("tanh", 1.0, 0.05, 0.19359252, -0.0598701),
    ("tanh", 1.7609546, 0.05, 0.57004788, 0.0),
    ("tanh", 4.0, 0.05, 2.19549393, 0.0639414),
    ("sigmoid", 1 / 3, 0.0, 0.0850, -0.84940001),
    ("sigmoid", 1.0, 0.0, 0.26468688, -0.62699169),
    ("sigmoid", 2.0, 0.0, 0.55528959, -0.49788859),
    ("sigmoid", 1.0, 1.0, 1.30213404, -0.68858363),
    ("sigmoid", 30.0, 1.0, 13.0208, -0.13884938),
]
FINITE_WIDTH = 0.003  # decades a layer that width 256 may differ from infinite width


def rms_growth(ds, first, last):
    """Decades a layer of the rms over seeds between two layers, and its standard error.

    The error is of the log of a ratio of means over the same networks.
    """
    near, far = (2 * LN10 * ds.log10_delta_norm.sel(layer=k).values for k in (last, first))
    growth = 0.5 * (far.max() - near.max()) / LN10
    near, far = np.exp(near - near.max()), np.exp(far - far.max())
    growth += 0.5 * math.log(far.mean() / near.mean()) / LN10
    spread = np.std(far / far.mean() - near / near.mean(), ddof=1) / math.sqrt(len(far))
    return growth / (last - first), 0.5 * spread / LN10 / (last - first)


@pytest.mark.parametrize(("activation", "square_w", "square_b", "q_star", "slope"), MEAN_FIELD)
def test_rms_growth__at_the_fixed_point_is_that_of_mean_field(
    activation, square_w, square_b, q_star, slope
):
    """Schoenholz, Gilmer, Ganguli and Sohl-Dickstein 2017, "Deep information propagation"."""
    n, depth = 256, 30
    model = gs.MLP(depth=depth, width=n, activation=activation, output="identity", loss="linear",
                   sigma_w=math.sqrt(square_w), sigma_b=math.sqrt(square_b))  # fmt: skip
    theory = gs.theory.mean_field(model)
    assert theory.q_star == pytest.approx(q_star, abs=5e-5 if q_star in (0.085, 13.0208) else 1e-7)
    assert theory.growth_rms == pytest.approx(slope, abs=1e-7)
    norm = math.sqrt(n * (float(theory.q_star) - square_b) / square_w)
    x = np.random.default_rng(5).standard_normal(n)
    ds = gs.simulate(model, 100, inputs=norm * x / np.linalg.norm(x), dtype="float32")
    growth, error = rms_growth(ds, 1, depth - 1)
    assert error < 0.0025
    assert abs(growth - slope) < FINITE_WIDTH + SIGMAS * error


POWER_LAW = {10: -0.551045, 20: -0.710881, 50: -0.917388, 100: -1.071130, 200: -1.223560}


def test_tanh_at_one__falls_as_a_power_of_depth():
    """tanh, sigma_w = 1 without bias: q^l = 1 / (2 l), so that no layer has an exponential rate
    and ||delta^1|| / ||delta^L|| falls as L^(-1/2) (mean field of Poole et al. 2016)."""
    for depth, value in POWER_LAW.items():
        profile = gs.theory.profile(gs.MLP(depth=depth, activation="tanh"))
        assert profile.log10_delta_rms[0] == pytest.approx(value, abs=6e-7)
    n, depth, seeds = 512, 40, 60
    model = gs.MLP(depth=depth, width=n, activation="tanh", output="identity", loss="linear")
    x = np.random.default_rng(6).standard_normal(n)
    x *= math.sqrt(n) / np.linalg.norm(x)  # q^1 = 1
    ds = gs.simulate(model, seeds, inputs=x, dtype="float32", measure=("gradient", "signal"))
    profile = gs.theory.profile(model, x_norm=math.sqrt(n))
    delta = ds.log10_delta_norm
    square = np.exp(2 * LN10 * (delta - delta.sel(layer=depth)))
    rms = 0.5 * np.log10(square.mean("seed"))
    error = 0.5 * square.std("seed") / square.mean("seed") / math.sqrt(seeds) / LN10
    layers = depth - ds.layer
    # the 1/n correction of the mean square accumulates over the layers crossed
    allowed = SIGMAS * error + 0.5 * layers / n / LN10
    assert (np.abs(rms - profile.log10_delta_rms) < allowed + 1e-9).all()
    assert allowed.max() < 0.12
    q = ds.z_mean_square
    q_error = q.std("seed") / math.sqrt(seeds)
    hidden = dict(layer=slice(1, depth - 1))
    gap = np.abs(q.mean("seed") - profile.q) - SIGMAS * q_error - 2 * layers.max() / n * profile.q
    assert (gap.sel(hidden) < 0).all()


# Nielsen ----------------------------------------------------------------------------------------

# M. Nielsen, "Neural Networks and Deep Learning" (2015), chapter 5: norms of the bias gradients of
# one untrained network each, printed there as 0.07, 0.31; 0.012, 0.060, 0.283; 0.003, 0.017, 0.070,
# 0.285. Beside them the rms of mean field. The thousand images are replaced by one vector of their
# mean square and the mean of all labels, which changes none of the quantiles.
NIELSEN = {
    2: ([0.06574134, 0.30921849], [0.06246, 0.29852]),
    3: ([0.01183821, 0.05996519, 0.28314239], [0.01280, 0.06115, 0.29835]),
    4: ([0.00297527, 0.01707667, 0.06953924, 0.28513894], [0.00262, 0.01253, 0.06111, 0.29835]),
}


@pytest.mark.parametrize("hidden", NIELSEN)
def test_nielsen__printed_norms_lie_inside_the_ensemble(hidden):
    printed, mean_field = (np.array(v) for v in NIELSEN[hidden])
    seeds = 3000
    model = gs.MLP(width=(784, *[30] * hidden, 10), activation="sigmoid", loss="cross_entropy",
                   sigma_b=1.0)  # fmt: skip
    x = np.random.default_rng(7).standard_normal(784)
    x *= math.sqrt(80.9) / np.linalg.norm(x)
    ds = gs.simulate(model, seeds, inputs=x, targets=np.full(10, 0.1), dtype="float32")
    norms = 10 ** ds.log10_bias_grad_norm.isel(layer=slice(0, hidden)).values
    square = np.square(norms)
    rms = np.sqrt(square.mean(axis=0))
    error = 0.5 * square.std(axis=0) / math.sqrt(seeds) / square.mean(axis=0)
    assert (np.abs(rms / mean_field - 1) < 0.02 + SIGMAS * error).all()
    assert (error < 0.01).all()
    ranks = (norms < printed).mean(axis=0)
    slack = SIGMAS * math.sqrt(0.02 * 0.98 / seeds)
    assert (ranks > 0.02 - slack).all()
    assert (ranks < 0.98 + slack).all()
    ratios = np.diff(np.log10(norms), axis=1)
    assert ratios.mean() == pytest.approx(0.693, abs=0.010)


# Recurrent networks without a nonlinearity ------------------------------------------------------


def linear_rnn(**fields):
    return gs.RNN(activation="identity", loss="linear", **fields)


def log_r(ds):
    """ln r_T = ln ||J_T^T u|| - ln ||u|| for a vector u that is independent of the network."""
    states = ds.log10_state_grad_norm
    return LN10 * (states.isel(state_step=0) - states.isel(state_step=-1)).values


SCALAR_TAILS = {10: (0.40609, 0.0), 20: (0.88473, 0.0), 50: (0.99982, 0.0)}


def assert_share(found, expected, samples):
    """Share of a sample within four standard errors of a probability (and five counts of 0, 1)."""
    error = math.sqrt(expected * (1 - expected) / samples) + 1 / samples
    assert abs(found - expected) < SIGMAS * error


@pytest.mark.parametrize("steps", SCALAR_TAILS)
def test_scalar_product__of_independent_weights_is_exact(steps):
    """Goodfellow, Bengio and Courville 2016, section 10.7: the variance of the product of n
    independent weights is v^n, yet typically it vanishes: E ln |w| = -(gamma_E + ln 2) / 2 with
    variance pi^2 / 8 (Sussillo and Abbott 2014 for the random walk)."""
    one = log_chi2(1)
    assert one.mean / 2 == pytest.approx(-0.6351814227, abs=1e-10)
    assert one.variance / 4 == pytest.approx(math.pi**2 / 8, rel=1e-12)
    seeds = 20000
    sample = log_r(gs.simulate(linear_rnn(steps=steps, width=1, tied=False), seeds))
    assert_law(2 * sample, one.times(steps))
    below, above = SCALAR_TAILS[steps]
    assert_share(np.mean(sample < math.log(1e-3)), below, seeds)
    assert_share(np.mean(sample > math.log(1e3)), above, seeds)


def test_scalar_product__has_the_variance_of_the_book():
    seeds, v, steps = 400000, 1.5, 2  # v^n holds at any n; a sample shows it at small n alone
    ds = gs.simulate(linear_rnn(steps=steps, width=1, tied=False, sigma_w=math.sqrt(v)), seeds,
                     dtype="float32", measure=gs.measurements.gradient(total=False))  # fmt: skip
    square = np.exp(2 * log_r(ds))
    error = math.sqrt((9 * v**4 - v**4) / seeds)  # E w^4 = 3 v^2
    assert abs(square.mean() - v**steps) < SIGMAS * error


@pytest.mark.parametrize(("steps", "below", "above"), [(10, 0.03606, 0.01058),
                                                       (20, 0.08836, 0.07182)])  # fmt: skip
def test_scalar_product__typically_keeps_its_size_at_the_critical_sigma(steps, below, above):
    """sd(w) = 1.88737 makes E ln |w| = 0 (Goodfellow et al. 2016, section 10.7, read typically)."""
    sigma_w = math.exp(-log_chi2(1).mean / 2)
    assert sigma_w == pytest.approx(1.8873645212, abs=1e-9)
    seeds = 40000
    sample = log_r(gs.simulate(linear_rnn(steps=steps, width=1, tied=False, sigma_w=sigma_w),
                               seeds, dtype="float32"))  # fmt: skip
    assert_share(np.mean(sample < math.log(1e-3)), below, seeds)
    assert_share(np.mean(sample > math.log(1e3)), above, seeds)


@pytest.mark.parametrize(("n", "g", "steps", "below", "above"), [
    (10, 0.9, 50, 0.71219, 0.0),
    (10, 1.0, 50, 0.00555, 0.0),
    (10, 1.0, 100, 0.22841, 0.0),
    (10, 1.1, 100, 0.0, 0.13951),
    (50, 0.5, 10, 0.64820, 0.0),
    (50, 0.9, 50, 0.05660, 0.0),
    (50, 1.5, 20, 0.0, 0.98558),
    (50, 2.0, 10, 0.0, 0.40868),
])  # fmt: skip
def test_untied_linear__has_the_exact_law_and_tails(n, g, steps, below, above):
    """||W v||^2 / ||v||^2 ~ (g^2 / N) chi^2_N whatever v (Newman 1986; Sussillo and Abbott 2014):
    ln r_T is a sum of independent terms. Tails from its characteristic function."""
    seeds = 8000 if n == 10 else 4000
    model = linear_rnn(steps=steps, width=n, tied=False, sigma_w=g)
    sample = log_r(gs.simulate(model, seeds, dtype="float32",
                               measure=gs.measurements.gradient(total=False)))  # fmt: skip
    assert_law(2 * sample, log_chi2(n, g * g / n).times(steps))
    assert_share(np.mean(sample < math.log(1e-3)), below, seeds)
    assert_share(np.mean(sample > math.log(1e3)), above, seeds)


def test_tied_scalar__is_a_power():
    """W one number: r_T = |w|^T and dC/dw = T w^(T-1) h_0 v (Goodfellow et al. 2016, 10.7)."""
    steps = 30
    ds = gs.simulate(linear_rnn(steps=steps, width=1), 50)
    for seed in range(50):
        net = gs.network(linear_rnn(steps=steps, width=1), seed)
        w, h, v = net.recurrent.item(), net.initial_state.item(), net.targets.item()
        one = ds.sel(seed=seed)
        r = one.log10_state_grad_norm[0] - one.log10_state_grad_norm[-1]
        assert r == pytest.approx(steps * math.log10(abs(w)), abs=1e-10)
        total = math.log10(steps) + (steps - 1) * math.log10(abs(w)) + math.log10(abs(h * v))
        assert one.log10_total_weight_grad_norm == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize(("w", "state", "multiplier"), [
    (1.1, 0.5029405749, 0.8217558559), (1.25, 0.7104117835, 0.6191438724),
    (1.5, 0.8585596366, 0.3943130255), (2.0, 0.9575040241, 0.1663720878),
])  # fmt: skip
def test_latch__passes_its_multiplier_to_the_power_of_time(w, state, multiplier):
    """A latched bit, x = tanh(w x): Bengio, Simard and Frasconi 1994; exact multiplier."""
    for _ in range(200):  # from ten digits to all
        state = state - (state - math.tanh(w * state)) / (1 - w / math.cosh(w * state) ** 2)
    assert w * (1 - state**2) == pytest.approx(multiplier, abs=1e-9)
    for steps in (9, 19):
        net = gs.from_arrays(
            np.array([[w]]), cell="vanilla", steps=steps, activation="tanh", loss="linear",
            targets=np.ones((1, 1)), initial_state=(state,),
        )  # fmt: skip
        states = gs.simulate(net, [0]).isel(seed=0).log10_state_grad_norm
        passed = states[0] - states[-1]
        assert passed == pytest.approx(steps * math.log10(multiplier), abs=1e-8)


# Identities to machine precision ----------------------------------------------------------------

HOMOGENEOUS = ("identity", "relu", "leaky_relu")


@pytest.mark.parametrize("activation", gs.activations)
def test_identity__weight_gradient_of_one_example_has_rank_one(activation):
    """||dC/dW^l||_F = ||delta^l|| ||a^(l-1)|| and dC/db^l = delta^l."""
    widths = (6, 9, 4, 7, 5)
    model = gs.MLP(width=widths, activation=activation, sigma_b=0.4)
    ds = gs.simulate(model, 20, measure=("gradient", "signal"))
    np.testing.assert_array_equal(ds.log10_bias_grad_norm, ds.log10_delta_norm)
    for seed in range(20):
        net = gs.network(model, seed)
        one = ds.sel(seed=seed)
        below = np.append(np.sum(net.inputs**2), one.a_mean_square.values[:-1] * widths[1:-1])
        with np.errstate(divide="ignore"):  # relu: a layer may be dead
            expected = one.log10_delta_norm + 0.5 * np.log10(below)
        np.testing.assert_allclose(one.log10_weight_grad_norm, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", HOMOGENEOUS)
def test_identity__of_euler_holds_in_every_layer(activation):
    """z^l . delta^l is one number for all layers of a bias-free homogeneous network."""
    model = gs.MLP(depth=12, width=15, activation=activation, output="identity", slope=0.2)
    for seed in range(20):
        net = gs.network(model, seed)
        h, products = net.inputs[0], []
        deltas = [d.to_array()[0] for d in gs.backward(net).deltas]
        for i, (w, delta) in enumerate(zip(net.weights, deltas)):
            z = w @ h
            products.append(z @ delta)
            slope = {"identity": 1.0, "relu": 0.0, "leaky_relu": 0.2}[activation]
            h = np.where(z > 0, z, slope * z) if i < 11 else z
            size = np.linalg.norm(z) * np.linalg.norm(delta)
            assert abs(products[-1] - products[0]) < 1e-12 * size


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", HOMOGENEOUS)
def test_identity__gains_of_powers_of_two_move_exponents_alone(activation, dtype):
    """Without bias, W -> c W multiplies delta^l by c^(L - l): bit for bit where c = 2^k."""
    depth, powers = 40, [-30, -3, 0, 1, 40]
    model = gs.MLP(depth=depth, width=6, activation=activation, output="identity", loss="linear")
    gains = [2.0**k for k in powers]
    ds = gs.simulate(model, 20, vary={"sigma_w": gains}, dtype=dtype)
    if activation == "relu":
        assert np.isneginf(ds.log10_delta_norm).any()  # some are dead, under every gain
    plain = ds.sel(sigma_w=1.0)
    for k, gain in zip(powers, gains):
        moved = plain.log10_delta_norm + k * np.log10(2.0) * (depth - ds.layer)
        allowed = 2e-13 * np.maximum(1, np.abs(moved.where(np.isfinite(moved), 0)))
        error = np.abs(ds.log10_delta_norm.sel(sigma_w=gain) - moved)
        assert (error.where(np.isfinite(moved), 0) <= allowed).all()
        np.testing.assert_array_equal(np.isfinite(ds.log10_delta_norm.sel(sigma_w=gain)),
                                      np.isfinite(moved))  # fmt: skip


@pytest.mark.parametrize("activation", HOMOGENEOUS)
def test_identity__mantissas_keep_their_bits_under_a_power_of_two(activation):
    net = gs.network(
        gs.MLP(depth=30, width=10, activation=activation, output="identity", loss="linear"), 3
    )
    fields = {"inputs": net.inputs, "targets": net.targets, "activation": activation,
              "output": "identity", "loss": "linear"}  # fmt: skip
    plain = gs.backward(gs.from_arrays(net.weights, **fields)).deltas
    for k in (-25, 7, 60):
        scaled = gs.backward(gs.from_arrays([w * 2.0**k for w in net.weights], **fields)).deltas
        for layer, (a, b) in enumerate(zip(plain, scaled, strict=True), start=1):
            a, b = a.normalised(), b.normalised()
            np.testing.assert_array_equal(a.array, b.array)
            assert b.exponent - a.exponent == k * (30 - layer)


def test_identity__orthogonal_matrices_scale_every_gradient_alike():
    """||delta^l|| = sigma^(L - l) ||delta^L|| for sigma times orthogonal matrices."""
    rng, sigma, depth = np.random.default_rng(8), 1.3, 25
    weights = [sigma * np.linalg.qr(rng.standard_normal((12, 12)))[0] for _ in range(depth)]
    net = gs.from_arrays(weights, inputs=rng.standard_normal((1, 12)), activation="identity",
                         targets=rng.standard_normal((1, 12)))  # fmt: skip
    delta = gs.simulate(net, [0]).isel(seed=0).log10_delta_norm
    expected = math.log10(sigma) * (depth - delta.layer)
    np.testing.assert_allclose(delta - delta[-1], expected, rtol=0, atol=1e-12)


def cost(net, layer=None, step=None):
    """Cost v . z^L of a network with a step added to the bias of one layer, in NumPy."""
    h = net.inputs[0]
    for i, (w, b) in enumerate(zip(net.weights, net.biases)):
        z = w @ h + b + (step if i == layer else 0.0)
        h = gs.activations[net.model.activation].value(z, net.model.slope)
    return net.targets[0] @ z


@pytest.mark.parametrize("activation", gs.activations)
def test_identity__delta_is_linear_in_v_and_a_finite_difference(activation):
    """Central differences of C in b^l are delta^l; C = v . z^L makes delta linear in v."""
    model = gs.MLP(depth=5, width=6, activation=activation, output="identity", loss="linear",
                   sigma_b=0.3)  # fmt: skip
    net = gs.network(model, 4)
    v = np.random.default_rng(9).standard_normal((2, 6))
    parts = [gs.backward(gs.network(model, 4, targets=t)).deltas for t in (*v, v[0] - 3 * v[1])]
    for one, two, both in zip(*parts, strict=True):
        expected = one.to_array() - 3 * two.to_array()
        size = np.abs(one.to_array()).max() + 3 * np.abs(two.to_array()).max()
        np.testing.assert_allclose(both.to_array(), expected, rtol=0, atol=1e-12 * size)
    deltas = gs.backward(net).deltas
    for layer, delta in enumerate(deltas):
        exact, h = delta.to_array()[0], 1e-5
        found = [(cost(net, layer, h * e) - cost(net, layer, -h * e)) / (2 * h) for e in np.eye(6)]
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-7 * np.abs(exact).max() + 1e-11)
