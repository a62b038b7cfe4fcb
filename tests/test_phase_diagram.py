"""Phase diagrams: against the definition, mean field and the exact law of finite width."""

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import analysis

GRID = {"sigma_w": [0.5, 1.0, 3.0], "sigma_b": [0.0, 0.3]}


@pytest.fixture(scope="module")
def ds():
    return gs.simulate(gs.MLP(depth=30, width=100, loss="linear"), 40, vary=GRID, progress=False)


@pytest.fixture(scope="module")
def found(ds):
    return analysis.phase_diagram(ds)


def test_phase_diagram__has_growth_and_theory_over_the_same_window(ds, found):
    growth, theory = analysis.growth_rate(ds), gs.theory.predict(ds)
    assert found.growth_typical.equals(growth.growth_typical)
    assert found.growth_rms.equals(growth.growth_rms)
    for name, source in (("rms", "log10_delta_rms"), ("typical", "log10_delta_mean")):
        ends = theory[source].sel(layer=[6, 29])
        expected = -ends.diff("layer").squeeze(drop=True) / 23
        np.testing.assert_allclose(found[f"predicted_{name}"], expected, atol=1e-12)
    np.testing.assert_allclose(
        found.misfit, 23 * (found.growth_typical - found.predicted_rms), atol=1e-12
    )
    np.testing.assert_allclose(
        found.remainder, 23 * (found.growth_typical - found.predicted_typical), atol=1e-12
    )
    typical = [growth[side].sel(statistic="typical") for side in ("low", "high")]
    for side, end in zip(("low", "high"), typical):
        np.testing.assert_allclose(
            found[f"remainder_{side}"], 23 * (end - found.predicted_typical), atol=1e-12
        )


def test_phase_diagram__phases_are_those_of_the_edge_of_chaos(found):
    assert found.predicted_phase.values.tolist() == [
        ["ordered", "ordered"], ["critical", "ordered"], ["chaotic", "chaotic"]
    ]  # fmt: skip
    firm = found.predicted_phase != "critical"
    assert (found.phase == found.predicted_phase).where(firm, True).all()
    for sigma_b in (0.0, 0.3):
        edge = gs.theory.edge_of_chaos("tanh", sigma_b)
        row = found.sel(sigma_b=sigma_b)
        assert ((row.predicted_limit > 1e-9) == (row.sigma_w > edge)).all()


def test_phase_diagram__of_relu_is_explained_by_the_exact_law_of_finite_width():
    """At width 20 the typical network is below the rms by a known amount: no mean field."""
    model = gs.MLP(depth=40, width=20, activation="relu", output="identity", loss="linear")
    vary = {"sigma_w": [1.0, 2.0**0.5], "sigma_b": [0.0]}
    one = analysis.phase_diagram(gs.simulate(model, 3000, vary=vary, progress=False))
    assert (one.regime == "finite width").all()
    assert one.holds.all()
    assert (one.misfit < -0.5).all()
    assert (one.remainder_low < one.remainder_high).all()
    wide = gs.MLP(depth=10, width=200, activation="relu", output="identity", loss="linear")
    two = analysis.phase_diagram(gs.simulate(wide, 500, vary=vary, progress=False))
    assert (two.regime == "mean field").all()
    few = gs.simulate(model, 8, vary=vary, progress=False)
    assert (analysis.phase_diagram(few, tolerance=0.05).regime == "undecided").any()


def test_phase_diagram__says_where_neither_theory_holds():
    """sigma_w = 8 at width 10: slopes are far from Gaussian averages."""
    model = gs.MLP(depth=30, width=10, loss="linear")
    ds = gs.simulate(model, 400, vary={"sigma_w": [8.0], "sigma_b": [0.0]}, progress=False)
    one = analysis.phase_diagram(ds)
    assert one.regime.item() == "neither"
    assert not one.holds
    assert abs(one.remainder.item()) > 0.1


def test_phase_diagram__of_no_theory_and_no_correction():
    usual = {"vary": {"sigma_w": [1.0], "sigma_b": [0.0]}, "progress": False}
    lstm = analysis.phase_diagram(gs.simulate(gs.RNN(steps=12, width=8, cell="lstm"), 9, **usual))
    assert (lstm.regime == "no theory").all()
    assert lstm.rms_validity.item().startswith("none: ")
    assert not lstm.holds
    tied = analysis.phase_diagram(gs.simulate(gs.RNN(steps=12, width=30), 60, **usual))
    assert tied.finite_width_correction.isnull().all()
    assert (tied.remainder == tied.misfit).all()


def test_phase_diagram__of_loaded_files_and_selections(ds, found, tmp_path):
    gs.save(ds, tmp_path / "run.nc")
    again = analysis.phase_diagram(gs.load(tmp_path / "run.nc"))
    assert again.equals(found)
    some = analysis.phase_diagram(ds.isel(sigma_b=[1]))
    xr.testing.assert_allclose(some, found.isel(sigma_b=[1]))
    gs.save(found, tmp_path / "found.nc")
    assert gs.load(tmp_path / "found.nc").equals(found)


def test_phase_diagram__refuses_by_name(ds):
    with pytest.raises(ValueError, match=r"varied over \['sigma_w', 'sigma_b'\], got none of "):
        analysis.phase_diagram(ds.isel(sigma_b=0))
    with pytest.raises(ValueError, match="tolerance must be > 0"):
        analysis.phase_diagram(ds, tolerance=0)
    with pytest.raises(ValueError, match="critical must be"):
        analysis.phase_diagram(ds, critical=-1.0)
    with pytest.raises(ValueError, match="gradsim_config"):
        analysis.phase_diagram(ds.drop_attrs())
