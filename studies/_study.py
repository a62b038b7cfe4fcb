"""A study: a claim fixed before the run, the run, its file and its figure.

What a study's own file needs is imported from here: the parts of a claim and their intervals from
`_claim`, the words from `_report`, the command line from `_command`, drawing from `_picture`.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim import _config
from gradsim._validate import parse_seeds
from gradsim.studies._claim import (
    LEVEL,
    Part,
    Row,
    bootstrap,
    judged,
    log10_rms,
    status,
    verdict,
)
from gradsim.studies._command import filed, folder_of, follow, parser
from gradsim.studies._parts import made_by, measured, origin
from gradsim.studies._picture import band, canvas, decades, legend
from gradsim.studies._report import conclusion, judgements, report, verdict_page, verdict_table

__all__ = [
    "Part",
    "Row",
    "Study",
    "band",
    "bootstrap",
    "canvas",
    "conclusion",
    "decades",
    "judgements",
    "labelled",
    "legend",
    "log10_rms",
    "parser",
    "report",
    "stacked",
    "status",
    "tabled",
    "verdict",
    "verdict_page",
    "verdict_table",
]


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
    whole
        From that Dataset to what is no network's own (it has no dim `seed`) and goes into the file
        too; None: nothing. It may not be in `measure`, which sees a part of the networks at a time.
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
    whole: Callable[[xr.Dataset], xr.Dataset] | None = None

    def run(
        self,
        seeds: Any = None,
        *,
        out: Any = None,
        threads: int | None = None,
        quick: bool = False,
        store: Any = None,
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
        store
            Run folder for the numbers of its networks: a study that was stopped goes on there.

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
        folder, begin = folder_of(out), time.perf_counter()
        if store is None:
            ds = self.measure(seeds, threads)
            made = made_by(threads, time.perf_counter() - begin)
        else:
            ds = measured(self.name, self.measure, seeds, threads, store, self.quick)
            made = {name: ds.attrs[name] for name in ("Conventions", "gradsim_provenance")}
        if self.whole is not None:
            ds = ds.merge(self.whole(ds))
        ds = ds.assign(judged(self.name, self.parts, self.estimate(ds)))
        terms = {
            name: getattr(self, name)
            for name in ("claim", "statistic", "population", "theory", "condition")
        }
        config = origin(self.name, self.measure) | {
            "seeds": _config.compact(ds.seed.values.tolist())
        }
        ds.attrs = terms | made | {
            "title": self.claim,
            "source": f"gradsim {gs.__version__}",
            "study": self.name,
            "gradsim_config": _config.text(config | {"level": LEVEL}),
            "verdict": verdict(ds),
        }  # fmt: skip
        return filed(ds, folder, self.name, self.figure)

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the study from the command line."""
        asked = parser(self.name, self.claim, self.networks, self.quick).parse_args(arguments)
        return follow(asked, self.name, self.run, report)

    def script(self, module: str) -> Callable[..., int]:
        """`main` for the file of the study; runs it if `module`, its __name__, is a script's."""
        if module == "__main__":
            sys.exit(self.main())
        return self.main


def stacked(runs: Sequence[Any], dim: str, names: Iterable[Any]) -> Any:
    """Arrays or Datasets side by side along a new dim of these names; attributes of the first."""
    return xr.concat(runs, xr.Variable(dim, list(names)), combine_attrs="override")


def labelled(**variables: tuple[xr.DataArray, str]) -> xr.Dataset:
    """Dataset of arrays, each with its long name; coordinates other than those of dims go."""
    plain = {name: array.reset_coords(drop=True) for name, (array, _) in variables.items()}
    for name, (_, text) in variables.items():
        plain[name].attrs = {"long_name": text, "units": "1"}
    return xr.Dataset(plain)


def tabled(
    columns: Iterable[Any], texts: Mapping[str, str], dims: Any, **coords: Any
) -> xr.Dataset:
    """Dataset of arrays over the same dims, in the order of `texts`: name and long name of each."""
    data = {
        name: (dims, np.asarray(column), {"long_name": text, "units": "1"})
        for (name, text), column in zip(texts.items(), columns, strict=True)
    }
    return xr.Dataset(data, {name: list(values) for name, values in coords.items()})
