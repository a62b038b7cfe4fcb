"""Gain calibration: three criteria, against closed forms, theory and simulation."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.analysis import calibrate_gain


def test_calibrate__of_relu_and_linear_networks_is_exact():
    """He et al. 2015, eqs. 10 and 14; Sussillo and Abbott 2014 in exact form."""
    relu = calibrate_gain("relu", width=20, depth=7)
    assert relu.sigma_w.values == pytest.approx([math.sqrt(2), math.sqrt(2), 1.51462359], abs=6e-9)
    linear = calibrate_gain("identity", width=10)
    assert linear.sigma_w.values == pytest.approx([1, 1, 1.05301778], abs=6e-9)
    assert relu.note.values.tolist() == ["exact"] * 3
    np.testing.assert_array_equal(relu.low, relu.high)
    leaky = calibrate_gain("leaky_relu", width=8, slope=0.3)
    model = gs.MLP(
        depth=9, width=8, activation="leaky_relu", slope=0.3, output="identity", loss="linear",
        sigma_w=leaky.sigma_w.sel(criterion="typical_backward").item(),
    )  # fmt: skip
    assert gs.theory.finite_width(model).mean_log[0].item() == pytest.approx(0, abs=1e-12)


def test_calibrate__of_tanh_keeps_what_it_says():
    sigma_b, depth, width = 0.3, 20, 40
    ds = calibrate_gain("tanh", width, depth, sigma_b=sigma_b, q=0.5, seeds=400)
    forward, edge, typical = ds.sigma_w.values
    assert gs.theory.q_map("tanh", forward, sigma_b, 0.5) == pytest.approx(0.5, rel=1e-12)
    assert edge == gs.theory.edge_of_chaos("tanh", sigma_b)
    assert ds.note.values.tolist() == ["asymptotic", "asymptotic", "simulated"]
    low, high = (ds[name].sel(criterion="typical_backward").item() for name in ("low", "high"))
    assert low < typical < high < low + 0.06
    model = gs.MLP(depth=depth, width=width, sigma_w=typical, sigma_b=sigma_b, loss="linear",
                   output="identity")  # fmt: skip
    delta = gs.simulate(model, range(1000, 2000), progress=False).log10_delta_norm  # other seeds
    grown = (delta.isel(layer=0) - delta.isel(layer=-1)).values
    both = grown.std() * math.sqrt(1 / 1000 + 1 / 400)
    assert abs(grown.mean()) < 4 * both
    law = gs.theory.finite_width(model)
    assert abs(law.log10_delta_mean[0].item()) < 4 * grown.std() / 20 + 0.02
    assert "typical_backward" in ds.attrs["table"]


def test_calibrate__says_what_does_not_exist():
    gelu = calibrate_gain("gelu", 20, 5, seeds=30)
    assert np.isnan(gelu.sigma_w.sel(criterion="mean_square_backward"))
    assert "does not exist: edge_of_chaos('gelu'" in gelu.attrs["table"]
    biased = calibrate_gain("relu", sigma_b=2.0)
    assert biased.note[0].item() == "does not exist: sigma_b^2 = 4 alone is not below q = 1"
    assert biased.sigma_w[1].item() == pytest.approx(math.sqrt(2))
    gs.activation("calibrate_flat", lambda t, z: t.tanh(z) * 1e-9)
    flat = calibrate_gain("calibrate_flat", 4, 3, seeds=4)
    assert "typical gradients vanish at all sigma_w" in flat.note[2].item()


def test_calibrate__refuses_bad_arguments():
    with pytest.raises(ValueError, match=r"calibrate_gain\(depth=1\): depth must be an integer"):
        calibrate_gain("tanh", depth=1)
    with pytest.raises(ValueError, match=r"calibrate_gain\(q=0\): q must be > 0"):
        calibrate_gain("tanh", q=0)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 2"):
        calibrate_gain("tanh", level=2)
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        calibrate_gain("tanhh")
