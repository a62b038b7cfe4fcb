"""Exponential against power law, on profiles of known law and on networks."""

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis

INF, NAN = np.inf, np.nan
LAYER = np.arange(1, 61)


def profiles(mean, sd=0.01, seeds=50, layers=LAYER, rng=0):
    """Random walks over layers about a mean profile."""
    steps = np.random.default_rng(rng).normal(0, sd, (seeds, len(layers)))
    walk = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return xr.Dataset({"log10_delta_norm": (("seed", "layer"), mean + walk)}, {"layer": layers})


@pytest.mark.parametrize("depth", [60, 1000])
def test_depth_law__tells_a_power_from_an_exponential(depth):
    layers = np.arange(1, depth + 1)
    power = analysis.depth_law(profiles(0.5 * np.log10(layers), 0.002, layers=layers))
    assert power.law.values.tolist() == ["power law"] * 2
    assert ((power.power_low < 0.5) & (power.power_high > 0.5)).sel(statistic="typical")
    line = analysis.depth_law(profiles(-0.02 * layers, 0.002, layers=layers))
    assert line.law.values.tolist() == ["exponential"] * 2
    assert ((line.rate_low < 0.02) & (line.rate_high > 0.02)).sel(statistic="typical")
    assert (line.misfit_exponential < line.misfit_power).all()


def test_depth_law__exact_profiles_give_their_own_parameters():
    power = analysis.depth_law(profiles(-0.7 * np.log10(LAYER) - 500, 0.0), resamples=5)
    assert np.allclose(power.power, -0.7)
    assert np.allclose(power.misfit_power, 0, atol=1e-12)
    line = analysis.depth_law(profiles(0.3 * LAYER, 0.0), resamples=5)
    assert np.allclose(line.rate, -0.3)
    assert np.allclose(line.misfit_exponential, 0, atol=1e-12)
    window = analysis.depth_law(profiles(0.3 * LAYER, 0.0), (5, 20), resamples=5)
    steps, logs = np.full(15, 0.3), np.diff(np.log10(np.arange(5, 21)))
    left = steps - logs * (steps @ logs) / (logs @ logs)
    assert np.allclose(window.advantage, -left @ left)


def test_depth_law__is_undecided_where_the_walk_could_be_either():
    """A flat walk has no law; a least-squares fit of the profile would see one."""
    walks = [profiles(0.0 * LAYER, rng=r) for r in range(40)]
    words = [analysis.depth_law(walk, resamples=200).law.values for walk in walks]
    assert np.mean(np.array(words) == "undecided") > 0.85
    faint = analysis.depth_law(profiles(0.01 * np.log10(LAYER)))
    assert faint.law.values.tolist() == ["undecided"] * 2


def test_depth_law__zeros_count_for_the_rms_alone_and_short_windows_have_none():
    ds = profiles(-0.05 * LAYER)
    ds.log10_delta_norm[0, :20] = -INF
    found = analysis.depth_law(ds)
    assert found.rate.sel(statistic="typical") == pytest.approx(0.05, abs=0.002)
    few = analysis.depth_law(ds.isel(layer=slice(0, 4)))
    assert (few.law == "undecided").all()
    assert np.isnan(few.rate).all()
    one = analysis.depth_law(ds.isel(seed=[1]))
    assert (one.law == "undecided").all()
    assert np.isfinite(one.rate).all()
    with pytest.raises(ValueError, match="window must be a pair"):
        analysis.depth_law(ds, (9, 9))


def test_depth_law__of_tanh_is_a_power_at_sigma_w_1_and_exponential_on_either_side(tmp_path):
    """Mean field, sigma_b = 0: rate log10 0.8 in the ordered phase, power 1/2 at criticality."""
    model = gs.MLP(depth=50, width=400, loss="linear")
    ds = gs.simulate(model, 25, vary={"sigma_w": [0.8, 1.0, 1.5]}, progress=False)
    found = analysis.depth_law(ds)
    assert found.law.sel(statistic="rms").values.tolist() == [
        "exponential", "power law", "exponential"
    ]  # fmt: skip
    assert (found.law.sel(statistic="typical") == found.law.sel(statistic="rms")).all()
    rms = found.sel(statistic="rms")
    assert rms.rate.sel(sigma_w=0.8) == pytest.approx(np.log10(0.8), abs=0.005)
    assert rms.power.sel(sigma_w=1.0) == pytest.approx(0.5, abs=0.1)
    gs.save(ds, tmp_path / "run.nc")
    assert analysis.depth_law(gs.load(tmp_path / "run.nc")).equals(found)


def test_depth_law__counts_steps_and_examples():
    model = gs.RNN(steps=30, width=50, sigma_w=0.5, tied=False, loss="linear")
    ds = gs.simulate(model, 20, inputs=None, progress=False)
    assert (analysis.depth_law(ds).law == "exponential").all()
    both = profiles(-0.05 * LAYER).expand_dims(example=3)
    assert (analysis.depth_law(both).law == "exponential").all()
