"""Whether a deep network whose training stalls has fallen into a local minimum.

Deep sigmoid networks, and tanh networks beside them, learn digits by gradient descent. Where they
are after 200 steps: the cost against that of the best constant output, the gradient against that of
the start, the sign of the Hessian's smallest eigenvalue (of all weights and biases, exact), and the
share of the cost that goes when one more layer is trained alone by steps that see no scale.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers, attainable, least_squares, over_seeds
from gradsim.studies._picture import band, canvas, legend
from gradsim.studies._shares import share
from gradsim.studies._study import Part, Row, Study, bootstrap, labelled, stacked, tabled

WIDTH, DEPTH, CLASSES, EXAMPLES, STEPS, RATE = 8, 6, 3, 60, 200, 0.2
NETS = {"sigmoid": 1.0, "tanh": 1.0}  # sigma_w
RESOLUTION = 1e-9  # an eigenvalue below -RESOLUTION times the largest is negative
NEAR, QUICK, RARE, LITTLE = 1.05, 50, 0.05, 0.01
QUANTITIES = {
    "gradient_ratio": "norm of the gradient over that at the start",
    "negative": "1 where the Hessian has an eigenvalue that is negative beyond rounding",
    "log10_negative_curvature": "log10 of -(smallest / largest eigenvalue of the Hessian)",
    "negative_share": "share of the Hessian's eigenvalues that are negative",
    "of_hidden": "share of the cost that goes by training the last hidden layer alone",
    "of_output": "share of the cost that goes where the output layer is at its least squares",
    "log10_gradient": "log10 of the norm of the gradient",
}


def sample() -> tuple[np.ndarray, np.ndarray]:
    """Digits 0, 1 and 2 at 4 x 4 pixels, with one-hot targets."""
    x, y = digits(250)
    chosen = np.flatnonzero(y[:, :CLASSES].any(1))[:EXAMPLES]
    return x[chosen].reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16), y[chosen, :CLASSES]


def whole_gradient(layers: Layers) -> float:
    """Norm of the gradient over all layers."""
    return float(np.linalg.norm([layers.gradient_norm(m) for m in range(1, DEPTH + 1)]))


def at_end(start: Layers, final: Layers) -> list[float]:
    """Quantities of one network."""
    values, gradient = np.linalg.eigvalsh(final.hessian()), whole_gradient(final)
    least, negative = values[0] / values[-1], values < -RESOLUTION * values[-1]
    return [
        gradient / whole_gradient(start), negative.any(),
        np.log10(-least) if negative.any() else -np.inf, negative.mean(),
        attainable(final, DEPTH - 1), 1 - least_squares(final).loss / final.loss,
        np.log10(gradient),
    ]  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Cost of every iteration, and the quantities at the end, of every network."""
    x, y = sample()
    constant = 0.5 * ((y - y.mean(0)) ** 2).sum(1).mean()
    runs = []
    for name, sigma_w in NETS.items():
        model = gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=sigma_w, output="identity")
        ds = gs.train(model, seeds, learning_rate=RATE, steps=STEPS, keep=True, inputs=x, targets=y,
                      threads=threads)  # fmt: skip

        def one(seed: int, model: gs.MLP = model, ds: xr.Dataset = ds) -> list[float]:
            start = gs.network(model, seed, inputs=x, targets=y)
            final = start.with_parameters(ds.final_parameter.sel(seed=seed).values)
            return at_end(Layers(start), Layers(final))

        columns = zip(*over_seeds(one, seeds, threads))
        cost = labelled(cost=(10**ds.log10_loss / constant, "cost over that of the best constant"))
        runs.append(cost.merge(tabled(columns, QUANTITIES, "seed", seed=ds.seed.values)))
    return stacked(runs, "activation", NETS)


def reached(ds: xr.Dataset, name: str) -> np.ndarray:
    """Iteration at which the cost is first within 5 % of the best constant's, (seed,)."""
    near = ds.cost.sel(activation=name).transpose("seed", "iteration").values <= NEAR
    return np.where(near.any(1), near.argmax(1), STEPS)


def estimate(ds: xr.Dataset) -> list[Row]:
    """How soon it stalls, and what the place is."""
    rows = []
    for name in NETS:
        at = ds.sel(activation=name)
        rows += [
            bootstrap(np.median, reached(ds, name)),
            bootstrap(np.median, at.cost.isel(iteration=-1)),
            share(at.negative),
            bootstrap(np.median, at.of_hidden),
            bootstrap(np.median, at.of_output),
        ]
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the cost along training, and gradient, curvature and what is left to gain at its end."""
    fig, (cost, signs, left) = canvas(11, 4.2, 1, 3)
    for name, color, marker in zip(NETS, (OKABE_ITO[5], OKABE_ITO[6]), "os"):
        at = ds.sel(activation=name)
        band(cost, ds.iteration, at.cost, color, f"{name} (median, 5 to 95 %)")
        bent = at.negative == 1
        signs.plot(10 ** at.log10_gradient[bent], 10 ** at.log10_negative_curvature[bent], marker,
                   color=color, alpha=0.6, markersize=4)  # fmt: skip
        left.plot(at.cost.isel(iteration=-1), 100 * at.of_output, marker, color=color, alpha=0.6,
                  markersize=4)  # fmt: skip
    cost.axhline(1, color="black", linewidth=1)
    cost.annotate("best constant output", (STEPS, 1), (0, 4), textcoords="offset points",
                  fontsize="small", ha="right")  # fmt: skip
    left.axvline(1, color="black", linewidth=1)
    cost.set(yscale="log", xlabel="iteration", ylabel="cost / cost of the best constant output")
    signs.set(xscale="log", yscale="log", xlabel="norm of the gradient at the end")
    signs.set_ylabel("most negative curvature / largest curvature")
    left.set(xlabel="cost at the end / best constant's", ylim=(0, 100))
    left.set_ylabel("share of the cost that goes by\ntraining the output layer alone (%)")
    legend(fig, columns=2)
    return fig


def _parts(name: str) -> tuple[Part, ...]:
    sigmoid = name == "sigmoid"
    return (
        Part(f"{name}: as good as a constant within 50 steps", 0, QUICK),
        Part(f"{name}: no better than a constant after 200 (within 5 %)", 1 / NEAR, NEAR, sigmoid),
        Part(f"{name}: no negative curvature there (in 95 % of networks)", 0.0, RARE, False),
        Part(f"{name}: 1 % or less to gain there by layer 5 alone", 0.0, LITTLE, sigmoid),
        Part(f"{name}: 1 % or less to gain there by the output layer alone", 0.0, LITTLE, False),
    )


STUDY = Study(
    name="stalling",
    claim="Training of a deep network quickly falls into a local minimum.",
    statistic="iteration at which the cost is within 5 % of the best constant's; cost after 200 "
    "over that, medians; share of networks whose Hessian has an eigenvalue below -1e-9 times the "
    "largest; share of the cost that goes by training layer 5 or the output layer alone, median",
    population="MLP 16-8-...-8-3 of depth 6, W ~ N(0, 1 / fan_in), sigmoid and tanh, squared error,"
    " 60 digits 0, 1, 2 at 4 x 4 pixels, gradient descent at learning rate 0.2, full batch",
    theory="Where the signal of the input has faded, the output is a constant and its bias learns "
    "first: a plateau near a saddle, where the gradient is small and curvature of either sign is.",
    condition="Sigmoid networks stall quickly, but at no minimum: they output a constant, some "
    "curvature is negative, and the output layer alone, at its least squares, takes most of the "
    "cost from the faint signal left. Tanh networks pass the constant as quickly and go on.",
    parts=tuple(part for name in NETS for part in _parts(name)),
    networks=100,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
