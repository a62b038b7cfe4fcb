"""Why gradients decay towards early layers, and what that does under one learning rate.

Networks learn handwritten digits by gradient descent. The decay with depth is split into the
factor of the slopes and that of the weights, norm(W' delta) / norm(delta), before and after
training; it is drawn beside the decay with iterations, which is another thing, and beside the size
of an update over that of the weights.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, stacked, tabled
from gradsim.studies._training import before_and_after

WIDTH, DEPTH, EXAMPLES, STEPS, RATE = 20, 6, 100, 60, 0.1
BASE = gs.MLP(DEPTH, WIDTH, output="softmax", loss="cross_entropy")
NETS = {"sigmoid": 1.0, "tanh": 1.0}  # sigma_w
FIRST, LAST = 2, DEPTH - 1  # square layers below the output
TIMES = ("before", "after")
FACTORS = {
    "of_slopes": "decades per layer backwards of the slopes",
    "of_weights": "decades per layer backwards of the weights",
}
DECAY, RATIO = 0.1, 1.0  # decades a layer; decades


def factors(layers: Layers) -> tuple[float, float]:
    """Decades per layer backwards of slopes and of weights, mean over examples and layers."""
    slopes, weights = [], []
    for layer in range(FIRST, LAST):
        above = layers.deltas[layer + 1]
        spread = above @ layers.weights[layer]
        norms = [np.linalg.norm(rows, axis=1) for rows in (above, spread, layers.deltas[layer])]
        above_norm, spread_norm, norm = norms
        weights.append(np.log10(spread_norm / above_norm).mean())
        slopes.append(np.log10(norm / spread_norm).mean())
    return float(np.mean(slopes)), float(np.mean(weights))


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Norms of every iteration and layer, and both factors before and after, of every network."""
    x, y = digits(EXAMPLES)
    runs = []
    for name, sigma_w in NETS.items():
        ds, numbers = before_and_after(
            BASE.with_fields(activation=name, sigma_w=sigma_w), seeds,
            lambda *nets: [factors(net) for net in nets], inputs=x, targets=y, threads=threads,
            learning_rate=RATE, steps=STEPS,
        )  # fmt: skip
        update = (ds.log10_update_norm - ds.log10_weight_norm).assign_attrs(
            long_name="log10 of the size of an update over that of the weights", units="1"
        )
        split = tabled(np.moveaxis(numbers, -1, 0), FACTORS, ("seed", "time"), time=TIMES)
        kept = ds[["log10_gradient_norm", "log10_loss"]].assign(relative_update=update)
        runs.append(kept.merge(split))
    return stacked(runs, "activation", NETS)


def depth_decay(ds: xr.Dataset, name: str, time: str) -> np.ndarray:
    """Decades per layer backwards of the gradient's norm, (seed,)."""
    norm = ds.log10_gradient_norm.sel(activation=name).isel(iteration=0 if time == "before" else -1)
    return ((norm.sel(layer=FIRST) - norm.sel(layer=LAST)) / (LAST - FIRST)).values


def expected(name: str) -> float:
    """Mean-field growth in the limit of depth."""
    model = gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=NETS[name])
    return gs.theory.mean_field(model).growth_rms.item() if name == "sigmoid" else np.nan


def estimate(ds: xr.Dataset) -> list[Row]:
    """Decay with depth and its factors, decay with iterations, and the ratio of updates."""
    rows = []
    for name in NETS:
        at, theory = ds.sel(activation=name), expected(name)
        rows.append(bootstrap(np.mean, depth_decay(ds, name, "before"), theory))
        rows.append(bootstrap(np.mean, depth_decay(ds, name, "after")))
        rows.append(bootstrap(np.mean, at.of_slopes.sel(time="before"), theory))
        rows.append(bootstrap(np.mean, at.of_weights.sel(time="before"), 0.0))
        ends = at.log10_gradient_norm.isel(iteration=[0, -1]).mean("layer")
        rows.append(bootstrap(np.mean, (ends[:, 1] - ends[:, 0]).values))
        update = at.relative_update.isel(iteration=0)
        rows.append(bootstrap(np.mean, (update.sel(layer=1) - update.sel(layer=DEPTH)).values))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the decays with depth and with iterations, the factors, and the relative updates."""
    fig, axes = canvas(12, 6.6, len(NETS), 3, sharex="col", sharey="col")
    colors = [OKABE_ITO[i] for i in (5, 1, 3, 2, 4, 6)]
    for row, name in zip(axes, NETS):
        at = ds.sel(activation=name)
        gradient = 10 ** at.log10_gradient_norm.median("seed")
        update = 10 ** at.relative_update.median("seed")
        for layer, color in zip(ds.layer.values, colors):
            label = f"layer {layer}"
            row[1].plot(ds.iteration, gradient.sel(layer=layer), color=color, label=label)
            row[2].plot(ds.iteration, update.sel(layer=layer), color=color)
        for k, style, label in ((0, "o-", "before training"), (-1, "s--", "after 60 steps")):
            row[0].plot(ds.layer, gradient.isel(iteration=k), style, color="black" if k else "0.5",
                        label=label)  # fmt: skip
        if name == "sigmoid":
            inner = np.arange(FIRST, LAST + 1)
            law = gradient.isel(iteration=0).sel(layer=LAST).item()
            law = law * 10 ** (expected(name) * (LAST - inner))
            row[0].plot(inner, law, ":", color=OKABE_ITO[6],
                        linewidth=2.5, label="theory, mean field")  # fmt: skip
        slopes, weights = (at[part].sel(time="before").mean().item() for part in FACTORS)
        titles = (f"{name}: slopes {slopes:+.2f}, weights {weights:+.2f} decades a layer",
                  f"{name}: by iteration", f"{name}: update over weights")  # fmt: skip
        for ax, title, size in zip(row, titles, ("layer's gradient",) * 2 + ("update / weights",)):
            ax.set(yscale="log", ylabel=f"norm of the {size}")
            ax.set_title(title, loc="left", fontsize="medium")
    for ax, text in zip(axes[-1], ("layer (1: next to the input)", "iteration", "iteration")):
        ax.set_xlabel(text)
    legend(fig, axes[0, :2].tolist(), 9, "small")
    return fig


STUDY = Study(
    name="gradient_decay",
    claim="Gradients decay towards early layers, which learn slowly under one learning rate.",
    statistic="decades per layer backwards, layers 5 to 2, of the gradient's norm and of its two "
    "factors; decades by which it falls in training; update over weights, first against last layer",
    population="MLP 64-20-...-20-10 of depth 6, W ~ N(0, 1 / fan_in), softmax under cross-entropy, "
    "100 digits, 60 steps of gradient descent at learning rate 0.1, full batch",
    theory="norm(W' delta) / norm(delta) is sigma_w = 1 on average; the slopes give "
    "sqrt(E phi'^2), 0.24 for the sigmoid: -0.63 decades per layer. Decay with iterations is the "
    "residual's.",
    condition="So it is in sigmoid networks, by their slopes and not by their weights, before and "
    "after training; there the whole gradient decays with iterations too, on a plateau. In tanh "
    "networks at the same gain neither is so.",
    parts=tuple(
        Part(f"{name}: {text}", high=high, holds=holds and name == "sigmoid")
        for name in NETS
        for text, high, holds in (
            ("decays by 0.1 decades or more per layer", -DECAY, True),
            ("still so after training", -DECAY, True),
            ("the slopes alone do so", -DECAY, True),
            ("the weights alone do so", -DECAY, False),
            ("falls by a factor 2 or more in 60 iterations", -0.301, True),
            ("first layer's relative update is 1/10 of the last's or less", -RATIO, True),
        )
    ),
    networks=150, quick=6, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
