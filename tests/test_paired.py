"""Paired differences, against plain arithmetic, known laws and real networks."""

import math

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis, storage

INF, NAN = np.inf, np.nan


def paired(values, dims=("sigma_w", "seed", "layer"), name="log10_delta_norm", **coords):
    """Dataset of log10 norms; the conditions are 1.0, 2.0, ... unless given."""
    array = np.asarray(values, dtype=float)
    labels = {"sigma_w": ("sigma_w", np.arange(1.0, array.shape[dims.index("sigma_w")] + 1))}
    return xr.Dataset({name: (dims, array, {"long_name": "norm"})}, labels | coords)


def test_paired_difference__is_the_mean_over_seeds_of_the_differences():
    values = np.array([[[1.0], [2.0], [6.0]], [[2.0], [5.0], [8.0]], [[0.0], [2.5], [5.0]]])
    found = analysis.paired_difference(paired(values), "sigma_w", 1.0)
    assert found.difference.values[:, 0].tolist() == [0.0, 2.0, -0.5]
    assert found.difference.dims == ("sigma_w", "layer")
    assert (found.left_out_share == 0).all()
    assert (found.low <= found.difference).all()
    assert (found.difference <= found.high).all()
    ends = found.sel(sigma_w=2.0, layer=0).to_array().loc[["low", "high"]].values
    assert ends.tolist() == [1.0, 3.0]  # the least and the largest mean of three of 1, 3, 2
    other = analysis.paired_difference(paired(values), "sigma_w", 3.0)
    assert other.difference.values[:, 0].tolist() == [0.5, 2.5, 0.0]


def test_paired_difference__of_identical_conditions_is_0():
    values = np.random.default_rng(0).normal(size=(1, 9, 4)) * 30 - 400
    found = analysis.paired_difference(paired(np.repeat(values, 2, axis=0)), "sigma_w", 1.0)
    for name in ("difference", "low", "high", "left_out_share"):
        assert (found[name] == 0).all(), name
    assert (found.pairing_gain == INF).all()


def test_paired_difference__has_no_gain_where_neither_interval_has_a_width():
    found = analysis.paired_difference(paired([[[0.1]] * 3, [[0.4]] * 3]), "sigma_w", 1.0)
    assert found.low.values[:, 0].tolist() == found.high.values[:, 0].tolist() == [0.0, 0.4 - 0.1]
    assert np.isnan(found.pairing_gain).all()


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_paired_difference__covers_the_truth_and_measures_the_gain(correlation):
    rng = np.random.default_rng(11)
    seeds, layers = 60, 500  # independent runs stand in for layers
    base, own = rng.normal(size=(2, seeds, layers))
    other = 0.3 + correlation * base + math.sqrt(1 - correlation**2) * own
    found = analysis.paired_difference(paired([base, other]), "sigma_w", 1.0).sel(sigma_w=2.0)
    cover = ((found.low <= 0.3) & (found.high >= 0.3)).mean().item()
    assert 0.91 < cover < 0.97
    sd = math.sqrt(2 - 2 * correlation)
    width = (found.high - found.low).mean().item()
    assert width == pytest.approx(2 * 1.96 * sd / math.sqrt(seeds), rel=0.05)
    # variances 2 unpaired and 2 - 2 rho paired
    gain = found.pairing_gain.median().item()
    assert gain == pytest.approx(1 / math.sqrt(1 - correlation), rel=0.05)


def test_paired_difference__leaves_exact_zeros_out_and_says_how_many():
    values = [
        [[1.0, 1.0, NAN], [-INF, 2.0, NAN], [3.0, 3.0, NAN], [4.0, -INF, NAN]],
        [[2.0, -INF, 1.0], [3.0, -INF, 1.0], [5.0, -INF, 1.0], [NAN, 7.0, 1.0]],
    ]
    found = analysis.paired_difference(paired(values), "sigma_w", 1.0)
    assert found.left_out_share.values[:, :2].tolist() == [[0.25, 0.25], [0.5, 1.0]]
    assert found.difference.values[1, 0] == 1.5
    assert np.isfinite(found.low.values[1, 0])
    assert np.isnan(found.difference.values[1, 1])  # no pair is left
    assert np.isnan(found.isel(layer=2).to_array()).all()  # a layer that the baseline has not
    one = analysis.paired_difference(paired([[[1.0], [-INF]], [[2.0], [1.0]]]), "sigma_w", 1.0)
    assert one.difference.values[1, 0] == 1.0
    assert np.isnan(one.low.values[1, 0])


def test_paired_difference__resamples_networks_not_examples():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(2, 20, 3))
    once = analysis.paired_difference(paired(values), "sigma_w", 1.0)
    many = paired(np.repeat(values[:, :, None], 7, axis=2), ("sigma_w", "seed", "example", "layer"))
    xr.testing.assert_allclose(analysis.paired_difference(many, "sigma_w", 1.0), once, rtol=1e-12)


def test_paired_difference__takes_any_order_of_dims_and_other_variables():
    rng = np.random.default_rng(5)
    ds = paired(rng.normal(size=(2, 3, 9)), ("depth", "sigma_w", "seed"), "log10_loss")
    found = analysis.paired_difference(ds, "sigma_w", 2, variable="log10_loss")
    expected = (ds - ds.sel(sigma_w=2)).mean("seed").log10_loss
    np.testing.assert_allclose(found.difference.transpose(*expected.dims), expected, atol=1e-15)
    xr.testing.assert_identical(
        found, analysis.paired_difference(ds, "sigma_w", 2, variable="log10_loss")
    )


def test_paired_difference__blocks_change_nothing_that_matters(monkeypatch):
    ds = paired(np.random.default_rng(6).normal(size=(3, 12, 5)))
    whole = analysis.paired_difference(ds, "sigma_w", 1.0)
    monkeypatch.setattr("gradsim.analysis._resample._BLOCK_ENTRIES", 3000)
    xr.testing.assert_allclose(analysis.paired_difference(ds, "sigma_w", 1.0), whole, rtol=1e-12)


def test_paired_difference__pairing_is_total_for_a_rescaled_homogeneous_network():
    model = gs.MLP(depth=12, width=16, activation="relu", loss="linear", output="identity")
    ds = gs.simulate(model, 20, vary={"sigma_w": [1.5, 3.0]}, progress=False, threads=1)
    found = analysis.paired_difference(ds, "sigma_w", 1.5).sel(sigma_w=3.0)
    exact = math.log10(2) * (12 - ds.layer)
    np.testing.assert_allclose(found.difference, exact, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.high - found.low, 0, atol=1e-12)
    assert (found.pairing_gain[:-1] > 1e10).all()


def test_paired_difference__describes_itself(tmp_path):
    ds = paired(np.zeros((2, 3, 4))).assign_attrs(history="simulated")
    ds = ds.assign_coords(sigma_w=["tanh", "relu"]).rename(sigma_w="activation")
    found = analysis.paired_difference(ds, "activation", "relu")
    assert found.activation.values.tolist() == ["tanh", "relu"]
    assert "simulated\ngradsim.analysis.paired_difference('activation'" in found.attrs["history"]
    for name in found:
        assert {"long_name", "units", "formula"} <= set(found[name].attrs), name
    storage.save(found, tmp_path / "paired.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "paired.nc"), found)


def test_paired_difference__refuses_by_name():
    ds = paired(np.zeros((2, 3, 4)))
    call = analysis.paired_difference
    with pytest.raises(ValueError, match="independent draws"):
        call(ds.rename(sigma_w="width"), "width", 1.0)
    for dim in ("sigma_b", "seed", 3):
        with pytest.raises(ValueError, match=r"dim must be one of \['sigma_w', 'layer'\], got"):
            call(ds, dim, 1.0)
    for baseline in (1.5, "1.0", None, [1.0], np.ones(2)):
        with pytest.raises(ValueError, match=r"one of \[1\.0, 2\.0\], got"):
            call(ds, "sigma_w", baseline)
    with pytest.raises(ValueError, match="must have a coordinate"):
        call(ds.drop_vars("sigma_w"), "sigma_w", 1.0)
    with pytest.raises(ValueError, match=r"here one of \['log10_delta_norm'\], got 'delta'"):
        call(ds, "sigma_w", 1.0, variable="delta")
    with pytest.raises(ValueError, match="dimensions 'sigma_w' and 'seed'"):
        call(ds.isel(seed=0), "sigma_w", 1.0)
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        call(ds.isel(seed=[0]), "sigma_w", 1.0)
    with pytest.raises(ValueError, match="must not be empty"):
        call(ds.isel(layer=[]), "sigma_w", 1.0)
    with pytest.raises(ValueError, match="level must be in"):
        call(ds, "sigma_w", 1.0, level=95)
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        call(ds, "sigma_w", 1.0, resamples=0)
    with pytest.raises(TypeError, match=r"must be an xarray\.Dataset, got dict"):
        call({}, "sigma_w", 1.0)
