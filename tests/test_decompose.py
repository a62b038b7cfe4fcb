"""Components of variance: tables of known components, exact laws, and loaded files."""

import math

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis

INF, NAN = np.inf, np.nan
NORM = "log10_weight_grad_norm"
GAUSSIAN = math.pi / math.sqrt(8) / math.log(10)  # sd of log10 |z|, z ~ N(0, 1)


def logs(values, dims=("seed", "layer"), **coords):
    """Dataset of logs of norms."""
    values = np.asarray(values, float)
    layer = np.arange(1, values.shape[dims.index("layer")] + 1)
    return xr.Dataset({NORM: (dims, values)}, {"layer": layer} | coords)


def effects(rng, sizes, spread, shape):
    """Sum of independent normal effects, one for every group of axes in `spread`."""
    total = np.zeros(shape)
    for axes, sd in spread.items():
        kept = [n if a in axes else 1 for a, n in zip("rsxl", sizes)]
        total = total + sd * rng.normal(size=kept)
    return total


CROSSED = {"s": 0.9, "l": 0.5, "x": 0.7, "sl": 0.3, "sx": 0.4, "xl": 0.2, "sxl": 0.1}
NESTED = {"s": 0.9, "l": 0.5, "sl": 0.3, "sx": 0.4, "sxl": 0.1}
NAMES = {
    "s": "network", "l": "layer", "x": "example", "sl": "network x layer",
    "sx": "network x example", "xl": "example x layer", "sxl": "network x example x layer",
}  # fmt: skip


@pytest.mark.parametrize("crossed", [True, False])
def test_decompose__is_unbiased_for_known_components(crossed):
    """500 tables at once, as conditions: the mean estimate is the truth."""
    spread, runs = (CROSSED if crossed else NESTED), 500
    sizes = (runs, 6, 4, 5)
    with_run = {"r" + axes: sd for axes, sd in spread.items()}
    values = effects(np.random.default_rng(1), sizes, with_run, sizes) - 300.0
    ds = logs(values, ("run", "seed", "example", "layer"))
    found = analysis.decompose(ds, crossed=crossed, resamples=2)
    names = {axes: NAMES[axes] for axes in spread}
    if not crossed:
        names |= {"sx": "example", "sxl": "example x layer"}
    assert set(found.component.values) == set(names.values())
    for axes, sd in spread.items():
        estimates = found.variance.sel(component=names[axes])
        error = estimates.std(ddof=1).item() / math.sqrt(runs)
        assert abs(estimates.mean().item() - sd**2) < 4 * error, names[axes]


def test_decompose__intervals_cover_the_component_of_networks():
    rng, runs = np.random.default_rng(2), 400
    values = rng.normal(size=(runs, 40, 1)) + 0.5 * rng.normal(size=(runs, 40, 6))
    found = analysis.decompose(logs(values, ("run", "seed", "layer")), resamples=400)
    for name, truth in (("network", 1.0), ("network x layer", 0.5)):
        row = found.sel(component=name)
        cover = ((row.low <= truth) & (truth <= row.high)).mean().item()
        assert 0.86 < cover < 0.98, name


def test_decompose__of_sums_of_a_network_and_a_layer():
    """Spreads of the two lists, by the definition of a sample variance."""
    network, layer = np.array([0.0, 1.0, 5.0]), np.array([2.0, -1.0, 0.5, 7.0])
    found = analysis.decompose(logs(np.add.outer(network, layer))).variance
    assert found.sel(component="network") == pytest.approx(network.var(ddof=1))
    assert found.sel(component="layer") == pytest.approx(layer.var(ddof=1))
    assert found.sel(component="network x layer") == pytest.approx(0, abs=1e-12)


def test_decompose__one_layer_or_network_has_no_component_of_it():
    found = analysis.decompose(logs([[1.0], [3.0]]))
    assert found.variance.sel(component="network") == 2.0
    assert np.isnan(found.sd.sel(component=["layer", "network x layer"])).all()
    alone = analysis.decompose(logs([[1.0, 3.0]]))
    assert np.isnan(alone.sd.sel(component=["network", "network x layer"])).all()
    assert np.isnan(alone.low).all()
    assert alone.networks == 1


def test_decompose__leaves_out_zeros_and_absent_layers_and_counts_them():
    values = [[1.0, 2.0, NAN], [3.0, -INF, NAN], [5.0, 6.0, NAN], [NAN, NAN, NAN]]
    found = analysis.decompose(logs(values))
    assert (found.networks, found.layers) == (2, 2)
    assert found.zero_share == pytest.approx(1 / 3)
    assert found.variance.sel(component="network") == 8.0
    dead = analysis.decompose(logs([[-INF, 1.0], [2.0, -INF]]))
    assert (dead.networks, dead.zero_share) == (0, 1.0)
    assert np.isnan(dead.sd).all()


def test_decompose__across_a_field_makes_it_a_factor():
    rng = np.random.default_rng(3)
    network, gain = rng.normal(size=50), np.array([-4.0, 0.0, 1.0])
    values = gain[:, None, None] + network[:, None] + np.zeros((3, 50, 2))
    ds = logs(values, ("sigma_w", "seed", "layer"), sigma_w=[0.5, 1.0, 2.0])
    found = analysis.decompose(ds, across="sigma_w")
    assert found.sd.dims == ("component",)
    assert found.variance.sel(component="sigma_w") == pytest.approx(gain.var(ddof=1))
    assert found.variance.sel(component="network") == pytest.approx(network.var(ddof=1))
    kept = analysis.decompose(ds)
    assert kept.sd.dims == ("sigma_w", "component")


def test_decompose__entries_of_a_linear_network_obey_the_exact_law(tmp_path):
    """Row and column of Gaussian vectors: pi / sqrt(8) / ln 10 decades; nothing left over."""
    model = gs.MLP(depth=4, width=30, activation="identity", loss="linear")
    ds = gs.simulate(model, 400, measure=("gradient", "entries"), progress=False)
    found = analysis.decompose(ds)
    assert found.component.values.tolist() == [
        "network", "layer", "network x layer", "row", "column", "residual"
    ]  # fmt: skip
    for name in ("row", "column"):
        row = found.sel(component=name)
        error = (row.high - row.low).item() / 4
        assert abs(row.sd.item() - GAUSSIAN) < 4 * error
    assert found.sd.sel(component="residual") == 0
    gs.save(ds, tmp_path / "run.nc")
    assert analysis.decompose(gs.load(tmp_path / "run.nc")).equals(found)


def test_decompose__examples_are_crossed_where_all_networks_had_the_same():
    model, inputs = gs.MLP(depth=3, width=8), np.random.default_rng(0).normal(size=(4, 8))
    usual = {"batch": "each", "progress": False}
    shared = analysis.decompose(gs.simulate(model, 5, inputs=inputs, **usual), resamples=9)
    assert "network x example" in shared.component
    own = analysis.decompose(gs.simulate(model, 5, inputs=4, **usual), resamples=9)
    assert "network x example" not in own.component
    assert "example" in own.component


def test_decompose__leaves_out_single_zeros_and_counts_them():
    model = gs.MLP(depth=4, width=20, activation="relu", init="he_normal", output="identity",
                   loss="linear")  # fmt: skip
    ds = gs.simulate(model, 50, measure="entries", progress=False)
    found = analysis.decompose(ds, resamples=9)
    alive = np.isfinite(ds.log10_entry_mean).all("layer")
    assert found.entry_zero_share == pytest.approx(ds.entry_zero_share[alive].mean().item())
    assert 0.5 < found.entry_zero_share < 0.75  # of a layer inside 3 / 4, at either end 1 / 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"across": "width"}, "across must name varied fields.*got 'width'"),
        ({"across": "sigma_w"}, "got 'sigma_w'"),
        ({"across": ["run", "run"]}, "each once"),
        ({"level": 1.0}, "level must be in"),
        ({"variable": "log10_delta_norm"}, "variable must have the dimension"),
    ],
)
def test_decompose__refuses_by_name(changes, words):
    ds = logs(np.zeros((2, 2, 3, 4)), ("run", "width", "seed", "layer"))
    with pytest.raises(ValueError, match=words):
        analysis.decompose(ds, **changes)
    with pytest.raises(ValueError, match="keep all of measure 'entries'"):
        analysis.decompose(ds.rename({NORM: "log10_entry_mean"}))
