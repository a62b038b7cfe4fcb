"""Finite width: when the gradient of one random network tells you nothing about the next.

Relu networks at He's gain, where E norm(delta)^2 is the same in every layer. The log of the squared
norm is a random walk over layers: its variance between networks is about 5 times depth over width,
so at equal depth over width networks of any width differ alike. The law is exact at any width
(`gradsim.theory.finite_width`); the log-normal limit is what people quote.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats
from scipy.special import gammaln

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._shares import share
from gradsim.studies._study import Part, Row, Study, bootstrap, canvas, labelled, stacked

WIDTHS, RATIOS, POWERS = (10, 30, 100), (0.1, 0.5, 1.0), (0.5, 1.0, 2.0, 4.0, 8.0)
CONSTANT = 5.0  # Var ln norm(delta)^2 = CONSTANT * layers / width
MOMENTS = (1.0, 8.0)  # below and above the mean square, whose exponent is 0
LAW, NORMAL = (0.75, 1.25), (-0.3, 0.3)  # variance over its limit; skewness
FACTOR, MOST = 2.0, 0.9  # a network tells the rms if within FACTOR of it; MOST networks must


def model(width: int) -> gs.MLP:
    """Network whose layers 1 to L - 1 are crossed on the way from the last one."""
    depth = round(max(RATIOS) * width) + 1
    return gs.MLP(depth, width, activation="relu", output="identity", loss="linear",
                  init="he_normal")  # fmt: skip


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Ln of the squared norm relative to the last layer, ratio * width layers from it."""
    found = []
    for width in WIDTHS:
        net = model(width)
        norm = gs.simulate(net, seeds, threads=threads).log10_delta_norm
        layers = [net.depth - round(ratio * width) for ratio in RATIOS]
        logs = 2 * math.log(10) * (norm.sel(layer=layers) - norm.sel(layer=net.depth))
        logs = logs.drop_vars(set(logs.coords) - {"seed"}).rename(layer="ratio")
        found.append(logs.assign_coords(ratio=list(RATIOS)))
    logs = stacked(found, "width", WIDTHS)
    return labelled(log_square=(logs, "ln of norm(delta^l)^2 / norm(delta^L)^2"))


def law(width: int, ratio: float) -> xr.Dataset:
    """Exact law of that log."""
    net = model(width)
    return gs.theory.finite_width(net).sel(layer=net.depth - round(ratio * width))


def variance_ratio(logs: np.ndarray, ratio: float) -> float:
    """Variance (of networks without an exact zero) over that of the log-normal limit."""
    return float(np.var(logs[np.isfinite(logs)]) / (CONSTANT * ratio))


def skewness(logs: np.ndarray) -> float:
    """Third standardised moment (of networks without an exact zero); 0 for a normal law."""
    return float(stats.skew(logs[np.isfinite(logs)]))


def exponent(width: int, power: float) -> float:
    """Exact ln E(norm^power) / power per layer: a mixture of chi-squares with M of n units on."""
    on = np.arange(1, width + 1)
    moment = gammaln((on + power) / 2) - gammaln(on / 2)  # ln E (chi^2 / 2)^(power / 2)
    total = np.logaddexp.reduce(stats.binom.logpmf(on, width, 0.5) + moment)
    return float(total / power + math.log(4 / width) / 2)


def sample_exponent(logs: np.ndarray, width: int, power: float) -> float:
    """Generalised exponent of a sample over `width` layers: too low once few networks dominate."""
    total = np.logaddexp.reduce(logs * power / 2) - math.log(len(logs))
    return float(total / (power * width))


def estimate(ds: xr.Dataset) -> list[Row]:
    """Variances, skewness, shares, exponents; in the order of the parts."""
    rows = []
    for width, ratio in VARIANCES:
        theory = law(width, ratio).var_log.item() / (CONSTANT * ratio)
        logs = ds.log_square.sel(width=width, ratio=ratio)
        rows.append(bootstrap(lambda x, r=ratio: variance_ratio(x, r), logs, theory))
    wide = ds.log_square.sel(width=100)
    rows.append(bootstrap(skewness, wide.sel(ratio=1.0), 0.0))
    for ratio in RATIOS:  # the rms over networks is 1; the law is normal with the exact moments
        at = law(100, ratio)
        normal, end = NormalDist(at.mean_log.item(), at.var_log.item() ** 0.5), 2 * math.log(FACTOR)
        within = normal.cdf(end) - normal.cdf(-end)
        rows.append(share(abs(wide.sel(ratio=ratio)) < end, within))
    for q in MOMENTS:
        exact = exponent(100, q)
        rows.append(bootstrap(lambda x, q=q, e=exact: sample_exponent(x, 100, q) / e,
                              wide.sel(ratio=1.0), 1.0))  # fmt: skip
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the distributions, the variance against depth over width, and generalised exponents."""
    fig, (left, middle, right) = canvas(13, 4.4, 1, 3)
    decade = 2 * math.log(10)  # of norm(delta), in the ln of its square
    grid, fine = np.linspace(-4.5, 2.5, 400), np.linspace(0.1, 8, 60)
    for ratio, color in zip(RATIOS, (OKABE_ITO[2], OKABE_ITO[5], OKABE_ITO[3])):
        logs = ds.log_square.sel(width=100, ratio=ratio) / decade
        left.hist(logs, bins=np.linspace(-3, 2, 61), density=True, color=color, alpha=0.5,
                  label=f"layers / width = {ratio:g}")  # fmt: skip
        mean, sd = -CONSTANT * ratio / 2 / decade, math.sqrt(CONSTANT * ratio) / decade
        left.plot(grid, stats.norm.pdf(grid, mean, sd), color=color)
    left.plot([], [], color="grey", label="log-normal limit")
    left.axvline(0, color="black", linestyle=":", label="rms over networks")
    left.set(xlabel="log10 of norm(delta) relative to the last layer (decades)",
             ylabel="density over networks, width 100", xlim=(-2.5, 3.5))  # fmt: skip
    middle.plot([0, 1.1], [0, 1.1 * CONSTANT], "k--", label="log-normal limit, 5 layers / width")
    right.plot(fine, CONSTANT * (fine - 2) / 8, "k--", label="log-normal limit")
    for width, color in zip(WIDTHS, (OKABE_ITO[5], OKABE_ITO[3], OKABE_ITO[4])):
        logs, label = ds.log_square.sel(width=width), f"width {width}"
        variances = logs.where(np.isfinite(logs)).var("seed")
        middle.plot(RATIOS, variances, "o", color=color, label=label)
        exact = [law(width, ratio).var_log.item() for ratio in RATIOS]
        middle.plot(RATIOS, exact, color=color, label=f"{label}, exact")
        exponents = [width * exponent(width, q) for q in fine]
        right.plot(fine, exponents, color=color, label=f"{label}, exact")
        found = [width * sample_exponent(logs.sel(ratio=1.0).values, width, q) for q in POWERS]
        right.plot(POWERS, found, "o", color=color, label=f"{label}, sample")
    middle.set(xlabel="layers / width", ylabel="variance of ln norm(delta)^2 over networks")
    right.set(xlabel="power q", ylabel="width * ln E(norm^q) / q per layer", ylim=(-1.4, 4.2))
    for ax in (left, middle, right):
        ax.legend(frameon=False, fontsize="small", loc="upper right" if ax is left else "best")
    return fig


VARIANCES = ((100, 0.1), (100, 1.0), (30, 1.0), (10, 1.0))
STUDY = Study(
    name="finite_width",
    claim="At initialisation the gradient's size is what mean field says; one network shows it, "
    "and what differs between networks is log-normal with variance 5 depth / width.",
    statistic="variance of ln norm(delta)^2 over 5 layers / width; its skewness; share of networks "
    "whose norm(delta) is within a factor 2 of the rms over networks; generalised exponent ln "
    "E norm^q / q of the sample over the exact one",
    population="relu MLP at He's gain sqrt(2), no biases, linear cost, widths 10, 30, 100, layers "
    "over width 0.1, 0.5 and 1, inputs N(0, 1)",
    theory="exact: a sum over layers of ln chi^2 with binomially many degrees of freedom; its "
    "variance is 5 layers / width to leading order in 1 / width (Hanin and Nica 2020).",
    condition="The variance is 5 layers / width from width 30 on and larger at width 10; one "
    "network tells the rms to a factor 2 only while layers / width is about 0.1 or less. Nor do "
    "thousands tell E norm^8 at layers / width 1 (and hardly E norm^4): rarer networks carry it.",
    parts=(
        *(Part(f"width {n}, layers / width {r:g}: variance of the limit", *LAW, n > 10)
          for n, r in VARIANCES),
        Part("width 100, layers / width 1: skewness 0", *NORMAL),
        *(Part(f"width 100, layers / width {r:g}: one network tells", MOST, 1.0, r < 0.5)
          for r in RATIOS),
        *(Part(f"width 100, layers / width 1: E norm^{q:g} from the sample", *LAW, q < 2)
          for q in MOMENTS),
    ),
    networks=4000, quick=2000, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
