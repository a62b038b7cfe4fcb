"""Eigenvalues of the weights with their circle, and singular values of Jacobians with their law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim._init_scales import gain
from gradsim._validate import choice
from gradsim.initializers import initializers
from gradsim.models import RNN
from gradsim.plot._condition import known, model_of, one_condition
from gradsim.plot._profile import OKABE_ITO, beside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_START = {"layer": "the input", "step": "the initial state"}
_MASKED = {"identity": 0.0, "relu": 0.5}  # activations whose slopes are 0 or 1, and P(slope = 0)


def spectrum(
    ds: xr.Dataset,
    *,
    of: str | None = None,
    layer: int | None = None,
    ax: Axes | None = None,
    theory: bool | None = None,
) -> Axes:
    """Draw eigenvalues in the complex plane, or the density of singular values of a Jacobian.

    Eigenvalues of all networks come with the circle of radius sigma_w that they fill in wide
    networks (Girko's circular law). The singular values are those of d a^L / d z^layer, of layer 0
    those of d a^L / dx, with the law of wide linear and relu networks of equal widths
    (:func:`gradsim.theory.jacobian_density`).

    Parameters
    ----------
    ds
        Results of one condition, measured with "spectrum" or "jacobian".
    of
        "eigenvalues" or "singular_values"; None takes what the result holds.
    layer
        Layer or step: of eigenvalues None takes all, of singular values the first one measured; 0
        is the input or the initial state, which None takes where there is no other.
    ax
        Axes to draw into; None makes a new figure.
    theory
        Whether to draw circle or law; None draws it where it is known.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the Axes of the new figure.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variables or the layer or has varied fields, or `theory` is True and no
        law is known.
    """
    if of is None:
        of = "eigenvalues" if "eigenvalue_real" in ds else "singular_values"
    choice("spectrum", "of", of, ("eigenvalues", "singular_values"))
    draw = _eigenvalues if of == "eigenvalues" else _singular_values
    return draw(ds, layer, new_axes(1) if ax is None else ax, theory)


def _eigenvalues(ds: xr.Dataset, layer: int | None, ax: Axes, theory: bool | None) -> Axes:
    real = one_condition(ds, "eigenvalue_real", "layer", "index")
    chosen = real if layer is None else real.sel(layer=layer)
    imag = ds.eigenvalue_imag if layer is None else ds.eigenvalue_imag.sel(layer=layer)
    x, y = chosen.values.ravel(), imag.values.ravel()
    ax.plot(x, y, ".", color=OKABE_ITO[4], markersize=2, alpha=0.5, rasterized=True,
            label="eigenvalues")  # fmt: skip
    reason, radius = _radius(ds)
    turn = np.linspace(0, 2 * np.pi, 361)
    if known(theory, reason):
        ax.plot(radius * np.cos(turn), radius * np.sin(turn), color=OKABE_ITO[5], linewidth=1.5,
                label=f"circular law, radius {radius:.4g}")  # fmt: skip
    ax.plot(np.cos(turn), np.sin(turn), ":", color="0.4", linewidth=1.0, label="unit circle")
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    return _finish(ax, ds, "eigenvalues of the weights" if layer is None else f"layer {layer}")


def _radius(ds: xr.Dataset) -> tuple[str, float]:
    """Why there is no circle, or "", and its radius."""
    try:
        model, _ = model_of(ds)
    except ValueError as error:  # the caller is told where theory=True
        return str(error), np.nan
    entry = initializers[model.init]
    if not entry.mean_field or entry.make is not None:
        return f"init={model.init!r} has no circular law", np.nan
    widths = [model.width] if isinstance(model, RNN) else model.widths
    return "", gain(model, next(n for n in widths if isinstance(n, int)))


def _singular_values(ds: xr.Dataset, layer: int | None, ax: Axes, theory: bool | None) -> Axes:
    dim = "step" if "step" in ds.dims else "layer"
    values = one_condition(ds, "log10_singular_value", dim, "index")
    present = values.notnull().any([d for d in values.dims if d != dim]).values
    first = ds.get("log10_input_singular_value")
    at_input = first is not None and bool(first.notnull().any())
    measured = values[dim].values[present].tolist() + [0] * at_input
    layer = int(measured[0]) if layer is None else layer
    if layer not in measured:
        raise ValueError(f"spectrum(layer={layer!r}): layer must be one of {sorted(measured)}")
    here = (values.sel({dim: layer}) if layer else ds.log10_input_singular_value).values.ravel()
    here = here[~np.isnan(here)]
    finite = here[np.isfinite(here)]
    bins = max(10, min(80, int(np.sqrt(finite.size))))
    count, edges = np.histogram(finite, bins)
    zeros = 1 - finite.size / here.size
    label = "measured" + (f", {100 * zeros:.3g} % zeros" if zeros else "")
    ax.stairs(count / here.size / np.diff(edges), edges, color=OKABE_ITO[0], label=label)
    reason, law = _law(ds, dim, layer)
    if known(theory, reason):
        at, density = law.log10_singular_value.values, law.density.values
        shown = at > edges[0] - 0.3
        ax.plot(at[shown], density[shown], "--", color=OKABE_ITO[5],
                label="law of wide networks")  # fmt: skip
        ax.axvline(law.log10_edge.item(), color=OKABE_ITO[5], linestyle=":", linewidth=1.0,
                   label="largest of wide networks")  # fmt: skip
    start = f"{dim} {layer}" if layer else _START[dim]
    ax.set_xlabel(f"log10 of a singular value of the Jacobian from {start}")
    ax.set_ylabel("share per decade")
    ax.set_ylim(bottom=0)
    return _finish(ax, ds, f"Jacobian of {start}")


def _law(ds: xr.Dataset, dim: str, layer: int) -> tuple[str, Any]:
    """Why there is no law, or "", and the density."""
    from gradsim.theory import jacobian_density  # SciPy is slow to import

    try:
        model, source = model_of(ds)
    except ValueError as error:  # the caller is told where theory=True
        return str(error), None
    factors = model.depth - layer
    plain = dim == "layer" and model.cell == "dense" and model.norm is None
    if not plain or model.activation not in _MASKED or source.examples > 1:
        return "the law is known for plain linear and relu MLPs and one example", None
    if isinstance(model, RNN) or len(set(model.widths[layer:])) > 1 or factors < 1:
        return "the law is known for equal widths, below the last layer", None
    entry = initializers[model.init]
    if not entry.mean_field or entry.make is not None:
        return f"init={model.init!r} has no such law", None
    if model.last_activation not in _MASKED:
        return "the law is known for outputs that are linear or relu", None
    inner = factors - (layer == 0)  # the input has no slopes
    masks = inner * (_MASKED[model.activation] > 0) + (_MASKED[model.last_activation] > 0)
    return "", jacobian_density(factors, gain(model, model.widths[-1]), masks=masks)


def _finish(ax: Axes, ds: xr.Dataset, what: str) -> Axes:
    if not ax.get_title(loc="left"):
        count = ds.sizes["seed"]
        ax.set_title(f"{what}, {count} network{'s' * (count > 1)}", loc="left", fontsize="small")
    beside(ax)
    return ax
