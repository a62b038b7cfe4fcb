"""Training on digits at equal effective step, for the studies that compare conditions."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

import gradsim as gs
from gradsim.studies._digits import levelled_digits


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
