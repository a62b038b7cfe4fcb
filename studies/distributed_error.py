"""Whether gradients are small because the error is shared out over many weights.

The root mean square of single derivatives dC/dw against the width at fixed depth, and against the
depth at fixed width, with ten outputs. Sharing among more weights is a power of the width, and the
same at every depth; it is not what makes gradients vanish exponentially with depth.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, log10_rms, stacked

WIDTHS, DEPTHS, OUTPUTS = (40, 100, 250), (5, 10, 20), 10
NETS = {"tanh, gain 0.9": ("tanh", 0.9), "relu, critical gain": ("relu", 2**0.5),
        "sigmoid, gain 1": ("sigmoid", 1.0)}  # fmt: skip
SHALLOW, DEEP = DEPTHS[0], DEPTHS[-1]
HALF, SAME, MARGIN = (-0.6, -0.4), 0.02, 0.02  # powers of the width; decades a layer


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Rms of dC/dw in layer 2 of every network, (network, width, depth, seed)."""
    runs = []
    for activation, sigma_w in NETS.values():
        widths = []
        for width in WIDTHS:
            model = gs.MLP(DEEP, width, activation=activation, sigma_w=sigma_w, loss="linear",
                           output="identity", output_width=OUTPUTS)  # fmt: skip
            ds = gs.simulate(model, seeds, vary={"depth": DEPTHS}, threads=threads)
            norm = ds.log10_weight_grad_norm.sel(layer=2, drop=True)
            widths.append(norm - math.log10(width))  # of width^2 weights
        runs.append(stacked(widths, "width", WIDTHS))
    found = stacked(runs, "network", NETS)
    found.attrs = {"long_name": "log10 of the rms of dC/dw in layer 2", "units": "1"}
    plain = found.drop_vars(set(found.coords) - {"network", "width", "depth", "seed"})
    return xr.Dataset({"log10_partial": plain.transpose("network", "width", "depth", "seed")})


def _power(ends: np.ndarray) -> float:
    """Power of the width from the narrowest to the widest, (seed, end)."""
    narrow, wide = (log10_rms(column) for column in ends.T)
    return (wide - narrow) / math.log10(WIDTHS[-1] / WIDTHS[0])


def _growth(ends: np.ndarray) -> float:
    """Decades per layer of depth, (seed, end)."""
    shallow, deep = (log10_rms(column) for column in ends.T)
    return (deep - shallow) / (DEEP - SHALLOW)


def _steeper(ends: np.ndarray) -> float:
    """Decades per layer that the widest network loses more than the narrowest."""
    return _growth(ends[:, 2:]) - _growth(ends[:, :2])


def by_depth(ds: xr.Dataset, name: str, width: int) -> np.ndarray:
    """The shallow and the deep network, (seed, end)."""
    at = ds.log10_partial.sel(network=name, width=width, depth=[SHALLOW, DEEP])
    return at.transpose("seed", "depth").values


def expected(name: str) -> float:
    """Mean-field decades per layer, NaN where the network has no fixed point to be at."""
    activation, sigma_w = NETS[name]
    if name.startswith("tanh"):
        return math.log10(sigma_w)  # chi_1 = sigma_w^2 at q* = 0
    return gs.theory.mean_field(
        gs.MLP(2, 9, activation=activation, sigma_w=sigma_w)
    ).growth_rms.item()


def estimate(ds: xr.Dataset) -> list[Row]:
    """Power of the width, decades per layer, and how they depend on each other."""
    rows = []
    for name in NETS:
        for depth in (SHALLOW, DEEP):
            ends = ds.log10_partial.sel(network=name, depth=depth, width=[WIDTHS[0], WIDTHS[-1]])
            rows.append(bootstrap(_power, ends.transpose("seed", "width"), -0.5))
        both = np.hstack([by_depth(ds, name, WIDTHS[0]), by_depth(ds, name, WIDTHS[-1])])
        rows.append(bootstrap(_steeper, both, 0.0))
        rows.append(bootstrap(_growth, by_depth(ds, name, WIDTHS[-1]), expected(name)))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the rms against the width at each depth, and against the depth at each width."""
    fig, (by_width, by_layers) = canvas(10, 4.8, 1, 2, sharey=True)
    for name, color in zip(NETS, (OKABE_ITO[5], OKABE_ITO[6], OKABE_ITO[3])):
        rms = xr.apply_ufunc(log10_rms, ds.log10_partial.sel(network=name), vectorize=True,
                             input_core_dims=[["seed"]])  # fmt: skip
        for depth, marker in zip(DEPTHS, "os^"):
            by_width.plot(WIDTHS, 10 ** rms.sel(depth=depth), marker, color=color)
            start = rms.sel(depth=depth, width=WIDTHS[0]).item()
            law = 10**start * (np.array(WIDTHS) / WIDTHS[0]) ** -0.5
            by_width.plot(WIDTHS, law, color="black", linewidth=0.8)
        for width, line in zip(WIDTHS, (":", "--", "-")):
            label = f"{name}, width {width}"
            values = 10 ** rms.sel(width=width)
            by_layers.plot(DEPTHS, values, line, marker=".", color=color, label=label)
    for depth, marker in zip(DEPTHS, "os^"):
        by_width.plot([], [], marker, color="grey", label=f"depth {depth}")
    by_width.plot([], [], color="black", linewidth=0.8, label="theory: width^(-1/2)")
    by_width.set(xscale="log", yscale="log", xlabel="width", xticks=WIDTHS)
    by_width.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    by_width.minorticks_off()
    by_width.set_ylabel("rms of single derivatives dC/dw in layer 2")
    by_layers.set_xlabel("depth (layers)")
    legend(fig, size="small")
    return fig


def _parts(name: str) -> tuple[Part, ...]:
    fades = name != "relu, critical gain"
    return (
        Part(f"{name}, depth {SHALLOW}: falls with the root of the width", *HALF),
        Part(f"{name}, depth {DEEP}: falls with the root of the width", *HALF),
        Part(f"{name}: a wide network loses more per layer", -np.inf, -SAME, False),
        Part(f"{name}, width {WIDTHS[-1]}: loses 0.02 decades or more per layer", -np.inf, -MARGIN,
             fades),
    )  # fmt: skip


STUDY = Study(
    name="distributed_error",
    claim="Gradients vanish because the error gets distributed over many weights.",
    statistic="rms over networks and weights of dC/dw in layer 2: its power of the width from 40 to"
    " 250, its decades per layer of depth from 5 to 20, and the difference of those between widths",
    population="MLP with W ~ N(0, sigma_w^2 / fan_in), ten outputs, cost v.z^L, v ~ N(0, I), inputs"
    " N(0, 1); sigma_w: tanh 0.9, relu sqrt(2), sigmoid 1",
    theory="The squared norm of delta is 10 chi_1^(L-l) at every width, shared by n units: "
    "delta_j and dC/dw fall as n^(-1/2), and chi_1 does not know n.",
    condition="The error is distributed, as the root of the width, at every depth alike. What "
    "vanishes exponentially with depth does so at every width, and at chi_1 = 1 nothing does.",
    parts=tuple(part for name in NETS for part in _parts(name)),
    networks=400, quick=40, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
