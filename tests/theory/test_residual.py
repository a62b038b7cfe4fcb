"""Residual and normalised networks in mean field, against published growth and simulation."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.theory import mean_field, profile, residual_growth

# G. Yang and S. S. Schoenholz 2017, "Mean field residual networks": tanh, sv = sw = 1, no bias,
# p0 = 1; blocks: ln E ||d_0||^2 / ||d_L||^2
GROWTH = {
    1: 0.381448, 5: 1.572717, 10: 2.643206, 20: 4.191172, 50: 7.216100, 100: 10.545549,
    200: 15.169250, 500: 24.198293, 1000: 34.265092,
}  # fmt: skip
STATE = {1: 1.394294, 10: 6.776798, 20: 14.323371, 50: 39.593526, 100: 84.449479}


def test_residual_growth__has_the_tanh_numbers():
    ds = residual_growth("tanh", 1000)
    for blocks, value in GROWTH.items():
        grown = ds.log_state_gradient[0] - ds.log_state_gradient.sel(block=blocks)
        assert grown.item() == pytest.approx(value, abs=6e-7)
    for blocks, value in STATE.items():
        assert ds.p.sel(block=blocks).item() == pytest.approx(value, abs=6e-7)


def test_residual_growth__of_relu_is_exponential():
    ds = residual_growth("relu", 30, sigma_v=0.8, sigma_w=1.1)
    each = math.log1p(0.64 * 1.21 / 2)
    np.testing.assert_allclose(ds.log_state_gradient, each * (30 - ds.block), rtol=1e-12)
    with pytest.raises(ValueError, match="blocks must be an integer >= 1, got 0"):
        residual_growth("relu", 0)


def rms(ds):
    """Decades of the rms of delta relative to the last layer, and their standard errors."""
    delta = ds.log10_delta_norm
    square = 10 ** (2 * (delta - delta.isel(layer=-1)))
    error = square.std("seed") / square.mean("seed") / math.sqrt(ds.sizes["seed"])
    return 0.5 * np.log10(square.mean("seed")), 0.5 * error / math.log(10)


FIELDS = {"depth": 7, "width": 200, "loss": "linear", "output": "identity", "sigma_b": 0.3}
CASES = [
    *({"cell": c, "residual_scale": 0.7} for c in ("residual", "residual_single", "residual_pre")),
    *({"norm": "layer", "norm_placement": place} for place in ("pre", "post")),
]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c.values())))
def test_profile__of_residual_and_layer_normalised_networks_is_that_of_simulation(case, activation):
    model = gs.MLP(activation=activation, **case, **FIELDS)
    ds = gs.simulate(model, 120, measure=("gradient", "signal"), dtype="float32")
    found, error = rms(ds)
    theory = profile(model)
    slack = 0.6 * (model.depth - ds.layer) / model.width  # the 1/n correction, decades a layer
    assert (np.abs(found - theory.log10_delta_rms) < 4 * error + slack + 1e-9).all()
    q, spread = ds.z_mean_square.mean("seed"), ds.z_mean_square.std("seed") / math.sqrt(120)
    assert (np.abs(q - theory.q) < 4 * spread + 0.03 * theory.q).all()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_profile__of_batch_normalised_networks_is_that_of_simulation(placement, activation):
    """Yang et al. 2019, "A mean field theory of batch normalization": a large batch, whose
    gradients are independent (each example has its own target)."""
    model = gs.MLP(activation=activation, norm="batch", norm_placement=placement,
                   **FIELDS | {"loss": "mse"})  # fmt: skip
    found, error = rms(gs.simulate(model, 20, inputs=128, dtype="float32"))
    theory = profile(model)
    slack = 0.01 + 0.002 * (model.depth - found.layer)  # of width 200 and batch 128
    assert (np.abs(found - theory.log10_delta_rms) < 4 * error + slack + 1e-9).all()


def test_profile__has_flat_weight_gradients():
    """E ||dC/dW^l||^2 = (sw2 / 2)^(L-1) |v|^2 |x|^2 n_(l-1) / n_0, exact (Glorot and Bengio
    2010, eq. 14)."""
    model = gs.MLP(width=(15, 10, 40, 20, 80, 3), activation="relu", init="he_normal", **EXACT)
    ds = profile(model, x_norm=1.0)
    np.testing.assert_allclose(10 ** (2 * ds.log10_weight_grad_rms) * 15, [15, 10, 40, 20, 80])
    x = np.ones(15) / math.sqrt(15)
    v = np.array([1.0, 0.0, 0.0])
    found = gs.simulate(model, 4000, inputs=x[None], targets=v, dtype="float32", progress=False)
    square = 10 ** (2 * found.log10_weight_grad_norm)
    error = square.std("seed") / math.sqrt(4000)
    assert (np.abs(square.mean("seed") - 10 ** (2 * ds.log10_weight_grad_rms)) < 4 * error).all()


EXACT = {"loss": "linear", "output": "identity"}


@pytest.mark.parametrize("model", [
    gs.MLP(depth=6, width=150, sigma_w=1.4, sigma_b=0.3, **EXACT),
    gs.RNN(steps=6, width=150, sigma_w=1.4, sigma_u=0.5, tied=False, loss="linear"),
])  # fmt: skip
def test_profile__weight_gradients_are_those_of_simulation(model):
    ds = gs.simulate(model, 300, dtype="float32", progress=False)
    name = "log10_weight_grad_norm" if "layer" in ds.dims else "log10_recurrent_grad_norm"
    dim = ds[name].dims[-1]
    square = 10 ** (2 * (ds[name] - ds.log10_delta_norm.isel({dim: -1})))
    error = 0.5 * square.std("seed") / square.mean("seed") / math.sqrt(300) / math.log(10)
    gap = 0.5 * np.log10(square.mean("seed")) - profile(model).log10_weight_grad_rms
    assert (np.abs(gap) < 4 * error + 0.01).all()


def test_mean_field__of_batch_normalised_relu_is_pi_over_pi_minus_one():
    """Yang et al. 2019: E ||delta||^2 of relu grows by pi / (pi - 1), of a linear net not."""
    ds = mean_field(gs.MLP(activation="relu", norm="batch", sigma_w=1.7, sigma_b=0.4))
    assert ds.chi_1.item() == pytest.approx(math.pi / (math.pi - 1), rel=1e-12)
    assert mean_field(gs.MLP(activation="identity", norm="batch")).chi_1.item() == 1.0
    assert mean_field(gs.MLP(activation="relu", norm="layer")).chi_1.item() == pytest.approx(1)


def test_mean_field__of_residual_networks_is_the_limit_per_block():
    relu = mean_field(gs.MLP(cell="residual", activation="relu", residual_scale=0.5, sigma_w=1.2))
    assert relu.chi_1.item() == pytest.approx(1 + 0.25 * 1.2**4 / 2)
    assert relu.q_star.item() == math.inf
    assert mean_field(gs.MLP(cell="residual")).growth_rms.item() == 0.0


def test_mean_field__refuses_other_cells_by_name():
    with pytest.raises(ValueError, match=r"known for the cells .*got 'residual_post'"):
        mean_field(gs.MLP(cell="residual_post"))
    with pytest.raises(ValueError, match=r"norm='layer' in the cells .*got 'residual'"):
        profile(gs.MLP(cell="residual", norm="layer"))
