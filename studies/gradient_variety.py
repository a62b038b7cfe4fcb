"""Why do gradient magnitudes vary so widely: minibatch noise, the activation, or the weights alone.

The variance of log10 |dC/dw| over single weights is split, at depth 8 and width 30, into network,
layer, network by layer, minibatch (1 and 32 of 320 examples), row |delta_j|, column |a_k| and the
rest; on handwritten digits with their labels and on Gaussian inputs, at initialisation and after
training. What minibatches change of single weights is all counted as noise. The linear network, at
the same chi_1 = 1, has no activation at all.

Source of the splitting: nested means (analysis of variance); a product of two independent Gaussian
numbers, as delta_j a_k, has 0.48 decades from each.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, stacked

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
BATCHES = ("1", "32", "all")
COMPONENTS = ("network", "layer", "network by layer", "minibatch", "row |delta_j|",
              "column |a_k|", "rest")  # fmt: skip
WITHIN = COMPONENTS[3:]
HALF = (0.5, 1.0)  # a cause has at least half of the variance
NOISE = (  # run, what the condition says
    ("tanh, digits", True),
    ("tanh, digits, trained", True),
    ("relu, digits", False),
    ("relu, digits, trained", False),
    ("sigmoid, gain 1, digits", False),
)
QUIET = tuple((run, False) for run, _ in NOISE)
BLAMED = (("tanh", False), ("relu", True), ("sigmoid, critical", True), ("sigmoid, gain 1", True))


def model(name: str) -> gs.MLP:
    """Network of a name: ten classes under cross-entropy."""
    activation, sigma_w = NETS[name]
    return gs.MLP(DEPTH, WIDTH, activation=activation, sigma_w=sigma_w, output="softmax",
                  loss="cross_entropy", input_width=64, output_width=10)  # fmt: skip


def split(layers: Layers, batch: str) -> np.ndarray:
    """Mean, components within a layer, and share of exact zeros, (layer, number)."""
    size = EXAMPLES if batch == "all" else int(batch)
    first = range(0, EXAMPLES, max(size, EXAMPLES // 10))
    found = []
    for layer in HIDDEN:
        delta, a = layers.deltas[layer], layers.a[layer - 1]
        g = np.array([delta[i : i + size].T @ a[i : i + size] for i in first]) / size
        logs = np.ma.log10(np.ma.masked_equal(np.abs(g), 0.0))
        mean = logs.mean(0)
        noise = logs.var(0, ddof=1).mean() if len(logs) > 1 else 0.0
        rows, columns = mean.mean(1).var(), mean.mean(0).var()
        numbers = [mean.mean(), noise, rows, columns, mean.var() - rows - columns]
        found.append([*np.ma.filled(np.ma.array(numbers, dtype=float), np.nan), (g == 0).mean()])
    return np.array(found)


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Means and components of every network: (run, batch, seed, layer)."""
    x, y = digits(EXAMPLES)
    trained = {
        name: gs.train(
            model(name), seeds, optimizer="momentum", learning_rate=0.05, steps=STEPS,
            batch_size=32, keep=True, inputs=x, targets=y, threads=threads,
        )
        for name in TRAINED
    }  # fmt: skip

    def one(seed: int) -> np.ndarray:
        nets = [gs.network(model(name), seed, inputs=x, targets=y) for name in NETS]
        for name in TRAINED:
            start = gs.network(model(name), seed, inputs=x, targets=y)
            final = trained[name].final_parameter.sel(seed=seed).values
            nets.append(start.with_parameters(final))
        nets += [gs.network(model(name), seed, inputs=EXAMPLES) for name in NETS]
        return np.array(
            [[split(layers, batch) for batch in BATCHES] for layers in map(Layers, nets)]
        )

    numbers = np.stack(over_seeds(one, seeds, threads), axis=2)
    names = {
        "mean": "mean of log10 |dC/dw| over the weights of a layer",
        **{f"variance_{i}": f"variance of log10 |dC/dw|: {w}" for i, w in enumerate(WITHIN)},
        "zeros": "share of weights whose gradient is exactly 0 in some minibatch",
    }
    dims = ("run", "batch", "seed", "layer")
    data = {
        name: (dims, numbers[..., i], {"long_name": text, "units": "1"})
        for i, (name, text) in enumerate(names.items())
    }
    coords = {"run": list(RUNS), "batch": list(BATCHES), "layer": list(HIDDEN)}
    seed = next(iter(trained.values())).seed
    losses = stacked([t.log10_final_loss for t in trained.values()], "trained", TRAINED)
    ds = xr.Dataset(data, coords)
    parts = [[variances(numbers_of(ds, run, batch)) for batch in BATCHES] for run in RUNS]
    sd = np.sqrt(np.maximum(parts, 0.0))
    text = {"long_name": "sd of each component of log10 |dC/dw|, decades", "units": "1"}
    ds["component_sd"] = (("run", "batch", "component"), sd, text)
    return (
        ds.assign_coords(component=list(COMPONENTS))
        .assign_coords(seed=seed)
        .assign(log10_final_loss=losses)
    )


def numbers_of(ds: xr.Dataset, run: str, batch: str) -> np.ndarray:
    """Means of the layers, then components within a layer, (seed, number)."""
    at = ds.sel(run=run, batch=batch)
    within = [at[f"variance_{i}"].mean("layer", skipna=False) for i in range(len(WITHIN))]
    return np.column_stack([at["mean"].values, *within])


def variances(numbers: np.ndarray) -> np.ndarray:
    """All components, of the networks that have a gradient in every layer."""
    alive = numbers[np.isfinite(numbers).all(1)]
    mean, within = alive[:, : -len(WITHIN)], alive[:, -len(WITHIN) :]
    network, layer = mean.mean(1).var(), mean.mean(0).var()
    return np.array([network, layer, mean.var() - network - layer, *within.mean(0)])


def _noise_share(numbers: np.ndarray) -> float:
    found = variances(numbers)
    return found[3] / found.sum()


def _share_without(numbers: np.ndarray) -> float:
    """Share of the variance of the first half that the second, without the cause, has not."""
    half = numbers.shape[1] // 2
    return 1 - variances(numbers[:, half:]).sum() / variances(numbers[:, :half]).sum()


def estimate(ds: xr.Dataset) -> list[Row]:
    """Share of the variance that each suspect has."""
    rows = [bootstrap(_noise_share, numbers_of(ds, run, "32")) for run, _ in NOISE]
    pairs = [((run, "32"), (run, "all")) for run, _ in QUIET]
    pairs += [((f"{name}, digits", "32"), ("linear, digits", "32")) for name, _ in BLAMED]
    for pair in pairs:
        numbers = np.hstack([numbers_of(ds, *one) for one in pair])
        rows.append(bootstrap(_share_without, numbers))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the components of every run at each batch size."""
    fig, axes = canvas(12, 5.6, columns=len(BATCHES), sharex=True, sharey=True)
    places = np.arange(len(RUNS))[::-1]
    colors = (*OKABE_ITO[:6], "0.75")
    titles = ("one example", "minibatch of 32", "all 320 examples")
    for ax, batch, title in zip(axes, BATCHES, titles):
        parts = np.array([variances(numbers_of(ds, run, batch)) for run in RUNS])
        left = np.zeros(len(RUNS))
        for part, color, name in zip(parts.T, colors, COMPONENTS):
            ax.barh(places, part, 0.7, left=left, color=color, label=name)
            left = left + part
        product = np.pi**2 / (4 * np.log(10) ** 2)
        ax.axvline(
            product, color="black", linewidth=1, label="theory: product of two Gaussian numbers"
        )
        ax.set_title(title, loc="left")
        ax.set_xlim(0, 1.05 * max(left.max(), ax.get_xlim()[1] / 1.05))
        ax.set_xlabel("variance of log10 |dC/dw| (decades squared)")
    ax.set_yticks(places, RUNS)
    legend(fig, fig.axes[-1:])
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
        *(Part(f"without it (all examples), {run}: half is gone", *HALF, so) for run, so in QUIET),
        *(
            Part(f"without the activation (linear), {name}: half is gone", *HALF, so)
            for name, so in BLAMED
        ),
    ),
    networks=100,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
