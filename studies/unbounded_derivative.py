"""The derivative operation is not bounded: two functions can be close, and their gradients not.

One weight of the middle layer is changed by 1/10,000 of the size of its neighbours. The relative
change of the first layer's gradient over the relative change of the output, by depth: where it
grows with depth, no bound on the change of the output bounds that of the gradient.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, tabled

WIDTH, DEPTHS, SIZE = 50, (4, 8, 12, 16, 20), 1e-4
NETS = {  # name: activation, sigma_w
    "sigmoid, gain 1": ("sigmoid", 1.0),
    "tanh, gain 0.8": ("tanh", 0.8),
    "tanh, critical gain 1": ("tanh", 1.0),
    "tanh, gain 2 (chaotic)": ("tanh", 2.0),
    "relu, critical gain": ("relu", 2**0.5),
    "linear, gain 0.8": ("identity", 0.8),
}
MARGIN = 0.02  # decades a layer
GROWS = ("sigmoid, gain 1",)  # as the condition says


def model(name: str, depth: int) -> gs.MLP:
    """One condition."""
    activation, sigma_w = NETS[name]
    return gs.MLP(depth, WIDTH, activation=activation, sigma_w=sigma_w, output="identity")


def ratio(net: gs.Network) -> float:
    """log10 of relative change of the gradient of layer 1 over that of the output."""
    layers, middle = Layers(net), len(net.weights) // 2
    # The weight between the largest signal and the largest delta: of relu, an active one.
    i, j = np.argmax(np.abs(layers.deltas[middle])), np.argmax(np.abs(layers.a[middle - 1]))
    step = np.zeros_like(net.weights[middle - 1])
    step[i, j] = SIZE * net.weights[middle - 1].std()
    moved = layers.moved(middle, step, np.zeros(WIDTH))
    before, after = layers.gradient(1)[0], moved.gradient(1)[0]
    output = layers.output_change(middle, step, np.zeros(WIDTH))
    gradient_change = np.linalg.norm(after - before) / np.linalg.norm(before)
    output_change = np.linalg.norm(output) / np.linalg.norm(layers.z[-1])
    return float(np.log10(gradient_change / output_change))


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Ratio of every network: (seed, network, depth)."""

    def one(seed: int) -> list[list[float]]:
        return [[ratio(gs.network(model(name, depth), seed)) for depth in DEPTHS] for name in NETS]

    text = "log10 of relative change of the first layer's gradient over that of the output"
    return tabled([over_seeds(one, seeds, threads)], {"log10_ratio": text},
                  ("seed", "network", "depth"), seed=parse_seeds(seeds), network=NETS,
                  depth=DEPTHS)  # fmt: skip


def expected(name: str) -> float:
    """Growth per layer: a change in the middle reaches the output chi_1^(1/2) smaller each layer.

    The gradient and the size of the output are taken to keep their relation; NaN where z goes to 0
    or the change does not stay small.
    """
    if name not in GROWS:
        return 0.0 if NETS[name][0] == "identity" else np.nan
    return -gs.theory.mean_field(model(name, 2)).growth_rms.item() / 2


def _growth(ends: np.ndarray) -> float:
    return float((ends[:, 1] - ends[:, 0]).mean() / (DEPTHS[-1] - DEPTHS[0]))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Growth per layer of depth, mean of the log over networks."""
    ends = ds.log10_ratio.sel(depth=[DEPTHS[0], DEPTHS[-1]]).transpose("network", "seed", "depth")
    return [bootstrap(_growth, ends.sel(network=name), expected(name)) for name in NETS]


def figure(ds: xr.Dataset) -> Any:
    """Draw the ratio against depth, medians over networks."""
    fig, ax = canvas(7, 5)
    for name, color, marker in zip(NETS, OKABE_ITO, "osv^Dx"):
        median = 10 ** ds.log10_ratio.sel(network=name).median("seed")
        ax.plot(DEPTHS, median, f"{marker}-", color=color, label=name)
        if name in GROWS:
            start = median[0].item()
            law = start * 10 ** (expected(name) * (np.array(DEPTHS) - DEPTHS[0]))
            ax.plot(DEPTHS, law, "k:", label="theory: chi_1^(-depth / 4)")
    ax.set(yscale="log", xlabel="depth (layers)", xticks=DEPTHS)
    ax.set_ylabel("relative change of the first layer's gradient\n/ relative change of the output")
    legend(fig, columns=2)
    return fig


STUDY = Study(
    name="unbounded_derivative",
    claim="The derivative operation is not bounded: a small change of a network changes its "
    "gradient far more than its output, and more so the deeper it is.",
    statistic="growth per layer of depth, 4 to 20 layers, of log10 of the relative change of the "
    "first layer's gradient over that of the output, when one weight of the middle layer changes "
    "by 1/10,000 of the sd of weights; mean over networks",
    population="MLP of width 50, W ~ N(0, sigma_w^2 / 50), no biases, linear output, squared error,"
    " one input N(0, 1)",
    theory="A change in the middle reaches the output smaller by chi_1^(1/2) each layer, where "
    "signals do not shrink with it; a linear network's gradient and output are products of the "
    "same matrices, and change alike.",
    condition="Only where gradients vanish and signals do not: the sigmoid. Elsewhere gradient and "
    "output change by comparable shares at every depth.",
    parts=tuple(
        Part(f"{name}: grows by 0.02 decades or more per layer", MARGIN, np.inf, name in GROWS)
        for name in NETS
    ),
    networks=1000, quick=60, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
