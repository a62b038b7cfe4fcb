"""Reports: what a result shows, in short sentences with numbers."""

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np
import xarray as xr

from gradsim._validate import real, whole
from gradsim.analysis._against_theory import compare
from gradsim.analysis._depth_law import depth_law
from gradsim.analysis._growth import growth_rate
from gradsim.analysis._labels import LAYER_DIMS, check_dataset, layered, without
from gradsim.analysis._onset import onset
from gradsim.analysis._paired import paired_difference
from gradsim.analysis._predictability import predictability
from gradsim.analysis._quantile import quantile
from gradsim.analysis._report_names import Names, text_of

_NORM = "log10_delta_norm"
_SAME = 1e6  # a pairing gain by which nothing but rounding is left of the spread
_STATUS = {
    1: "have an exact zero because all paths are dead",
    2: "left the range of the numbers going forward",
    3: "read zero only because slopes or signals underflowed",
}


def report(
    ds: xr.Dataset, *, conditions: int = 12, tolerance: float = 0.1, level: float = 0.95
) -> str:
    """Say in words what a result shows: growth, onset, zeros, theory, paired differences.

    The norm is that of delta = dC/dz of an example, which theory speaks of; everything is by the
    functions of :mod:`gradsim.analysis` with their default windows. Every condition is named by its
    activation with its gain and by what was varied.

    Parameters
    ----------
    ds
        A result of :func:`gradsim.simulate`, or any Dataset with its variables, a loaded file too.
    conditions
        Conditions (and paired differences) to report at most; the text says how many are left.
    tolerance
        Decades over the window of growth within which theory is said to hold.
    level
        Probability content of the intervals.

    Returns
    -------
    str
        Lines of text.

    Raises
    ------
    TypeError, ValueError
        If `ds` is no Dataset with the dim `seed`, or an argument is out of range.

    Examples
    --------
    >>> norm = np.tile(-0.5 * np.arange(10.0)[::-1], (3, 1))
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)},
    ...                 {"layer": np.arange(1, 11)})
    >>> print(report(ds).splitlines()[1])
    All networks: towards the input the norm falls by 0.5 decades per layer (95 %: 0.5 to 0.5).
    """
    check_dataset(ds)
    conditions = whole("report", "conditions", conditions)
    if real("report", "tolerance", tolerance) == 0:
        raise ValueError("report(tolerance=0): tolerance must be > 0")
    if "seed" not in ds.dims:
        raise ValueError(f"ds must have the dimension 'seed', got {list(ds.dims)}")
    if _NORM not in ds:
        head = _head(ds, Names(ds, xr.DataArray(np.nan)))
        return f"{head}\n{_NORM} was not measured: nothing to say; add 'gradient' to measure."
    norms, dim = layered(ds, _NORM)
    names = Names(ds, without(norms, *(n for n in ("seed", "example", dim) if n in norms.dims)))
    parts = [
        _growths(ds, names, dim, level), _laws(ds, names, dim, level),
        _against_theory(ds, names, tolerance, level), _onsets(ds, names, dim),
        _statuses(ds, names), _predictabilities(ds, names, dim),
    ]  # fmt: skip
    lines = [_head(ds, names)]
    for name, first, *rest in islice(zip(names, *parts), conditions):
        lines += [f"{name}: {first}", *(f"  {text}" for text in rest if text)]
    if len(names) > conditions:
        more = len(names) - conditions
        lines.append(
            f"{more} more conditions: select with ds.sel, or pass conditions={len(names)}."
        )
    return "\n".join(lines + _differences(ds, names, dim, conditions, level))


def _head(ds: xr.Dataset, names: Names) -> str:
    seeds, examples = ds.sizes["seed"], ds.sizes.get("example")
    what = f"{seeds} network{'s' * (seeds > 1)}"
    if examples:
        what += f", {examples} examples of each with a cost of its own"
    kind = f" ({names.kind})" if names.kind else ""
    return f"{what}{kind}; norm of delta = dC/dz of an example."


def _rows(found: xr.Dataset, names: Names) -> Iterator[xr.Dataset]:
    """Every condition of a result of the analysis, in the order of the names."""
    for index in np.ndindex(*(found.sizes[name] for name in names.dims)):
        yield found.isel(dict(zip(names.dims, index)))


def _of(row: xr.Dataset, name: str, **where: Any) -> float:
    return float(row[name].sel(where).item())


def _percent(level: float) -> str:
    return f"{100 * level:.4g} %"


def _growths(ds: xr.Dataset, names: Names, dim: str, level: float) -> Iterator[str]:
    for row in _rows(growth_rate(ds, level=level).drop_vars("growth"), names):
        size = _of(row, "growth_typical")
        if np.isnan(size):
            yield f"no growth: too few {dim}s below the output, or no network without a zero."
            continue
        low, high = (_of(row, side, statistic="typical") for side in ("low", "high"))
        ends, rms = _percent(level), _of(row, "growth_rms")
        window = f"{dim}s {_of(row, 'window_first'):g} to {_of(row, 'window_last'):g}"
        if np.isnan(low):
            change = f"changes by {size:+.4g} decades per {dim} (one network, no interval)"
        elif low <= 0 <= high:
            change = f"has no clear trend, {size:+.4g} decades per {dim} ({ends}: {low:+.4g} to "
            change += f"{high:+.4g})"
        else:
            near, far = sorted((abs(low), abs(high)))
            change = f"{'grows' if size > 0 else 'falls'} by {abs(size):.4g} decades per {dim} "
            change += f"({ends}: {near:.4g} to {far:.4g})"
        extra = f"\n  Typical network, {window}; the rms over networks: {rms:+.4g}."
        yield f"towards the input the norm {change}.{extra}"


def _laws(ds: xr.Dataset, names: Names, dim: str, level: float) -> Iterator[str]:
    for row in _rows(depth_law(ds, level=level), names):
        one = row.sel(statistic="typical")
        rate, power = _of(one, "rate"), _of(one, "power")
        yield {
            "exponential": f"Exponential in the {dim} rather than a power of it.",
            "power law": f"A power of the {dim} rather than exponential: {dim}^{power:.3g}.",
            "undecided": f"Whether exponential or a power of the {dim} is undecided."
            if np.isfinite(rate)
            else "",
        }[str(one.law.item())]


def _against_theory(ds: xr.Dataset, names: Names, tolerance: float, level: float) -> Iterator[str]:
    from gradsim.theory.predict import predict

    if names.no_theory:
        yield from [f"No theory: {names.no_theory}."] * len(names)
        return
    found, theory = growth_rate(ds, level=level).drop_vars("growth"), predict(ds)
    made = found.assign(compare(found, theory)).assign(why=theory.rms_validity)
    for row in _rows(made, names):
        rms, misfit = _of(row, "predicted_rms"), _of(row, "misfit")
        if np.isnan(rms):
            reason = str(row.why.item())
            yield f"No theory{reason.removeprefix('none')}." if reason.startswith("none") else ""
            continue
        span = _of(row, "window_last") - _of(row, "window_first")
        rest, correction = _of(row, "remainder"), _of(row, "finite_width_correction")
        half = [span * (_of(row, s, statistic="typical") - _of(row, "growth_typical"))
                for s in ("low", "high")]  # fmt: skip
        rms = round(rms, 12) + 0.0  # no 1e-17
        text = f"Mean field says {rms:+.4g} for the rms: over the window the typical norm is "
        text += f"{misfit:+.2g} decades from it"
        if np.isfinite(correction):
            text += f", of which finite width accounts for {correction:+.2g}"
        low, high = (rest + side for side in half)
        text += f"; {rest:+.2g} is left ({low:+.2g} to {high:+.2g}), "
        yield text + _judged(low, high, tolerance)


def _judged(low: float, high: float, tolerance: float) -> str:
    if np.isnan(low):
        return "of one network."
    if -tolerance <= low and high <= tolerance:
        return f"within {tolerance:g}."
    beyond = high < -tolerance or low > tolerance
    return f"beyond {tolerance:g}." if beyond else f"undecided at {tolerance:g}."


def _onsets(ds: xr.Dataset, names: Names, dim: str) -> Iterator[str]:
    cases = (
        (onset(ds, below=1e-3), "fall below 1/1000 of"),
        (onset(ds, above=1e3), "exceed 1000 times"),
    )
    both = []
    for found, _ in cases:
        over = [name for name in ("seed", "example") if name in found.first_passage.dims]
        both.append(found[["share"]].assign(first=quantile(found, 0.5, dim=over).first_passage))
    for rows in zip(*(_rows(found, names) for found in both)):
        texts = []
        for row, (_, what) in zip(rows, cases):
            share, first = _of(row, "share"), _of(row, "first")
            if share > 0:
                text = f"{_share(share)} of the networks {what} the norm at the output"
                if np.isfinite(first):
                    text += f", the median one {first:g} {dim}s from it"
                texts.append(f"{text}.")
        known = np.isfinite(_of(rows[0], "share"))
        yield " ".join(texts) or (
            "No network vanishes or explodes (1/1000, 1000)." if known else ""
        )


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _statuses(ds: xr.Dataset, names: Names) -> Iterator[str]:
    if "status" not in ds:
        zero = ds[_NORM] == -np.inf
        inner = [name for name in LAYER_DIMS if name in zero.dims]
        over = [name for name in ("seed", "example") if name in zero.dims]
        for row in _rows(zero.any(inner).mean(over).to_dataset(name="share"), names):
            share = _of(row, "share")
            yield f"{_share(share)} have an exact zero." if share else "No exact zeros."
        return
    over = [name for name in ("seed", "example") if name in ds.status.dims]
    shares = {f"s{code}": (ds.status == code).mean(over) for code in _STATUS}
    for row in _rows(xr.Dataset(shares), names):
        found = [(_of(row, f"s{code}"), text) for code, text in _STATUS.items()]
        yield " ".join(f"{_share(s)} {text}." for s, text in found if s) or "All networks are ok."


def _predictabilities(ds: xr.Dataset, names: Names, dim: str) -> Iterator[str]:
    if "z_mean_square" not in ds or "gradsim_config" not in ds.attrs:
        yield from repeat("")
    found = predictability(ds)
    for row in _rows(found[["individual_share"]], names):
        worst = float(row.individual_share.min())
        text = f"Rounding leaves {_share(worst)} of the networks valid individually"
        yield "" if worst == 1 or np.isnan(worst) else f"{text} in the worst {dim}."


def _differences(ds: xr.Dataset, names: Names, dim: str, most: int, level: float) -> list[str]:
    """Compare the norm in the first layer along every varied field, with its first value."""
    lines: list[str] = []
    for field in [name for name in names.dims if name != "width" and ds.sizes[name] > 1]:
        if field not in ds.coords or ds.sizes["seed"] < 2:
            continue
        base = ds[field].values[0]
        first = ds[[_NORM]].isel({dim: [0]})
        found = paired_difference(first, str(field), base.item(), variable=_NORM, level=level)
        for row in _rows(found.isel({dim: 0}), names):
            value, low, high = (_of(row, name) for name in ("difference", "low", "high"))
            if row[field].item() == base.item() or np.isnan(value):
                continue
            others = [f"{n} = {text_of(row[n].item())}" for n in names.dims if n != field]
            at = f" ({', '.join(others)})" if others else ""
            text = f"{field} = {text_of(row[field].item())} against {text_of(base.item())}{at}: in "
            text += f"{dim} {text_of(ds[dim].values[0].item())} {value:+.3g} decades "
            text += f"({_percent(level)}: {low:+.3g} to {high:+.3g})"
            gain = _of(row, "pairing_gain")
            if gain > _SAME or low == high:
                text += "; it is the same in every network"
            elif np.isfinite(gain):
                text += f"; pairing narrowed this {gain:.3g} times"
            lines.append(f"{text}.")
    more = [f"{len(lines) - most} more paired differences."] if len(lines) > most else []
    return lines[:most] + more
