"""Where the gradient norms that M. Nielsen published lie among many networks like his.

Chapter 5 of "Neural Networks and Deep Learning" (2015) shows that early layers learn slowly by nine
gradient norms, each of one random network. Here are thousands: sigmoid networks 784-30-...-30-10 of
two to four hidden layers before training, W ~ N(0, 1 / fan_in) and b ~ N(0, 1) (sigma_w = 1,
sigma_b = 1), under cross-entropy.

His norm is that of the bias gradient of the mean cost over 1,000 MNIST images. Nothing is
downloaded: one input with the images' mean square stands for them, with the target 0.1 for all ten
outputs, the mean of ten one-hot labels.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.studies._command import filed, folder_of, follow, parser
from gradsim.studies._picture import canvas, decades

MODEL = gs.MLP(width=30, activation="sigmoid", loss="cross_entropy", sigma_b=1.0)
MEAN_SQUARE = 0.1032  # of a pixel in [0, 1], over his images

# Norms before training by depth, in the order of layers: row 0 of
# fig/norms_during_training_{2,3,4}_layers.json in his repository
# github.com/mnielsen/neural-networks-and-deep-learning, made by fig/generate_gradient.py.
PUBLISHED = {
    3: [0.06574134326503182, 0.3092184942703712],
    4: [0.011838212272121293, 0.05996519457449515, 0.28314239285488185],
    5: [0.0029752663545292526, 0.017076665445425132, 0.06953924167660484, 0.28513893545173896],
}
SOURCE = "M. Nielsen, Neural Networks and Deep Learning, 2015, chapter 5"


def nielsen(
    seeds: Any = 1000,
    *,
    out: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    store: Any = None,
) -> xr.Dataset:
    """Run his networks before training, many times.

    Parameters
    ----------
    seeds, threads, progress, store
        As in :func:`gradsim.simulate`.
    out
        Folder for ``nielsen.nc`` and ``nielsen.png``; None writes nothing.

    Returns
    -------
    xarray.Dataset
        Dims (depth, seed, layer), with `published_norm` and `published_quantile` (depth, layer),
        the share of networks whose `log10_bias_grad_norm` is not above it; NaN where he has none.
    """
    folder = folder_of(out)
    image, target = np.full((1, 784), MEAN_SQUARE**0.5), np.full(10, 0.1)
    vary = {"depth": list(PUBLISHED)}
    ds = gs.simulate(
        MODEL, seeds, vary=vary, inputs=image, targets=target, threads=threads, progress=progress,
        store=store,
    )  # fmt: skip
    norm = ds.log10_bias_grad_norm.isel(seed=0, drop=True) * np.nan
    for depth, values in PUBLISHED.items():
        norm.loc[depth, : len(values)] = values
    share = (ds.log10_bias_grad_norm <= np.log10(norm)).mean("seed").where(norm.notnull())
    norm.attrs = {"long_name": "published norm of the bias gradient", "units": "1"}
    share.attrs = {"long_name": "share of networks not above the published norm", "units": "1"}
    ds = ds.assign(published_norm=norm.assign_attrs(source=SOURCE), published_quantile=share)
    return filed(ds, folder, "nielsen", figure)


def report(ds: xr.Dataset) -> str:
    """Table of his nine norms among the networks, and a sentence."""
    low, median, high = 10.0 ** gs.analysis.quantile(ds, [0.05, 0.5, 0.95]).log10_bias_grad_norm
    head = (
        f"{'hidden':>6}{'layer':>6}{'published':>11}{'median':>9}{'5 to 95 %':>18}{'quantile':>10}"
    )
    lines = ["Nielsen's norms of the bias gradient among those of many networks", "", head]
    lines.append("-" * len(head))
    for depth, norms in PUBLISHED.items():
        for layer, norm in enumerate(norms, 1):
            at = {"depth": depth, "layer": layer}
            band = f"{low.sel(at):.4f} to {high.sel(at):.4f}"
            share = ds.published_quantile.sel(at).item()
            lines.append(
                f"{depth - 1:6}{layer:6}{norm:11.4f}{median.sel(at):9.4f}{band:>18}{share:10.3f}"
            )
    inside = int(((ds.published_quantile > 0.05) & (ds.published_quantile <= 0.95)).sum())
    verdict = (
        f"{inside} of the 9 norms that Nielsen printed for sigmoid networks at sigma_w = 1, "
        f"sigma_b = 1 lie within 5 to 95 % of {ds.sizes['seed']} networks."
    )
    return "\n".join([*lines, "", verdict])


def figure(ds: xr.Dataset) -> Any:
    """Draw the norms by layer: medians and bands of the networks, his norms as dots."""
    fig, ax = canvas(7, 4)
    gs.plot.profile(ds, variable="log10_bias_grad_norm", ax=ax, legend=False)
    for line, norm in zip(list(ax.lines), ds.published_norm):
        ax.plot(ds.layer, np.log10(norm), "o", color=line.get_color())
    ax.lines[-1].set_label("published: one network each")
    ax.legend(loc="lower right", frameon=False)
    ax.set_xticks(ds.layer.values)
    decades(ax.yaxis)
    ax.set_ylabel("norm of the bias gradient (log scale)")
    return fig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study from the command line."""
    asked = parser("nielsen", __doc__ or "", 1000, 50).parse_args(arguments)
    return follow(asked, "nielsen", nielsen, report)


if __name__ == "__main__":
    sys.exit(main())
