"""Words of a study: the table of its parts, its conclusion, and the table of all verdicts."""

import math
import textwrap
from collections.abc import Mapping, Sequence
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
    for text, estimate, interval, theory, margin, word in _rows(ds):
        lines.append(f"{text:{width}}{estimate:>11} {interval:>24}{theory:>10}{margin:>20}  {word}")
    lines += ["", f"Theory: {ds.attrs['theory']}", f"Verdict: {conclusion(ds)}"]
    return "\n".join(lines)


def _rows(ds: xr.Dataset) -> list[tuple[str, ...]]:
    """Text, estimate, interval, theory, margin and status of each part, as words."""
    rows = []
    for part, word in zip(ds.part, status(ds)):
        row = ds.sel(part=part)
        interval = f"({row.low.item():.4g} to {row.high.item():.4g})"
        margin = f"[{row.margin_low.item():.4g}, {row.margin_high.item():.4g}]"
        number = round(row.theory.item(), 10) + 0.0  # no 1e-17
        theory = "-" if math.isnan(number) else f"{number:.4g}"
        rows.append((part.item(), f"{row.estimate.item():.4g}", interval, theory, margin, word))
    return rows


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


def verdict_table(found: Mapping[str, xr.Dataset]) -> str:
    """Verdicts of the studies, each below its claim."""
    lines = []
    for name, ds in found.items():
        texts = textwrap.wrap(ds.attrs["claim"], 78) + textwrap.wrap(conclusion(ds), 78)
        heads = [name] + [""] * (len(texts) - 1)
        lines += [*(f"{head:20}{text}" for head, text in zip(heads, texts)), "-" * 98]
    return "\n".join(lines)


def verdict_page(found: Mapping[str, xr.Dataset]) -> str:
    """Markdown page of all verdicts, for the folder that has the studies' figures."""
    lines = ["# What the studies found", ""]
    lines += ["| study | claim | verdict |", "|---|---|---|"]
    for name, ds in found.items():
        lines.append(f"| [{name}](#{name}) | {_cell(ds.attrs['claim'])} | {ds.attrs['verdict']} |")
    for name, ds in found.items():
        said = {key: ds.attrs[key] for key in ("statistic", "population", "theory")}
        said["population"] += f"; {ds.sizes['seed']} networks"
        lines += ["", f"## {name}", "", f"*{ds.attrs['claim']}* {conclusion(ds)}", ""]
        lines += [f"- {key.capitalize()}: {text.rstrip('.')}." for key, text in said.items()]
        lines += [
            "",
            "| part | measured | 99 % interval | theory | margin | |",
            "|---|" + 5 * "---|",
        ]
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in _rows(ds)]
        lines += ["", f"![{name}]({name}.png)"]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def judgements(folder: Any, names: Sequence[str]) -> dict[str, xr.Dataset]:
    """Results of the studies that judge a claim (some describe alone), from a folder's files."""
    found = {name: gs.load(Path(folder) / f"{name}.nc") for name in names}
    return {name: ds for name, ds in found.items() if "verdict" in ds.attrs}
