"""Is it the sigmoid: whether the activation or the gain makes gradients vanish.

Deep networks and recurrent ones, with one matrix for all layers (tied) or one for each: an unrolled
RNN without inputs on the way is a feed-forward network, with inputs it is what is called an RNN. So
four architectures at three gains, over 30 steps from step 40 back to step 10, with the factor of
the weights, norm(W^T delta) / norm(delta), and of the slopes shown apart.

The price of the critical gain of the sigmoid (10.15) is drawn too: the share of saturated units,
the spread between networks, and into how few directions the gradient is squeezed.
"""

from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, labelled, log10_rms, stacked

STEPS, LAST, FIRST = 40, 40, 10
ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
GAINS = ("sigma_w = 0.9", "conventional", "critical")
CONVENTIONAL = {"sigmoid": 1.0, "tanh": 1.0, "relu": 2**0.5, "identity": 1.0}  # Glorot, He
# chi_1 = 1, without and with inputs of sigma_u = 1 (gradsim.theory: edge_of_chaos, recurrent)
CRITICAL = {
    0.0: {"sigmoid": 10.149263710, "tanh": 1.0, "relu": 2**0.5, "identity": 1.0},
    1.0: {"sigmoid": 10.264992937, "tanh": 1.855589101, "relu": 2**0.5, "identity": 1.0},
}
ARCHITECTURES = {  # name: (tied, sigma_u)
    "MLP": (False, 0.0),
    "tied MLP": (True, 0.0),
    "untied RNN": (False, 1.0),
    "RNN": (True, 1.0),
}
SHARE = 50  # one network of so many has its directions counted
MARGIN = 0.02  # decades a step: a factor 4 over the 30 steps
VANISHES, KEPT = (-np.inf, -MARGIN), (-MARGIN, np.inf)
CASES = (  # architecture, activation, gain, what the claim says of it, what the condition does
    ("MLP", "sigmoid", "conventional", VANISHES, True),
    ("RNN", "sigmoid", "conventional", VANISHES, True),
    ("MLP", "sigmoid", "critical", VANISHES, False),
    ("RNN", "sigmoid", "critical", VANISHES, False),
    ("MLP", "tanh", "conventional", KEPT, True),
    ("MLP", "relu", "conventional", KEPT, True),
    ("MLP", "identity", "conventional", KEPT, True),
    ("MLP", "relu", "sigma_w = 0.9", KEPT, False),
    ("MLP", "identity", "sigma_w = 0.9", KEPT, False),
    ("untied RNN", "identity", "sigma_w = 0.9", KEPT, False),
)


def sigma_w(activation: str, gain: str, sigma_u: float) -> float:
    """Gain as a number."""
    return {
        GAINS[0]: 0.9,
        GAINS[1]: CONVENTIONAL[activation],
        GAINS[2]: CRITICAL[sigma_u][activation],
    }[gain]


def model(architecture: str, activation: str, gain: str) -> gs.RNN:
    """One condition."""
    tied, sigma_u = ARCHITECTURES[architecture]
    gain_number = sigma_w(activation, gain, sigma_u)
    return gs.RNN(STEPS, 100, activation=activation, loss="linear", tied=tied, sigma_u=sigma_u,
                  sigma_w=gain_number)  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Growth of every network with its two factors, and its saturated share."""
    found = []
    for tied, sigma_u in ARCHITECTURES.values():
        base = gs.RNN(STEPS, 100, loss="linear", tied=tied, sigma_u=sigma_u)
        gains = {a: [sigma_w(a, gain, sigma_u) for gain in GAINS] for a in ACTIVATIONS}
        values = sorted({value for row in gains.values() for value in row})
        ds = gs.simulate(
            base, seeds, vary={"activation": ACTIVATIONS, "sigma_w": values},
            measure=("gradient", "signal"), threads=threads,
        )  # fmt: skip
        chosen = xr.DataArray(
            list(gains.values()), {"activation": list(ACTIVATIONS), "gain": list(GAINS)}
        )
        found.append(_reduce(ds).sel(activation=chosen.activation, sigma_w=chosen))
    names = xr.Variable("architecture", list(ARCHITECTURES))
    result = xr.concat(found, names, combine_attrs="drop")
    few = result.seed.values[: max(2, result.sizes["seed"] // SHARE)]
    counted = xr.concat([directions(name, few, threads) for name in ARCHITECTURES], names)
    text = "number of directions that carry the gradient, of 100; of the first seeds only"
    counted.attrs = {"long_name": text, "units": "1"}
    return result.assign(directions=counted.reindex(seed=result.seed))


def directions(architecture: str, seeds: Any, threads: int | None) -> xr.DataArray:
    """Participation number of the squared singular values s of dh_40 / dh_10: (sum s)^2 / sum s^2.

    It is 100 where all directions count alike and 1 where one is left; (activation, gain, seed).
    """
    tied, sigma_u = ARCHITECTURES[architecture]
    jacobian, found = gs.measurements.jacobian(layers=[FIRST]), []
    for activation in ACTIVATIONS:
        base = gs.RNN(STEPS, 100, activation=activation, loss="linear", tied=tied, sigma_u=sigma_u)
        gains = [sigma_w(activation, gain, sigma_u) for gain in GAINS]
        ds = gs.simulate(base, seeds, vary={"sigma_w": sorted(set(gains))}, measure=jacobian,
                         threads=threads)  # fmt: skip
        log = ds.log10_singular_value.sel(step=FIRST, sigma_w=xr.DataArray(gains, dims="gain"))
        squares = 10 ** (2 * (log - log.max("index")))
        found.append(squares.sum("index") ** 2 / (squares**2).sum("index"))
    named = stacked(found, "activation", ACTIVATIONS)
    return named.drop_vars(set(named.coords) - {"seed", "activation"}).assign_coords(
        gain=list(GAINS)
    )


def _reduce(ds: xr.Dataset) -> xr.Dataset:
    """Decades per step of the whole and of the two factors, and the share at step LAST."""
    delta, state = ds.log10_delta_norm, ds.log10_state_grad_norm
    span = LAST - FIRST
    slope = [(delta.sel(step=t) - state.sel(state_step=t)) for t in range(FIRST, LAST)]
    growth = (delta.sel(step=FIRST) - delta.sel(step=LAST)) / span
    slope_factor = xr.concat(slope, "t").mean("t")
    return labelled(
        growth=(growth, "growth of norm(delta) per step backwards, decades"),
        weight_factor=(growth - slope_factor, "the share of the weights, decades per step"),
        slope_factor=(slope_factor, "the share of the slopes, decades per step"),
        saturated=(ds.saturated_share.sel(step=LAST), "saturated share at the last step"),
    )


def expected(architecture: str, activation: str, gain: str) -> float:
    """Mean-field growth of the rms over the same steps, decades per step."""
    rms = gs.theory.profile(model(architecture, activation, gain)).log10_delta_rms
    return (rms.sel(step=FIRST) - rms.sel(step=LAST)).item() / (LAST - FIRST)


def estimate(ds: xr.Dataset) -> list[Row]:
    """Growth of the root mean square over networks, per step, of each case."""
    span = LAST - FIRST
    return [
        bootstrap(
            lambda logs: log10_rms(logs * span) / span,
            ds.growth.sel(architecture=name, activation=activation, gain=gain),
            expected(name, activation, gain),
        )
        for name, activation, gain, *_ in CASES
    ]


def figure(ds: xr.Dataset) -> Any:
    """Draw the two factors of each condition, medians over networks, and the price."""
    fig, axes = canvas(12, 10, 4, len(ARCHITECTURES), sharex=True, sharey="row")
    labels = [f"{a if a != 'identity' else 'linear'}" for a in ACTIVATIONS]
    x, colors = np.arange(len(ACTIVATIONS)), ("#56B4E9", "#0072B2", "#D55E00")
    for column, name in zip(axes.T, ARCHITECTURES):
        at = ds.sel(architecture=name)
        for i, gain in enumerate(GAINS):
            place, one = x + 0.26 * (i - 1), at.sel(gain=gain)
            for factor, hatch in (("weight_factor", None), ("slope_factor", "////")):
                column[0].bar(place, one[factor].median("seed"), 0.24, color=colors[i],
                              hatch=hatch, edgecolor="white", linewidth=0.5)  # fmt: skip
            column[0].plot(place, one.growth.median("seed"), "kD", markersize=4)
            for j, a in enumerate(ACTIVATIONS):
                column[0].plot(place[j] + np.array([-0.13, 0.13]), [expected(name, a, gain)] * 2,
                               color="black", linewidth=1.2)  # fmt: skip
            column[1].bar(place, 100 * one.saturated.mean("seed"), 0.24, color=colors[i])
            spread = one.growth.std("seed") * (LAST - FIRST)
            column[2].bar(place, spread, 0.24, color=colors[i])
            column[3].bar(place, one.directions.mean("seed"), 0.24, color=colors[i])
        column[0].axhline(0, color="grey", linewidth=0.8)
        column[0].set_title(name, loc="left")
        column[3].set_xticks(x, labels)
    _words(axes, colors)
    return fig


def _words(axes: Any, colors: tuple[str, ...]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes[0, 0].set_ylabel("growth per step backwards\n(decades; below 0: vanishing)")
    axes[1, 0].set_ylabel("units with a slope below\n1/1000 of the largest (%)")
    axes[2, 0].set_ylabel("sd between networks\nover 30 steps (decades)")
    axes[3, 0].set_ylabel("directions that carry\nthe gradient (of 100)")
    handles = [Patch(color=color, label=gain) for color, gain in zip(colors, GAINS)]
    handles += [Patch(facecolor="grey", label="factor of the weights"),
                Patch(facecolor="grey", hatch="////", edgecolor="white",
                      label="factor of the slopes"),
                Line2D([], [], color="black", marker="D", linestyle="", label="both (median)"),
                Line2D([], [], color="black", label="both, mean-field theory (rms)")]  # fmt: skip
    axes[0, 0].figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False,
                             fontsize="small")  # fmt: skip


STUDY = Study(
    name="sigmoid",
    claim="Gradients vanish because of the sigmoid, whose slope is at most 1/4; others keep them.",
    statistic="growth of rms norm(delta) from step 40 back to step 10, decades per step",
    population="RNN and MLP of width 100, W ~ N(0, sigma_w^2 / 100), no biases, 40 steps or layers,"
    " inputs N(0, 1); gains: 0.9, conventional (1; relu sqrt(2)) and critical (chi_1 = 1)",
    theory="chi_1 = sigma_w^2 E phi'^2 decides, not phi' alone: without inputs it is 0.056 for"
    " sigmoid at sigma_w = 1 and 1 at 10.149, and 0.81 for a linear network at 0.9.",
    condition="The sigmoid vanishes at its conventional gain 1, not on average at its critical gain"
    " 10.15, at the price of saturated units and a gradient of almost one direction; relu and "
    "linear networks vanish as well at sigma_w = 0.9. It is the gain.",
    parts=tuple(
        Part(f"{name}, {a}, {gain}: {'vanishes' if margin == VANISHES else 'is kept'}", *margin, so)
        for name, a, gain, margin, so in CASES
    ),
    networks=1000,
    quick=60,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
