"""Length ten, trained: whether gradient descent fails to latch a bit over 10 or 20 steps.

The sentence is that of Goodfellow, Bengio and Courville (2016, section 10.7) on the experiments of
Bengio, Simard and Frasconi (1994): "the probability of successful training of a traditional RNN via
SGD rapidly reaching 0 for sequences of only length 10 or 20". Their smallest task is one unit that
has to keep one bit under noise. A unit that succeeds has latched, and by that its state hardly
depends on an early one: the trouble of the claim is failure of training, and the vanishing
derivative is measured beside it, in the units that succeeded.
"""

from typing import Any

import numpy as np
import xarray as xr

from gradsim._validate import parse_seeds
from gradsim.plot import OKABE_ITO
from gradsim.studies import _latch
from gradsim.studies._shares import share, share_bars
from gradsim.studies._study import Part, Row, Study, canvas, decades, tabled

LENGTHS = (4, 6, 8, 10, 12, 15, 20, 30, 50)
SHORT, CLAIMED, LAG = 4, (10, 20), 9
RATES, MIDDLE = (0.03, 0.1, 0.3), 0.1
UPDATES = 2000
NEVER, SURELY, MOST = 0.05, 0.95, 0.5  # shares of networks
POWERS = (1, 2, 3)
QUANTITIES = {
    "latched": "whether 95 % of fresh sequences end with the right sign",
    "w": "recurrent weight after training",
    "decades": f"mean log10 of |dx_T / dx_(T - {LAG})|, at most from the start",
}


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Success, trained w, and decades of the derivative over LAG steps; (length, seed, rate)."""
    ids, rates = parse_seeds(seeds), np.array(RATES)
    found = []
    for length in LENGTHS:
        units = _latch.Units.drawn(ids, len(RATES))
        _latch.train(units, ids, length, rates, UPDATES)
        latched, contribution = _latch.judge(units, ids, length, min(LAG, length - 1))
        found.append((latched, units.w, contribution))
    return tabled(zip(*found), QUANTITIES, ("length", "seed", "learning_rate"),
                  length=LENGTHS, seed=ids, learning_rate=RATES)  # fmt: skip


def estimate(ds: xr.Dataset) -> list[Row]:
    """Success at each length and rate; then how small the derivative of latched units is."""
    rows = [
        share(ds.latched.sel(length=length, learning_rate=rate))
        for length in (SHORT, *CLAIMED) for rate in RATES
    ]  # fmt: skip
    one = ds.sel(length=CLAIMED[0], learning_rate=MIDDLE)
    contribution = one.decades.values[one.latched.values.astype(bool)]
    return rows + [share(contribution < -power) for power in POWERS]


def multiplier(w: np.ndarray) -> np.ndarray:
    """Slope w (1 - x^2) at the fixed point x = tanh(w x) > 0 of a unit without noise, w > 1."""
    x = np.ones_like(w)
    for _ in range(2000):
        x = np.tanh(w * x)
    return w * (1 - x**2)


def figure(ds: xr.Dataset) -> Any:
    """Draw success against length, and the derivative of the units of length 10 against w."""
    fig, (left, right) = canvas(11, 4.6, 1, 2)
    for rate, color in zip(RATES, (OKABE_ITO[2], OKABE_ITO[5], OKABE_ITO[4])):
        hits = ds.latched.sel(learning_rate=rate)
        share_bars(left, LENGTHS, hits, color=color, label=f"learning rate {rate:g}")
    left.axhline(100 * NEVER, color="grey", linestyle=":", linewidth=1)
    for length in CLAIMED:
        left.axvline(length, color="grey", linestyle=":", linewidth=1)
    left.set(xscale="log", xlabel="length T of the sequence", ylim=(0, 118))
    left.set_xticks([4, 6, 10, 20, 30, 50], ["4", "6", "10", "20", "30", "50"])
    left.minorticks_off()
    left.set_ylabel("networks that succeed (%), 99 % intervals")
    left.legend(frameon=False, loc="upper right")
    one = ds.sel(length=CLAIMED[0], learning_rate=MIDDLE)
    hit = one.latched.values.astype(bool)
    for chosen, color, text in ((hit, OKABE_ITO[3], "succeeded"), (~hit, OKABE_ITO[5], "failed")):
        right.plot(one.w.values[chosen], one.decades.values[chosen], ".", color=color,
                   markersize=4, label=f"length 10, {text}")  # fmt: skip
    w = np.linspace(1.01, max(3.0, float(one.w.max())), 200)
    right.plot(w, LAG * np.log10(multiplier(w)), "k", label="theory: latched, no noise")
    right.plot(_latch.START, LAG * np.log10(multiplier(np.array(_latch.START))), "kD",
               label="theory at the start, w = 1.25")  # fmt: skip
    right.set_xlabel("recurrent weight w after training")
    right.set_ylabel(f"derivative of the last state by that {LAG} steps\nearlier, mean of the log")
    decades(right.yaxis)
    right.legend(frameon=False, loc="lower left")
    return fig


STUDY = Study(
    name="latching",
    claim="The probability of successful training of a traditional RNN via SGD rapidly reaches 0 "
    "for sequences of only length 10 or 20 (Goodfellow et al. 2016, on Bengio et al. 1994).",
    statistic="share of networks that end 95 % of 400 fresh sequences with the right sign; share "
    "of those that do at T = 10 whose |dx_10 / dx_1| is below 10^-k, k = 1, 2, 3",
    population="one unit x_t = tanh(w x_(t-1) + h_t), w = 1.25 at first, h_1 to h_3 trained from "
    "U(-0.05, 0.05), later noise of variance 0.2, targets +-0.8, 2000 updates by SGD",
    theory="A unit keeps a bit if w > 1; latched it multiplies a change by w (1 - x^2) < 1 a step, "
    "0.619 at w = 1.25 (10^-1.9 over 9 steps), and the less the more noise it withstands.",
    condition="Success falls rapidly beyond length 10 but is no 0 there: nearly all succeed at 10, "
    "and at 20 from one in ten to most, by learning rate. Those that succeed at 10 have a "
    "derivative below 10^-3 over 9 steps: the gradient vanishes because the bit is kept.",
    parts=(
        *(Part(f"T = {SHORT}, rate {r:g}: succeeds", SURELY, 1.0) for r in RATES),
        *(
            Part(f"T = {length}, rate {r:g}: never succeeds", 0.0, NEVER, holds=False)
            for length in CLAIMED
            for r in RATES
        ),
        *(
            Part(f"latched at T = 10: derivative over {LAG} steps below 10^-{k} in most", MOST, 1.0)
            for k in POWERS
        ),
    ),
    networks=1000, quick=100, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
