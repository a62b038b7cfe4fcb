"""Words of the study of depth profiles: its table, and a sentence for each condition."""

from typing import Any

import numpy as np

NOTES = """
Growth: decades per layer over layers 1 to 2, 2 to 4, 2 to 9 and 10 to 49 (by depth), negative
where it fades towards the input.
Batch mean: the same of the bias gradient of the mean cost over digits. Theory: of the root mean
square at infinite width.
Onset: layers from the output to the first below 1/1000 of it; share: networks that have one.
"""
LIMIT = "below 1/1000 of the output layer's"


def table(found: Any) -> str:
    """Notes and table of a `summary`, one line for each condition."""
    head = (
        f"{'gain':12}{'activation':11}{'init':14}{'sigma_w':>7}{'depth':>6}"
        f"{'growth per layer (95 % interval)':>36}{'batch mean':>12}{'theory':>9}"
        f"{'onset (5 to 95 %)':>19}{'share':>8}"
    )
    return "\n".join([NOTES.lstrip(), head, "-" * len(head), *map(_line, found.itertuples()), ""])


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
        "usual": f"its usual {row.init} (sigma_w = {row.sigma_w:.4g})",
        "critical": f"its critical gain (sigma_w = {row.sigma_w:.4g})",
    }.get(row.gain, row.gain)
    change = f"{'falls' if row.growth < 0 else 'grows'} by {abs(row.growth):.4f} decades per layer"
    if row.low <= 0 <= row.high:
        change = f"has no clear trend ({row.growth:+.4f} decades per layer)"
    onset = f"is {LIMIT} somewhere in {100 * row.share:.2g} % of the networks"
    if np.isfinite(row.onset):
        onset = f"is first {LIMIT} {row.onset:.0f} layers from the output (median network)"
    elif not row.share:
        onset = f"is never {LIMIT}"
    return (
        f"{row.activation} at {gain}, depth {row.depth}: towards the input the gradient norm "
        f"{change} and {onset}."
    )
