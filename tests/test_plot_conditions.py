"""Heat maps and bounds: what is drawn, and what is refused."""

import numpy as np
import pytest
import xarray as xr

import gradsim as gs


def conditions(values):
    values = np.asarray(values, float)
    coords = {"sigma_w": np.arange(len(values)) + 0.5, "layer": np.arange(1, values.shape[1] + 1)}
    data = np.repeat(values[:, None], 3, axis=1)
    return xr.Dataset({"log10_delta_norm": (("sigma_w", "seed", "layer"), data)}, coords)


def test_heatmap__is_relative_to_the_last_layer_present():
    ds = conditions([[-3.0, -1.0, 1.0], [5.0, 2.0, np.nan], [-np.inf, 0.0, 0.0]])
    ax = gs.plot.heatmap(ds)
    shown = ax.collections[0].get_array().filled(np.nan)
    np.testing.assert_allclose(shown, [[-4, -2, 0], [3, 0, np.nan], [np.nan, 0, 0]])
    zeros = ax.collections[1].get_array()
    assert np.argwhere(~np.ma.getmaskarray(zeros) & (zeros == 1)).tolist() == [[2, 0]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.5", "1.5", "2.5"]
    assert "exact zero" in ax.figure.axes[1].get_ylabel()
    low, high = ax.collections[0].get_clim()
    assert (low, high) == (-4, 4)


def test_heatmap__needs_one_varied_field():
    ds = conditions([[-3.0, -1.0, 1.0]])
    with pytest.raises(ValueError, match=r"one varied field, got \[\]"):
        gs.plot.heatmap(ds.isel(sigma_w=0))
    with pytest.raises(ValueError, match="'activation', 'sigma_w'"):
        gs.plot.heatmap(ds.expand_dims(activation=["tanh"]))


def test_bound__draws_three_curves_in_their_order():
    model = gs.MLP(depth=6, width=10, activation="sigmoid")
    ds = gs.simulate(model, 20, measure=["gradient", "bounds"])
    ax = gs.plot.bound(ds)
    measured, local, gamma = ax.lines
    np.testing.assert_array_equal(
        measured.get_ydata(), gs.analysis.quantile(ds, 0.5).log10_delta_norm
    )
    assert (measured.get_ydata() <= local.get_ydata() + 1e-10).all()
    assert (local.get_ydata() <= gamma.get_ydata() + 1e-10).all()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "measured"
    assert len(labels) == 3
    assert len({line.get_color() for line in ax.lines}) == 3


def test_bound__refuses_what_it_cannot_draw():
    model = gs.MLP(depth=3, width=4)
    with pytest.raises(ValueError, match="log10_local_bound"):
        gs.plot.bound(gs.simulate(model, 2))
    both = gs.simulate(model, 2, vary={"sigma_w": [1, 2]}, measure=["gradient", "bounds"])
    with pytest.raises(ValueError, match=r"one condition, got \['sigma_w'\]"):
        gs.plot.bound(both)
