"""Whether a small gradient is good news (the layer is at its best) or bad (it cannot learn).

By layer of deep sigmoid, tanh and relu networks on handwritten digits: norm of the gradient, its
curvature with its sign, and the share of the cost that goes when that layer alone is trained, by
damped Gauss-Newton steps, which do not see the scale of a gradient. Two controls: an output layer
at its exact least squares, where a gradient of 0 is good news, and a layer whose units are all
saturated, where it is not. And two functions of one number, |x| and x^4.
"""

from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._digits import digits
from gradsim.studies._layers import Layers, attainable, least_squares, over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, stacked, tabled

WIDTH, DEPTH, CLASSES, EXAMPLES = 12, 6, 3, 60
NETS = {"sigmoid": 1.0, "tanh": 1.0, "relu": 2**0.5}  # sigma_w
MIDDLE, SATURATED = 3, 6.0  # plateau: layer whose biases are +-6, where tanh' < 1/10,000
CONTROLS = ("output layer at its least squares", "layer 3 saturated")
RANK, LITTLE, FALLS = 0.5, 0.01, -0.5  # correlation; share of the cost; decades


def sample() -> tuple[np.ndarray, np.ndarray]:
    """Digits 0, 1 and 2, with one-hot targets."""
    x, y = digits(250)
    chosen = y[:, :CLASSES].any(1)
    return x[chosen][:EXAMPLES], y[chosen][:EXAMPLES, :CLASSES]


def saturated(layers: Layers) -> Layers:
    """Network with the units of the middle layer far out, half on either side."""
    sides = np.where(np.arange(WIDTH) % 2, SATURATED, -SATURATED)
    return layers.moved(MIDDLE, np.zeros((WIDTH, WIDTH)), sides)


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Numbers of every layer, (activation, seed, layer), and of the controls, (control, seed)."""
    x, y = sample()
    models = [gs.MLP(DEPTH, WIDTH, activation=name, sigma_w=sigma_w, output="identity")
              for name, sigma_w in NETS.items()]  # fmt: skip
    runs = [gs.simulate(model, seeds, inputs=x, targets=y, measure="curvature", threads=threads)
            for model in models]  # fmt: skip
    kept = ["log10_gradient_norm", "log10_curvature", "curvature_sign"]
    ds = stacked(runs, "activation", NETS)[kept]

    def one(seed: int) -> tuple[list[list[float]], list[tuple[float, float]]]:
        nets = [Layers(gs.network(model, seed, inputs=x, targets=y)) for model in models]
        alone = [[attainable(net, layer) for layer in ds.layer.values] for net in nets]
        controls = (least_squares(nets[1]), DEPTH), (saturated(nets[1]), MIDDLE)
        return alone, [(np.log10(net.gradient_norm(layer)), attainable(net, layer))
                       for net, layer in controls]  # fmt: skip

    alone, controls = zip(*over_seeds(one, seeds, threads))
    share = "share of the cost that goes by training this layer alone"
    ds["attainable"] = ("seed", "activation", "layer"), np.array(alone)
    ds.attainable.attrs = {"long_name": share, "units": "1"}
    texts = {"control_log10_gradient": "log10 norm of the layer's gradient",
             "control_attainable": share}  # fmt: skip
    columns = np.moveaxis(np.array(controls), -1, 0)
    return ds.merge(tabled(columns, texts, ("seed", "control"), control=CONTROLS))


def rank_correlation(ds: xr.Dataset, name: str) -> np.ndarray:
    """Spearman's correlation over layers of gradient and attainable share, (seed,)."""
    ranks = [
        rankdata(ds[name_of].sel(activation=name).transpose("seed", "layer"), axis=1)
        for name_of in ("log10_gradient_norm", "attainable")
    ]
    a, b = (r - r.mean(1, keepdims=True) for r in ranks)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), size, out=np.zeros_like(size), where=size > 0)


def least(ds: xr.Dataset, name: str) -> np.ndarray:
    """Attainable share of the layer with the smallest gradient, (seed,)."""
    at = ds.sel(activation=name)
    return at.attainable.isel(layer=at.log10_gradient_norm.argmin("layer")).values


def estimate(ds: xr.Dataset) -> list[Row]:
    """Rank correlations, attainable shares, the controls, and two functions of one number."""
    rows = [bootstrap(np.mean, rank_correlation(ds, name)) for name in NETS]
    rows += [bootstrap(np.median, least(ds, name)) for name in NETS]
    best, flat = (ds.control_attainable.sel(control=name) for name in CONTROLS)
    rows += [bootstrap(np.median, best, 0.0), bootstrap(np.median, flat)]
    for slope, theory in ((np.sign, 0.0), (lambda x: 4 * x**3, -6.0)):
        fall = float(np.log10(slope(0.01) / slope(1.0)))  # |x|, then x^4, towards their minimum
        rows.append((fall, fall, fall, theory))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw gradient, curvature and attainable share by layer, and the controls."""
    fig, axes = canvas(11, 6.4, 2, len(NETS), sharex=True, sharey="row")
    for (top, low), name in zip(axes.T, NETS):
        at = ds.sel(activation=name)
        norm, bend = (10 ** at[f"log10_{n}"].median("seed") for n in ("gradient_norm", "curvature"))
        top.plot(ds.layer, norm, "o-", color=OKABE_ITO[5], label="gradient")
        top.plot(ds.layer, bend, "-", color=OKABE_ITO[6], label="curvature along it")
        negative = (at.curvature_sign < 0).mean("seed")
        for layer, share in zip(ds.layer.values, negative.values):
            top.annotate(f"{100 * share:.0f}", (layer, 0.03), xycoords=top.get_xaxis_transform(),
                         color=OKABE_ITO[6], fontsize="small", ha="center")  # fmt: skip
        low.plot(ds.layer, 100 * at.attainable.T, color=OKABE_ITO[2], alpha=0.4, linewidth=0.7)
        low.plot(ds.layer, 100 * at.attainable.median("seed"), "o-", color=OKABE_ITO[3],
                 label="trained alone (median; thin: each network)")  # fmt: skip
        if name == "tanh":
            flat = ds.sel(control=CONTROLS[1]).median("seed")
            low.plot(MIDDLE, 100 * flat.control_attainable, "s", color=OKABE_ITO[6],
                     label="control: layer saturated")  # fmt: skip
            top.plot(MIDDLE, 10**flat.control_log10_gradient, "s", color=OKABE_ITO[6])
        top.set(yscale="log", ylim=(1e-6, None))
        low.set(yscale="log", xlabel="layer (1: next to the input)", ylim=(0.05, 150))
        top.set_title(f"{name}, sigma_w = {NETS[name]:.3g}", loc="left")
    words = "norm of the layer's gradient; size of its\ncurvature (below: % negative)"
    axes[0, 0].set_ylabel(words)
    axes[1, 0].set_ylabel("share of the cost that goes by\ntraining the layer alone (%)")
    legend(fig, axes[:, 1].tolist())
    return fig


STUDY = Study(
    name="small_gradient",
    claim="A small gradient is good news: the layer has little left to gain.",
    statistic="rank correlation over layers of the gradient's norm and the share of the cost that "
    "training the layer alone takes away, mean over networks; that share where the gradient is "
    "smallest, median; decades by which f' falls from x = 1 to 0.01",
    population="MLP 64-12-...-12-3 of depth 6, W ~ N(0, sigma_w^2 / fan_in), squared error, 60 "
    "digits 0, 1, 2; sigma_w: sigmoid 1, tanh 1, relu sqrt(2); controls: tanh",
    theory="At a minimum the gradient is 0, but a gradient is also small where a layer hardly "
    "reaches the output (sigmoid) or is saturated. f' of |x| is 1 up to the minimum.",
    condition="In the sigmoid network a layer of small gradient gains little by itself: bad news, "
    "it hardly moves the output. In tanh and relu networks the gradient's size does not tell, and "
    "a saturated layer with a gradient of 1/10,000 has most of the cost to gain. Only at a "
    "minimum, as of the output layer, is it good news.",
    parts=(
        *(Part(f"{n}: gradient and gain agree in rank (0.5 or more)", RANK, 1.0, n == "sigmoid")
          for n in NETS),
        *(Part(f"{n}: 1 % or less to gain where the gradient is least", 0.0, LITTLE, n == "sigmoid")
          for n in NETS),
        Part("control, at least squares: 1 % or less to gain", -LITTLE, LITTLE),
        Part("control, saturated: 1 % or less to gain", -LITTLE, LITTLE, False),
        Part("|x|: the gradient falls towards the minimum", -np.inf, FALLS, False),
        Part("x^4: the gradient falls towards the minimum", -np.inf, FALLS),
    ),
    networks=60,
    quick=6,
    measure=measure,
    estimate=estimate,
    figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
