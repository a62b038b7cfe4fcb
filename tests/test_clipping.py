"""Clipping of arrays and of the engine's gradients: Pascanu, Mikolov and Bengio 2013."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradsim as gs
from gradsim.clipping import clip
from gradsim.scaled import Scaled

MEASURE = gs.measurements.clipping


def all_gradients(net):
    """Every gradient of a network's mean cost, at its own size."""
    g = gs.backward(net)
    drives = g.input_weights or []
    return [*g.weights, *g.biases, *(drives if isinstance(drives, list) else [drives])]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), st.floats(1e-3, 1e3))
def test_clip__is_algorithm_1_and_numpys_clip(numbers, threshold):
    g = [np.array(numbers), np.array([[numbers[0]]])]
    norm = np.sqrt(sum(np.sum(a**2) for a in g))
    result = clip(g, threshold)
    factor = threshold / norm if norm >= threshold else 1.0
    for new, old in zip(result.gradients, g):
        np.testing.assert_allclose(new, factor * old, rtol=1e-12, atol=1e-300)
    if norm >= threshold or norm < (1 - 1e-12) * threshold:
        assert result.clipped == (norm >= threshold)
    result = clip(g, threshold, by="value")
    for new, old in zip(result.gradients, g):
        np.testing.assert_array_equal(new, np.clip(old, -threshold, threshold))
    changed = sum(np.sum(np.abs(a) > threshold) for a in g)
    assert result.clipped == changed / (len(numbers) + 1)


def test_clip__a_norm_that_is_the_threshold_is_clipped():
    for size in (4.0, 0.1, 1e-200, 3e250):
        assert clip([np.array([0.0, size])], size).clipped == 1


@pytest.mark.parametrize("exponent", [-3000, 3000])
def test_clip__of_what_no_float_holds(exponent):
    g = [Scaled(np.array([3.0, 4.0]), exponent), Scaled(np.array([12.0]), exponent)]
    result = clip(g, 0.5)
    assert result.log10_norm_before == pytest.approx(np.log10(13) + exponent * np.log10(2))
    if exponent > 0:
        np.testing.assert_allclose(result.gradients[0].to_array(), [1.5 / 13, 2 / 13])
        assert clip(g, 0.5, by="value").log10_norm_after == pytest.approx(np.log10(0.75) / 2)
    else:
        assert result.gradients[0] is g[0]
        assert clip(g, 0.5, by="value").clipped == 0


def test_clip__keeps_dtype_and_refuses_what_is_not_finite():
    assert clip([np.ones(3, np.float32)], 1.0).gradients[0].dtype == np.float32
    for bad in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match=r"gradients\[1\] is not finite"):
            clip([np.ones(2), np.array([1.0, bad])], 1.0)
    with pytest.raises(ValueError, match="by must be one of"):
        clip([np.ones(2)], 1.0, by="size")
    with pytest.raises(ValueError, match="threshold must be a finite number > 0"):
        clip([np.ones(2)], 0.0)


@pytest.mark.parametrize("by", ["norm", "value"])
@pytest.mark.parametrize(
    "model",
    [
        gs.MLP(depth=4, width=5, sigma_w=1.5, sigma_b=0.1),
        gs.MLP(depth=3, width=4, cell="residual", output_width=2, norm="batch"),
        gs.RNN(steps=5, width=4, sigma_u=0.6, input_width=3, sigma_b=0.2),
        gs.RNN(steps=4, width=4, cell="gru", sigma_u=0.6, input_width=2, tied=False),
        gs.RNN(steps=4, width=3, cell="lstm", loss_at="all"),
    ],
    ids=lambda m: f"{m.cell}-{m.norm}",
)
def test_measurement__is_the_function_on_the_networks_gradients(model, by, tmp_path):
    inputs = None if isinstance(model, gs.RNN) and not model.sigma_u else 3
    gradients = all_gradients(gs.network(model, 1, inputs=inputs))
    sizes = np.concatenate([np.abs(np.ldexp(g.array, g.exponent)).ravel() for g in gradients])
    threshold = float(np.quantile(sizes[sizes > 0], 0.6))  # between two sizes
    want = clip(gradients, threshold, by)
    spec = MEASURE(threshold=threshold, by=by)
    ds = gs.simulate(model, 3, inputs=inputs, measure=[spec, "gradient"])
    one = ds.sel(seed=1)
    assert one.log10_norm_before == pytest.approx(want.log10_norm_before, abs=1e-9)
    assert one.log10_norm_after == pytest.approx(want.log10_norm_after, abs=1e-9)
    assert one.clipped == pytest.approx(want.clipped, abs=1e-12)
    assert 0 < want.clipped <= 1
    gs.save(ds, tmp_path / "c.nc")
    assert gs.load(tmp_path / "c.nc").identical(ds)


def test_measurement__of_each_example_far_outside_the_range():
    model = gs.MLP(depth=400, width=6, activation="identity", output="identity", sigma_w=30.0)
    ds = gs.simulate(model, 2, inputs=2, batch="each", measure=[MEASURE(by="value"), "gradient"])
    assert np.all(ds.log10_norm_before > 500)
    assert np.all(ds.clipped == 1)
    count = 400 * (36 + 6)
    np.testing.assert_allclose(ds.log10_norm_after, np.log10(count) / 2, atol=1e-12)
    parts = 2 * np.stack([ds.log10_weight_grad_norm, ds.log10_bias_grad_norm])
    top = parts.max()
    want = top + np.log10((10 ** (parts - top)).sum(axis=(0, 3)))
    np.testing.assert_allclose(ds.log10_norm_before, want / 2, atol=1e-9)


def test_measurement__of_what_is_not_finite_reads_nan_not_clipped():
    model = gs.MLP(depth=4, width=4, activation="softplus", sigma_w=1e200)
    ds = gs.simulate(model, 2, measure=[MEASURE(), "gradient"])
    assert np.all(ds.status == 2)
    for name in ("log10_norm_before", "log10_norm_after", "clipped"):
        assert np.isnan(ds[name]).all()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"threshold": -1.0}, ValueError, "threshold must be a finite number > 0"),
        ({"by": "size"}, ValueError, r"by must be one of \['norm', 'value'\]"),
        ({"threshold": "1"}, TypeError, "threshold must be a float"),
    ],
)
def test_measurement__refuses_by_name(parameters, error, message):
    with pytest.raises(error, match=message):
        gs.simulate(gs.MLP(depth=2, width=2), 1, measure=[MEASURE(**parameters)])
