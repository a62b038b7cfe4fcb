"""Whether larger steps for early layers make up for their small gradients.

One step is taken in each layer alone, by four rules: gradient descent at one rate; a rate for each
layer, so that each weight matrix moves by 1 % of its size; RMSProp; and the gradient scaled by its
curvature (Gauss-Newton along the gradient). A step is judged by what it does to the function: the
change of the network's output on the examples, which no equality of norms promises.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, tabled

WIDTH, DEPTH, EXAMPLES = 20, 8, 60
NETS = {"sigmoid": 1.0, "tanh": 1.0}  # sigma_w
RULES = ("one rate", "a rate per layer", "RMSProp", "curvature-scaled")
RATE, SHARE, RMSPROP = 0.01, 0.01, (1e-3, 0.9, 1e-8)  # RMSProp: learning rate, decay, epsilon
COMPARABLE, POWERS = 0.5, {"one rate": 2.0, "a rate per layer": 1.0, "RMSProp": 1.0,
                           "curvature-scaled": 0.0}  # fmt: skip
QUANTITIES = {
    "log10_update": "log10 of the norm of the step",
    "log10_output": "log10 of the rms over examples of the change of the output",
    "linear_output": "the same to first order in the step",
    "cost": "change of the cost over the cost",
}


def step(layers: Layers, layer: int, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Step (dW, db) of one layer."""
    g, norm = layers.gradient(layer), layers.gradient_norm(layer)
    if rule == "RMSProp":
        rate, decay, epsilon = RMSPROP
        dw, db = (-rate * x / (np.sqrt(1 - decay) * np.abs(x) + epsilon) for x in g)
        return dw, db
    rate = RATE
    if rule == "a rate per layer":
        rate = SHARE * np.linalg.norm(layers.weights[layer - 1]) / norm
    if rule == "curvature-scaled":
        rate = norm**2 / (first_order(layers, layer, *g) ** 2).sum(1).mean()
    return -rate * g[0], -rate * g[1]


def first_order(layers: Layers, layer: int, dw: np.ndarray, db: np.ndarray) -> np.ndarray:
    """Derivative (example, output) of the output along a step."""
    return np.einsum("bki,bi->bk", layers.jacobian(layer), layers.a[layer - 1] @ dw.T + db)


def judged(layers: Layers, layer: int, rule: str) -> list[float]:
    """The four quantities of one step."""
    move = step(layers, layer, rule)
    change = layers.output_change(layer, *move)
    sizes = [np.sqrt((move[0] ** 2).sum() + (move[1] ** 2).sum())]
    sizes += [np.sqrt((c**2).sum(1).mean()) for c in (change, first_order(layers, layer, *move))]
    return [*np.log10(sizes), layers.loss_change(change) / layers.loss]


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Every rule in every layer of every network, (seed, activation, rule, layer)."""
    x, y = digits(EXAMPLES)
    layer = range(1, DEPTH + 1)

    def one(seed: int) -> list[Any]:
        found = []
        for name, sigma_w in NETS.items():
            model = gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=sigma_w, output="identity")
            net = Layers(gs.network(model, seed, inputs=x, targets=y))
            found.append([[judged(net, n, rule) for n in layer] for rule in RULES])
        return found

    columns = np.moveaxis(np.array(over_seeds(one, seeds, threads)), -1, 0)
    return tabled(columns, QUANTITIES, ("seed", "activation", "rule", "layer"), rule=RULES,
                  seed=parse_seeds(seeds), activation=NETS, layer=layer)  # fmt: skip


def ratio(array: xr.DataArray, name: str, rule: str) -> np.ndarray:
    """First layer over last, decades, (seed,)."""
    at = array.sel(activation=name, rule=rule)
    return (at.sel(layer=1) - at.sel(layer=DEPTH)).values


def estimate(ds: xr.Dataset) -> list[Row]:
    """First layer's change of the output over the last's."""
    return [bootstrap(np.mean, ratio(ds.log10_output, n, rule)) for n in NETS for rule in RULES]


def figure(ds: xr.Dataset) -> Any:
    """Draw the steps and what they do to the output and to the cost, by layer."""
    fig, axes = canvas(11, 6.4, len(NETS), 3, sharex=True, sharey="col")
    colors = [OKABE_ITO[i] for i in (0, 1, 3, 5)]
    gradient = ds.log10_update.sel(rule="one rate")
    for row, name in zip(axes, NETS):
        norm = gradient.sel(activation=name).median("seed")
        for rule, color, marker in zip(RULES, colors, "os^D"):
            at = ds.sel(activation=name, rule=rule)
            middle = at.log10_output.median("seed")
            row[0].plot(ds.layer, 10 ** at.log10_update.median("seed"), f"{marker}-", color=color)
            row[1].plot(ds.layer, 10**middle, marker, color=color, label=rule)
            law = middle[-1].item() + POWERS[rule] * (norm - norm[-1]).values
            row[1].plot(ds.layer, 10**law, "-", color=color, linewidth=1)
            gain = -at.cost.median("seed")
            row[2].plot(ds.layer, np.where(gain > 0, gain, np.nan), f"{marker}-", color=color)
        for ax, title in zip(row, ("size of the step", "change of the output", "gain of the cost")):
            ax.set_yscale("log")
            ax.set_title(f"{name}: {title}", loc="left", fontsize="medium")
        row[0].set_ylabel("norm of the step")
        row[1].set_ylabel("rms change of the output")
        row[2].set_ylabel("fall of the cost / cost")
    for ax in axes[-1]:
        ax.set_xlabel("layer that takes the step")
    law = "theory: gradient norm to the power 2, 1, 1, 0"
    axes[0, 1].plot([], [], "-", color="grey", label=law)
    legend(fig, [axes[0, 1]], 5)
    return fig


STUDY = Study(
    name="layer_steps",
    claim="Steps of a size of its own for each layer make up for small gradients in early layers.",
    statistic="decades between the change of the output by one step in the first layer alone and "
    "by one in the last layer alone, mean over networks",
    population="MLP 64-20-...-20-10 of depth 8, W ~ N(0, 1 / fan_in), sigmoid and tanh, linear "
    "output, squared error, 60 digits, before training; one rate 0.01; 1 % of the weights' norm; "
    "RMSProp 0.001 (its first step); gradient over its Gauss-Newton curvature",
    theory="To first order the output moves by J dtheta, and the gradient is J' residual. So it "
    "moves as norm(g)^2 under one rate, as norm(g) where steps have equal norms, and as norm(g)^0 "
    "where they are scaled by curvature.",
    condition="Not in sigmoid networks. Steps of equal norm, as of RMSProp, make up for half of the"
    " decades. Steps scaled by curvature would for all to first order, but so long a step of an "
    "early layer saturates it, and moves the output by 1/1,000. Tanh networks miss nothing.",
    parts=tuple(
        Part(f"{name}, {rule}: first layer within 0.5 decades of the last, or more", -COMPARABLE,
             np.inf, name == "tanh")
        for name in NETS for rule in RULES
    ),
    networks=300, quick=30, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
