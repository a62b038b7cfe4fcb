"""Remedies in deep networks: relu, orthogonal, residual, layer and batch norm, and the plain gain.

Each remedy is compared with the plain network twice: at the plain network's default (PyTorch's
initialisation, under which tanh vanishes by 0.24 decades a layer) and at its best gain, found on a
grid. A gradient that explodes counts as much as one that vanishes. Drawn as well is what a
remedy does not fix: its dependence on the gain, the spread between networks, and what it costs.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, stacked

DEPTH, WIDTH, EXAMPLES = 50, 100, 8
NEAR, FAR = 10, 40  # layers between which growth is taken, 30 layers
DEFAULT, PLAIN = 1.0, "plain"
GAINS = (0.5, DEFAULT, 1.4, 1.6, 1.7, 1.8, 2.0, 3.0)  # times the own gain of the scheme
MARGIN = 0.02  # decades a layer: a factor 4 over the 30 layers
BASE = gs.MLP(DEPTH, WIDTH, activation="tanh", output="identity", init="pytorch_linear",
              loss="linear")  # fmt: skip
RESIDUAL = {"cell": "residual"}
REMEDIES = {  # fields; what theory says: keeps more than the default, as much as the best gain
    PLAIN: ({}, False, True),
    "relu, same init": ({"activation": "relu"}, False, False),
    "relu, He": ({"activation": "relu", "init": "he_normal"}, True, True),
    "orthogonal": ({"init": "orthogonal"}, True, True),
    "residual": (RESIDUAL, True, True),
    "residual / sqrt(L)": (RESIDUAL | {"residual_scale": "1/sqrt(depth)"}, True, True),
    "layer norm": ({"norm": "layer"}, True, False),
    "batch norm": ({"norm": "batch"}, True, False),
    "relu, batch norm": ({"activation": "relu", "norm": "batch"}, True, False),
}
NAMES = tuple(name for name in REMEDIES if name != PLAIN)


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Growth of every network at every gain (remedy, gain, seed), and weights over the plain's."""
    found, weights = [], []
    for fields, *_ in REMEDIES.values():
        model = BASE.with_fields(**fields)
        ds = gs.simulate(model, seeds, vary={"sigma_w": GAINS}, inputs=EXAMPLES, threads=threads)
        norm = ds.log10_delta_norm
        growth = (norm.sel(layer=NEAR, drop=True) - norm.sel(layer=FAR, drop=True)) / (FAR - NEAR)
        found.append(growth.rename(sigma_w="gain"))
        net = gs.network(model, 0, inputs=2)
        weights.append(float(sum(np.size(matrix) for matrix in net.weights)))
    growth = stacked(found, "remedy", REMEDIES)
    growth.attrs = {"long_name": "growth of norm(delta) a layer backwards, decades", "units": "1"}
    growth.gain.attrs = {"long_name": "sd of the weights over the scheme's own", "units": "1"}
    cost = xr.DataArray(weights, dims="remedy") / weights[0]
    cost.attrs = {"long_name": "weights over those of the plain network", "units": "1"}
    return xr.Dataset({"growth": growth, "cost": cost})


def best_gain(ds: xr.Dataset) -> float:
    """Gain of the grid at which the plain network's typical gradient changes least."""
    return abs(ds.growth.sel(remedy=PLAIN).mean("seed")).idxmin("gain").item()


def kept(pair: np.ndarray) -> float:
    """How much nearer to no growth the second column (seed, 2) is than the first."""
    plain, remedy = abs(pair.mean(axis=0))
    return float(plain - remedy)


def expected(name: str, gain: float = DEFAULT) -> float:
    """Mean-field growth of the rms over the same layers, decades a layer."""
    model = BASE.with_fields(**REMEDIES[name][0], sigma_w=gain)
    rms = gs.theory.profile(model).log10_delta_rms
    return (rms.sel(layer=NEAR) - rms.sel(layer=FAR)).item() / (FAR - NEAR)


def estimate(ds: xr.Dataset) -> list[Row]:
    """Each remedy at its default against the plain network: at its default, at its best gain."""
    rows = []
    for gain in (DEFAULT, best_gain(ds)):
        plain, theory = ds.growth.sel(remedy=PLAIN, gain=gain), abs(expected(PLAIN, gain))
        for name in NAMES:
            pair = np.stack([plain, ds.growth.sel(remedy=name, gain=DEFAULT)], axis=1)
            rows.append(bootstrap(kept, pair, theory - abs(expected(name))))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw growth at the default and over gains, and the spread between networks."""
    fig, (left, middle, right) = canvas(13, 4.8, 1, 3, width_ratios=(1.2, 1.3, 1))
    places = np.arange(len(REMEDIES))[::-1]
    default = ds.growth.sel(gain=DEFAULT)
    colors = ["black", *OKABE_ITO[1:], "grey"]
    for place, name, color in zip(places, REMEDIES, colors):
        one = default.sel(remedy=name)
        left.plot(one.quantile([0.05, 0.95], "seed"), [place] * 2, color=color, linewidth=2)
        left.plot(one.mean("seed"), place, "o", color=color)
        left.plot(expected(name), place, "|", color="black", markersize=14)
        curve = ds.growth.sel(remedy=name).mean("seed")
        marker = {"relu, same init": "s", "relu, He": "^"}.get(name, "o")
        middle.plot(GAINS, curve, color=color, marker=marker, markersize=3, label=name)
        right.plot(one.std("seed") * (FAR - NEAR), place, "o", color=color)
    left.plot([], [], "|", color="black", markersize=14, linestyle="", label="mean field (rms)")
    left.axvspan(-MARGIN, MARGIN, color="0.9", label=f"within {MARGIN} decades")
    cost = [f"{name}\n({c:.2g} x weights)" if c > 1 else name
            for name, c in zip(REMEDIES, ds.cost.values)]  # fmt: skip
    left.set_yticks(places, cost)
    right.set_yticks(places, [])
    left.set_xlabel("growth per layer backwards at the default\n(decades; below 0: vanishing)")
    middle.set_xlabel("gain, over that of the default")
    middle.set_ylabel("growth per layer backwards (decades)")
    right.set_xlabel("sd between networks over 30 layers,\nat the default (decades)")
    right.set_xlim(left=0)
    middle.axhspan(-MARGIN, MARGIN, color="0.9")
    middle.axvline(best_gain(ds), color="black", linestyle=":", linewidth=1)
    legend(fig, [middle, left], 6, "small")
    return fig


def parts(remedies: dict[str, tuple[dict[str, Any], bool, bool]]) -> tuple[Part, ...]:
    """Both statements about each remedy; PLAIN is none."""
    named = {name: said for name, (_, *said) in remedies.items() if name != PLAIN}
    default = [Part(f"{name}: keeps more than the plain default", MARGIN, holds=said[0])
               for name, said in named.items()]  # fmt: skip
    best = [Part(f"{name}: as much as the plain best gain", -MARGIN, holds=said[1])
            for name, said in named.items()]  # fmt: skip
    return (*default, *best)


STUDY = Study(
    name="remedies",
    claim="relu, orthogonal matrices, residual connections and normalisation cure vanishing "
    "gradients in deep networks, which a plain network cannot avoid.",
    statistic="|growth| of the plain network less that of the remedy: typical norm(delta) from "
    "layer 40 back to layer 10, decades a layer; a factor on the gain of the plain network is free",
    population="MLP of width 100 and depth 50, tanh where not said, W ~ U(-1, 1) / sqrt(100) "
    "(PyTorch's default) where not said, no biases, 8 inputs N(0, 1), linear cost",
    theory="chi_1 decides: 1/3 for tanh under PyTorch's default, 1/6 for relu, 1 for He. Under a "
    "norm chi_1 = E phi'^2 / Var phi whatever the gain: 1.18 for tanh, pi / (pi - 1) for relu; "
    "more under batch norm of as few as 8 examples.",
    condition="relu helps with its own gain only: under the same init it vanishes faster. Norms "
    "end vanishing and the need for a gain, and explode instead. Residual, orthogonal and relu "
    "with He's gain do as well as the plain network at its best gain.",
    parts=parts(REMEDIES),
    networks=150, quick=8, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
