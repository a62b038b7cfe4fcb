"""Statistics over seeds, against constructed profiles and plain loops."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradsim import analysis, storage
from gradsim.analysis import _resample

INF, NAN = np.inf, np.nan


def profile(values, dims=("seed", "layer"), **coords) -> xr.Dataset:
    """Wrap log10 norms; layers (steps) are numbered from 1."""
    array = np.asarray(values, dtype=float)
    numbered = {
        d: np.arange(d in ("layer", "step"), n + (d in ("layer", "step")))
        for d, n in zip(dims, array.shape)
    }
    attrs = {"long_name": "norm of delta", "units": "1", "formula": "log10 norm(delta)"}
    return xr.Dataset(
        {"log10_delta_norm": (dims, array, attrs)},
        numbered | coords,
        {"history": "simulated", "gradsim_config": "{}"},
    )


def walk(rng, *shape, mean=-0.1, sd=0.05):
    """Random walks of the log-norm from 0 at the output back to layer 1."""
    steps = rng.normal(mean, sd, shape)
    steps[..., -1] = 0
    return np.cumsum(steps[..., ::-1], axis=-1)[..., ::-1]


def log_rms(values):
    """log10 of the root mean square, with Python's exact integers for the exponents."""
    top = max(values)
    if math.isinf(top):
        return top
    return top + 0.5 * math.log10(sum(10 ** (2 * (v - top)) for v in values) / len(values))


# quantile


def test_quantile__keeps_minus_inf_and_never_makes_nan():
    ds = profile([[-INF, -INF], [-INF, -2.0], [-3.0, 1.0]])
    low, mid, high = analysis.quantile(ds, [0.3, 0.5, 1.0]).log10_delta_norm.values
    assert low.tolist() == [-INF, -INF]
    assert mid.tolist() == [-INF, -2.0]
    assert high.tolist() == [-3.0, 1.0]


def test_quantile__leaves_nan_out_and_keeps_absent_layers():
    ds = profile([[NAN, 1.0], [NAN, NAN], [NAN, 5.0]])
    assert analysis.quantile(ds, 0.5).log10_delta_norm.values.tolist()[1] == 1.0
    assert np.isnan(analysis.quantile(ds, 0.5).log10_delta_norm.values[0])


@settings(deadline=None, derandomize=True)
@given(
    values=hnp.arrays("f8", st.tuples(st.integers(1, 30)), elements=st.floats(-1e3, 1e3)),
    q=st.floats(0, 1) | st.sampled_from([0.05, 0.25, 0.5, 0.95]),
)
def test_quantile__is_inverted_cdf_of_numpy(values, q):
    found = analysis.quantile(xr.Dataset({"x": ("seed", values)}), q).x.item()
    assert found == np.quantile(values, q, method="inverted_cdf")


def test_quantile__keeps_dtypes_dims_and_variables_without_the_dim():
    ds = profile(np.zeros((2, 3, 4)), ("sigma_w", "seed", "layer"), fan_in=("layer", [1, 2, 3, 4]))
    ds = ds.assign(
        status=(("sigma_w", "seed"), np.array([[0, 1, 1], [0, 0, 0]], dtype=np.int8)),
        exact=("layer", [1.0, 2.0, 3.0, 4.0]),
        clipped=("seed", [True, True, False]),
        note=("seed", ["a", "b", "c"]),
    )
    found = analysis.quantile(ds, (0.5, 0.9))
    assert found.log10_delta_norm.dims == ("quantile", "sigma_w", "layer")
    assert found.status.dtype == np.int8
    assert found.status.values.tolist() == [[1, 0], [1, 0]]
    assert found.clipped.values.tolist() == [True, True]
    assert found.exact.identical(ds.exact)
    assert found["quantile"].values.tolist() == [0.5, 0.9]
    assert "fan_in" in found.coords
    assert "seed" not in found.coords
    assert "note" not in found
    assert found.log10_delta_norm.attrs == ds.log10_delta_norm.attrs
    assert analysis.quantile(ds, 0.5).log10_delta_norm.dims == ("sigma_w", "layer")


def test_quantile__reduces_several_dims_together():
    ds = profile(np.arange(12.0).reshape(2, 3, 2), ("seed", "example", "layer"))
    found = analysis.quantile(ds, 0.5, dim=("seed", "example")).log10_delta_norm
    assert found.values.tolist() == [4.0, 5.0]


@pytest.mark.parametrize("q", [1.1, -0.1, NAN, [], [[0.5]], [0.5, 2]])
def test_quantile__refuses_what_is_no_probability(q):
    with pytest.raises(ValueError, match=r"q must be a probability in \[0, 1\]"):
        analysis.quantile(profile([[0.0]]), q)


def test_quantile__refuses_unknown_and_empty_dims():
    with pytest.raises(ValueError, match=r"dim must be among \['seed', 'layer'\].*'sed'"):
        analysis.quantile(profile([[0.0]]), 0.5, dim="sed")
    with pytest.raises(ValueError, match="not empty, got 'seed'"):
        analysis.quantile(profile(np.zeros((0, 1))), 0.5)
    with pytest.raises(TypeError, match=r"ds must be an xarray\.Dataset"):
        analysis.quantile(profile([[0.0]]).log10_delta_norm, 0.5)


# growth_rate


def test_growth_rate__is_exact_for_straight_lines():
    slopes = np.array([-25.0, -0.5, 0.25])
    values = slopes[:, None, None] * np.arange(49, -1, -1) * np.ones((4, 1))
    found = analysis.growth_rate(profile(values, ("sigma_w", "seed", "layer")))
    np.testing.assert_allclose(found.growth_typical, slopes, rtol=1e-12)
    np.testing.assert_allclose(found.growth_rms, slopes, rtol=1e-12)
    np.testing.assert_allclose(found.low.sel(statistic="rms"), slopes, rtol=1e-12)
    np.testing.assert_allclose(found.growth, np.tile(slopes[:, None], 4), rtol=1e-12)
    assert found.growth.dims == ("sigma_w", "seed")
    assert found.low.dims == ("sigma_w", "statistic")
    assert float(values.min()) == -1225.0


@pytest.mark.parametrize("shift", [0.0, -1250.0, 900.0])
def test_growth_rate__agrees_with_plain_loops(shift):
    rng = np.random.default_rng(3)
    values = walk(rng, 2, 40, 30, mean=0.2, sd=0.5) + shift
    values[0, 7, :12] = values[1, 5, :3] = values[1, 6, :4] = -INF
    found = analysis.growth_rate(profile(values, ("sigma_w", "seed", "layer")))
    for condition, array in enumerate(values):
        start, end = array[:, 6 - 1], array[:, 29 - 1]
        finite = [(a - b) / 23 for a, b in zip(start, end) if np.isfinite(a)]
        here = found.isel(sigma_w=condition)
        assert here.growth_typical.item() == pytest.approx(np.mean(finite), rel=1e-12)
        rms = (log_rms(list(start)) - log_rms(list(end))) / 23
        assert here.growth_rms.item() == pytest.approx(rms, rel=1e-9)
        np.testing.assert_array_equal(here.growth, (start - end) / 23)
    assert found.zero_share.values.tolist() == [1 / 40, 0.0]
    assert (found.window_first == 6).all()
    assert (found.window_last == 29).all()


def test_growth_rate__holds_when_seeds_lie_hundreds_of_decades_apart():
    levels = np.array([-1250.0, -900.0, -300.0, 0.0, 400.0])
    values = levels[:, None] * np.linspace(1, 0, 12)
    found = analysis.growth_rate(profile(values), (1, 12), resamples=4000)
    assert found.growth_rms.item() == pytest.approx((400 - 0.5 * math.log10(5)) / 11, rel=1e-12)
    low, high = found.low.sel(statistic="rms").item(), found.high.sel(statistic="rms").item()
    # The largest of the seeds drawn decides; the best of five is missed with probability 0.33,
    # the best two with 0.08, the best three with 0.010.
    assert low == pytest.approx(-300 / 11, abs=0.2)
    assert high == pytest.approx(400 / 11, abs=0.2)


def test_growth_rate__counts_zeros_in_rms_and_share_but_not_in_typical():
    values = np.tile(np.array([0.0, -1.0, -2.0, -3.0, -4.0, -5.0]), (4, 1))
    values[0] = [-INF, -INF, -INF, -INF, -INF, 0.0]
    values[1] = [-INF, -INF, -INF, -3.0, -4.0, -5.0]
    found = analysis.growth_rate(profile(values), (2, 5))
    assert found.zero_share.item() == 0.5
    assert found.growth.values.tolist() == [-INF, -INF, 1.0, 1.0]
    assert found.growth_typical.item() == 1.0
    two_of_four, three_of_four = 0.5 * math.log10(0.5), 0.5 * math.log10(0.75)
    assert found.growth_rms.item() == pytest.approx((3 + two_of_four - three_of_four) / 3)


def test_growth_rate__of_dead_networks_alone_is_labelled_and_not_a_number():
    found = analysis.growth_rate(profile(np.full((3, 10), -INF)))
    assert found.zero_share.item() == 1.0
    assert np.isnan(found.growth_typical)
    assert np.isneginf(found.growth).all()
    dying = analysis.growth_rate(profile(np.tile([-INF] * 8 + [0.0, 0.0], (3, 1))))
    assert np.isneginf(dying.growth_rms)
    assert np.isneginf(dying.low.sel(statistic="rms"))


@settings(deadline=None, derandomize=True)
@given(logs=hnp.arrays("f8", (6, 3), elements=st.floats(-1500, 1500) | st.just(-INF)))
def test_log_weighted_sum__never_underflows(logs):
    weights = np.array([[1.0] * 6, [0, 3, 0, 2, 1, 0], [0, 0, 0, 0, 6, 0], [2, 0, 4, 0, 0, 0]])
    found = _resample.log_weighted_sum(weights, logs)
    for (row, column), value in np.ndenumerate(found):
        drawn = np.repeat(logs[:, column], weights[row].astype(int))
        top = drawn.max()
        exact = top + math.log10(sum(10.0 ** (drawn - top))) if np.isfinite(top) else top
        assert value == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_growth_rate__gives_each_depth_its_own_window():
    depths = [1, 2, 3, 4, 12, 50]
    values = np.full((6, 5, 50), NAN)
    for index, depth in enumerate(depths):
        values[index, :, :depth] = -0.1 * np.arange(depth - 1, -1, -1)
        values[index, :, depth - 1] = 7.0
    found = analysis.growth_rate(profile(values, ("depth", "seed", "layer"), depth=depths))
    np.testing.assert_array_equal(found.window_first, [NAN, NAN, 1, 2, 3, 10])
    np.testing.assert_array_equal(found.window_last, [NAN, NAN, 2, 3, 11, 49])
    for name in ("growth_typical", "growth_rms"):
        np.testing.assert_allclose(found[name], [NAN, NAN, -0.1, -0.1, -0.1, -0.1], rtol=1e-12)
    assert np.isnan(found.low[:2]).all()
    assert np.isnan(found.zero_share[:2]).all()
    chosen = analysis.growth_rate(profile(values, ("depth", "seed", "layer")), (5, 9))
    np.testing.assert_array_equal(chosen.window_first, [NAN] * 4 + [5, 5])
    np.testing.assert_allclose(chosen.growth_typical, [NAN] * 4 + [-0.1] * 2, rtol=1e-12)


def test_growth_rate__takes_steps_and_states():
    values = np.tile(0.25 * np.arange(20, -1, -1), (3, 1))
    ds = profile(values[:, 1:], ("seed", "step"))
    ds["log10_state_grad_norm"] = (("seed", "state_step"), values)
    ds = ds.assign_coords(state_step=np.arange(21))
    steps = analysis.growth_rate(ds)
    states = analysis.growth_rate(ds, variable="log10_state_grad_norm")
    assert steps.growth_typical.item() == states.growth_typical.item() == 0.25
    assert (states.window_first, states.window_last) == (4, 19)


def test_growth_rate__treats_examples_of_a_network_as_one_sample():
    rng = np.random.default_rng(5)
    values = walk(rng, 25, 30)
    once = analysis.growth_rate(profile(values))
    many = analysis.growth_rate(
        profile(np.repeat(values[:, None], 8, axis=1), ("seed", "example", "layer"))
    )
    for name in ("growth_typical", "growth_rms", "low", "high", "zero_share"):
        np.testing.assert_allclose(many[name], once[name], rtol=1e-12)
    assert many.growth.dims == ("seed", "example")


def test_growth_rate__intervals_cover_the_truth():
    rng = np.random.default_rng(7)
    ds = profile(walk(rng, 400, 60, 30, mean=-0.1, sd=0.05), ("run", "seed", "layer"))
    found = analysis.growth_rate(ds)
    typical, rms = -0.1, -0.1 + 0.05**2 * math.log(10)  # of one step; a walk of 23 steps below
    steps = 29 - 6
    # rms at both ends: sd^2 grows with the distance from the output, so the ratio is exact.
    hits = {
        "typical": (found.low <= typical) & (typical <= found.high),
        "rms": (found.low <= rms) & (rms <= found.high),
    }
    assert 0.91 < hits["typical"].sel(statistic="typical").mean() < 0.97
    assert 0.88 < hits["rms"].sel(statistic="rms").mean() < 0.98
    width = (found.high - found.low).sel(statistic="typical").mean()
    assert width == pytest.approx(2 * 1.96 * 0.05 / math.sqrt(60 * steps), rel=0.05)


def test_growth_rate__is_repeatable_and_needs_two_seeds():
    ds = profile(walk(np.random.default_rng(1), 1, 10))
    assert np.isnan(analysis.growth_rate(ds).low).all()
    ds = profile(walk(np.random.default_rng(1), 9, 10))
    xr.testing.assert_identical(analysis.growth_rate(ds), analysis.growth_rate(ds))


def test_growth_rate__leaves_out_seeds_without_a_value():
    values = walk(np.random.default_rng(2), 6, 12)
    holed = np.concatenate([values, np.full((2, 12), NAN)])
    whole, found = analysis.growth_rate(profile(values)), analysis.growth_rate(profile(holed))
    np.testing.assert_allclose(found.growth_rms, whole.growth_rms, rtol=1e-12)
    assert np.isnan(found.growth[6:]).all()


def test_growth_rate__describes_itself(tmp_path):
    ds = profile(np.zeros((2, 3, 9)), ("activation", "seed", "layer"), activation=["tanh", "relu"])
    found = analysis.growth_rate(ds)
    assert found.attrs["gradsim_config"] == "{}"
    assert found.attrs["history"].startswith("simulated\ngradsim.analysis.growth_rate(")
    assert found.activation.values.tolist() == ["tanh", "relu"]
    for name in found:
        assert {"long_name", "units", "formula"} <= set(found[name].attrs), name
    storage.save(ds, tmp_path / "ds.nc")
    storage.save(found, tmp_path / "growth.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "growth.nc"), found)
    with storage.load(tmp_path / "ds.nc", lazy=True) as lazy:
        xr.testing.assert_identical(analysis.growth_rate(lazy), found)


@pytest.mark.parametrize(
    "window", [(5, 3), (3, 3), (0, 4), (2, 11), (2,), (2, 3, 4), (2.5, 4), "ab", 3, (None, 4)]
)
def test_growth_rate__refuses_windows_that_are_not_there(window):
    with pytest.raises(ValueError, match="window must be a pair first < last from 1 to 10"):
        analysis.growth_rate(profile(np.zeros((2, 10))), window)


def test_growth_rate__refuses_other_arguments_by_name():
    ds = profile(np.zeros((2, 10)))
    with pytest.raises(ValueError, match="level must be in"):
        analysis.growth_rate(ds, level=95)
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        analysis.growth_rate(ds, resamples=0)
    with pytest.raises(ValueError, match=r"here one of \['log10_delta_norm'\], got 'delta'"):
        analysis.growth_rate(ds, variable="delta")
    with pytest.raises(ValueError, match="must have the dimension 'seed'"):
        analysis.growth_rate(ds.isel(seed=0))
    with pytest.raises(ValueError, match="must have a coordinate of increasing numbers"):
        analysis.growth_rate(ds.drop_vars("layer"))
    with pytest.raises(ValueError, match="at least one seed"):
        analysis.growth_rate(ds.isel(seed=[]))
    with pytest.raises(TypeError, match=r"must be an xarray\.Dataset, got dict"):
        analysis.growth_rate({})


# onset


def test_onset__finds_first_passage_and_last_crossing():
    found = analysis.onset(
        profile(
            [
                [-9.0, -4.0, -3.5, -2.0, 0.0],  # straight down
                [-4.0, -2.0, -3.5, -2.0, 0.0],  # and back, and down again
                [-1.0, -4.0, -3.5, -2.0, 0.0],  # ends above
                [0.0, -1.0, -2.0, -2.9, 0.0],  # never
                [-INF, -INF, -INF, -1.0, 0.0],  # dead
            ]
        ),
        below=1e-3,
    )
    assert found.first_passage.values.tolist() == [2, 2, 2, INF, 2]
    assert found.last_crossing.values.tolist() == [2, 4, INF, INF, 2]
    assert found.share.item() == 0.8


def test_onset__is_relative_to_the_output_of_the_same_network():
    values = np.array([[-2.0, -1.0, 0.0]]) + np.array([[-1250.0], [0.0], [300.0]])
    assert analysis.onset(profile(values), 0.05).first_passage.values.tolist() == [2, 2, 2]


def test_onset__finds_explosions():
    values = [[4.0, 3.5, 1.0, 0.0], [1.0, 3.5, 1.0, 0.0], [-INF, -INF, -INF, 0.0]]
    found = analysis.onset(profile(values), above=1e3)
    assert found.first_passage.values.tolist() == [2, 2, INF]
    assert found.last_crossing.values.tolist() == [2, INF, INF]
    assert found.share.item() == pytest.approx(2 / 3)


def test_onset__counts_from_the_output_of_each_depth():
    values = np.full((3, 2, 6), NAN)
    values[0, :, :1] = 0.0
    values[1, :, :3] = [-4.0, -2.0, 0.0]
    values[2, :, :6] = [-10.0, -8.0, -6.0, -4.0, -2.0, 0.0]
    values[2, 1] = NAN
    found = analysis.onset(profile(values, ("depth", "seed", "layer"), depth=[1, 3, 6]))
    np.testing.assert_array_equal(found.first_passage, [[NAN, NAN], [2, 2], [2, NAN]])
    np.testing.assert_array_equal(found.share, [NAN, 1, 1])


def test_onset__counts_a_network_dead_at_its_output_as_vanished():
    found = analysis.onset(profile(np.full((1, 4), -INF)))
    assert (found.first_passage.item(), found.last_crossing.item()) == (1, 1)


def test_onset__gives_quantiles_that_stay_right():
    values = np.zeros((10, 5))
    values[:4, :3] = -4.0
    found = analysis.quantile(analysis.onset(profile(values)), [0.25, 0.5]).first_passage
    assert found.values.tolist() == [2.0, INF]


@settings(deadline=None, derandomize=True)
@given(
    hnp.arrays("f8", (3, 2, 7), elements=st.sampled_from([-INF, -3.5, -3.0, -2.5, 0.0, 2.5, 3.5])),
    st.booleans(),
)
def test_onset__agrees_with_a_plain_loop(values, explode):
    values[..., -1] = 0.0
    limit = {"above": 1e3} if explode else {"below": 1e-3}
    found = analysis.onset(profile(values, ("seed", "example", "step")), **limit)
    for index in np.ndindex(3, 2):
        backwards = values[index][-2::-1]
        beyond = [v > 3 if explode else v < -3 for v in backwards]
        first = next((d for d, hit in enumerate(beyond, 1) if hit), INF)
        last = next((d for d in range(1, 7) if all(beyond[d - 1 :])), INF)
        assert found.first_passage.values[index] == first
        assert found.last_crossing.values[index] == last


def test_onset__takes_exactly_one_threshold_in_range():
    ds = profile(np.zeros((2, 4)))
    assert "below=0.001, above=None" in analysis.onset(ds).attrs["history"]
    for both in ({"below": None}, {"below": 1e-3, "above": 1e3}):
        with pytest.raises(ValueError, match="exactly one of below and above"):
            analysis.onset(ds, **both)
    for below in (0, 1, -1.0, NAN):
        with pytest.raises(ValueError, match=r"below must be a ratio in \(0, 1\)"):
            analysis.onset(ds, below)
    for above in (1, INF, NAN):
        with pytest.raises(ValueError, match="above must be a finite ratio > 1"):
            analysis.onset(ds, above=above)
