"""What the studies share: parts of a claim, intervals, the verdict, the files and the command line.

A study states its claim, statistic, population and margins before it runs. Each `Part` is one
statement about one number; it holds if the whole interval of the number lies within the margin,
fails if the whole interval lies outside, and is undecided if the interval crosses an end. So "no
effect" needs an interval within a margin around 0, never the mere lack of a significant difference.
"""

import argparse
import json
import math
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds

LEVEL = 0.99
HOLDS, CONDITION, FAILS = "holds", "holds with a condition", "fails"
UNDECIDED, UNTESTABLE = "undecided", "not testable here"
_RESAMPLES, _RESAMPLE_SEED = 1000, 20_250_101

Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """One statement of a claim: a number that must lie in [low, high].

    `holds` is what the condition of the study says of it, beforehand.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    holds: bool = True


@dataclass(frozen=True)
class Study:
    """A claim with everything that was fixed before the run.

    Parameters
    ----------
    name
        Name of the module and of its files.
    claim, statistic, population, theory, condition
        The claim as people state it; the number that decides; the networks it is about; what theory
        says; and the condition to report where the claim holds only in part.
    parts
        Statements with their margins.
    networks, quick
        Number of networks of a full and of a quick run.
    measure
        From seeds and threads to the numbers of every network: a Dataset with the dim `seed`.
    estimate
        From that Dataset to (estimate, low, high, theory) of each part; theory is NaN where none.
    figure
        From the whole result to a matplotlib Figure.
    """

    name: str
    claim: str
    statistic: str
    population: str
    theory: str
    condition: str
    parts: tuple[Part, ...]
    networks: int
    quick: int
    measure: Callable[[Any, int | None], xr.Dataset]
    estimate: Callable[[xr.Dataset], Sequence[Row]]
    figure: Callable[[xr.Dataset], Any]

    def run(
        self, seeds: Any = None, *, out: Any = None, threads: int | None = None, quick: bool = False
    ) -> xr.Dataset:
        """Run the study.

        Parameters
        ----------
        seeds, threads
            As in :func:`gradsim.simulate`; None seeds: the number that the study is made for.
        out
            Folder for ``NAME.nc`` and ``NAME.png``; None writes nothing.
        quick
            Whether None seeds means few: the verdict may then be undecided.

        Returns
        -------
        xarray.Dataset
            Numbers of every network; over `part` the estimates with their 99 % intervals (`low`,
            `high`), `theory` and the margins; attributes with the claim, its terms and its verdict.

        Raises
        ------
        ValueError
            If there are fewer than 2 seeds.
        """
        if seeds is None:
            seeds = self.quick if quick else self.networks
        count = len(parse_seeds(seeds))
        if count < 2:
            raise ValueError(f"{self.name}: an interval needs at least 2 seeds, got {count}")
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
        ds = self.measure(seeds, threads)
        ds = ds.assign(self._judged(ds))
        terms = {
            name: getattr(self, name)
            for name in ("claim", "statistic", "population", "theory", "condition")
        }
        config = {"study": self.name, "seeds": ds.seed.values.tolist(), "level": LEVEL}
        ds.attrs = terms | {
            "title": self.claim,
            "source": f"gradsim {gs.__version__}",
            "study": self.name,
            "gradsim_config": json.dumps(config, separators=(",", ":")),
            "verdict": verdict(ds),
        }
        if out is not None:
            gs.save(ds, Path(out) / f"{self.name}.nc")
            self.figure(ds).savefig(Path(out) / f"{self.name}.png", dpi=120)
        return ds

    def _judged(self, ds: xr.Dataset) -> xr.Dataset:
        """Estimates and margins over `part`."""
        rows = np.array(self.estimate(ds), dtype=np.float64)
        if rows.shape != (len(self.parts), 4):
            raise ValueError(f"{self.name}: {len(self.parts)} parts, estimates {rows.shape}")
        margins = np.array([[part.low, part.high] for part in self.parts])
        names = {
            "estimate": "estimate", "low": "lower end of the 99 % interval",
            "high": "upper end of the 99 % interval", "theory": "value that theory expects",
            "margin_low": "least value at which the part holds",
            "margin_high": "largest value at which the part holds",
        }  # fmt: skip
        columns = np.concatenate([rows, margins], axis=1).T
        data = {
            name: ("part", column, {"long_name": text, "units": "1"})
            for (name, text), column in zip(names.items(), columns)
        }
        beforehand = ("part", np.array([part.holds for part in self.parts]))
        data["condition_holds"] = (
            *beforehand,
            {"long_name": "what the condition says of the part"},
        )
        return xr.Dataset(data, {"part": [part.text for part in self.parts]})

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the study from the command line."""
        asked = parser(self.name, self.claim, self.networks, self.quick).parse_args(arguments)
        begin = time.perf_counter()
        ds = self.run(seeds_of(asked), out=asked.out, threads=asked.threads)
        print(report(ds))
        seconds = time.perf_counter() - begin
        print(f"\n{asked.out}: {self.name}.nc and {self.name}.png, in {seconds:.0f} s")
        return 0


def parser(name: str, text: str, networks: int | str, quick: int | str) -> argparse.ArgumentParser:
    """Arguments that all studies take."""
    result = argparse.ArgumentParser(
        prog=name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--seeds", type=int, help=f"networks (default: {networks})")
    result.add_argument("--out", default="results", help="output folder (default: results)")
    result.add_argument("--threads", type=int, help="threads (default: all processors)")
    result.add_argument("--quick", action="store_true", help=f"{quick} networks")
    result.set_defaults(full_run=networks, quick_run=quick)
    return result


def seeds_of(asked: argparse.Namespace) -> int:
    """Number of networks that the arguments ask for; --seeds goes before --quick."""
    if asked.seeds is not None:
        return asked.seeds
    return asked.quick_run if asked.quick else asked.full_run


def status(ds: xr.Dataset) -> list[str]:
    """Whether each part holds, from the numbers in the Dataset alone."""
    return [
        _status(*values)
        for values in zip(*(ds[n].values for n in ("low", "high", "margin_low", "margin_high")))
    ]


def _status(low: float, high: float, margin_low: float, margin_high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return UNTESTABLE
    if margin_low <= low and high <= margin_high:
        return HOLDS
    return FAILS if high < margin_low or low > margin_high else UNDECIDED


def verdict(ds: xr.Dataset) -> str:
    """Verdict on the claim: the parts in one word, undecided as soon as one of them is."""
    found = set(status(ds))
    for word in (UNDECIDED, UNTESTABLE):
        if word in found:
            return word
    return CONDITION if len(found) > 1 else found.pop()


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


def bootstrap(statistic: Callable[[np.ndarray], Any], values: Any, theory: float = math.nan) -> Row:
    """Estimate, percentile interval from resampled seeds, and theory.

    `values` is (seed, ...); the statistic maps any number of such rows to a number.
    """
    values = np.asarray(values, dtype=np.float64)
    estimate, count = float(statistic(values)), len(values)
    draw = np.random.default_rng(_RESAMPLE_SEED)
    drawn = [statistic(values[draw.integers(count, size=count)]) for _ in range(_RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return estimate, float(low), float(high), theory


def log10_rms(logs: np.ndarray) -> float:
    """Half the log10 of the mean square of 10^logs over networks (seed,)."""
    top = logs.max()
    return float(top + 0.5 * np.log10(np.mean(10.0 ** (2 * (logs - top)))))
