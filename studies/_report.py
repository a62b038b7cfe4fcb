"""Words of a study: the table of its parts, its conclusion, and the table of all verdicts."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

import gradsim as gs
from gradsim.studies._claim import CONDITION, FAILS, HOLDS, UNDECIDED, UNTESTABLE, status


def report(ds: xr.Dataset) -> str:
    """Claim, table of its parts and verdict as text."""
    width = max(len(str(text)) for text in ds.part.values) + 2
    lines = [f"{name.capitalize()}: {ds.attrs[name]}" for name in ("claim", "statistic")]
    lines += [f"Population: {ds.attrs['population']}; {ds.sizes['seed']} networks.", ""]
    head = f"{'part':{width}}{'measured (99 % interval)':>36}{'theory':>10}{'margin':>20}  part"
    lines += [head, "-" * (len(head) + 5)]
    for part, word in zip(ds.part, status(ds)):
        row = ds.sel(part=part)
        interval = f"({row.low.item():.4g} to {row.high.item():.4g})"
        margin = f"[{row.margin_low.item():.4g}, {row.margin_high.item():.4g}]"
        theory = round(row.theory.item(), 10) + 0.0  # no 1e-17
        lines.append(
            f"{part.item():{width}}{row.estimate.item():11.4g} {interval:>24}"
            f"{'-' if math.isnan(theory) else f'{theory:.4g}':>10}{margin:>20}  {word}"
        )
    lines += ["", f"Theory: {ds.attrs['theory']}", f"Verdict: {conclusion(ds)}"]
    return "\n".join(lines)


def conclusion(ds: xr.Dataset) -> str:
    """Verdict with its condition where the parts are as that says, else with those that are not."""
    found = f"{ds.attrs['verdict'].upper()}."
    stated = [HOLDS if holds else FAILS for holds in ds.condition_holds.values]
    parts = list(zip(ds.part.values, status(ds), stated))
    if ds.attrs["verdict"] in (UNDECIDED, UNTESTABLE):
        causes = [text for text, got, _ in parts if got == ds.attrs["verdict"]]
        return f"{found} It rests on: {'; '.join(causes)}."
    other = [text for text, got, said in parts if got != said]
    if other:
        return f"{found} Not as the condition says: {'; '.join(other)}."
    return f"{found} {ds.attrs['condition']}" if ds.attrs["verdict"] == CONDITION else found


def verdict_table(folder: Any, names: Sequence[str]) -> str:
    """Verdicts of the studies from their files in a folder, each below its claim."""
    lines = []
    for name in names:
        ds = gs.load(Path(folder) / f"{name}.nc")
        if "verdict" in ds.attrs:  # some studies describe, and judge no claim
            texts = textwrap.wrap(ds.attrs["claim"], 78) + textwrap.wrap(conclusion(ds), 78)
            heads = [name] + [""] * (len(texts) - 1)
            lines += [*(f"{head:20}{text}" for head, text in zip(heads, texts)), "-" * 98]
    return "\n".join(lines)
