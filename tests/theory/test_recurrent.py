"""Recurrent networks: exponents, conditions, powers, scalar products and time constants."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.theory import (
    chrono_retention,
    gate,
    gradient_conditions,
    latch,
    leaky,
    linear_rnn,
    recurrent,
    scalar_product,
    skip,
)

# tanh without input: g, q*, lambda_1, mean exponent (Molgedey et al. 1992; Engelken et al. 2023)
EXPONENTS = [
    (1.1, 0.11274989, 0.00506890, -0.511864),
    (1.2, 0.24951304, 0.01647626, -0.543100),
    (1.5, 0.79335404, 0.06521721, -0.714346),
    (2, 2.12147357, 0.15472423, -1.149023),
    (3, 6.30539148, 0.31024932, -2.272805),
    (5, 20.69936684, 0.53242794, -4.906771),
    (10, 91.70513120, 0.85643519, -12.160966),
]


@pytest.mark.parametrize(("g", "q", "largest", "mean"), EXPONENTS)
def test_recurrent__has_the_exponents(g, q, largest, mean):
    ds = recurrent(gs.RNN(sigma_w=g))
    assert ds.q_star.item() == pytest.approx(q, abs=2e-8)
    assert ds.lyapunov_exponent.item() == pytest.approx(largest, abs=2e-8)
    assert ds.mean_exponent.item() == pytest.approx(mean, abs=6e-7)
    assert ds.critical_gain.item() == 1.0


def test_recurrent__has_the_critical_gain_with_input():
    table = {0.01: 1.19340073, 0.1: 1.40928090, 0.25: 1.54967391, 1: 1.85558910, 4: 2.32502494}
    for variance, gain in table.items():
        variance = variance if variance != 0.01 else 0.1**2
        ds = recurrent(gs.RNN(sigma_u=math.sqrt(variance)))
        assert ds.critical_gain.item() == pytest.approx(gain, abs=2e-8)
    assert math.isnan(recurrent(gs.RNN(activation="relu", sigma_u=1.0)).critical_gain.item())
    assert recurrent(gs.RNN(activation="relu")).critical_gain.item() == pytest.approx(math.sqrt(2))
    with pytest.raises(TypeError, match="model must be a gradsim RNN"):
        recurrent(gs.MLP())


def test_gradient_conditions__of_a_matrix_that_is_not_normal():
    """Pascanu et al. 2013, section 2.1: the spectral radius says nothing of one step."""
    w = [[0.5, 10.0], [0.0, 0.5]]
    ds = gradient_conditions(w, "sigmoid")
    assert ds.largest_singular_value.item() == pytest.approx(10.0249378, abs=6e-8)
    assert ds.spectral_radius.item() == 0.5
    assert ds.threshold.item() == 4.0
    assert (ds.vanishes.item(), ds.can_explode.item()) == (False, True)
    assert not ds.spectral_radius_decides.item()
    assert gradient_conditions(w, "identity").spectral_radius_decides.item()
    small = gradient_conditions(np.full((5, 5), 0.79), "sigmoid")
    assert (small.vanishes_weight.item(), small.vanishes_row_sum.item()) == (True, True)
    with pytest.raises(ValueError, match="weights must be a square matrix, got shape"):
        gradient_conditions(np.ones((2, 3)))


def test_gradient_conditions__that_suffice_to_vanish_do():
    rng = np.random.default_rng(0)
    for _ in range(5):
        w = 0.45 * rng.standard_normal((20, 20)) / math.sqrt(20)
        ds = gradient_conditions(w)
        assert ds.vanishes.item()
        net = gs.from_arrays(w, cell="vanilla", steps=30, activation="tanh", loss="linear",
                             targets=rng.standard_normal((1, 20)),
                             initial_state=rng.standard_normal(20))  # fmt: skip
        states = gs.simulate(net, [0], progress=False).isel(seed=0).log10_state_grad_norm
        rate = math.log10(ds.largest_singular_value.item())
        assert (states[:-1] - states[-1] <= rate * (30 - states.state_step[:-1]) + 1e-10).all()


# Goodfellow, Bengio and Courville 2016, eqs. 10.36 to 10.39: t, ||W^t h||, squared cosine, rest
POWERS = [
    (1, 0.8843076388, 0.3094629156, 6.9054e-1), (5, 0.9000857343, 0.6403082394, 3.5969e-1),
    (10, 1.253842635, 0.8558499546, 1.4415e-1), (20, 3.042175845, 0.9780673793, 2.1933e-2),
    (50, 52.50069022, 0.9999274376, 7.2562e-5), (100, 6162.877209, 0.9999999947, 5.2658e-9),
]  # fmt: skip


def test_linear_rnn__aligns_with_the_top_eigenvector():
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    w = q @ np.diag([1.1, 1.0, 0.9, 0.8, 0.5]) @ q.T
    ds = linear_rnn(w, 100, q @ np.ones(5) / math.sqrt(5))
    for t, norm, aligned, rest in POWERS:
        one = ds.sel(step=t)
        assert 10 ** one.log10_state_norm.item() == pytest.approx(norm, rel=1e-9)
        assert one.top_alignment.item() == pytest.approx(aligned, abs=6e-11)
        assert 1 - one.top_alignment.item() == pytest.approx(rest, rel=1e-4)
        assert one.log10_eigenvalue.item() == pytest.approx(t * math.log10(1.1))


def test_linear_rnn__may_grow_before_it_decays():
    """A defective matrix of spectral radius 1/2: ||W^t||_2."""
    ds = linear_rnn([[0.5, 10.0], [0.0, 0.5]], 4000, [0.0, 1.0])
    table = {
        1: 10.0249378, 2: 10.0062461, 3: 7.50208275, 5: 3.12531247, 10: 0.195317383,
        20: 3.81472107e-4,
    }  # fmt: skip
    for t, norm in table.items():
        assert 10 ** ds.log10_power_norm.sel(step=t).item() == pytest.approx(norm, rel=2e-8)
    end = ds.log10_power_norm[-1].item()
    assert end == pytest.approx(4000 * math.log10(0.5) + math.log10(4000 * 20), abs=1e-6)
    turn = linear_rnn([[0.0, -0.9], [0.9, 0.0]], 7, [1.0, 0.0])
    np.testing.assert_allclose(turn.top_alignment, 1)  # a conjugate pair spans the plane


# Shares below 1e-3 and above 1e3: T at sd = 1; T at sd = 1.8873645212 (Goodfellow et al. 10.7)
UNIT = {10: (0.40609, 0), 20: (0.88473, 0), 50: (0.99982, 0), 100: (1, 0)}
CRITICAL = {
    10: (0.03606, 0.01058), 20: (0.08836, 0.07182), 50: (0.18684, 0.19119), 100: (0.26171, 0.27201),
}  # fmt: skip


@pytest.mark.parametrize("steps", UNIT)
def test_scalar_product__of_independent_weights(steps):
    for sigma_w, table in ((1.0, UNIT), (1.8873645212, CRITICAL)):
        ds = scalar_product(steps, sigma_w)
        assert ds.below_probability.item() == pytest.approx(table[steps][0], abs=6e-6)
        assert ds.above_probability.item() == pytest.approx(table[steps][1], abs=6e-6)
        assert ds.log_mean_square.item() == pytest.approx(2 * steps * math.log(sigma_w))
    assert ds.mean_log.item() == pytest.approx(0, abs=1e-8)  # the typical product keeps its size
    assert scalar_product(steps).var_log.item() == pytest.approx(steps * math.pi**2 / 8)
    median = {10: 2.3075e-3, 20: 4.0314e-6, 50: 2.1394e-14, 100: 3.4488e-28}[steps]
    ds = scalar_product(steps, below=median)
    assert ds.below_probability.item() == pytest.approx(0.5, abs=1e-5)


def test_scalar_product__of_a_shared_weight():
    steps, rng = 6, np.random.default_rng(2)
    sample = steps * np.log(np.abs(1.2 * rng.standard_normal(200_000)))
    ds = scalar_product(steps, 1.2, tied=True)
    n = sample.size
    assert abs(sample.mean() - ds.mean_log.item()) < 4 * sample.std() / math.sqrt(n)
    assert sample.var() == pytest.approx(ds.var_log.item(), rel=0.03)
    for share, p in (
        (np.mean(sample < math.log(1e-3)), ds.below_probability.item()),
        (np.mean(sample > math.log(1e3)), ds.above_probability.item()),
    ):
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n)
    # E w^(2T) = (2T - 1)!! sigma^(2T)
    assert ds.log_mean_square.item() == pytest.approx(math.log(10395) + 12 * math.log(1.2))
    assert ds.mean_log.item() == pytest.approx(scalar_product(steps, 1.2).mean_log.item())
    with pytest.raises(ValueError, match=r"scalar_product\(sigma_w=0\): sigma_w must be > 0"):
        scalar_product(3, 0)


# Bengio, Simard and Frasconi 1994: w, state, multiplier, threshold, multiplier^9
@pytest.mark.parametrize(("w", "state", "multiplier", "threshold", "nine"), [
    (1.1, 0.5029405749, 0.8217558559, 0.0204812272, 0.170878),
    (1.25, 0.7104117835, 0.6191438724, 0.0778051693, 1.33698e-2),
    (1.5, 0.8585596366, 0.3943130255, 0.2075464553, 2.30447e-4),
    (2.0, 0.9575040241, 0.1663720878, 0.5328399754, 9.76617e-8),
])  # fmt: skip
def test_latch__has_the_table(w, state, multiplier, threshold, nine):
    ds = latch(w)
    assert ds.state.item() == pytest.approx(state, abs=6e-11)
    assert ds.multiplier.item() == pytest.approx(multiplier, abs=6e-11)
    assert ds.threshold.item() == pytest.approx(threshold, abs=6e-11)
    assert ds.multiplier.item() ** 9 == pytest.approx(nine, rel=5e-6)
    for share, stays in ((0.999, True), (1.001, False)):  # the input that flips it
        x = state
        for _ in range(20000):
            x = math.tanh(w * x - share * ds.threshold.item())
        assert (x > 0) == stays
    with pytest.raises(ValueError, match="weight must be a finite number > 1, got 1"):
        latch(1.0)


def test_gate__has_the_forgetting_of_an_lstm():
    """Gers et al. 2000; Goodfellow et al. 2016, eqs. 10.40 to 10.44."""
    kept = {
        0: (9.765625e-4, 7.888609e-31, 1.4427), 1: (4.360354e-2, 2.484379e-14, 3.1922),
        2: (0.2810339, 3.073170e-6, 7.8785), 5: (0.9350517, 0.5109238, 148.91),
    }  # fmt: skip
    for bias, (ten, hundred, constant) in kept.items():
        ds = gate(bias)
        assert ds["mean"].item() ** 10 == pytest.approx(ten, rel=2e-7)
        assert ds["mean"].item() ** 100 == pytest.approx(hundred, rel=2e-7)
        assert ds.time_constant.item() == pytest.approx(constant, rel=4e-5)
    noisy = {
        0: (0.5, -0.80605918, 0.27151450), 1: (0.69673467, -0.40685628, 0.10833357),
        5: (0.98920321, -0.01094931, 0.00019206),
    }  # fmt: skip
    for bias, (mean, mean_log, var_log) in noisy.items():
        ds = gate(bias, 1.0)
        found = [ds[name].item() for name in ("mean", "mean_log", "var_log")]
        assert found == pytest.approx([mean, mean_log, var_log], abs=6e-9)


def test_chrono_retention__has_the_table():
    """Tallec and Ollivier 2018."""
    table = {
        20: (0.34576875, 0.15473687, 0.01976286, 0.00092975),
        100: (0.73258937, 0.58170217, 0.33020394, 0.14964755),
        784: (0.94064979, 0.89696316, 0.79692213, 0.67661374),
    }
    for longest, row in table.items():
        found = [chrono_retention(longest, t) for t in (10, 20, 50, 100)]
        assert found == pytest.approx(row, abs=6e-9)
    with pytest.raises(ValueError, match="longest must be > 2, got 2"):
        chrono_retention(2, 10)


def test_leaky__and_skip_have_their_roots():
    """Jaeger et al. 2007; Lin et al. 1996."""
    for steps, kept in ((10, 0.3486784), (20, 0.1215767), (50, 5.153775e-3), (100, 2.656140e-5)):
        assert leaky(0.1).radius.item() ** steps == pytest.approx(kept, rel=5e-7)
    assert leaky(0.5, 1.0).time_constant.item() == math.inf
    assert leaky(0.01, 0.9).time_constant.item() == pytest.approx(1 / (0.01 * 0.1), rel=1e-3)
    table = {
        (0.5, 0.4): (0.9799558731, 0.400976563, 0.164297829, 2.57119358e-2),
        (0.5, 0.5): (1, 0.500976562, 0.255372047, 0.188827251),
        (0.6, 0.5): (1.0196546557, 0.506046618, 0.283292958, 1.55381599),
        (0.9, 0.2): (1.0402336021, 0.548678440, 0.928669223, 23.3372757),
    }
    for (a, b), (radius, *response) in table.items():
        ds = skip(a, b, 10, 100)
        assert ds.radius.item() == pytest.approx(radius, abs=6e-11)
        assert ds.response.sel(step=[10, 20, 100]).values == pytest.approx(response, rel=4e-9)
    for delay, kept in ((1, 2.656140e-5), (2, 5.153775e-3), (5, 0.1215767), (10, 0.3486784)):
        assert skip(0.0, 0.9, delay, 100).response[-1].item() == pytest.approx(kept, rel=5e-7)
