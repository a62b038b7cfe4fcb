"""Why do gradient magnitudes vary so widely: minibatch noise, the activation, or the weights alone.

The variance of log10 |dC/dw| over single weights is split, at depth 8 and width 30, into network,
layer, network by layer, minibatch (1 and 32 of 320 examples), row |delta_j|, column |a_k| and the
rest; on handwritten digits and on Gaussian inputs, at initialisation and after training. What
minibatches change of single weights is all counted as noise. The linear network, at the same
chi_1 = 1, has no activation at all. A product of two independent Gaussian numbers, as delta_j a_k,
has 0.48 decades from each.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._components import (
    TEXTS,
    WITHIN,
    noise_share,
    share_without,
    split,
    variances,
)
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._picture import canvas, legend
from gradsim.studies._study import Part, Row, Study, bootstrap, stacked, tabled

WIDTH, DEPTH, EXAMPLES, STEPS = 30, 8, 320, 40
HIDDEN = range(2, DEPTH)  # square layers
NETS = {  # name: activation, sigma_w
    "sigmoid, gain 1": ("sigmoid", 1.0),
    "sigmoid, critical": ("sigmoid", 10.149263710),
    "tanh": ("tanh", 1.0),
    "relu": ("relu", 2**0.5),
    "linear": ("identity", 1.0),
}
TRAINED = ("tanh", "relu")
RUNS = (
    *(f"{name}, digits" for name in NETS),
    *(f"{name}, digits, trained" for name in TRAINED),
    *(f"{name}, Gaussian inputs" for name in NETS),
)
BATCHES = {"1": 1, "32": 32, "all": EXAMPLES}
COMPONENTS = ("network", "layer", "network by layer", *WITHIN)
HALF = (0.5, 1.0)  # a cause has at least half of the variance
LAW = "theory: product of two Gaussian numbers"
NOISE = (  # run, what the condition says
    ("tanh, digits", True),
    ("tanh, digits, trained", True),
    ("relu, digits", False),
    ("relu, digits, trained", False),
    ("sigmoid, gain 1, digits", False),
)
BLAMED = (("tanh", False), ("relu", True), ("sigmoid, critical", True), ("sigmoid, gain 1", True))


def model(name: str) -> gs.MLP:
    """Network of a name: ten classes under cross-entropy."""
    activation, sigma_w = NETS[name]
    return gs.MLP(DEPTH, WIDTH, activation=activation, sigma_w=sigma_w, output="softmax",
                  loss="cross_entropy", input_width=64, output_width=10)  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Means and components of every network: (seed, run, batch, layer)."""
    x, y = digits(EXAMPLES)
    trained = [gs.train(model(name), seeds, optimizer="momentum", learning_rate=0.05, steps=STEPS,
                        batch_size=32, keep=True, inputs=x, targets=y, threads=threads)
               for name in TRAINED]  # fmt: skip

    def one(seed: int) -> list[list[np.ndarray]]:
        nets = {name: gs.network(model(name), seed, inputs=x, targets=y) for name in NETS}
        ends = [nets[name].with_parameters(run.final_parameter.sel(seed=seed).values)
                for name, run in zip(TRAINED, trained)]  # fmt: skip
        drawn = [gs.network(model(name), seed, inputs=EXAMPLES) for name in NETS]
        layers = map(Layers, [*nets.values(), *ends, *drawn])
        return [[split(net, HIDDEN, size) for size in BATCHES.values()] for net in layers]

    coords = {"seed": trained[0].seed.values, "run": RUNS, "batch": BATCHES, "layer": HIDDEN}
    columns = np.moveaxis(np.array(over_seeds(one, seeds, threads)), -1, 0)
    ds = tabled(columns, TEXTS, tuple(coords), **coords)
    loss = stacked([run.log10_final_loss for run in trained], "trained", TRAINED)
    return ds.assign(log10_final_loss=loss)


def whole(ds: xr.Dataset) -> xr.Dataset:
    """Sd of every component over all networks: (run, batch, component)."""
    parts = [[variances(numbers_of(ds, run, batch)) for batch in BATCHES] for run in RUNS]
    coords = {"run": RUNS, "batch": BATCHES, "component": COMPONENTS}
    text = {"component_sd": "sd of each component of log10 |dC/dw|, decades"}
    return tabled([np.sqrt(np.maximum(parts, 0.0))], text, tuple(coords), **coords)


def numbers_of(ds: xr.Dataset, run: str, batch: str) -> np.ndarray:
    """Means of the layers, then components within a layer, (seed, number)."""
    at = ds.sel(run=run, batch=batch)
    within = [at[name].mean("layer", skipna=False) for name in WITHIN.values()]
    return np.column_stack([at["mean"].values, *within])


def estimate(ds: xr.Dataset) -> list[Row]:
    """Share of the variance that each suspect has."""
    noisy = [numbers_of(ds, run, "32") for run, _ in NOISE]
    blamed = [numbers_of(ds, f"{name}, digits", "32") for name, _ in BLAMED]
    without = [numbers_of(ds, run, "all") for run, _ in NOISE]
    without += len(BLAMED) * [numbers_of(ds, "linear, digits", "32")]
    rows = [bootstrap(noise_share, numbers) for numbers in noisy]
    pairs = map(np.hstack, zip(noisy + blamed, without))
    return rows + [bootstrap(share_without, pair) for pair in pairs]


def figure(ds: xr.Dataset) -> Any:
    """Draw the components of every run at each batch size."""
    fig, axes = canvas(12, 5.6, columns=len(BATCHES), sharex=True, sharey=True)
    places, product = np.arange(len(RUNS))[::-1], np.pi**2 / (4 * np.log(10) ** 2)
    titles = ("one example", "minibatch of 32", "all 320 examples")
    for ax, batch, title in zip(axes, BATCHES, titles):
        parts = ds.component_sd.sel(batch=batch).transpose("component", "run").values ** 2
        ends = parts.cumsum(axis=0)
        for part, end, color, name in zip(parts, ends, (*OKABE_ITO[:6], "0.75"), COMPONENTS):
            ax.barh(places, part, 0.7, left=end - part, color=color, label=name)
        ax.axvline(product, color="black", linewidth=1, label=LAW)
        ax.set_title(title, loc="left")
    axes[1].set_xlabel("variance of log10 |dC/dw| (decades squared)")
    axes[0].set_xlim(0, 1.05 * (ds.component_sd**2).sum("component").max().item())
    axes[0].set_yticks(places, RUNS)
    legend(fig, axes[-1:])
    return fig


STUDY = Study(
    name="gradient_variety",
    claim="Gradients vary so widely in size because of SGD noise, or because of the activation.",
    statistic="share of the variance of log10 |dC/dw| over weights, layers and networks that "
    "changes with the minibatch (32 examples); that the gradient of all examples has not; and that "
    "a linear network, which has no activation, has not",
    population="MLP 64-30-...-30-10 of depth 8, layers 2 to 7, W ~ N(0, sigma_w^2 / fan_in), "
    "softmax under cross-entropy; sigma_w: sigmoid 1 and 10.15, tanh 1, relu sqrt(2), linear 1; 320"
    " digits; trained: 40 steps of momentum 0.9, learning rate 0.05, batches of 32",
    theory="dC/dw = delta_j a_k: were both Gaussian, each would spread by 0.48 decades, in any "
    "network and without any noise. At chi_1 = 1 layers do not differ; at chi_1 < 1 they do.",
    condition="Noise has most of the variance in tanh networks, but only in place of the spread "
    "that the gradient of all examples has too: without noise, and without an activation, products "
    "of random numbers spread as widely. More than that is the activation: units of relu that are "
    "seldom active, saturated units of the sigmoid at its critical gain, and layers that differ at "
    "its gain 1.",
    parts=(
        *(Part(f"minibatch of 32, {run}: half of the variance", *HALF, so) for run, so in NOISE),
        *(Part(f"without it (all examples), {run}: half is gone", *HALF, False)
          for run, _ in NOISE),
        *(Part(f"without the activation (linear), {name}: half is gone", *HALF, so)
          for name, so in BLAMED),
    ),
    networks=100,
    quick=6,
    measure=measure,
    whole=whole,
    estimate=estimate,
    figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
