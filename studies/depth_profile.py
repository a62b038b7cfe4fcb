"""How the gradient of handwritten digits fades with depth in sigmoid, tanh and relu networks.

The first 100 of scikit-learn's digits (8 x 8 pixels in [0, 1], one-hot targets) go through random
networks 64-30-...-30-10 without biases, of depths 3, 5, 10 and 50, at three gains: sigma_w = 1; the
scheme that is usual for the activation (Glorot for sigmoid and tanh, He for relu); and the critical
gain, where infinite-width theory has neither vanishing nor explosion: 10.15 for sigmoid, 1 for
tanh, sqrt(2), which is He's, for relu.

The output is a softmax under cross-entropy, so that conditions differ in their hidden layers alone:
ten relu outputs under a squared error would all be off for some digit in one of twenty networks of
depth 3, exact zeros that come from the cost, not from depth.

The norm is that of delta = dC/dz of one digit, its log averaged over the digits, of which theory
speaks; the gradient of the mean cost over digits (what a training step sees) has a column of its
own. The study `nielsen` is run as well: it places published norms of such networks among many.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._config import text
from gradsim.studies import nielsen
from gradsim.studies._command import filed, folder_of, follow, parser
from gradsim.studies._depth_profile_words import sentence, table
from gradsim.studies._digits import digits
from gradsim.studies._parts import origin
from gradsim.studies._picture import canvas, decades

DEPTHS = (3, 5, 10, 50)
TITLES = {"sigma_w = 1": "sigma_w = 1", "usual": "Glorot; relu: He", "critical": "critical gain"}
GAINS = tuple(TITLES)
USUAL = {"sigmoid": "glorot_normal", "tanh": "glorot_normal", "relu": "he_normal"}
MODEL = gs.MLP(width=30, output="softmax", loss="cross_entropy")


def depth_profile(
    seeds: Any = 1000,
    examples: int = 100,
    *,
    out: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    store: Any = None,
) -> xr.Dataset:
    """Run the networks on the digits.

    Parameters
    ----------
    seeds, threads, progress, store
        As in :func:`gradsim.simulate`.
    examples
        The number of digits.
    out
        Folder for ``depth_profile.nc`` and ``depth_profile.png``; None writes nothing.

    Returns
    -------
    xarray.Dataset
        Dims (activation, gain, depth, seed, layer), the variables of the `gradient` measurement,
        and the coordinates `init` and `sigma_w` (in a square layer), both (activation, gain). Its
        `gradsim_config` names the study and its arguments, and the call of `simulate` within.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn, which has the digits, is not installed.
    """
    inputs, targets = digits(examples)
    folder = folder_of(out)
    schemes = ["gaussian", *dict.fromkeys(USUAL.values()), "critical"]
    vary = {"activation": list(USUAL), "init": schemes, "depth": list(DEPTHS)}
    ds = gs.simulate(MODEL, seeds, vary=vary, inputs=inputs, targets=targets, threads=threads,
                     progress=progress, store=store)  # fmt: skip
    init = [["gaussian", usual, "critical"] for usual in USUAL.values()]
    chosen = xr.DataArray(init, {"activation": list(USUAL), "gain": list(GAINS)})
    ds = ds.sel(activation=chosen.activation, init=chosen)
    ds.gain.attrs = {"long_name": "gain", "units": "1"}
    sigma_w = [[gs.theory.effective_sigma_w(model) for model in row] for row in models(ds)]
    attrs = {"long_name": "sigma_w in a square layer", "units": "1"}
    ds = ds.assign_coords(sigma_w=(("activation", "gain"), sigma_w, attrs))
    ds.attrs["history"] += "\ngradsim.studies.depth_profile: one init for each gain"
    # the configuration of `simulate` alone would describe more conditions than there are
    call = json.loads(ds.attrs["gradsim_config"])
    config = {"seeds": call.pop("seeds"), "arguments": {"examples": examples}, "simulate": call}
    ds.attrs["gradsim_config"] = text(origin("depth_profile", depth_profile) | config)
    return filed(ds, folder, "depth_profile", figure)


def models(ds: xr.Dataset) -> list[list[gs.MLP]]:
    """Model of every activation and gain, but for its depth."""
    init = zip(ds.activation.values.tolist(), ds.init.values.tolist())
    return [[MODEL.with_fields(activation=a, init=one) for one in row] for a, row in init]


def summary(ds: xr.Dataset) -> Any:
    """Growth per layer and onset of every condition, gain after gain.

    Returns
    -------
    pandas.DataFrame
        One row a condition: `gain`, `activation`, `depth`, `init`, `sigma_w`; `growth`, the mean
        over networks in decades per layer, with its 95 % interval `low`, `high`; `batch_mean`, that
        of the bias gradient of the mean cost; `theory`, the infinite-width growth of the rms;
        `onset`, the median distance from the output of the first layer below 1/1000 of the output
        layer (inf: none), with `nearest` and `farthest` (5 and 95 %) and the `share` of networks
        that have one.
    """
    delta = gs.analysis.growth_rate(ds).sel(statistic="typical", drop=True)
    batch = gs.analysis.growth_rate(ds, variable="log10_bias_grad_norm", resamples=1)
    onset = gs.analysis.onset(ds, below=1e-3)
    first = gs.analysis.quantile(onset, [0.05, 0.5, 0.95]).first_passage.drop_vars("quantile")
    theory = [[gs.theory.mean_field(m).growth_rms.item() for m in row] for row in models(ds)]
    found = delta[["low", "high"]].assign(
        growth=delta.growth_typical,
        batch_mean=batch.growth_typical,
        theory=ds.sigma_w.copy(data=np.round(theory, 12) + 0.0),  # no -0.0000
        share=onset.share,
        **dict(zip(("nearest", "onset", "farthest"), first)),
    )
    return found.to_dataframe(dim_order=["gain", "activation", "depth"]).reset_index()


def figure(ds: xr.Dataset) -> Any:
    """Draw the profile at each gain: the deepest networks with bands, the others' medians thin."""
    fig, axes = canvas(11, 4.4, columns=len(GAINS), sharey=True)
    *others, deepest = sorted(ds.depth.values)
    for ax, (gain, title) in zip(axes, TITLES.items()):
        at = ds.sel(gain=gain)
        gs.plot.profile(at.sel(depth=deepest), ax=ax, legend=False)
        lines, names = ax.get_legend_handles_labels()
        for depth in others:
            gs.plot.profile(at.sel(depth=depth), ax=ax, band=None, legend=False)
        for line in ax.lines[len(lines) :]:
            line.set_linewidth(0.8)
        texts = [f"{name}, sigma_w = {s:.4g}" for name, s in zip(names, at.sigma_w.values)]
        ax.legend(lines, texts, loc="lower right", frameon=False)
        ax.set_title(title, loc="left")
        ax.set_xticks([1, *range(10, deepest + 1, 10)])
        decades(ax.yaxis)
        ax.set_ylabel("norm of dC/dz for one digit (log scale)")
        ax.label_outer()
    shown = f"Digits through {ds.sizes['seed']} random networks: median and 5 to 95 % band at depth"
    shown += f" {deepest}; thin: medians at depth {', '.join(map(str, others))}"
    fig.suptitle(shown, fontsize="medium")
    return fig


def report(ds: xr.Dataset) -> str:
    """What the study finds, as text: the table and one sentence for each condition."""
    found = summary(ds)
    what = "random networks 64-30-...-30-10: norm of dC/dz of a digit."
    head = f"Digits through {ds.sizes['seed']} {what}"
    return "\n".join([head, table(found), *map(sentence, found.itertuples()), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, and `nielsen`, from the command line."""
    options = parser("depth_profile", __doc__ or "", 1000, 50)
    options.add_argument("--examples", type=int, default=100, help="digits (default: 100)")
    asked = options.parse_args(arguments)
    follow(asked, "depth_profile", depth_profile, report, examples=asked.examples)
    return follow(asked, "nielsen", nielsen.nielsen, nielsen.report)


if __name__ == "__main__":
    sys.exit(main())
