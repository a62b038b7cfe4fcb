"""Nielsen's chapter 5 along training: whether early layers stay slow, and what their decay means.

His sigmoid networks of two and four hidden layers of 30, trained as his are: all examples at every
step, learning rate 0.1, weight decay 5 over his 1,000 images, 500 epochs. Digits of scikit-learn
stand for MNIST, so that his own norms, before the first and the last epoch, are drawn but not
judged. Decay with depth and decay along training are two things: the second comes before anything
is learned.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._study import Part, Row, Study, band, bootstrap, canvas, decades, legend
from gradsim.studies.nielsen import MODEL, PUBLISHED

HIDDEN, EXAMPLES = (2, 4), 100
EPOCHS, RATE, DECAY = 500, 0.1, 5 / 1000  # of him
SLOWER, HUNDRED = math.log10(2), (1.5, 2.5)  # decades: 100 within a factor 3
FALLS, GUESS = 1.0, 0.9  # decades; share of the cost of a constant guess
LAST_PUBLISHED = {  # the last rows of the files that `nielsen` names
    2: [0.003434568507576292, 0.009630366361002016],
    4: [8.21211652552637e-06, 2.614381736985433e-05, 0.00018252897168458156,
        0.0009247251418948941],
}  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Norm of the bias gradient of every hidden layer before every epoch, and costs."""
    inputs, targets = digits(EXAMPLES)
    ds = gs.train(
        MODEL, seeds, learning_rate=RATE, l2=DECAY, steps=EPOCHS, inputs=inputs, targets=targets,
        vary={"depth": [hidden + 1 for hidden in HIDDEN]}, threads=threads,
    )  # fmt: skip
    norm = ds.log10_bias_gradient_norm.rename(depth="hidden", iteration="epoch")
    norm = norm.assign_coords(hidden=list(HIDDEN)).sel(layer=slice(1, max(HIDDEN)))
    norm = norm.where(norm.layer <= norm.hidden)  # hidden layers alone
    norm.attrs = {"long_name": "log10 of the norm of the bias gradient", "units": "1"}
    share = targets.mean(0)
    guess = -(share * np.log(share) + (1 - share) * np.log(1 - share)).sum()
    cost = (10.0**ds.log10_final_loss / guess).rename(depth="hidden")
    cost = cost.assign_coords(hidden=list(HIDDEN))
    cost.attrs = {"long_name": "cost after training over that of a constant guess", "units": "1"}
    return xr.Dataset({"log10_norm": norm, "cost": cost})


def slowness(ds: xr.Dataset, hidden: int) -> xr.DataArray:
    """Decades by which the first hidden layer lags the last, (seed, epoch)."""
    norm = ds.log10_norm.sel(hidden=hidden)
    return norm.sel(layer=hidden) - norm.sel(layer=1)


def expected(hidden: int) -> float:
    """Mean-field slowness before training."""
    rms = gs.theory.profile(MODEL.with_fields(depth=hidden + 1)).log10_delta_rms
    return (rms.sel(layer=hidden) - rms.sel(layer=1)).item()


def estimate(ds: xr.Dataset) -> list[Row]:
    """Medians over networks: slowness, least slowness, fall along training, cost."""
    rows = []
    for hidden in HIDDEN:
        slow, norm = slowness(ds, hidden), ds.log10_norm.sel(hidden=hidden, layer=hidden)
        rows += [
            bootstrap(np.median, slow.isel(epoch=0), expected(hidden)),
            bootstrap(np.median, slow.isel(epoch=-1)),
            bootstrap(np.median, slow.min("epoch")),
            bootstrap(np.median, norm.isel(epoch=0) - norm.isel(epoch=-1)),
            bootstrap(np.median, ds.cost.sel(hidden=hidden)),
        ]
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the norms of the hidden layers along training, and the slowness of the first."""
    from matplotlib.ticker import MultipleLocator

    fig, (*panels, right) = canvas(13, 4.6, 1, len(HIDDEN) + 1)
    for ax, hidden in zip(panels, HIDDEN):
        for layer, color in zip(range(1, hidden + 1), OKABE_ITO[1:]):
            one = ds.log10_norm.sel(hidden=hidden, layer=layer)
            band(ax, ds.epoch, one, color, f"hidden layer {layer}")
            ends = (PUBLISHED[hidden + 1][layer - 1], LAST_PUBLISHED[hidden][layer - 1])
            ax.plot([0, EPOCHS - 1], np.log10(ends), "o", color=color, mec="black")
        ax.set_title(f"{hidden} hidden layers", loc="left")
        ax.set_ylabel("norm of the bias gradient (median, 5 to 95 %)")
        decades(ax.yaxis)
    for hidden, color in zip(HIDDEN, (OKABE_ITO[5], OKABE_ITO[4])):
        words = f"{hidden} hidden layers, {EXAMPLES} digits"
        band(right, ds.epoch, slowness(ds, hidden), color, words)
        right.axhline(expected(hidden), color=color, linestyle=":")
        ends = [norms[hidden - 1] / norms[0]
                for norms in (PUBLISHED[hidden + 1], LAST_PUBLISHED[hidden])]  # fmt: skip
        right.plot([0, EPOCHS - 1], np.log10(ends), "o", color=color, mec="black")
    right.plot([], [], "o", color="white", mec="black", label="published: one network, MNIST")
    right.plot([], [], color="grey", linestyle=":", label="mean field, before training")
    right.set(ylim=(0, 4.2), ylabel="last hidden layer over the first")
    decades(right.yaxis)
    right.legend(frameon=False, fontsize="small", loc="upper left")
    for ax in fig.axes:
        ax.set_xlabel("epochs of training")
        ax.yaxis.set_major_locator(MultipleLocator(1))
    legend(fig, [panels[-1]])
    return fig


def _parts() -> tuple[Part, ...]:
    parts = []
    for hidden in HIDDEN:
        low, high = HUNDRED if hidden == 4 else (SLOWER, math.inf)
        text = "about 100 times slower" if hidden == 4 else "at least 2 times slower"
        parts += [
            Part(f"{hidden} hidden layers, before training: first {text} than last", low, high),
            Part(f"{hidden} hidden layers, after training: first {text} than last", low, high,
                 holds=hidden == 4),
            Part(f"{hidden} hidden layers: first at least 2 times slower at every epoch", SLOWER,
                 holds=hidden == 4),
            Part(f"{hidden} hidden layers: gradient of the last falls tenfold", FALLS),
            Part(f"{hidden} hidden layers: the cost is below 0.9 of a constant guess", high=GUESS,
                 holds=False),
        ]  # fmt: skip
    return tuple(parts)


STUDY = Study(
    name="nielsen_training",
    claim="Early layers learn slower than later ones all along training, with four hidden layers "
    "about 100 times, and gradients fall as the network learns.",
    statistic="medians over networks of log10 of the norm of the bias gradient of the mean cost, "
    "last hidden layer over the first, and its fall over 500 epochs; cost over that of a constant "
    "guess",
    population="sigmoid MLP 64-30-...-30-10 of 2 and 4 hidden layers, W ~ N(0, 1 / fan_in), b ~ "
    "N(0, 1), cross-entropy, 100 digits, gradient descent at 0.1, weight decay 0.005, 500 epochs",
    theory="sqrt(chi_1) = 0.205 a layer before training, 0.69 decades. The fall comes of the "
    "outputs' biases reaching the frequencies of the classes, at which the mean of delta is 0.",
    condition="With four hidden layers the first stays slow all along, some 30 to 100 times; with "
    "two it has caught up after 100 epochs. Gradients fall not because the network learns: its "
    "outputs reach a constant guess, the frequencies of the classes, and its cost stays there.",
    parts=_parts(),
    networks=100,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
