"""Which gain: whether the gains that frameworks and papers recommend keep what they promise.

Each recommended gain is judged only by the criterion that it was derived for (or is recommended
for), over 30 layers: the size of the pre-activations going forward, the root mean square of the
gradient over networks going backward, or the typical gradient (mean of the log) going backward. The
other two are drawn beside it, at widths 50 and 400.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, log10_rms

WIDTHS, LAYERS = (50, 400), 30
FORWARD, BACKWARD, TYPICAL = COLUMNS = ("forward", "backward", "typical backward")
MARGIN = math.log10(2)  # decades over all layers: a factor 2
SUSSILLO = 2**0.5 * math.exp(1.2 / (50 - 2.4))  # published gain for relu at width 50
CASES = (  # activation, gain, who recommends it, criterion, width at which it is judged
    ("identity", 1.0, "LeCun, Glorot", BACKWARD, 400),
    ("tanh", 1.0, "Glorot", BACKWARD, 400),
    ("tanh", 5 / 3, "PyTorch calculate_gain", FORWARD, 400),
    ("sigmoid", 1.0, "PyTorch calculate_gain", BACKWARD, 400),
    ("relu", 2**0.5, "He", BACKWARD, 400),
    ("relu", 2**0.5, "He (forward)", FORWARD, 400),
    ("relu", SUSSILLO, "Sussillo and Abbott", TYPICAL, 50),
    ("selu", 1.0, "Klambauer", FORWARD, 400),
    ("selu", 0.75, "PyTorch calculate_gain", BACKWARD, 400),
    ("gelu", 2**0.5, "He, as for relu", BACKWARD, 400),
    ("silu", 2**0.5, "He, as for relu", BACKWARD, 400),
)


LOST = (("tanh", 1.0), ("sigmoid", 1.0), ("selu", 0.75), ("gelu", 2**0.5), ("silu", 2**0.5))


def label(case: tuple[str, float, str, str, int]) -> str:
    """Case in words."""
    activation, gain, source, column, width = case
    return f"{activation}, gain {gain:.4g} ({source}), width {width}: keeps {column}"


def model(activation: str, gain: float, width: int) -> gs.MLP:
    """Network whose LAYERS hidden layers are crossed."""
    return gs.MLP(LAYERS + 1, width, activation=activation, sigma_w=gain, output="identity",
                  loss="linear")  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Decades over the layers, forward and backward, of every network; (width, case, seed)."""
    gains = sorted({case[1] for case in CASES})
    vary = {"activation": list(dict.fromkeys(case[0] for case in CASES)), "sigma_w": gains}
    chosen = {
        "activation": xr.DataArray([case[0] for case in CASES], dims="case"),
        "sigma_w": xr.DataArray([case[1] for case in CASES], dims="case"),
    }
    runs = []
    for width in WIDTHS:
        ds = gs.simulate(
            model("tanh", 1.0, width), seeds, vary=vary, measure=("gradient", "signal"),
            threads=threads,
        ).sel(chosen)  # fmt: skip
        ends = [ds.sel(layer=layer, drop=True) for layer in (1, LAYERS + 1)]
        forward = 0.5 * np.log10(ends[1].z_mean_square / ends[0].z_mean_square)
        backward = ends[0].log10_delta_norm - ends[1].log10_delta_norm
        runs.append(xr.Dataset({"forward": forward, "backward": backward}))
    found = xr.concat(runs, xr.Variable("width", list(WIDTHS)))
    found.forward.attrs = {"long_name": "decades of rms z, forward", "units": "1"}
    found.backward.attrs = {"long_name": "decades of norm(delta), backward", "units": "1"}
    found = found.transpose("width", "case", "seed")
    return found.drop_vars(["activation", "sigma_w"]).assign_coords(case=[label(c) for c in CASES])


def statistic(ds: xr.Dataset, case: Any, column: str, width: int) -> tuple[Any, Any]:
    """Statistic of a criterion, and its numbers over networks (seed,)."""
    name = "forward" if column == FORWARD else "backward"
    function = np.mean if column == TYPICAL else log10_rms
    return function, ds[name].sel(case=label(case), width=width).values


def expected(case: Any, column: str, width: int) -> float:
    """Theory of a criterion: mean field, or the law at finite width for the typical gradient."""
    net = model(case[0], case[1], width)
    if column == TYPICAL:
        return gs.theory.finite_width(net, ()).log10_delta_mean[0].item()
    profile = gs.theory.profile(net)
    if column == FORWARD:
        return 0.5 * math.log10(profile.q[-1].item() / profile.q[0].item())
    return profile.log10_delta_rms[0].item()


def estimate(ds: xr.Dataset) -> list[Row]:
    """Each case by its own criterion."""
    return [bootstrap(*statistic(ds, c, c[3], c[4]), expected(c, c[3], c[4])) for c in CASES]


def figure(ds: xr.Dataset) -> Any:
    """Draw the three criteria of every gain; a cross marks the one that it is judged by."""
    fig, axes = canvas(12, 5.4, 1, 3, sharey=True)
    places = np.arange(len(CASES))[::-1]
    titles = ("size of z, forward", "rms gradient, backward", "typical gradient, backward")
    for ax, column, title in zip(axes, COLUMNS, titles):
        ax.axvspan(-MARGIN, MARGIN, color="0.9", label="within a factor 2")
        for width, color, shift in zip(WIDTHS, (OKABE_ITO[5], OKABE_ITO[4]), (0.17, -0.17)):
            numbers = []
            for case in CASES:
                function, values = statistic(ds, case, column, width)
                numbers.append(function(values))
            ax.plot(numbers, places + shift, "o", color=color, label=f"width {width}")
            theory = [expected(case, column, width) for case in CASES]
            ax.plot(theory, places + shift, "|", color="black", markersize=11,
                    label="theory" if width == WIDTHS[-1] else None)  # fmt: skip
        for place, case in zip(places, CASES):
            if case[3] == column:
                ax.axhspan(place - 0.42, place + 0.42, facecolor="none", edgecolor="black",
                           linewidth=1)  # fmt: skip
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(-40, 40)
        ax.set_xticks([-20, -5, -1, 0, 1, 5, 20], ["-20", "-5", "-1", "0", "1", "5", "20"])
        ax.minorticks_off()
        ax.set_title(title, loc="left")
        ax.set_xlabel("change over 30 layers (decades)")
        ax.set_yticks(places, [f"{a}, {g:.4g} ({source})".replace("identity", "linear")
                               for a, g, source, _, _ in CASES])  # fmt: skip
    handles, labels = ax.get_legend_handles_labels()
    handles.append(ax.plot([], [], "s", mfc="none", mec="black", markersize=10)[0])
    fig.legend(handles, [*labels, "judged by this criterion"], frameon=False, ncols=5,
               loc="outside lower center")  # fmt: skip
    return fig


STUDY = Study(
    name="which_gain",
    claim="The gain that is recommended for an activation keeps signals and gradients.",
    statistic="decades over 30 layers by the criterion that the gain is meant for: rms z forward, "
    "rms norm(delta) backward, mean log10 norm(delta) backward",
    population="MLP with W ~ N(0, gain^2 / width), no biases, linear cost, 30 hidden layers, "
    "widths 50 and 400, inputs N(0, 1); gains as the parts name them",
    theory="chi_1 = 1 for the rms gradient, V(q) = q for the signal, E ln = 0 at finite width for "
    "the typical gradient: three gains, equal only for wide homogeneous networks.",
    condition="A gain keeps what it was derived for (He, Sussillo and Abbott, Klambauer), not the "
    "other two. Glorot's 1 for tanh loses 0.8 decades (a power law); PyTorch's 0.75 for selu and "
    "gains by analogy (sigmoid 1, gelu and silu with He's) do not keep the gradient.",
    parts=tuple(Part(label(c), -MARGIN, MARGIN, c[:2] not in LOST) for c in CASES),
    networks=400,
    quick=60,
    measure=measure,
    estimate=estimate,
    figure=figure,
)
main = STUDY.script(__name__)
