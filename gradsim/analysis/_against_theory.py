"""Growth over a window beside what theory says of the same window."""

import numpy as np
import xarray as xr


def compare(found: xr.Dataset, theory: xr.Dataset) -> dict[str, xr.DataArray]:
    """Predictions over the window of each condition, and the differences.

    `found` is of :func:`growth_rate`, `theory` of :func:`gradsim.theory.predict`. The remainder is
    the misfit where the correction of finite width is not known (nan).
    """
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
