"""Figures of phase diagrams, decompositions and misfits: what is drawn is what was found."""

import numpy as np
import pytest
import xarray as xr
from figures import texts
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import gradsim as gs
from gradsim import analysis, plot, theory


@pytest.fixture(scope="module")
def grid():
    vary = {"sigma_w": [0.5, 1.0, 2.0], "sigma_b": [0.0, 0.5]}
    model = gs.MLP(depth=12, width=40, loss="linear")
    return gs.simulate(model, 20, vary=vary, progress=False)


@pytest.fixture(scope="module")
def found(grid):
    return analysis.phase_diagram(grid)


def test_phase_diagram__draws_the_numbers_over_the_grid(ax, grid, found):
    assert plot.phase_diagram(grid, ax=ax) is ax
    (mesh,) = ax.collections
    expected = found.growth_typical.transpose("sigma_b", "sigma_w").values
    np.testing.assert_array_equal(mesh.get_array().reshape(2, 3), expected)
    assert mesh.norm.vmin == -mesh.norm.vmax == -np.abs(expected).max()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sigma_w", "sigma_b")
    assert "growth" in ax.get_title(loc="left")
    np.testing.assert_allclose(ax.get_xlim(), [0.25, 2.5])


def test_phase_diagram__draws_the_edge_of_chaos(ax):
    steps = np.linspace(0.5, 3, 51)
    growth = np.log10(steps)[:, None] - np.log10([1.0, 2.0])
    words = np.full(growth.shape, "ordered")
    dims, coords = ("sigma_w", "sigma_b"), {"sigma_w": steps, "sigma_b": [0.0, 1.0]}
    names = {"growth_typical": growth, "predicted_limit": growth, "phase": words}
    ds = xr.Dataset(
        {name: (dims, values, {"long_name": name}) for name, values in names.items()}, coords
    )
    (line,) = plot.phase_diagram(ds, ax=ax).lines
    np.testing.assert_allclose(line.get_xdata(), [1.0, 2.0], atol=1e-3)
    assert line.get_ydata().tolist() == [0.0, 1.0]
    other = Figure().add_subplot()
    assert not plot.phase_diagram(ds, show="phase", ax=other, theory=False).lines


def test_phase_diagram__gives_every_text_its_colour_and_a_legend(ax, found):
    plot.phase_diagram(found, show="predicted_phase", ax=ax)
    assert texts(ax) == ["ordered", "critical", "chaotic"]
    (mesh,) = ax.collections
    drawn = [to_hex(c) for c in mesh.cmap(mesh.norm(mesh.get_array().ravel()))]
    legend = dict(
        zip(texts(ax), (to_hex(p.get_facecolor()) for p in ax.get_legend().get_patches()))
    )
    words = found.predicted_phase.transpose("sigma_b", "sigma_w").values.ravel()
    assert drawn == [legend[word] for word in words]


def test_phase_diagram__refuses_by_name(grid, found):
    with pytest.raises(ValueError, match="show must be one of"):
        plot.phase_diagram(found, show="growth")
    more = found.expand_dims(width=[1, 2])
    with pytest.raises(ValueError, match=r"got \['width'\]; select"):
        plot.phase_diagram(more)


def test_decomposition__draws_each_sd_and_its_interval(ax):
    model = gs.MLP(depth=4, width=12, sigma_b=0.3)
    vary = {"activation": ["tanh", "sine"]}
    ds = gs.simulate(model, 15, vary=vary, measure=("gradient", "entries"), progress=False)
    assert plot.decomposition(ds, ax=ax) is ax
    split = analysis.decompose(ds)
    for i, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_xdata(), split.sd[i])
    for i in range(2):
        ends = np.array([segment[:, 0] for segment in ax.collections[i].get_segments()])
        row = split.isel(activation=i)
        np.testing.assert_array_equal(ends, np.stack([row.low, row.high], axis=1))
    assert [t.get_text() for t in ax.get_yticklabels()] == split.component.values.tolist()
    assert texts(ax) == ["tanh", "sine", "Gaussian vector, 0.482"]
    assert ax.get_xlabel() == split.sd.attrs["long_name"]
    assert "15 networks" in ax.get_title(loc="left")
    norms = analysis.decompose(ds, variable="log10_delta_norm")
    assert plot.decomposition(norms, ax=Figure().add_subplot()).get_legend() is not None
    with pytest.raises(
        ValueError, match=r"at most 8 conditions, got 18 of \['activation', 'run'\]"
    ):
        plot.decomposition(split.expand_dims(run=9, axis=1))


def test_misfit__draws_remainder_misfit_and_tolerance(ax, grid):
    some = grid.isel(sigma_b=0)
    assert plot.misfit(some, ax=ax, band=1.0) is ax
    values = theory.misfit(some)
    solid = [line for line in ax.lines if line.get_label().startswith("sigma_w")]
    dashed = [line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    for i in range(3):
        np.testing.assert_array_equal(solid[i].get_ydata(), values.remainder[i])
        np.testing.assert_array_equal(dashed[i].get_ydata(), values.misfit[i])
        assert solid[i].get_color() == dashed[i].get_color()
    assert "within 0.1 decades" in texts(ax)
    assert "misfit of mean field" in texts(ax)
    assert "layer" in ax.get_xlabel()
    top = max(path.vertices[:, 1].max() for path in ax.collections[0].get_paths())
    assert top == pytest.approx((values.remainder[0] + values.stderr[0].fillna(0)).max().item())


def test_misfit__says_where_no_correction_is_known(ax):
    ds = gs.simulate(gs.RNN(steps=9, width=20), 9, progress=False)
    plot.misfit(ds, ax=ax)
    assert "misfit (no correction known)" in texts(ax)
    assert ax.get_xlabel() == "step"
    with pytest.raises(ValueError, match="band must be"):
        plot.misfit(ds, band=-1.0)


def test_plots__of_loaded_files_are_the_same(grid, tmp_path):
    gs.save(grid, tmp_path / "run.nc")
    loaded = gs.load(tmp_path / "run.nc")
    for draw in (plot.phase_diagram, plot.decomposition, plot.misfit):
        pair = [draw(one, ax=Figure().add_subplot()) for one in (grid, loaded)]
        for one, two in zip(*(ax.lines for ax in pair)):
            np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())
        for one, two in zip(*(ax.collections for ax in pair)):
            np.testing.assert_array_equal(one.get_array(), two.get_array())
