"""Remedies, weight decay: what L2 does to the gradient of the data, apart from its own penalty.

Plain networks whose gradients vanish are trained with and without L2. The penalty adds l2 W to the
gradient of every matrix, which does not vanish towards the input; the gradient of the data is
followed beside it.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, band, bootstrap, canvas, decades, legend

DEPTH, WIDTH, EXAMPLES = 20, 30, 16  # at depth 8 a gradient falls by less than two decades
STEPS, RATE, STRENGTHS = 60, 0.1, (0.0, 0.02)
PLAIN, STRONG = STRENGTHS
BEST = 2.0  # factor on the weights: the plain network's best of the study `remedies`
MARGIN = 0.1  # decades: a factor 1.26
MODEL = gs.MLP(DEPTH, WIDTH, activation="tanh", output="identity", init="pytorch_linear")


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Norms of the two gradients by layer before and after training; before, at the best gain."""
    ds = gs.train(
        MODEL, seeds, learning_rate=RATE, steps=STEPS, vary={"l2": STRENGTHS},
        inputs=EXAMPLES, threads=threads,
    )  # fmt: skip
    names = ["log10_gradient_norm", "log10_penalty_norm", "log10_weight_norm"]
    ends = ds[names].isel(iteration=[0, -1]).drop_attrs(deep=False)
    best = gs.simulate(MODEL.with_fields(sigma_w=BEST), seeds, inputs=EXAMPLES, threads=threads)
    return ends.assign(best_gain=best.log10_weight_grad_norm)


def estimate(ds: xr.Dataset) -> list[Row]:
    """Effects on the data's gradient of layer 1, on its ratio to the last layer's; the penalty."""
    data = ds.log10_gradient_norm
    effect = (data.sel(l2=STRONG) - data.sel(l2=PLAIN)).isel(iteration=[0, -1])
    first, last = effect.sel(layer=1), effect.sel(layer=DEPTH)
    gained = data.sel(l2=STRONG).isel(iteration=0) - ds.best_gain
    share = (ds.log10_penalty_norm - data).sel(l2=STRONG, layer=1)
    return [
        bootstrap(np.mean, first[:, 0], 0.0),
        bootstrap(np.mean, first[:, 1]),
        bootstrap(np.mean, (first - last)[:, 1]),
        bootstrap(np.mean, gained.sel(layer=1) - gained.sel(layer=DEPTH)),
        bootstrap(np.mean, share[:, 0]),
        bootstrap(np.mean, share[:, 1]),
    ]


def figure(ds: xr.Dataset) -> Any:
    """Draw both gradients by layer, before and after training."""
    fig, axes = canvas(10, 4.4, 1, 2, sharey=True)
    for i, (ax, title) in enumerate(zip(axes, ("before training", f"after {STEPS} steps"))):
        at = ds.isel(iteration=i)
        for strength, color in zip(STRENGTHS, (OKABE_ITO[5], OKABE_ITO[4])):
            one, label = at.log10_gradient_norm.sel(l2=strength), f"data, l2 = {strength:g}"
            band(ax, ds.layer, one, color, label, marker="o")
        penalty, label = at.log10_penalty_norm.sel(l2=STRONG), f"penalty, l2 = {STRONG:g}"
        band(ax, ds.layer, penalty, OKABE_ITO[4], label, marker="s", linestyle="--", mfc="white")
        ax.set_title(title, loc="left")
        ax.set(xlabel="layer, from the input", xticks=[1, 5, 10, 15, DEPTH])
    band(axes[0], ds.layer, ds.best_gain, OKABE_ITO[2], "plain, best gain", marker="^")
    decades(axes[0].yaxis)
    axes[0].set_ylabel("norm of the gradient (median, 5 to 95 %)")
    legend(fig, [axes[0]], 5)
    return fig


STUDY = Study(
    name="remedies_weight_decay",
    claim="Weight decay (L2) counteracts vanishing gradients: early layers go on moving.",
    statistic="mean over networks, in decades, of the data's gradient with l2 = 0.02 over that "
    "without, of the first layer and of the first layer over the last; the latter before "
    "training over that of the plain network at its best gain; of penalty over data",
    population="tanh MLP of depth 20 and width 30, W ~ U(-1, 1) / sqrt(30) (PyTorch's default), no "
    "biases, 16 inputs and targets N(0, 1), squared error, SGD of rate 0.1 on all, 60 steps",
    theory="The penalty's gradient is l2 W, the same in all layers. It is not in the data's "
    "gradient; a factor exp(-rate l2 t) on every matrix makes that smaller by its power depth - 1.",
    condition="The whole gradient of early layers does not vanish because the penalty's does not, "
    "and it points to zero. The data's gradient is as it was at first and smaller later.",
    parts=(
        Part("before training: the data's gradient is larger in layer 1", MARGIN, holds=False),
        Part("after training: the data's gradient is larger in layer 1", MARGIN, holds=False),
        Part("after training: it vanishes less from the last layer on", MARGIN, holds=False),
        Part("before training: it vanishes as little as at the best gain", -MARGIN, holds=False),
        Part("before training: the penalty exceeds the data's in layer 1", MARGIN),
        Part("after training: the penalty exceeds the data's in layer 1", MARGIN),
    ),
    networks=200, quick=8, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
