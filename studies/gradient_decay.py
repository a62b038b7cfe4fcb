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
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, stacked

WIDTH, DEPTH, EXAMPLES, STEPS, RATE = 20, 6, 100, 60, 0.1
NETS = {"sigmoid": 1.0, "tanh": 1.0}  # sigma_w
FIRST, LAST = 2, DEPTH - 1  # square layers below the output
TIMES = ("before", "after")
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
        model = gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=sigma_w, output="softmax",
                       loss="cross_entropy")  # fmt: skip
        ds = gs.train(model, seeds, learning_rate=RATE, steps=STEPS, keep=True, inputs=x, targets=y,
                      threads=threads)  # fmt: skip

        def one(seed: int, model: gs.MLP = model, ds: xr.Dataset = ds) -> list[tuple[float, float]]:
            start = gs.network(model, seed, inputs=x, targets=y)
            final = start.with_parameters(ds.final_parameter.sel(seed=seed).values)
            return [factors(Layers(start)), factors(Layers(final))]

        numbers = np.array(over_seeds(one, seeds, threads))
        kept = ds[["log10_gradient_norm", "log10_loss"]]
        kept["relative_update"] = ds.log10_update_norm - ds.log10_weight_norm
        for i, text in enumerate(("slopes", "weights")):
            attrs = {"long_name": f"decades per layer backwards of the {text}", "units": "1"}
            kept[f"of_{text}"] = (("seed", "time"), numbers[..., i], attrs)
        runs.append(kept)
    attrs = {"long_name": "log10 of the size of an update over that of the weights", "units": "1"}
    result = stacked(runs, "activation", NETS)
    result.relative_update.attrs = attrs
    return result.assign_coords(time=list(TIMES))


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
        parts = [
            at[f"of_{part}"].sel(time="before").mean().item() for part in ("slopes", "weights")
        ]
        row[0].set_title(f"{name}: slopes {parts[0]:+.2f}, weights {parts[1]:+.2f} decades a layer",
                         loc="left", fontsize="medium")  # fmt: skip
        row[1].set_title("by iteration", loc="left", fontsize="medium")
        row[2].set_title("update over weights", loc="left", fontsize="medium")
        for ax in row:
            ax.set_yscale("log")
        row[0].set_ylabel("norm of the layer's gradient")
        row[1].set_ylabel("norm of the layer's gradient")
        row[2].set_ylabel("size of update / size of weights")
    axes[-1, 0].set_xlabel("layer (1: next to the input)")
    axes[-1, 1].set_xlabel("iteration")
    axes[-1, 2].set_xlabel("iteration")
    legend(fig, axes[0, :2].tolist(), 9, "small")
    return fig


def _parts(name: str) -> tuple[Part, ...]:
    sigmoid = name == "sigmoid"
    few = {"high": -DECAY}
    return (
        Part(f"{name}: decays by 0.1 decades or more per layer", **few, holds=sigmoid),
        Part(f"{name}: still so after training", **few, holds=sigmoid),
        Part(f"{name}: the slopes alone do so", **few, holds=sigmoid),
        Part(f"{name}: the weights alone do so", **few, holds=False),
        Part(f"{name}: falls by a factor 2 or more in 60 iterations", high=-0.301, holds=sigmoid),
        Part(f"{name}: first layer's relative update is 1/10 of the last's or less", high=-RATIO,
             holds=sigmoid),
    )  # fmt: skip


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
    parts=tuple(part for name in NETS for part in _parts(name)),
    networks=150,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
