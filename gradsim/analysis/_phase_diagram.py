"""Phase diagrams: growth over a grid of sigma_w and sigma_b, beside what theory says of each."""

import numpy as np
import xarray as xr

from gradsim._validate import real
from gradsim.analysis._growth import growth_rate
from gradsim.analysis._labels import labelled, with_history

GRID = ("sigma_w", "sigma_b")
PHASES = ("ordered", "critical", "chaotic")
REGIMES = ("mean field", "finite width", "neither")
UNDECIDED, NO_THEORY = "undecided", "no theory"
# name: (long_name, formula)
_PREDICTED = {
    "predicted_rms": (
        "mean-field growth of the rms over the window, decades per layer",
        "(log10_delta_rms[first] - log10_delta_rms[last]) / (last - first)",
    ),
    "predicted_typical": (
        "growth of the mean log over the window at finite width, decades per layer",
        "(log10_delta_mean[first] - log10_delta_mean[last]) / (last - first)",
    ),
    "predicted_limit": ("mean-field growth deep inside, decades per layer", "0.5 log10 chi_1"),
    "misfit": (
        "typical growth less that of mean field, decades over the window",
        "(growth_typical - predicted_rms) (last - first)",
    ),
    "finite_width_correction": (
        "what finite width adds, decades over the window",
        "(predicted_typical - predicted_rms) (last - first)",
    ),
    "remainder": (
        "misfit that theory does not account for, decades over the window",
        "misfit - finite_width_correction",
    ),
}


def phase_diagram(
    ds: xr.Dataset,
    window: tuple[int, int] | None = None,
    *,
    tolerance: float = 0.1,
    critical: float = 0.01,
    level: float = 0.95,
    resamples: int = 1000,
    x_norm: float | None = None,
) -> xr.Dataset:
    """Measured and predicted growth on a grid of sigma_w and sigma_b, and where they agree.

    Growth is that of :func:`gradsim.analysis.growth_rate` over a window of layers, and theory that
    of :func:`gradsim.theory.predict` over the same layers, transient included. What is judged is
    the difference over the whole window in decades, by its bootstrap interval over seeds:

    - "mean field": the misfit of typical growth from the mean-field rms lies within `tolerance`;
    - "finite width": it does not, but lies within once the finite-width correction is taken off;
    - "neither": what is left, the remainder, lies outside too, or the correction is not known;
    - "undecided": the interval crosses an end, and more networks would tell;
    - "no theory": the prediction is not known (`rms_validity` says why), or nothing was measured.

    Phases are by growth per layer: "ordered" below -`critical`, "chaotic" above `critical`,
    "critical" between; a measured one is "undecided" where the interval of the rms crosses an end.

    Parameters
    ----------
    ds
        A result of :func:`gradsim.simulate`, or a file loaded, varied over sigma_w and sigma_b.
    window
        First and last layer (step), as in :func:`gradsim.analysis.growth_rate`.
    tolerance
        Decades over the window, > 0.
    critical
        Decades per layer (step), >= 0.
    level, resamples
        As in :func:`gradsim.analysis.growth_rate`.
    x_norm
        As in :func:`gradsim.theory.predict`.

    Returns
    -------
    xarray.Dataset
        Over the conditions, float64: `growth_typical`, `growth_rms`, `low`, `high` (..., statistic)
        and `zero_share` as measured; `predicted_rms` and `predicted_typical` over the window and
        `predicted_limit` deep inside; `misfit`, `finite_width_correction` (nan where not known) and
        `remainder`, with `remainder_low` and `remainder_high`, in decades over the window; the
        texts `phase`, `predicted_phase`, `regime`, `rms_validity` and `mean_validity`; `holds`
        (bool): whether the remainder is below `tolerance`. Attributes `tolerance`, `critical`.

    Raises
    ------
    TypeError, ValueError
        If `ds` is no result of random networks, is not varied over both fields, or an argument is
        out of range.

    References
    ----------
    B. Poole et al., NeurIPS 2016, fig. 1 (the phases); S. S. Schoenholz et al., ICLR 2017.

    Examples
    --------
    >>> import gradsim as gs
    >>> ds = gs.simulate(gs.MLP(depth=12, width=50, loss="linear"), 30, progress=False,
    ...                  vary={"sigma_w": [0.5, 3.0], "sigma_b": [0.1]})
    >>> phase_diagram(ds).phase.values.ravel().tolist()
    ['ordered', 'chaotic']
    """
    from gradsim.theory.predict import predict

    if real("phase_diagram", "tolerance", tolerance) == 0:
        raise ValueError("phase_diagram(tolerance=0): tolerance must be > 0")
    critical = real("phase_diagram", "critical", critical)
    found = growth_rate(ds, window, level=level, resamples=resamples)
    missing = [name for name in GRID if name not in found.growth_typical.dims]
    if missing:
        raise ValueError(
            f"ds must be varied over {list(GRID)}, got none of {missing}; vary both in simulate"
        )
    theory = predict(ds, x_norm)
    values = _compare(found, theory)
    made = found[["growth_typical", "growth_rms", "low", "high", "zero_share"]]
    template = found.growth_typical
    for name, (long_name, formula) in _PREDICTED.items():
        array = values[name].transpose(*template.dims)
        made[name] = labelled(template, array.values, long_name, formula)
    span = found.window_last - found.window_first
    known = made.finite_width_correction.notnull()
    shift = made.misfit - found.growth_typical * span
    ends = [found[side].sel(statistic="typical", drop=True) * span for side in ("low", "high")]
    correction = made.finite_width_correction.fillna(0.0)
    for side, end in zip(("low", "high"), ends):
        text = f"{side} end of the {level:.6g} bootstrap interval over seeds of the remainder"
        array = (end + shift - correction).values
        made[f"remainder_{side}"] = labelled(template, array, text, "inverted_cdf")
    plain = [end + shift for end in ends]
    made["regime"] = _words(
        template, _regime(plain, [end - correction for end in plain], known, tolerance),
        f"which theory is within {tolerance:g} decades",
    )  # fmt: skip
    rms = [found[side].sel(statistic="rms", drop=True) for side in ("low", "high")]
    for name, sides in (("phase", rms), ("predicted_phase", [made.predicted_limit] * 2)):
        text = f"phase by the {name.partition('_')[0]} growth, critical within {critical:g}"
        made[name] = _words(template, _phase(sides, critical), text)
    holds = (abs(made.remainder) < tolerance).assign_attrs(
        long_name=f"whether the remainder is below {tolerance:g} decades", units="1"
    )
    made = made.assign(holds=holds)
    for name in ("rms_validity", "mean_validity"):
        made[name] = theory[name].transpose(*template.dims)
    call = f"phase_diagram({window=}, {tolerance=}, {critical=}, {level=}, {resamples=}, {x_norm=})"
    limits = {"tolerance": float(tolerance), "critical": critical}
    return with_history(made, ds, call).assign_attrs(limits)


def _compare(found: xr.Dataset, theory: xr.Dataset) -> dict[str, xr.DataArray]:
    """Predictions over the window of each condition, and the differences."""
    dim = next(name for name in ("layer", "step") if name in theory.dims)
    span = found.window_last - found.window_first
    ends = [
        found[name].where(span > 0, 1).astype(np.int64) for name in ("window_first", "window_last")
    ]

    def over_window(name: str) -> xr.DataArray:
        first, last = (theory[name].sel({dim: end}).drop_vars(dim) for end in ends)
        return ((first - last) / span).where(span > 0)

    rms, typical = over_window("log10_delta_rms"), over_window("log10_delta_mean")
    misfit, correction = (found.growth_typical - rms) * span, (typical - rms) * span
    return {
        "predicted_rms": rms,
        "predicted_typical": typical,
        "predicted_limit": theory.growth_rms,
        "misfit": misfit,
        "finite_width_correction": correction,
        "remainder": misfit - correction.fillna(0.0),
    }


def _place(sides: list[xr.DataArray], limit: float) -> np.ndarray:
    """Whether an interval is below, within or above +-limit: 0, 1, 2; 3 across; 4 absent."""
    low, high = (side.values for side in sides)
    place = np.full(low.shape, 3)
    place[(low >= -limit) & (high <= limit)] = 1
    place[high < -limit] = 0
    place[low > limit] = 2
    place[np.isnan(low) | np.isnan(high)] = 4
    return place


def _phase(sides: list[xr.DataArray], critical: float) -> np.ndarray:
    return np.array([*PHASES, UNDECIDED, NO_THEORY])[_place(sides, critical)]


def _regime(
    plain: list[xr.DataArray], left: list[xr.DataArray], known: xr.DataArray, tolerance: float
) -> np.ndarray:
    """Judge the misfit first, then what is left of it."""
    first, then = _place(plain, tolerance), _place(left, tolerance)
    words = np.full(first.shape, UNDECIDED, object)
    outside, beyond = np.isin(first, (0, 2)), np.isin(then, (0, 2))
    words[outside & (then == 1)] = "finite width"
    words[outside & (beyond | ~known.values)] = "neither"
    words[first == 1] = "mean field"
    words[first == 4] = NO_THEORY
    return words.astype(str)


def _words(template: xr.DataArray, words: np.ndarray, long_name: str) -> xr.DataArray:
    made = template.copy(data=words)
    made.attrs = {"long_name": long_name, "units": "1"}
    return made
