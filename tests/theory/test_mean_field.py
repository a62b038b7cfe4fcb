"""Mean-field theory against mpmath, closed forms, and tables recomputed from the papers' maps."""

import math

import mpmath
import numpy as np
import pytest

from gradsim.activations import activations
from gradsim.models import MLP, RNN
from gradsim.theory import chi_1, edge_of_chaos, fixed_point, mean_field, profile, q_map
from gradsim.theory.mean_field import gaussian_mean

DIGITS8 = 6e-9  # tables are printed to eight decimals

# Poole et al. 2016, eqs. 3 and 6, iterated by independent quadrature: sb2, sw2, q*, chi_1, slope
TANH = [
    (0, 1.5, 0.28689423, 1.04056757, 0.0086351),
    (0, 2, 0.61796477, 1.10552882, 0.0217850),
    (0, 3, 1.34539323, 1.23879715, 0.0465001),
    (0, 4, 2.12147357, 1.36267334, 0.0671959),
    (0.05, 0.5, 0.08757987, 0.43198738, -0.1822645),
    (0.05, 1, 0.19359252, 0.75903165, -0.0598701),
    (0.05, 1.5, 0.41803720, 0.93863627, -0.0137513),
    (0.05, 2, 0.72176187, 1.04766600, 0.0101114),
    (0.05, 2.5, 1.06395838, 1.13351570, 0.0272138),
    (0.05, 3, 1.42800846, 1.20893442, 0.0412014),
    (0.05, 4, 2.19549393, 1.34240241, 0.0639414),
]

# 0.5 log10 chi_1 at q* without bias for sw2 = 1/3, 1, 2: LeCun, Glorot and He scalings (Glorot and
# Bengio 2010, He et al. 2015), closed forms or the map above
SLOPES = {
    "identity": (-0.23856063, 0.0, 0.15051500),
    "relu": (-0.38907563, -0.15051500, 0.0),
    "leaky_relu": (-0.38691494, -0.14835431, 0.00216069),  # slope 0.1
    "tanh": (-0.23856063, 0.0, 0.02178503),
    "sigmoid": (-0.84940001, -0.62699169, -0.49788859),
}

# Edge of chaos of tanh, the same maps solved for chi_1 = 1: sb, sw, sw2, q*
TANH_EDGE = [
    (0.01, 1.04212585, 1.08602629, 0.0457091),
    (0.05, 1.12253900, 1.26009382, 0.1536919),
    (0.1, 1.19340073, 1.42420529, 0.2733009),
    (0.2, 1.30414584, 1.70079637, 0.5120785),
    (math.sqrt(0.05), 1.32700966, 1.76095464, 0.5700479),
    (0.3, 1.39558398, 1.94765463, 0.7634748),
    (0.5, 1.54967391, 2.40148924, 1.3179390),
    (1, 1.85558910, 3.44321091, 3.0363964),
]

# Discrete-time random RNN without input (Molgedey et al. 1992): g, q*, <phi'^2>, lambda_1
RECURRENT = [
    (1.1, 0.11274989, 0.83486724, 0.00506890),
    (1.2, 0.24951304, 0.71770935, 0.01647626),
    (1.5, 0.79335404, 0.50636588, 0.06521721),
    (2, 2.12147357, 0.34066833, 0.15472423),
    (3, 6.30539148, 0.20665058, 0.31024932),
    (5, 20.69936684, 0.11601684, 0.53242794),
    (10, 91.70513120, 0.05544854, 0.85643519),
]


def mp_mean(f, q):
    """E f(sqrt(q) Z) at 30 digits, split at 0 and at the scales of Z and of f."""
    with mpmath.workdps(30):
        s = mpmath.sqrt(q)
        cuts = {mpmath.mpf(c) for c in (1, 3, 6, 10, 20)} | {c / s for c in (1, 3, 8, 20)}
        cuts = sorted(c for c in cuts if c <= 20)
        edges = [-c for c in reversed(cuts)] + [mpmath.mpf(0)] + cuts
        return float(mpmath.quad(lambda z: f(s * z) * mpmath.npdf(z), edges))


MP = {
    "tanh": (mpmath.tanh, lambda z: mpmath.sech(z) ** 2),
    "sigmoid": (
        lambda z: 1 / (1 + mpmath.exp(-z)),
        lambda z: mpmath.sech(z / 2) ** 2 / 4,
    ),
    "relu": (lambda z: max(z, 0), lambda z: 1 if z > 0 else 0),
}


@pytest.mark.parametrize("q", [1e-12, 1e-4, 1.0, 1e2, 1e4])
@pytest.mark.parametrize("name", MP)
def test_gaussian_mean__agrees_with_mpmath(name, q):
    entry = activations[name]
    value, slope = MP[name]
    own = gaussian_mean(lambda z: entry.value(z, 0.0) ** 2, q)
    assert own == pytest.approx(mp_mean(lambda z: value(z) ** 2, q), rel=1e-12)
    own = gaussian_mean(lambda z: entry.slope(z, 0.0) ** 2, q)
    assert own == pytest.approx(mp_mean(lambda z: slope(z) ** 2, q), rel=1e-12)


@pytest.mark.parametrize("q", [1e-12, 1e-3, 1.0, 1e4])
def test_gaussian_mean__of_a_kink_is_exact(q):
    assert gaussian_mean(np.abs, q) == pytest.approx(math.sqrt(2 * q / math.pi), rel=1e-13)
    assert gaussian_mean(lambda z: z**4, q) == pytest.approx(3 * q * q, rel=1e-13)


@pytest.mark.parametrize("q", [-1.0, math.inf, math.nan])
def test_gaussian_mean__refuses_a_variance_that_is_not_finite(q):
    with pytest.raises(ValueError, match="q must be a finite number >= 0"):
        gaussian_mean(np.abs, q)


@pytest.mark.parametrize(("sb2", "sw2", "q", "chi", "growth"), TANH)
def test_mean_field__has_the_tanh_table(sb2, sw2, q, chi, growth):
    ds = mean_field(MLP(activation="tanh", sigma_w=math.sqrt(sw2), sigma_b=math.sqrt(sb2)))
    assert ds.q_star.item() == pytest.approx(q, abs=DIGITS8)
    assert ds.chi_1.item() == pytest.approx(chi, abs=DIGITS8)
    assert ds.growth_rms.item() == pytest.approx(growth, abs=6e-8)


@pytest.mark.parametrize("name", SLOPES)
def test_mean_field__has_the_slopes_of_the_named_scalings(name):
    for sw2, growth in zip((1 / 3, 1, 2), SLOPES[name]):
        model = MLP(activation=name, sigma_w=math.sqrt(sw2), slope=0.1)
        assert mean_field(model).growth_rms.item() == pytest.approx(growth, abs=DIGITS8)


def test_mean_field__has_the_sigmoid_values():
    # the same map; sigma_b = 1 is the textbook initialisation of a sigmoid network
    for sw2, q in ((1 / 3, 0.0850), (1, 0.26468688), (2, 0.55528959)):
        digits = 6e-5 if sw2 < 1 else DIGITS8
        assert fixed_point("sigmoid", math.sqrt(sw2), 0) == pytest.approx(q, abs=digits)
    ds = mean_field(MLP(activation="sigmoid", sigma_b=1.0))
    assert ds.q_star.item() == pytest.approx(1.30213404, abs=DIGITS8)
    assert ds.chi_1.item() == pytest.approx(0.04195973, abs=DIGITS8)
    assert ds.growth_rms.item() == pytest.approx(-0.68858363, abs=DIGITS8)
    ds = mean_field(MLP(activation="sigmoid", sigma_w=math.sqrt(30), sigma_b=1.0))
    assert ds.q_star.item() == pytest.approx(13.0208, abs=6e-5)
    assert ds.chi_1.item() == pytest.approx(0.52759570, abs=DIGITS8)
    ds = mean_field(MLP(activation="tanh", sigma_b=1.0))
    assert ds.growth_rms.item() == pytest.approx(-0.19957941, abs=DIGITS8)


def test_mean_field__uses_the_variance_of_the_initialiser():
    he = mean_field(MLP(activation="tanh", init="he_normal"))
    assert he.growth_rms.item() == pytest.approx(0.02178503, abs=DIGITS8)
    critical = mean_field(MLP(activation="tanh", init="critical", sigma_b=0.5))
    assert critical.chi_1.item() == pytest.approx(1, abs=1e-12)


def test_mean_field__labels_its_variables():
    ds = mean_field(MLP())
    assert not ds.sizes
    assert ds.attrs["validity"].startswith("asymptotic")
    for variable in ds.values():
        assert variable.dtype == np.float64
        assert {"long_name", "units", "formula"} <= set(variable.attrs)


def test_mean_field__without_weights_has_no_gradient():
    ds = mean_field(MLP(sigma_w=0.0, sigma_b=2.0))
    assert ds.q_star.item() == pytest.approx(4)
    assert ds.growth_rms.item() == -math.inf


@pytest.mark.parametrize(("g", "variance", "slope_square", "exponent"), RECURRENT)
def test_mean_field__has_the_recurrent_table(g, variance, slope_square, exponent):
    ds = mean_field(RNN(activation="tanh", sigma_w=g))
    assert ds.q_star.item() == pytest.approx(variance, abs=2e-8)
    assert ds.chi_1.item() / g**2 == pytest.approx(slope_square, abs=2e-8)
    assert ds.growth_rms.item() * math.log(10) == pytest.approx(exponent, abs=2e-8)


def test_mean_field__takes_inputs_of_an_rnn_as_a_bias():
    # largest Lyapunov exponent 0.5 ln chi_1 at input variance 0.25 and 1, same source
    table = {
        0.9: (-0.35454461, -0.55061298),
        1: (-0.27246369, -0.45954857),
        1.5: (-0.01672834, -0.14182505),
        2: (0.12038546, 0.04597504),
        3: (0.29894003, 0.26851567),
    }
    for g, exponents in table.items():
        for sigma_u, exponent in zip((0.5, 1.0), exponents):
            rate = mean_field(RNN(sigma_w=g, sigma_u=sigma_u)).growth_rms.item()
            assert rate * math.log(10) == pytest.approx(exponent, abs=2e-8)


def test_chi_1__of_a_sigmoid_rnn_has_its_gain_table():
    table = {
        1: 0.05572071,
        2: 0.17158135,
        4: 0.39887901,
        6: 0.60099067,
        8: 0.79482328,
        10: 0.98580606,
        12: 1.17557769,
    }
    for g, chi in table.items():
        assert chi_1("sigmoid", g, fixed_point("sigmoid", g, 0)) == pytest.approx(chi, abs=2e-8)


def test_chi_1__of_a_sigmoid_is_that_of_tanh_with_a_quarter_of_the_gain():
    # a = 2y turns the sigmoid map into a tanh map with gain g / 4 and static bias of that variance
    sigmoid = chi_1("sigmoid", 4.0, fixed_point("sigmoid", 4.0, 0.0))
    assert sigmoid == pytest.approx(chi_1("tanh", 1.0, fixed_point("tanh", 1.0, 1.0)), rel=1e-12)


def test_chi_1__has_limits_at_zero_and_infinity():
    for name in ("identity", "relu", "leaky_relu"):
        values = [chi_1(name, 1.3, q, slope=0.1) for q in (0.0, 1.0, math.inf, math.nan)]
        assert len(set(values)) == 1
    assert chi_1("sigmoid", 4.0, 0.0) == 1.0
    assert chi_1("tanh", 2.0, 1e-14) == pytest.approx(chi_1("tanh", 2.0, 0.0))
    assert chi_1("tanh", 2.0, math.inf) == chi_1("sigmoid", 2.0, math.inf) == 0.0


@pytest.mark.parametrize("excess", [-1e-3, -1e-9, 0.0])
def test_fixed_point__of_tanh_is_zero_up_to_unit_gain(excess):
    assert fixed_point("tanh", 1 + excess, 0.0) == 0.0


@pytest.mark.parametrize("excess", [1e-3, 1e-6, 1e-9])
def test_fixed_point__of_tanh_leaves_zero_continuously(excess):
    # q* = (1 - g^-2) / 2 + O(q*^2): expand E tanh^2 to second order
    expected = (1 - (1 + excess) ** -2) / 2
    assert fixed_point("tanh", 1 + excess, 0.0) == pytest.approx(expected, rel=3 * excess + 1e-6)


def test_fixed_point__survives_extreme_biases_and_gains():
    assert fixed_point("tanh", 0.5, 1e-50) == pytest.approx(1e-100 / 0.75)
    assert fixed_point("tanh", 1e3, 0.0) == pytest.approx(1e6, rel=1e-3)
    assert fixed_point("tanh", 0.5, 1e6) == pytest.approx(1e12, rel=1e-11)


def test_fixed_point__of_homogeneous_activations_is_closed():
    assert fixed_point("relu", 1.0, 1.0) == 2.0
    assert fixed_point("identity", 0.5, 0.0) == 0.0
    assert fixed_point("relu", 1.5, 0.0) == math.inf
    assert fixed_point("relu", math.sqrt(2), 0.1) == math.inf
    assert math.isnan(fixed_point("relu", math.sqrt(2), 0.0))


@pytest.mark.parametrize("name", activations)
def test_fixed_point__is_fixed(name):
    q = fixed_point(name, 0.9, 0.4)
    assert q_map(name, 0.9, 0.4, q) == pytest.approx(q, rel=1e-13)


@pytest.mark.parametrize(("sb", "sw", "sw2", "q"), TANH_EDGE)
def test_edge_of_chaos__has_the_tanh_table(sb, sw, sw2, q):
    edge = edge_of_chaos("tanh", sb)
    assert edge == pytest.approx(sw, abs=DIGITS8)
    assert edge**2 == pytest.approx(sw2, abs=DIGITS8)
    assert fixed_point("tanh", edge, sb) == pytest.approx(q, abs=6e-8)


def test_edge_of_chaos__has_the_recurrent_input_table():
    # critical gain of a tanh RNN at input variance s^2, the same curve
    table = {
        0: 1.0,
        0.01: 1.19340073,
        0.1: 1.40928090,
        0.25: 1.54967391,
        0.5: 1.68616946,
        1: 1.85558910,
        2: 2.06552562,
        4: 2.32502494,
    }
    for variance, g in table.items():
        assert edge_of_chaos("tanh", math.sqrt(variance)) == pytest.approx(g, abs=2e-8)


def test_edge_of_chaos__has_the_sigmoid_values():
    edge = edge_of_chaos("sigmoid")
    assert edge == pytest.approx(10.1492637, abs=6e-8)
    assert edge**2 == pytest.approx(103.00755, abs=6e-6)
    assert fixed_point("sigmoid", edge, 0.0) == pytest.approx(45.62428, abs=6e-6)
    assert edge_of_chaos("sigmoid", 1.0) == pytest.approx(10.26499, abs=6e-6)
    assert edge_of_chaos("sigmoid", 2.0) == pytest.approx(10.57643, abs=6e-6)


def test_edge_of_chaos__is_closed_for_homogeneous_activations():
    assert edge_of_chaos("identity") == 1.0
    assert edge_of_chaos("relu") == pytest.approx(math.sqrt(2), rel=1e-15)
    assert edge_of_chaos("leaky_relu", slope=0.3) == pytest.approx(math.sqrt(2 / 1.09), rel=1e-15)
    assert edge_of_chaos("tanh") == 1.0


@pytest.mark.parametrize("sigma_b", [1e-100, 1e-9, 1e-4, 1e-2, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_edge_of_chaos__is_critical_at_every_bias(name, sigma_b):
    edge = edge_of_chaos(name, sigma_b)
    q = fixed_point(name, edge, sigma_b)
    assert chi_1(name, edge, q) == pytest.approx(1, abs=1e-7 if sigma_b < 1e-6 else 1e-10)


@pytest.mark.parametrize("name", ["identity", "relu", "leaky_relu"])
def test_edge_of_chaos__refuses_a_bias_where_q_diverges(name):
    with pytest.raises(ValueError, match=rf"'{name}', sigma_b=0.5.*q grows without bound"):
        edge_of_chaos(name, 0.5)


def test_edge_of_chaos__is_cached_whatever_the_number_type():
    assert edge_of_chaos("sigmoid", 1) is edge_of_chaos("sigmoid", np.float64(1.0))


def test_theory__refuses_bad_arguments():
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        edge_of_chaos("tanhh")
    with pytest.raises(ValueError, match="sigma_b must be a finite number >= 0, got -1"):
        edge_of_chaos("tanh", -1)
    with pytest.raises(ValueError, match="sigma_w must be a finite number >= 0, got nan"):
        fixed_point("tanh", math.nan, 0.0)
    with pytest.raises(ValueError, match="q must be a finite number >= 0"):
        q_map("relu", 1.0, 0.0, -1.0)
    with pytest.raises(ValueError, match="q must be"):
        chi_1("relu", 1.0, -1.0)
    with pytest.raises(ValueError, match="x_norm must be a finite number >= 0"):
        profile(MLP(), -1.0)
    with pytest.raises(ValueError, match="loss_at='all'"):
        profile(RNN(loss_at="all"))


def test_profile__has_the_power_law_of_critical_tanh():
    # 0.5 sum_{l<L} log10 chi^l from q^1 = 1 at sigma_w = 1, by independent quadrature
    table = {
        10: -0.551045,
        20: -0.710881,
        50: -0.917388,
        100: -1.071130,
        200: -1.223560,
        1000: -1.574925,
    }
    for depth, decades in table.items():
        first = profile(MLP(depth=depth, activation="tanh")).log10_delta_rms.sel(layer=1)
        assert first.item() == pytest.approx(decades, abs=6e-7)


def test_profile__reaches_the_growth_rate():
    model = MLP(depth=60, activation="tanh", sigma_w=2.0, sigma_b=0.3)
    ds = profile(model, x_norm=0.1)
    limit = mean_field(model)
    assert ds.q[-1].item() == pytest.approx(limit.q_star.item(), rel=1e-9)
    step = ds.log10_delta_rms.sel(layer=58) - ds.log10_delta_rms.sel(layer=59)
    assert step.item() == pytest.approx(limit.growth_rms.item(), rel=1e-9)


def test_profile__has_no_width_ratio_with_fan_in_scaling():
    model = MLP(width=(15, 10, 40, 20, 80, 3), activation="relu", init="he_normal")
    ds = profile(model)
    np.testing.assert_allclose(ds.log10_delta_rms, 0, atol=1e-14)
    np.testing.assert_allclose(ds.q, 2, rtol=1e-14)
    assert ds.layer.values.tolist() == [1, 2, 3, 4, 5]


def test_profile__has_the_width_ratio_of_glorot():
    # E norm(delta^l)^2 / E norm(delta^(l+1))^2 = n_l Var(W^(l+1)) E phi'^2
    ds = profile(MLP(width=(4, 6, 2), activation="identity", init="glorot_normal"), x_norm=3.0)
    assert ds.q.values == pytest.approx([9 * 2 / 10, 9 * 2 / 10 * 6 * 2 / 8])
    assert ds.chi[0].item() == pytest.approx(6 * 2 / 8)
    assert math.isnan(ds.chi[1].item())


def test_profile__of_an_rnn_starts_from_its_state():
    states = {"zeros": 0.0, "gaussian": 1.0, (1.0, 2.0): 2.5}
    for state, mean_square in states.items():
        ds = profile(RNN(steps=3, width=2, sigma_w=2.0, sigma_u=1.0, initial_state=state))
        assert ds.q.sel(step=1).item() == pytest.approx(4 * mean_square + 1)


def test_profile__survives_what_explodes_or_vanishes():
    ds = profile(MLP(depth=800, activation="relu", sigma_w=10.0))
    assert ds.q[-1].item() == math.inf
    assert ds.log10_delta_rms[0].item() == pytest.approx(799 * 0.5 * math.log10(50), rel=1e-13)
    ds = profile(MLP(depth=1200, activation="tanh", sigma_w=0.5))
    assert ds.q[-1].item() == 0
    assert ds.log10_delta_rms[1000].item() == pytest.approx(199 * math.log10(0.5), rel=1e-13)
    ds = profile(MLP(depth=3, sigma_w=0.0))
    assert ds.log10_delta_rms.values.tolist() == [-math.inf, -math.inf, 0.0]


def test_profile__of_one_layer_is_zero():
    assert profile(MLP(depth=1)).log10_delta_rms.values.tolist() == [0.0]


# E phi'(Z)^2, to eight digits
SLOPE_SQUARES = {
    "tanh": 0.46440290, "relu": 0.5, "elu": 0.66810200, "hard_tanh": 0.68268949,
    "softsign": 0.22767134, "sine": 0.56766764, "arctan": 0.5, "softplus": 0.29337904,
    "sigmoid": 0.04483624, "hard_sigmoid": 0.02770278, "erf": 0.56941003, "lecun_tanh": 0.80398911,
    "gelu": 0.45585087, "gelu_tanh": 0.45581785, "silu": 0.37948235, "mish": 0.47908376,
    "selu": 1.07157499,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPE_SQUARES)
def test_chi_1__has_the_table_of_mean_squared_slopes(name):
    assert chi_1(name, 1.0, 1.0) == pytest.approx(SLOPE_SQUARES[name], abs=DIGITS8)


# growth_rms at sigma_w^2 = 1/3, 1, 2 without bias; None where q* = 0 or inf is reached slowly
GROWTH = {
    "lecun_tanh": (-0.18015991, 0.00414025, 0.03751769),
    "hard_tanh": (-0.23856063, None, 0.06367201),
    "softsign": (-0.23856063, None, 0.00900694),
    "erf": (-0.18610557, 0.00363966, 0.03911335),
    "arctan": (-0.23856063, None, 0.01824008),
    "sine": (-0.23856063, None, 0.04016672),
    "selu": (-0.07771559, 0.01501128, None),
    "elu": (-0.23856063, None, None),
    "gelu": (-0.53959062, -0.30103000, -0.15051500),
    "silu": (-0.53959062, -0.30103000, -0.15051500),
    "mish": (-0.46040938, -0.22184875, -0.07133375),
    "softplus": (-0.53048430, -0.26976017, None),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWTH)
def test_mean_field__has_the_growth_of_every_activation(name):
    for sw2, growth in zip((1 / 3, 1, 2), GROWTH[name]):
        if growth is not None:
            ds = mean_field(MLP(activation=name, sigma_w=math.sqrt(sw2)))
            assert ds.growth_rms.item() == pytest.approx(growth, abs=5e-8)


EDGES = {  # sigma_w at sigma_b = 0, 0.01, 0.05, 0.3, 1
    "erf": (0.88622693, 0.92335671, 0.99368629, 1.23367251, 1.64875145),
    "hard_tanh": (1, 1.00060537, 1.00885349, 1.11614500, 1.43969045),
    "softsign": (1, 1.16045899, 1.36105091, 1.89749177, 2.66742233),
    "sine": (1, 1.03290044, 1.09281669, 1.26266460, 1.40042128),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_edge_of_chaos__has_the_tables_of_other_activations(name):
    for sigma_b, edge in zip((0, 0.01, 0.05, 0.3, 1), EDGES[name]):
        assert edge_of_chaos(name, sigma_b) == pytest.approx(edge, abs=DIGITS8)


# Least bias with a critical point: below it signals do not settle where chi_1 = 1.
LEAST_BIAS = {"gelu": 0.41591, "gelu_tanh": 0.41590, "silu": 0.74508, "mish": 0.31799}


@pytest.mark.parametrize("name", LEAST_BIAS)
def test_edge_of_chaos__refuses_a_fixed_point_that_is_not_reached(name):
    for sigma_b in (0.0, 0.05, 0.99 * LEAST_BIAS[name]):
        with pytest.raises(ValueError, match=rf"'{name}'.*no such point.*do not settle"):
            edge_of_chaos(name, sigma_b)
    for sigma_b in (1.02 * LEAST_BIAS[name], 2.0):
        edge = edge_of_chaos(name, sigma_b)
        assert chi_1(name, edge, fixed_point(name, edge, sigma_b)) == pytest.approx(1, abs=1e-8)


def test_edge_of_chaos__refuses_softplus():
    for sigma_b in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"'softplus'.*chi_1 = 1 at no finite q"):
            edge_of_chaos("softplus", sigma_b)


def test_fixed_point__of_gelu_is_where_unit_signals_go():
    assert fixed_point("gelu", math.sqrt(2), 0.0) == 0.0  # V(q) < q everywhere
    assert fixed_point("gelu", 1.8, 0.0) == math.inf  # 0 is a fixed point, but 1 is far above it


@pytest.mark.parametrize(("name", "edges"), [("hard_tanh", (1, -1)), ("hard_sigmoid", (3, -3))])
def test_gaussian_mean__is_split_at_the_kinks(name, edges):
    entry = activations[name]
    height = float(entry.slope(np.zeros(1), 0.0)[0]) ** 2
    for q in (1e-3, 0.3, 1.0, 7.0, 1e5):
        exact = height * math.erf(edges[0] / math.sqrt(2 * q))
        assert chi_1(name, 1.0, q) == pytest.approx(exact, rel=1e-12)
