"""Figures: what is drawn, how it is labelled, and that nothing global is touched."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import xarray as xr
from figures import texts
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gradsim import plot

INF, NAN = np.inf, np.nan


def sweep(*sizes, layers=12, seeds=20, dim="layer", **coords) -> xr.Dataset:
    """Build profiles over the dims named by `coords`, one slope per condition."""
    rng = np.random.default_rng(0)
    slopes = np.linspace(-2, 1, max(1, int(np.prod(sizes)))).reshape(*sizes, 1, 1)
    noise = rng.normal(0, 0.1, (*sizes, seeds, layers))
    values = slopes * np.arange(layers - 1, -1, -1) + noise
    attrs = {"long_name": "norm of delta", "units": "1"}
    number = {"seed": np.arange(seeds), dim: np.arange(1, layers + 1)}
    return xr.Dataset(
        {"log10_delta_norm": ((*coords, "seed", dim), values, attrs)}, coords | number
    )


def lines(ax):
    return [line for line in ax.lines if line.get_linestyle() != "None"]


def test_profile__draws_the_median_and_the_band_over_seeds(ax):
    ds = sweep(2, activation=["tanh", "relu"])
    assert plot.profile(ds, ax=ax, band=(0.1, 0.9)) is ax
    assert len(lines(ax)) == len(ax.collections) == 2
    for line, band, values in zip(lines(ax), ax.collections, ds.log10_delta_norm.values):
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0, method="inverted_cdf")
        np.testing.assert_array_equal(line.get_xdata(), ds.layer)
        np.testing.assert_array_equal(line.get_ydata(), middle)
        corners = {tuple(point) for point in band.get_paths()[0].vertices}
        assert set(zip(ds.layer.values, low)) | set(zip(ds.layer.values, high)) <= corners
        assert to_hex(band.get_facecolor()[0]) == to_hex(line.get_color())


def test_profile__labels_axes_and_conditions(ax):
    ds = sweep(2, 2, activation=["tanh", "relu"], sigma_w=[1.0, 1.5])
    plot.profile(ds, ax=ax)
    assert ax.get_xlabel() == "layer"
    assert ax.get_ylabel() == "log10 norm of delta"
    assert ax.get_title(loc="left") == "median of 20 networks, 5 to 95 % band"
    assert texts(ax) == [
        "tanh, sigma_w = 1",
        "tanh, sigma_w = 1.5",
        "relu, sigma_w = 1",
        "relu, sigma_w = 1.5",
    ]


def test_profile__of_one_condition_has_no_legend(ax):
    plot.profile(sweep(), ax=ax, band=None)
    assert ax.get_legend() is None
    assert len(lines(ax)) == 1
    assert len(ax.collections) == 0
    assert ax.get_title(loc="left") == "median of 20 networks"


def test_profile__leaves_the_legend_out_on_request(ax):
    plot.profile(sweep(2, depth=[3, 12]), ax=ax, legend=False)
    assert ax.get_legend() is None


def test_profile__keeps_a_title_that_is_there(ax):
    ax.set_title("mine", loc="left")
    plot.profile(sweep(), ax=ax)
    assert ax.get_title(loc="left") == "mine"


def test_profile__ends_each_depth_at_its_own_output(ax):
    ds = sweep(3, depth=[1, 6, 12])
    ds = ds.where(ds.layer <= ds.depth)
    plot.profile(ds.transpose("depth", "seed", "layer"), ax=ax)
    shown = [np.isfinite(line.get_ydata()).sum() for line in lines(ax)]
    assert shown == [1, 6, 12]
    assert lines(ax)[0].get_marker() == "o"


def test_profile__takes_steps_examples_and_other_variables(ax):
    ds = sweep(4, dim="step", example=np.arange(4)).rename(log10_delta_norm="saturated_share")
    ds["saturated_share"].attrs["long_name"] = "share of saturated units"
    plot.profile(ds, variable="saturated_share", ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "share of saturated units")
    expected = np.quantile(ds.saturated_share, 0.5, axis=(0, 1), method="inverted_cdf")
    np.testing.assert_array_equal(lines(ax)[0].get_ydata(), expected)


def test_profile__says_which_share_is_exactly_zero(ax):
    ds = sweep(2, activation=["relu", "tanh"])
    ds.log10_delta_norm[0, :15, :4] = -INF
    ds.log10_delta_norm[0, :5, 4:6] = -INF
    plot.profile(ds, ax=ax)
    assert texts(ax) == ["relu, 75 % exact zeros", "tanh"]
    assert np.isnan(lines(ax)[0].get_ydata()).tolist() == [True] * 4 + [False] * 8
    (marker,) = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert (marker.get_marker(), marker.get_xdata()[0]) == ("v", 4)
    plain, pale = ax.collections[:2]
    assert pale.get_alpha() < plain.get_alpha()
    lowest = min(np.nanmin(line.get_ydata()) for line in lines(ax))
    assert pale.get_paths()[0].vertices[:, 1].min() <= lowest


@pytest.mark.parametrize("value", [-INF, NAN])
def test_profile__draws_what_has_no_finite_value(ax, value):
    ds = sweep(2, activation=["relu", "tanh"])
    ds.log10_delta_norm[:] = value
    plot.profile(ds, ax=ax)
    ax.figure.canvas.draw()
    zeros = ", 100 % exact zeros" if value == -INF else ""
    assert texts(ax) == [f"relu{zeros}", f"tanh{zeros}"]


def test_profile__has_readable_ticks(ax):
    plot.profile(sweep(), ax=ax)
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in [*ax.get_yticks(), *ax.get_xticks()])
    narrow = Figure().add_subplot()
    plot.profile(sweep() * 0.01, ax=narrow)
    narrow.figure.canvas.draw()
    bottom, top = narrow.get_ylim()
    assert sum(bottom <= tick <= top for tick in narrow.get_yticks()) >= 3


def test_profile__gives_up_to_8_conditions_a_colour_each(ax):
    plot.profile(sweep(2, 4, activation=["tanh", "relu"], sigma_w=[1, 2, 3, 4]), ax=ax)
    assert [line.get_color() for line in lines(ax)] == list(plot.OKABE_ITO)
    assert {line.get_linestyle() for line in lines(ax)} == {"-"}


def test_profile__spreads_many_conditions_over_colormap_and_dashes(ax):
    ds = sweep(2, 9, activation=["tanh", "relu"], sigma_w=np.linspace(0.5, 4, 9))
    plot.profile(ds, ax=ax)
    looks = [(to_hex(line.get_color()), line.get_linestyle()) for line in lines(ax)]
    assert len(set(looks)) == 18
    assert {style for _, style in looks[:9]} == {"-"}
    assert {style for _, style in looks[9:]} == {"--"}
    assert [color for color, _ in looks[:9]] == [color for color, _ in looks[9:]]
    brightness = [sum(matplotlib.colors.to_rgb(color)) for color, _ in looks[:9]]
    assert brightness == sorted(brightness)


@pytest.mark.parametrize(("names", "numbers", "colors"), [(2, 5, 5), (5, 2, 2), (10, 2, 10)])
def test_profile__colours_numbers_unless_line_styles_run_out(ax, names, numbers, colors):
    activation, sigma_w = [f"f{index}" for index in range(names)], np.arange(numbers)
    plot.profile(sweep(names, numbers, activation=activation, sigma_w=sigma_w), ax=ax)
    looks = {(to_hex(line.get_color()), str(line._dash_pattern)) for line in lines(ax)}
    assert len({color for color, _ in looks}) == colors
    assert len(looks) == names * numbers


def test_profile__tells_many_named_conditions_apart(ax):
    names = [f"activation_{index}" for index in range(30)]
    plot.profile(sweep(30, activation=names), ax=ax)
    assert len({to_hex(line.get_color()) for line in lines(ax)}) == 30
    assert texts(ax) == names


def test_profile__puts_the_legend_beside_the_axes_of_a_new_figure():
    ax = plot.profile(sweep(3, depth=[3, 6, 12]))
    ax.figure.canvas.draw()
    legend, figure = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert legend.x0 >= ax.get_window_extent().x1
    assert legend.x1 <= figure.x1


def test_profile__leaves_pyplot_alone_when_axes_are_given():
    code = (
        "import sys; from gradsim import plot; assert 'matplotlib' not in sys.modules\n"
        "import numpy as np, xarray as xr; from matplotlib.figure import Figure\n"
        "ds = xr.Dataset({'x': (('seed', 'layer'), np.zeros((2, 3)))}, {'layer': [1, 2, 3]})\n"
        "plot.profile(ds, variable='x', ax=Figure().add_subplot())\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("band", [(0.9, 0.1), (0.5, 0.5), (-0.1, 0.5), (0.1, 1.5), (0.1,)])
def test_profile__refuses_bands_that_are_no_quantiles(ax, band):
    with pytest.raises(ValueError, match="band must be two rising quantiles"):
        plot.profile(sweep(), ax=ax, band=band)


def test_profile__names_what_is_missing(ax):
    with pytest.raises(ValueError, match=r"one of \['log10_delta_norm'\], got 'log10_loss'"):
        plot.profile(sweep(), variable="log10_loss", ax=ax)
    with pytest.raises(ValueError, match="must have the dimension 'seed' and one of"):
        plot.profile(sweep().mean("layer"), ax=ax)
    with pytest.raises(TypeError, match=r"must be an xarray\.Dataset, got DataArray"):
        plot.profile(sweep().log10_delta_norm, ax=ax)
