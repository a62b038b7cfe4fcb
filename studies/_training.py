"""Training in the studies: networks before and after it, and digits at equal effective step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._digits import levelled_digits
from gradsim.studies._layers import Layers, over_seeds


def before_and_after(
    model: gs.MLP,
    seeds: Any,
    function: Callable[[Layers, Layers], Any],
    *,
    inputs: Any,
    targets: Any,
    threads: int | None,
    **options: Any,
) -> tuple[xr.Dataset, np.ndarray]:
    """Train, and compute a function of every network as it was before and as it is after.

    The `options` are those of :func:`gradsim.train`, whose result comes first; the values of the
    function are (seed, ...).
    """
    ds = gs.train(
        model, seeds, inputs=inputs, targets=targets, threads=threads, keep=True, **options
    )

    def one(seed: int) -> Any:
        start = gs.network(model, seed, inputs=inputs, targets=targets)
        final = start.with_parameters(ds.final_parameter.sel(seed=seed).values)
        return function(Layers(start), Layers(final))

    return ds, np.array(over_seeds(one, seeds, threads))


def train_on_digits(
    net: gs.MLP,
    seeds: Any,
    *,
    shares: Sequence[float],
    steps: int,
    examples: int,
    mean_square: float,
    threads: int | None,
) -> tuple[xr.Dataset, xr.DataArray]:
    """Train full-batch SGD; the result over `share`, and log10 of the loss before (seed,).

    The learning rates are such that the first step of the median network takes a `share` of the
    loss away to first order, rate * norm(gradient)^2 / loss.
    """
    x, targets = levelled_digits(examples, mean_square)
    start = gs.simulate(net, seeds, inputs=x, targets=targets, threads=threads)
    weights, biases = start.log10_weight_grad_norm, start.log10_bias_grad_norm
    square = (10 ** (2 * weights) + (net.sigma_b > 0) * 10 ** (2 * biases)).sum("layer")
    ratio = (10**start.log10_loss / square).median("seed").item()
    rates = [share * ratio for share in shares]
    ds = gs.train(net, seeds, learning_rate=0.0, vary={"learning_rate": rates}, inputs=x,
                  targets=targets, steps=steps, threads=threads)  # fmt: skip
    ds = ds.rename(learning_rate="share").assign_coords(share=list(shares))
    return ds.assign_coords(rate=("share", rates)), start.log10_loss
