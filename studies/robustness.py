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
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, legend

EXAMPLES, WIDTH, DEPTH = 100, 20, 3
NETS = {"tanh": 1.0, "relu": 2**0.5}  # sigma_w
STEPS = (0, 20, 60)  # of momentum
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
    """Quantities before, during and after training, (activation, quantity, seed, iteration)."""
    x, y = digits(EXAMPLES)
    found, losses = [], []
    for name, sigma_w in NETS.items():
        model = gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=sigma_w, output="softmax",
                       loss="cross_entropy")  # fmt: skip
        trained = {
            steps: gs.train(model, seeds, optimizer="momentum", learning_rate=0.05, steps=steps,
                            keep=True, inputs=x, targets=y, threads=threads)
            for steps in STEPS[1:]
        }  # fmt: skip

        def one(seed: int, model: gs.MLP = model, trained: Any = trained) -> list[list[float]]:
            start = gs.network(model, seed, inputs=x, targets=y)
            nets = [start]
            for ds in trained.values():
                nets.append(start.with_parameters(ds.final_parameter.sel(seed=seed).values))
            return [sizes(Layers(net)) for net in nets]

        found.append(np.array(over_seeds(one, seeds, threads)).transpose(2, 0, 1))
        losses.append(trained[STEPS[-1]].log10_final_loss)
    coords = {"activation": list(NETS), "quantity": list(QUANTITIES),
              "seed": list(parse_seeds(seeds)), "iteration": list(STEPS)}  # fmt: skip
    attrs = {"long_name": "log10 of the size of a derivative", "units": "1"}
    size = (("activation", "quantity", "seed", "iteration"), np.stack(found), attrs)
    loss = (("activation", "seed"), np.stack(losses), {"long_name": "log10 of the final cost"})
    return xr.Dataset({"log10_size": size, "log10_final_loss": loss}, coords)


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
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9, 4.4), layout="constrained")
    for ax, name in zip(fig.subplots(1, 2, sharey=True), NETS):
        for quantity, color, marker in zip(QUANTITIES, (5, 6, 3), "os^"):
            at = ds.log10_size.sel(activation=name, quantity=quantity)
            low, middle, high = (10 ** at.quantile(q, "seed") for q in (0.05, 0.5, 0.95))
            label = {"dC/dw": "cost by weights, dC/dw", "dC/dx": "cost by input, dC/dx",
                     "dz/dx": "output by input, dz/dx"}[quantity]  # fmt: skip
            ax.fill_between(STEPS, low, high, color=OKABE_ITO[color], alpha=0.2, linewidth=0)
            ax.plot(STEPS, middle, f"{marker}-", color=OKABE_ITO[color], label=label)
        ax.set(yscale="log", xlabel="training steps", xticks=STEPS)
        ax.set_title(name, loc="left")
        ax.label_outer()
    fig.axes[0].set_ylabel("size of the derivative\n(median, 5 to 95 % of networks)")
    legend(fig, [ax], 3)
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
    networks=200,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
