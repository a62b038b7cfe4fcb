"""Predictability: the sum from its definition, and float32 against float64 on the same networks."""

import math

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis

NEEDED = ("gradient", "signal")


def test_predictability__is_the_double_sum_of_its_definition():
    rng = np.random.default_rng(0)
    norms, squares = rng.normal(0, 3, (2, 5)), rng.uniform(0.1, 2, (2, 5))
    norms[1, 0], squares[1, 4], norms[1, 4] = -np.inf, np.nan, np.nan
    dims, layer = ("seed", "layer"), np.arange(1, 6)
    ds = xr.Dataset(
        {"log10_delta_norm": (dims, norms), "z_mean_square": (dims, squares)}, {"layer": layer}
    )
    found = analysis.predictability(ds, eps=2.0**-20, limit=1e-5)
    for s, last in ((0, 5), (1, 4)):
        size = 10 ** norms[s] * np.sqrt(squares[s])
        for k in range(s, last):
            pairs = [size[i] / size[j] for j in range(k, last) for i in range(j + 1)]
            expected = math.log10(math.hypot(*pairs))
            assert found.log10_sensitivity[s, k] == pytest.approx(expected)
            assert found.log10_relative_error[s, k] == pytest.approx(expected - math.log10(2) * 20)
    assert found.log10_sensitivity[1, [0, 4]].isnull().all()
    within = (found.log10_relative_error <= -5).sum("seed") / [1, 2, 2, 2, 1]
    np.testing.assert_allclose(found.individual_share, within)
    assert (found.statistical_only == (within < 0.5)).all()


@pytest.fixture(scope="module")
def pair():
    """The same networks in float32 and float64."""
    model, vary = gs.MLP(depth=60, width=64, loss="linear"), {"sigma_w": [1.0, 1.5, 2.0, 4.0]}
    usual = {"vary": vary, "measure": NEEDED, "progress": False}
    return [gs.simulate(model, 24, dtype=dtype, **usual) for dtype in ("float32", "float64")]


def test_predictability__foretells_what_float32_changes(pair):
    """Over two orders of magnitude the change is what was foretold, to a factor of about ten."""
    single, double = pair
    change = abs(single.log10_delta_norm - double.log10_delta_norm) * math.log(10)
    foretold = analysis.predictability(single)
    assert foretold.attrs["eps"] == 2.0**-23
    layers, gains = slice(1, 40), [1.0, 1.5, 2.0]
    ratio = np.log10(change) - foretold.log10_relative_error
    typical = ratio.sel(layer=layers, sigma_w=gains).median(("seed", "layer"))
    assert ((typical > -1.4) & (typical < 0.6)).all(), typical.values
    assert np.ptp(np.log10(change.sel(layer=1)).median("seed").sel(sigma_w=gains).values) > 2


def test_predictability__past_the_limit_networks_differ_and_the_ensemble_does_not(pair):
    single, double = pair
    found = analysis.predictability(single).isel(layer=0)
    assert found.statistical_only.values.tolist() == [False, False, True, True]
    assert found.individual_share[0] == 1
    chaotic = [one.log10_delta_norm.sel(sigma_w=4.0, layer=1) for one in pair]
    change = chaotic[0] - chaotic[1]
    spread = chaotic[1].std("seed", ddof=1)
    assert change.std("seed") > 0.5 * spread
    assert abs(change.mean("seed")) < 4 * spread * math.sqrt(2 / 24)
    assert not analysis.predictability(double).statistical_only.any()


def test_predictability__of_loaded_files_and_of_each_example(tmp_path):
    model = gs.MLP(depth=5, width=6)
    ds = gs.simulate(model, 3, inputs=2, batch="each", measure=NEEDED, progress=False)
    found = analysis.predictability(ds)
    assert found.log10_sensitivity.dims == ("seed", "example", "layer")
    assert found.individual_share.dims == ("layer",)
    gs.save(ds, tmp_path / "run.nc")
    assert analysis.predictability(gs.load(tmp_path / "run.nc")).equals(found)


@pytest.mark.parametrize(
    ("drop", "changes", "words"),
    [
        ("z_mean_square", {}, "needs the variable 'z_mean_square'; add 'signal' to measure"),
        ("log10_delta_norm", {}, "add 'gradient' to measure"),
        ("", {"limit": 0.0}, "limit must be > 0"),
        ("", {"eps": 0.0}, "eps must be > 0"),
        ("", {}, "pass eps"),
    ],
)
def test_predictability__refuses_by_name(drop, changes, words):
    ones = ("seed", "layer"), np.ones((2, 3))
    ds = xr.Dataset({"log10_delta_norm": ones, "z_mean_square": ones}, {"layer": [1, 2, 3]})
    with pytest.raises(ValueError, match=words):
        analysis.predictability(ds.drop_vars(drop or []), **changes)
