"""The bound: how loose gamma^(L - l + 1) prod norm(W) norm(a - y) is, and what it can prove.

Networks of width 100 and depth 30 over a range of gains. The norm of delta falls below the bound by
some decades per layer, of which one part is that a matrix is taken at its norm rather than at the
length it gives a typical direction, and the other that every slope is taken at its supremum rather
than at its typical size. A bound that grows towards the input proves nothing about vanishing; the
gain from which on it grows, 1 / (2 gamma) for wide Gaussian matrices, is measured too. For tanh it
is 1/2, half of the gain 1 up to which gradients vanish: between them only chi_1 tells.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, labelled, legend

WIDTH, DEPTH, NEAR = 100, 30, 5
ACTIVATIONS = ("sigmoid", "tanh", "relu", "selu", "gelu", "identity")
GAINS = (0.4, 0.9, 1.0, 2.0**0.5, 3.0, 4.0, 10.149263710)
MARGIN = 0.02  # decades a layer
MODEL = gs.MLP(DEPTH, WIDTH, loss="linear")  # dC/da^L = v, a random direction, stands for a - y
CASES = (("sigmoid", 1.0), ("sigmoid", 4.0), ("tanh", 0.4), ("tanh", 0.9), ("relu", 1.0),
         ("identity", 0.9))  # fmt: skip
CRITICAL = (("sigmoid", 10.149263710), ("tanh", 1.0), ("relu", 2.0**0.5), ("identity", 1.0))
LIMIT = {a: 1 / (2 * gs.activations[a].gamma(0.0)) for a in ACTIVATIONS}
NEAR_LIMIT = (0.95, 1.05)  # times that


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Decades per layer of delta, of its bound, and of the two parts of their difference."""
    ds = gs.simulate(
        MODEL, seeds, vary={"activation": ACTIVATIONS, "sigma_w": GAINS},
        measure=("gradient", "signal", "bounds"), threads=threads,
    )  # fmt: skip
    first, last, span = NEAR, DEPTH - 1, DEPTH - 1 - NEAR

    def growth(norm: xr.DataArray) -> xr.DataArray:
        return (norm.sel(layer=first, drop=True) - norm.sel(layer=last, drop=True)) / span

    crossed = {"layer": slice(first + 1, last)}
    typical = ds.log10_weight_norm - 0.5 * math.log10(WIDTH)  # length given to a random direction
    delta, bound = growth(ds.log10_delta_norm), growth(ds.log10_gamma_bound)
    from_norms = (ds.log10_weight_spectral_norm - typical).sel(crossed).mean("layer")
    excess = (ds.log10_delta_norm - ds.log10_gamma_bound).max("layer")
    return labelled(
        delta=(delta, "growth of norm(delta) per layer backwards, decades"),
        bound=(bound, "growth of the bound per layer backwards, decades"),
        local_bound=(
            growth(ds.log10_local_bound), "the same with the largest slope of each layer"),
        from_norms=(from_norms, "looseness per layer from norms against typical directions"),
        from_slopes=(bound - delta - from_norms,
                     "looseness per layer from supremum against typical slopes"),
        excess=(excess, "most that log10 norm(delta) exceeds its bound by, over layers"),
    )  # fmt: skip


def expected(activation: str, sigma_w: float) -> tuple[float, float]:
    """Growth of the bound and of the rms over the same layers at infinite width."""
    law = gs.theory.norm_bounds(MODEL.with_fields(activation=activation, sigma_w=sigma_w))
    ends = law.sel(layer=NEAR) - law.sel(layer=DEPTH - 1)
    span = DEPTH - 1 - NEAR
    return ends.log10_gamma_bound.item() / span, ends.log10_delta_rms.item() / span


def estimate(ds: xr.Dataset) -> list[Row]:
    """Largest excess, growth of delta and of the bound, its reach and its looseness."""
    worst = ds.excess.max().item()
    rows: list[Row] = [(worst, worst, worst, 0.0)]
    for name, index in (("delta", 1), ("bound", 0)):
        rows += [
            bootstrap(np.mean, ds[name].sel(activation=a, sigma_w=g), expected(a, g)[index])
            for a, g in CASES
        ]
    for a in ACTIVATIONS:  # the bound goes as sigma_w per layer, whatever the gain
        at_one = ds.bound.sel(activation=a, sigma_w=1.0)
        rows.append(bootstrap(lambda x: 10 ** -np.mean(x), at_one, LIMIT[a]))
    for a, g in CRITICAL:
        at, theory = ds.sel(activation=a, sigma_w=g), expected(a, g)
        rows.append(bootstrap(np.mean, at.bound - at.delta, theory[0] - theory[1]))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw growth and bound against the gain, and where the looseness comes from."""
    fig, axes = canvas(15, 6.6, 2, len(ACTIVATIONS), sharex=True, sharey="row")
    fine = np.geomspace(GAINS[0], GAINS[-1], 40)
    for (top, low), activation in zip(axes.T, ACTIVATIONS):
        one = ds.sel(activation=activation).mean("seed")
        theory = np.array([expected(activation, g) for g in fine]).T
        top.plot(fine, theory[0], color="#D55E00", label="bound, theory")
        top.plot(fine, theory[1], color="#0072B2", label="gradient, theory (rms)")
        top.plot(GAINS, one.bound, "^", color="#D55E00", label="bound")
        top.plot(GAINS, one.local_bound, "x", color="#009E73", label="bound, each layer's slope")
        top.plot(GAINS, one.delta, "o", color="#0072B2", label="gradient")
        top.axhline(0, color="grey", linewidth=0.8)
        top.set_title(activation if activation != "identity" else "linear", loc="left")
        low.stackplot(GAINS, one.from_norms, one.from_slopes, colors=("#E69F00", "#56B4E9"),
                      labels=("norm against typical direction",
                              "largest against typical slope"))  # fmt: skip
        low.plot(fine, theory[0] - theory[1], "k", label="both, theory")
        low.set_xscale("log")
        low.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
        low.minorticks_off()
        low.set_xlabel("gain sigma_w")
    axes[0, 0].set_ylabel("growth per layer backwards\n(decades; below 0: vanishing)")
    axes[1, 0].set_ylabel("bound over gradient\n(decades per layer)")
    legend(fig, axes[:, 0].tolist(), 4, "small")
    return fig


STUDY = Study(
    name="bound",
    claim="Gradients vanish because |phi'| <= gamma: gamma^(L - l + 1) prod norm(W) norm(a - y) "
    "bounds them and goes to 0.",
    statistic="growth per layer backwards, from layer 29 to layer 5, of norm(delta) and of its "
    "bound, decades; largest excess of log10 norm(delta) over its bound; largest sigma_w at which "
    "the bound falls; bound over gradient, decades per layer",
    population="MLP of width 100 and depth 30, W ~ N(0, sigma_w^2 / 100), no biases, cost v.a^L "
    "with v ~ N(0, I), so that norm(v) stands for norm(a - y), inputs N(0, 1)",
    theory="norm(W) -> 2 sigma_w, so the bound falls only where 2 gamma sigma_w < 1: sigma_w < 2 "
    "for sigmoid, < 1/2 for tanh, relu and linear. Gradients vanish where chi_1 = sigma_w^2 E "
    "phi'^2 < 1: sigma_w < 10.15, 1, sqrt(2), 1. Looseness per layer: 2 gamma / sqrt(E phi'^2).",
    condition="The bound is always true, and proves vanishing where 2 gamma sigma_w < 1. Above "
    "that gradients still vanish, up to chi_1 = 1, and the bound says nothing: chi_1 does. At "
    "chi_1 = 1 it is loose by 0.3 (linear) to 0.7 decades (sigmoid) in every layer.",
    parts=(
        Part("the bound holds in every network and layer", high=1e-10),
        *(Part(f"{a}, sigma_w = {g:g}: vanishes", high=-MARGIN) for a, g in CASES),
        *(Part(f"{a}, sigma_w = {g:g}: is proved to vanish", high=-MARGIN, holds=g < LIMIT[a])
          for a, g in CASES),
        *(Part(f"{a}: largest sigma_w at which it proves", *(x * limit for x in NEAR_LIMIT))
          for a, limit in LIMIT.items()),
        *(Part(f"{a}, critical sigma_w = {g:.4g}: the bound is tight", high=MARGIN, holds=False)
          for a, g in CRITICAL),
    ),
    networks=200, quick=20, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
