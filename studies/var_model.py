"""The spread of gradients in a VAR model: a linear recurrence x_t+1 = A x_t, dimensions 20 and 50.

It has no activation, no minibatch and no training: dx_T/dx_0 = A^T is a power of one random matrix.
Whether its entries spread over decades anyway, within one network (over the pairs of components
i, j) and between networks, by the number of steps T; and the same with a fresh matrix each step.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies._layers import over_seeds
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, legend, tabled

DIMENSIONS, STEPS, GAIN = (20, 50), 100, 1.0
TIMES = (1, 2, 5, 10, 20, 50, 100)
TIED = {"one matrix (VAR)": True, "a fresh matrix each step": False}
ONE = next(iter(TIED))
# sd in decades of the log10 of |a Gaussian number|: pi / (2 sqrt(2) ln 10)
NORMAL = math.pi / (2 * math.sqrt(2) * math.log(10))
FACTOR = math.log10(2)  # wide: an sd of at least a factor 2
QUANTITIES = {
    "mean": "mean over i, j of log10 |dx_T,i / dx_0,j|",
    "within": "sd over i, j of log10 |dx_T,i / dx_0,j|, decades",
}
PARTS = tuple((n, t, what) for n in DIMENSIONS for t, what in ((50, "within"), (50, "between")))


def jacobian(n: int, tied: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd over entries of log10 |dx_T,i/dx_0,j| at TIMES."""
    model = gs.RNN(1 if tied else STEPS, n, activation="identity", loss="linear", tied=tied,
                   sigma_w=GAIN)  # fmt: skip
    matrices = gs.network(model, seed).weights
    product, exponent, found = np.eye(n), 0.0, []
    for t in range(1, STEPS + 1):
        product = matrices[0 if tied else t - 1] @ product
        size = np.linalg.norm(product)
        product, exponent = product / size, exponent + math.log10(size)
        if t in TIMES:
            logs = exponent + np.log10(np.abs(product))
            found.append((logs.mean(), logs.std()))
    mean, sd = np.array(found).T
    return mean, sd


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Mean and sd over entries of every network: (seed, matrices, dimension, time)."""

    def one(seed: int) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        return [[jacobian(n, tied, seed) for n in DIMENSIONS] for tied in TIED.values()]

    columns = np.moveaxis(np.array(over_seeds(one, seeds, threads)), -2, 0)
    return tabled(columns, QUANTITIES, ("seed", "matrices", "dimension", "time"), time=TIMES,
                  seed=parse_seeds(seeds), matrices=TIED, dimension=DIMENSIONS)  # fmt: skip


def theory(time: int) -> float:
    """Sd within a network where one real eigenvector leads: two Gaussian numbers, u_i v_j."""
    return NORMAL if time == 1 else math.sqrt(2) * NORMAL


def _sd(values: np.ndarray) -> float:
    return values.std(ddof=1)


def _exponent(means: np.ndarray) -> float:
    """Power of T of the sd between networks, from T = 10 to 100."""
    return math.log10(_sd(means[:, 1]) / _sd(means[:, 0]))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Spread within and between networks at 50 steps, and its power of T."""
    rows = []
    for n, t, what in PARTS:
        at = ds.sel(matrices=ONE, dimension=n, time=t)
        if what == "within":
            rows.append(bootstrap(np.mean, at.within, theory(t)))
        else:
            rows.append(bootstrap(_sd, at["mean"]))
    for name, power in zip(TIED, (1.0, 0.5)):
        at = ds.sel(matrices=name, dimension=DIMENSIONS[-1], time=[10, 100])
        rows.append(bootstrap(_exponent, at["mean"].transpose("seed", "time"), power))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw both spreads against the number of steps."""
    fig, (within, between) = canvas(10, 4.4, 1, 2, sharex=True)
    styles = zip(((name, n) for name in TIED for n in DIMENSIONS), (5, 2, 6, 1))
    for (name, n), color in styles:
        at = ds.sel(matrices=name, dimension=n)
        marker = "o-" if TIED[name] else "s--"
        label = f"{name}, dimension {n}"
        within.plot(TIMES, at.within.mean("seed"), marker, color=OKABE_ITO[color], label=label)
        between.plot(TIMES, at["mean"].std("seed", ddof=1), marker, color=OKABE_ITO[color])
    for number, text in ((NORMAL, "one Gaussian number"), (2**0.5 * NORMAL, "product of two")):
        within.axhline(number, color="black", linewidth=1)
        within.annotate(f"theory: {text}", (1, number), (0, -11), textcoords="offset points",
                        fontsize="small")  # fmt: skip
    t = np.array([3.0, 100.0])
    last = ds["mean"].sel(time=100).std("seed", ddof=1)
    ends = 2 * last.sel(matrices=ONE, dimension=20), last.sel(dimension=50).isel(matrices=1) / 2
    for end, power, line in zip(ends, (1, 0.5), ("k:", "k-.")):
        between.plot(t, end.item() * (t / 100) ** power, line, label=f"theory: T^{power:g}")
    within.set(xscale="log", xlabel="number of steps T", ylim=(0, 0.8),
               ylabel="sd of log10 |dx_T,i / dx_0,j| over i, j (decades)")  # fmt: skip
    between.set(yscale="log", xlabel="number of steps T",
                ylabel="sd between networks of its mean (decades)")  # fmt: skip
    within.set_title("within a network", loc="left")
    between.set_title("between networks", loc="left")
    legend(fig, columns=3)
    return fig


STUDY = Study(
    name="var_model",
    claim="Gradients spread over decades in a VAR model of dimension 20 or 50 as well, where there "
    "is neither an activation nor SGD.",
    statistic="sd of log10 |dx_T,i/dx_0,j| over i, j within a network and of its mean between "
    "networks, T = 50, decades; power of T of the latter from T = 10 to 100",
    population="x_t+1 = A x_t, A_ij ~ N(0, 1/n), n = 20 and 50; for comparison a fresh A each step",
    theory="A^T turns to its leading eigenvectors: entries u_i v_j, sqrt(2) 0.48 = 0.68 decades "
    "where the leading one is real. Between networks T times the sd of log10 of the spectral "
    "radius: power 1; products of fresh matrices: power 1/2.",
    condition="The spread is there, within networks and between them. From T = 10 to 100 the "
    "latter grows faster than T for one matrix, whose leading eigenvector has yet to take over, "
    "and slower than T for fresh ones.",
    parts=(
        *(
            Part(f"dimension {n}, T = {t}: sd {what} networks is a factor 2 or more", FACTOR)
            for n, t, what in PARTS
        ),
        *(
            Part(f"{name}: spread between networks grows as T (power 1 +- 0.15)", 0.85, 1.15, False)
            for name in TIED
        ),
    ),
    networks=1000, quick=100, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
