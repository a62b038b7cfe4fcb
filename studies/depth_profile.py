"""How the gradient of handwritten digits fades with depth in sigmoid, tanh and relu networks.

The first 100 of scikit-learn's digits (8 x 8 pixels in [0, 1], one-hot targets) go through random
networks 64-30-...-30-10 without biases, of depths 3, 5, 10 and 50, at three gains: sigma_w = 1; the
scheme that is usual for the activation (Glorot for sigmoid and tanh, He for relu); and the critical
gain, where infinite-width theory has neither vanishing nor explosion: 10.15 for sigmoid, 1 for
tanh, sqrt(2), which is He's, for relu.

The output is a softmax under cross-entropy for every activation, so that conditions differ in their
hidden layers alone. With each activation at its own output under a squared error, all ten relu
outputs would be off for some digit in one of twenty networks of depth 3: exact zeros that come from
the cost, not from depth.

What is plotted and tabulated is the norm of delta = dC/dz of one digit, its log averaged over the
digits; the gradient of the mean cost over digits (what a training step sees) is another quantity
and has a column of its own. Theory speaks of the former alone.

The study `nielsen` is run as well: it places published norms of such networks among many.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

try:
    import gradsim as gs
except ModuleNotFoundError:  # run from the repository, uninstalled
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import gradsim as gs

from gradsim.studies import _parts, _study, nielsen
from gradsim.studies._digits import digits

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
    folder = _folder(out)
    schemes = ["gaussian", *dict.fromkeys(USUAL.values()), "critical"]
    vary = {"activation": list(USUAL), "init": schemes, "depth": list(DEPTHS)}
    ds = gs.simulate(
        MODEL, seeds, vary=vary, inputs=inputs, targets=targets, threads=threads, progress=progress,
        store=store,
    )  # fmt: skip
    ds = _by_gain(ds)
    ds.attrs["gradsim_config"] = _config(ds.attrs["gradsim_config"], examples)
    if folder:
        gs.save(ds, folder / "depth_profile.nc")
        figure(ds).savefig(folder / "depth_profile.png", dpi=120)
    return ds


def _folder(out: Any) -> Path | None:
    """Make the output folder before any work."""
    if out is None:
        return None
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _by_gain(ds: xr.Dataset) -> xr.Dataset:
    """Replace the initialisers by the three gains that they give each activation."""
    init = [["gaussian", usual, "critical"] for usual in USUAL.values()]
    chosen = xr.DataArray(init, {"activation": list(USUAL), "gain": list(GAINS)})
    ds = ds.sel(activation=chosen.activation, init=chosen)
    sigma_w = [[_sigma_w(a, i) for i in row] for a, row in zip(USUAL, init)]
    ds = ds.assign_coords(sigma_w=(("activation", "gain"), sigma_w))
    ds.sigma_w.attrs = {"long_name": "sigma_w in a square layer", "units": "1"}
    ds.gain.attrs = {"long_name": "gain", "units": "1"}
    ds.attrs["history"] += "\ngradsim.studies.depth_profile: one init for each gain"
    return ds


def _config(simulated: str, examples: int) -> str:
    """Configuration of the study: one of `simulate` alone would describe more conditions."""
    call = json.loads(simulated)
    config = _parts.origin("depth_profile", depth_profile) | {"seeds": call.pop("seeds")}
    return json.dumps(
        config | {"arguments": {"examples": examples}, "simulate": call},
        sort_keys=True, separators=(",", ":"),
    )  # fmt: skip


def _model(activation: str, init: str) -> gs.MLP:
    return MODEL.with_fields(activation=activation, init=init)


def _sigma_w(activation: str, init: str) -> float:
    entry = gs.initializers[init]
    return entry.std(1, 1) * entry.gain(_model(activation, init), 1)


def summary(ds: xr.Dataset) -> Any:
    """Growth per layer and onset of every condition, gain after gain.

    Returns
    -------
    pandas.DataFrame
        One row a condition: `gain`, `activation`, `depth`, `init`, `sigma_w`; `growth`, the mean
        over networks in decades per layer (negative: fading towards the input), with its 95 %
        interval `low`, `high`; `batch_mean`, that of the bias gradient of the mean cost; `theory`,
        the infinite-width growth of the root mean square; `onset`, the median distance from the
        output of the first layer below 1/1000 of the output layer (inf: none), with `nearest` and
        `farthest` (5 and 95 %) and the `share` of networks that have one.
    """
    delta = gs.analysis.growth_rate(ds)
    batch = gs.analysis.growth_rate(ds, variable="log10_bias_grad_norm", resamples=1)
    onset = gs.analysis.onset(ds, below=1e-3)
    nearest, median, farthest = gs.analysis.quantile(onset, [0.05, 0.5, 0.95]).first_passage
    models = [[_model(a, i) for i in row] for a, row in zip(USUAL, ds.init.values.tolist())]
    theory = [[gs.theory.mean_field(m).growth_rms.item() for m in row] for row in models]
    result = {
        "growth": delta.growth_typical,
        "low": delta.low.sel(statistic="typical", drop=True),
        "high": delta.high.sel(statistic="typical", drop=True),
        "batch_mean": batch.growth_typical,
        "theory": ds.sigma_w.copy(data=np.round(theory, 12) + 0.0),  # no -0.0000
        "nearest": nearest.drop_vars("quantile"),
        "onset": median.drop_vars("quantile"),
        "farthest": farthest.drop_vars("quantile"),
        "share": onset.share,
    }
    frame = xr.Dataset(result).to_dataframe(dim_order=["gain", "activation", "depth"])
    return frame.reset_index()


def table(found: Any) -> str:
    """Table of a `summary`, one line for each condition."""
    head = (
        f"{'gain':12}{'activation':11}{'init':14}{'sigma_w':>7}{'depth':>6}"
        f"{'growth per layer (95 % interval)':>36}{'batch mean':>12}{'theory':>9}"
        f"{'onset (5 to 95 %)':>19}{'share':>8}"
    )
    return "\n".join([head, "-" * len(head), *map(_line, found.itertuples())])


def _line(row: Any) -> str:
    interval = f"({row.low:+.4f} to {row.high:+.4f})"
    onset = f"{row.onset:.0f} ({row.nearest:.0f} to {row.farthest:.0f})".replace("inf", "-")
    return (
        f"{row.gain:12}{row.activation:11}{row.init:14}{row.sigma_w:7.3f}{row.depth:6}"
        f"{row.growth:+14.4f} {interval:>21}{row.batch_mean:+12.4f}{row.theory:+9.4f}"
        f"{onset:>19}{100 * row.share:6.0f} %"
    )


def sentence(row: Any) -> str:
    """One condition of a `summary` in words."""
    gain = {
        GAINS[0]: GAINS[0],
        GAINS[1]: f"its usual {row.init} (sigma_w = {row.sigma_w:.4g})",
        GAINS[2]: f"its critical gain (sigma_w = {row.sigma_w:.4g})",
    }[row.gain]
    change = f"{'falls' if row.growth < 0 else 'grows'} by {abs(row.growth):.4f} decades per layer"
    if row.low <= 0 <= row.high:
        change = f"has no clear trend ({row.growth:+.4f} decades per layer)"
    limit = "below 1/1000 of the output layer's"
    onset = f"is {limit} somewhere in {100 * row.share:.2g} % of the networks"
    if np.isfinite(row.onset):
        onset = f"is first {limit} {row.onset:.0f} layers from the output (median network)"
    elif not row.share:
        onset = f"is never {limit}"
    return (
        f"{row.activation} at {gain}, depth {row.depth}: towards the input the gradient norm "
        f"{change} and {onset}."
    )


def figure(ds: xr.Dataset) -> Any:
    """Draw the profile at each gain: the deepest networks with bands, the others' medians thin."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(11, 4.4), layout="constrained")
    for ax, gain in zip(fig.subplots(1, len(GAINS), sharey=True), GAINS):
        _panel(ax, ds.sel(gain=gain))
        ax.label_outer()
    depths = [str(depth) for depth in sorted(ds.depth.values)]
    fig.suptitle(
        f"Digits through {ds.sizes['seed']} random networks: median and 5 to 95 % band at depth "
        f"{depths.pop()}; thin: medians at depth {', '.join(depths)}",
        fontsize="medium",
    )
    return fig


def _panel(ax: Any, ds: xr.Dataset) -> None:
    for depth in sorted(ds.depth.values)[::-1]:
        drawn, band = len(ax.lines), (0.05, 0.95) if depth == ds.depth.max() else None
        gs.plot.profile(ds.sel(depth=depth), ax=ax, band=band, legend=False)
        for line in ax.lines[drawn:] if band is None else ():
            line.set(linewidth=0.8, label="_thin")
    lines, names = ax.get_legend_handles_labels()
    texts = [f"{name}, sigma_w = {s:.4g}" for name, s in zip(names, ds.sigma_w.values)]
    ax.legend(lines, texts, loc="lower right", frameon=False)
    ax.set_title(TITLES[str(ds.gain.item())], loc="left")
    ax.set_xticks([1, *range(10, int(ds.depth.max()) + 1, 10)])
    ax.yaxis.set_major_formatter(lambda log10, _: f"$10^{{{log10:g}}}$")
    ax.set_ylabel("norm of dC/dz for one digit (log scale)")


def report(ds: xr.Dataset) -> str:
    """What the study finds, as text: the table and one sentence for each condition."""
    found = summary(ds)
    return "\n".join(
        [
            f"Digits through {ds.sizes['seed']} random networks 64-30-...-30-10: norm of dC/dz of "
            "a digit.",
            "Growth: decades per layer over layers 1 to 2, 2 to 4, 2 to 9 and 10 to 49 (by depth), "
            "negative where it fades towards the input.",
            "Batch mean: the same of the bias gradient of the mean cost over digits. Theory: of "
            "the root mean square at infinite width.",
            "Onset: layers from the output to the first below 1/1000 of it; share: networks that "
            "have one.",
            "",
            table(found),
            "",
            *map(sentence, found.itertuples()),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study from the command line."""
    parser = _study.parser("depth_profile", __doc__ or "", 1000, 50)
    parser.add_argument("--examples", type=int, default=100, help="digits (default: 100)")
    asked = parser.parse_args(arguments)
    seeds = _study.seeds_of(asked)
    begin = time.perf_counter()
    store = _study.store_of(asked, "depth_profile")
    ds = depth_profile(seeds, asked.examples, out=asked.out, threads=asked.threads, store=store)
    print(report(ds), "\n")
    store = _study.store_of(asked, "nielsen")
    ds = nielsen.nielsen(seeds, out=asked.out, threads=asked.threads, store=store)
    print(nielsen.report(ds))
    seconds = time.perf_counter() - begin
    print(f"\n{asked.out}: depth_profile and nielsen, .nc and .png each, in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
