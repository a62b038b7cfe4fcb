"""Whether small derivatives by the weights mean a robust network, one insensitive to its input.

dC/dw says whether training is over, dz/dx how far the output follows the input, and dC/dx both at
once. All three are followed while small networks learn handwritten digits.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers
from gradsim.studies._picture import band, canvas, legend
from gradsim.studies._study import Part, Row, Study, bootstrap, stacked, tabled
from gradsim.studies._training import before_and_after

EXAMPLES, WIDTH, DEPTH = 100, 20, 3
BASE = gs.MLP(DEPTH, WIDTH, output="softmax", loss="cross_entropy")
NETS = {"tanh": 1.0, "relu": 2**0.5}  # sigma_w
STEPS, RATE = (0, 20, 60), 0.05  # of momentum
QUANTITIES = {
    "dC/dw": "log10 of the norm of the gradient of the mean cost by all weights",
    "dC/dx": "log10 of the rms over examples of the norm of dC/dx",
    "dz/dx": "log10 of the rms over examples of the norm of the logits' derivative by the input",
}
FACTOR = math.log10(2)  # decades: a factor 2
FALL = (("tanh", "dC/dw"), ("relu", "dC/dw"), ("relu", "dC/dx"))  # as the condition says


def sizes(layers: Layers) -> list[float]:
    """The three quantities of a network."""
    weights = sum((layers.gradient(layer)[0] ** 2).sum() for layer in range(1, DEPTH + 1))
    jacobian = layers.jacobian(1) @ layers.weights[0]
    squares = (weights, (layers.deltas[0] ** 2).sum(1).mean(), (jacobian**2).sum((1, 2)).mean())
    return [0.5 * math.log10(square) for square in squares]


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Quantities before, during and after training, (activation, seed, iteration, quantity)."""
    x, y = digits(EXAMPLES)
    runs = []
    for name, sigma_w in NETS.items():
        model = BASE.with_fields(activation=name, sigma_w=sigma_w)
        (_, early), (ds, late) = (
            before_and_after(model, seeds, lambda *nets: [sizes(net) for net in nets], inputs=x,
                             targets=y, threads=threads, optimizer="momentum", learning_rate=RATE,
                             steps=steps)
            for steps in STEPS[1:]
        )  # fmt: skip
        columns = [np.concatenate([early, late[:, 1:]], axis=1)]
        kept = tabled(columns, {"log10_size": "log10 of the size of a derivative"},
                      ("seed", "iteration", "quantity"), seed=parse_seeds(seeds), iteration=STEPS,
                      quantity=QUANTITIES)  # fmt: skip
        runs.append(kept.assign(log10_final_loss=ds.log10_final_loss))
    return stacked(runs, "activation", NETS)


def estimate(ds: xr.Dataset) -> list[Row]:
    """Decades by which each quantity changes from the start to the end."""
    change = ds.log10_size.isel(iteration=-1) - ds.log10_size.isel(iteration=0)
    return [
        bootstrap(np.mean, change.sel(activation=name, quantity=quantity))
        for name in NETS
        for quantity in QUANTITIES
    ]


def figure(ds: xr.Dataset) -> Any:
    """Draw the three quantities along training."""
    fig, axes = canvas(9, 4.4, 1, len(NETS), sharey=True)
    labels = ("cost by weights, dC/dw", "cost by input, dC/dx", "output by input, dz/dx")
    for ax, name in zip(axes, NETS):
        for quantity, label, color, marker in zip(QUANTITIES, labels, (5, 6, 3), "os^"):
            at = ds.log10_size.sel(activation=name, quantity=quantity)
            band(ax, STEPS, 10**at, OKABE_ITO[color], label, marker=marker)
        ax.set(yscale="log", xlabel="training steps", xticks=STEPS)
        ax.set_title(name, loc="left")
    axes[0].set_ylabel("size of the derivative\n(median, 5 to 95 % of networks)")
    legend(fig, [axes[0]], 3)
    return fig


STUDY = Study(
    name="robustness",
    claim="Small derivatives are good: where dC/dw has become small, the network is insensitive to "
    "its input.",
    statistic="decades by which the norm of dC/dw, and the rms over examples of dC/dx and of the "
    "derivative of the logits by the input, change in training; mean over networks",
    population="MLP 64-20-20-10, W ~ N(0, sigma_w^2 / fan_in), tanh (1) and relu (sqrt(2)), softmax"
    " under cross-entropy, 100 digits; 60 steps of momentum 0.9, learning rate 0.05, full batch",
    theory="dC/dw = sum of delta a and dC/dx = W' delta go to 0 with the residual; dz/dx has no "
    "residual in it, and must grow for the classes to separate.",
    condition="dC/dw falls, but the output follows the input more than before training, not less; "
    "dC/dx, a product of both, falls by a factor 2 in relu networks only.",
    parts=tuple(
        Part(
            f"{name}: {quantity} falls by a factor 2 or more",
            -np.inf,
            -FACTOR,
            (name, quantity) in FALL,
        )
        for name in NETS
        for quantity in QUANTITIES
    ),
    networks=200, quick=6, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
