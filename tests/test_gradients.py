"""Gradients of single networks at the ends of the range of float64."""

import numpy as np
import pytest

import gradsim as gs

TWO = np.eye(2)


@pytest.mark.parametrize("size", [1e-300, 1e300, 1.7e308])
@pytest.mark.parametrize("examples", [1, 3])
def test_backward__weights_may_fill_the_range_of_float64(size, examples):
    x, v = np.ones((examples, 2)), np.array([3.0, 4.0])
    net = gs.from_arrays(
        [TWO * size] * 2, activation="identity", loss="linear", inputs=x, targets=v
    )  # fmt: skip
    gradients = gs.backward(net)
    two = 2 * np.log10(size)
    total = gradients.inputs.log10_norm() + np.log10(examples) / 2  # each has 1 / examples
    assert total == pytest.approx(two + np.log10(5))
    for gradient in gradients.weights:
        assert gradient.log10_norm() == pytest.approx(two / 2 + np.log10(5 * 2**0.5))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_backward__a_forward_pass_out_of_range_is_refused_where_simulate_gives_status_2(activation):
    net = gs.from_arrays([TWO * 1e308, TWO], activation=activation, inputs=np.full((1, 2), 1e300))
    ds = gs.simulate(net, 1, progress=False)
    assert ds.status.item() == 2
    with pytest.raises(OverflowError, match=f"layer {ds.status_layer.item()}.*status 2"):
        gs.backward(net)
