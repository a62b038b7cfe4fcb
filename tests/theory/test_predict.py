"""Predictions and misfits of results, selections and files."""

import math
import warnings

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim.theory import finite_width, misfit, predict, profile

EXACT = {"loss": "linear", "output": "identity"}
MODEL = gs.MLP(depth=10, width=40, sigma_w=math.sqrt(2), **EXACT)
VARY = {
    "activation": ["tanh", "relu"],
    "depth": [5, 10],
    "cell": ["dense", "residual", "residual_post"],
}


@pytest.fixture(scope="module")
def ds():
    return gs.simulate(MODEL, 600, vary=VARY, progress=False)


def test_predict__labels_every_condition(ds):
    theory = predict(ds)
    assert theory.log10_delta_rms.dims == ("activation", "depth", "cell", "layer")
    assert theory.rms_validity.dims == ("activation", "depth", "cell")
    relu = theory.sel(activation="relu", cell="dense", depth=10)
    law = finite_width(MODEL.with_fields(activation="relu"))
    assert relu.rms_validity.item() == relu.mean_validity.item() == "exact"
    for name in ("log10_delta_mean", "log10_delta_sd", "zero_probability"):
        np.testing.assert_array_equal(relu[name], law[name])
    tanh = theory.sel(activation="tanh", cell="residual", depth=5)
    assert tanh.rms_validity.item().startswith("asymptotic")
    assert tanh.mean_validity.item().startswith("none: finite_width is known for the cells")
    path = profile(MODEL.with_fields(cell="residual", depth=5))
    np.testing.assert_array_equal(tanh.log10_delta_rms[:5], path.log10_delta_rms)
    assert np.isnan(tanh.log10_delta_rms[5:]).all()
    unknown = theory.sel(cell="residual_post")
    assert np.isnan(unknown.log10_delta_rms).all()
    assert "got 'residual_post'" in unknown.rms_validity.values[0, 0]
    for name, variable in theory.data_vars.items():
        assert {"long_name", "units"} <= set(variable.attrs), name


def test_misfit__is_the_difference_of_measured_and_predicted(ds):
    result = misfit(ds, tolerance=0.05)
    delta = ds.log10_delta_norm.sel(activation="relu", cell="dense", depth=10)
    mean = (delta - delta.sel(layer=10)).mean("seed")
    one = result.sel(activation="relu", cell="dense", depth=10)
    np.testing.assert_allclose(one.measured, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.misfit, mean, atol=1e-12)  # chi_1 = 1
    law = finite_width(MODEL.with_fields(activation="relu"))
    np.testing.assert_allclose(one.finite_width_correction, law.log10_delta_mean, atol=1e-14)
    np.testing.assert_allclose(one.remainder, mean - law.log10_delta_mean, atol=1e-14)
    assert (np.abs(one.z[:-1]) < 4).all()
    assert math.isnan(one.z[-1])
    assert (one.holds == (np.abs(one.remainder) < 0.05)).all()
    tanh = result.sel(activation="tanh", cell="dense")
    assert tanh.holds.sel(depth=10).all()
    assert np.abs(tanh.misfit.sel(depth=10, layer=1)) > 0.05  # without the correction it fails
    residual = result.sel(cell="residual")
    assert np.isnan(residual.finite_width_correction).all()
    np.testing.assert_array_equal(residual.remainder, residual.misfit)


def test_predict__and_misfit_work_on_files_and_selections(ds, tmp_path):
    whole, found = predict(ds), misfit(ds)
    gs.save(ds, tmp_path / "ds.nc")
    assert predict(gs.load(tmp_path / "ds.nc")).identical(whole)
    assert misfit(gs.load(tmp_path / "ds.nc")).identical(found)
    for number, result in enumerate((whole, found)):
        gs.save(result, tmp_path / f"{number}.nc")
        assert gs.load(tmp_path / f"{number}.nc").identical(result)
    part = ds.sel(activation="relu", cell="dense", depth=[10], layer=slice(3, 8))
    assert predict(part).log10_delta_rms.sizes == {"depth": 1, "layer": 6}
    cut, rest = misfit(part).sel(depth=10), found.sel(activation="relu", cell="dense", depth=10)
    assert cut.measured[-1].item() == 0
    expected = rest.measured - rest.measured.sel(layer=8)
    np.testing.assert_allclose(cut.measured, expected.sel(layer=slice(3, 8)), atol=1e-14)


def test_predict__takes_the_norm_of_given_inputs():
    x = 3 * np.random.default_rng(0).standard_normal((2, 40))
    model = MODEL.with_fields(activation="tanh", depth=4, sigma_b=0.3)
    ds = gs.simulate(model, 5, inputs=x, batch="each", progress=False)
    norm = math.sqrt(np.mean(np.sum(x**2, axis=1)))
    np.testing.assert_allclose(predict(ds).q, profile(model, norm).q, rtol=1e-13)
    np.testing.assert_allclose(predict(ds, x_norm=2.0).q, profile(model, 2.0).q, rtol=1e-13)
    assert misfit(ds).remainder.dims == ("layer",)
    steps = np.repeat(x[:, None], 6, axis=1)
    rnn = gs.RNN(steps=6, width=40, sigma_u=0.5)
    ds = gs.simulate(rnn, 3, inputs=steps, progress=False)
    scaled = rnn.with_fields(sigma_u=0.5 * math.sqrt(np.mean(x**2)))
    np.testing.assert_allclose(predict(ds).q, profile(scaled).q, rtol=1e-13)


def test_misfit__of_a_recurrent_network_with_inputs():
    model = gs.RNN(steps=7, width=50, sigma_u=0.7, sigma_w=1.2, loss="linear")
    ds = gs.simulate(model, 400, vary={"tied": [True, False]}, progress=False)
    result = misfit(ds)
    untied = result.sel(tied=False)
    assert (np.abs(untied.remainder) < 4 * untied.stderr + 0.01).all()
    assert "tied=True" in result.mean_validity.sel(tied=True).item()


def test_misfit__of_widths_as_tuples_and_depths():
    vary = {"width": [(5, 8, 3), (5, 8, 8, 3)]}
    ds = gs.simulate(gs.MLP(activation="relu", init="he_normal", **EXACT), 300, vary=vary,
                     progress=False)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = misfit(ds)
    assert result.measured.isel(width=0).notnull().values.tolist() == [True, True, False]
    assert result.zero_share.isel(width=1, layer=0).item() < 0.05


def test_theory__refuses_what_is_no_random_result(ds):
    with pytest.raises(TypeError, match=r"ds must be an xarray.Dataset, got float"):
        predict(1.0)
    with pytest.raises(ValueError, match="no attribute 'gradsim_config'"):
        predict(xr.Dataset())
    net = gs.network(gs.MLP(depth=2, width=3), 0)
    trained = gs.train(gs.MLP(depth=2, width=4), 2, learning_rate=0.1, steps=1)
    with pytest.raises(ValueError, match=r"a result of gradsim\.simulate, got one of train"):
        predict(trained)
    with pytest.raises(ValueError, match="whose weights were given"):
        predict(gs.simulate(net, [0], progress=False))
    with pytest.raises(ValueError, match="must keep the coordinate 'activation'"):
        predict(ds.isel(activation=0, drop=True))
    with pytest.raises(ValueError, match="tolerance must be a positive number"):
        misfit(ds, tolerance=0)
    wide = gs.simulate(gs.MLP(depth=1, width=2), 1, inputs=np.ones((1, 70000)), progress=False)
    with pytest.raises(ValueError, match="pass their norm as x_norm"):
        predict(wide)
    assert predict(wide, x_norm=3.0).q.item() == pytest.approx(9 / 70000)


# Gradient norms beyond mean field along the transient from the input, at width 100 and 300
@pytest.mark.parametrize(("activation", "sigma_w", "width", "depth"), [
    ("tanh", 1.0, 100, 30), ("gelu", 2**0.5, 200, 8),
])  # fmt: skip
def test_misfit__is_explained_along_a_transient(activation, sigma_w, width, depth):
    """tanh at sigma_w = 1 (a power law) and gelu (q falls to 0) never reach a fixed point."""
    model = gs.MLP(depth=depth, width=width, activation=activation, sigma_w=sigma_w, **EXACT)
    result = misfit(gs.simulate(model, 700, dtype="float32", progress=False))
    assert (np.abs(result.remainder) < 4 * result.stderr + 0.006).all()
    assert np.abs(result.misfit).max() > 2.5 * np.abs(result.remainder).max()
