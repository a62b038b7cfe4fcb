"""How the sizes of single derivatives are spread, with their law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import choice
from gradsim.plot._condition import known, model_of, one_condition
from gradsim.plot._profile import new_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_WIDTH = 10  # bins of 0.01 decade to one that is drawn
_SHOWN = 4
_LAW = {
    "weight": ("log10_weight_grad_norm", ("fan_in", "fan_out")),
    "bias": ("log10_bias_grad_norm", ("fan_out",)),
}


def histogram(
    ds: xr.Dataset,
    *,
    of: str = "weight",
    layers: Sequence[int] | None = None,
    ax: Axes | None = None,
    theory: bool | None = None,
) -> Axes:
    """Draw the density of log10 |dC/dW_jk| (or dC/db_j) in some layers, over all networks.

    Dashed lines are the mean-field law of wide networks (:func:`gradsim.theory.partial_law`), each
    network's moved to its own measured norm. It is known for hidden layers of plain MLPs and one
    example, and drawn where the result also holds the measurement "gradient".

    Parameters
    ----------
    ds
        Results of one condition, measured with "partials".
    of
        "weight" or "bias".
    layers
        Layers or steps to draw; None takes up to four, evenly spread.
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to draw the law; None draws it where it is known.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variables or has varied fields, a layer is not in it, or `theory` is True
        and no law is known.
    """
    choice("histogram", "of", of, list(_LAW))
    dim = "step" if "step" in getattr(ds, "dims", ()) else "layer"
    counts = one_condition(ds, f"{of}_partial_histogram", dim, "bin")
    present = counts[dim].values[counts.notnull().any([d for d in counts.dims if d != dim]).values]
    chosen = _layers(present, layers, dim)
    reason, model, q = _condition(ds, of, dim)
    ax = new_axes(0) if ax is None else ax
    import matplotlib

    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(chosen)))
    drawn = known(theory, reason)
    for layer, color in zip(chosen, colors):
        here = ds.sel({dim: layer})
        x, density, zeros = _density(here, of)
        label = f"{dim} {layer}" + (f", {100 * zeros:.3g} % zeros" if zeros else "")
        ax.stairs(density, x, color=color, label=label, linewidth=1.5)
        if drawn and layer < present[-1]:
            grid, law = _law(here, of, model, q, layer)
            ax.plot(grid, law, "--", color=color, linewidth=1.0)
    if drawn:
        ax.plot([], [], "k--", linewidth=1.0, label="law of wide networks")
    symbol = "dC/dW_jk" if of == "weight" else "dC/db_j"
    ax.set_xlabel(f"log10 |{symbol}|")
    ax.set_ylabel("share of derivatives per decade")
    ax.set_ylim(bottom=0)
    if not ax.get_title(loc="left"):
        ax.set_title(f"all of {ds.sizes['seed']} networks", loc="left", fontsize="small")
    ax.legend(fontsize="small")
    return ax


def _layers(present: np.ndarray, layers: Any, dim: str) -> list[int]:
    """Layers to draw, each of them there."""
    if layers is None:
        places = np.linspace(0, present.size - 1, min(_SHOWN, present.size)).round().astype(int)
        return [int(layer) for layer in present[places]]
    missing = [layer for layer in layers if layer not in present]
    if missing:
        raise ValueError(f"layers: {brief(missing)} must be in {dim} {present[0]}..{present[-1]}")
    return list(layers)


def _density(here: xr.Dataset, of: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Edges, density per decade and share of zeros of one layer, over seeds and examples."""
    name = f"{of}_partial_histogram"
    over = [d for d in here[name].dims if d != "bin"]
    counts = here[name].sum(over).values
    beyond = sum(float(here[f"{of}_partial_{side}"].sum()) for side in ("below", "above"))
    zeros = float(here[f"{of}_partial_zero_share"].mean())
    whole = counts[: counts.size // _WIDTH * _WIDTH].reshape(-1, _WIDTH).sum(axis=1)
    edges = here.log10_partial.values[0] + 0.01 * _WIDTH * np.arange(whole.size + 1)
    live = np.flatnonzero(whole)
    first, last = (live[0], live[-1] + 1) if live.size else (0, whole.size)
    density = whole * (1 - zeros) / max(counts.sum() + beyond, 1.0) / (0.01 * _WIDTH)
    return edges[first : last + 1], density[first:last], zeros


def _condition(ds: xr.Dataset, of: str, dim: str) -> tuple[str, Any, Any]:
    """Why there is no law, or "", the model, and the mean squares q of its layers."""
    from gradsim.theory import profile  # SciPy is slow to import

    variable, _ = _LAW[of]
    if variable not in ds:
        return f"the law is placed by {variable}: measure 'gradient' too", None, None
    try:
        model, source = model_of(ds)
        if dim == "step" or model.cell != "dense" or model.norm is not None:
            return "the law is known for plain MLPs alone", None, None
        if source.examples > 1 and "example" not in ds[variable].dims:
            return "the law of a mean over examples is not known", None, None
        if source.x_norm is not None:
            return "the law needs inputs that are drawn", None, None
        return "", model, profile(model, source.x_norm).q.values
    except ValueError as error:  # the caller is told where theory=True
        return str(error), None, None


def _law(
    here: xr.Dataset, of: str, model: Any, q: np.ndarray, layer: int
) -> tuple[np.ndarray, np.ndarray]:
    """Grid and density per decade, with every network at its own norm."""
    from gradsim.theory import partial_law

    variable, sizes = _LAW[of]
    below = None if layer == 1 else float(q[layer - 2])
    law = partial_law(model.activation, float(q[layer - 1]), below, slope=model.slope)
    count = np.prod([float(here[size]) for size in sizes])
    rms = here[variable].values.ravel() - 0.5 * np.log10(count)
    rms = rms[np.isfinite(rms)]
    x, density = law.log10_partial.values + 0.005, law[f"{of}_density"].values
    step = 0.02
    grid = np.arange(x[0], x[-1], step) + np.median(rms)
    mixed = sum(np.interp(grid - shift, x, density, left=0.0, right=0.0) for shift in rms)
    total = np.asarray(mixed) / rms.size
    shown = total > 1e-3 * total.max()
    return grid[shown], total[shown]
