"""Remedies in recurrent networks: leaky units, skips through time, orthogonal, LSTM and GRU.

The plain tanh network under the initialisation of PyTorch loses a quarter of a decade a step. Each
remedy is compared with it at that default and at its best gain, found on a grid of factors on the
recurrent matrix. The gradient of an LSTM is that of its two states h and c together. A gradient
that explodes counts as much as one that vanishes.
"""

import math
from typing import Any

import numpy as np
import xarray as xr

import gradsim as gs
from gradsim.plot import OKABE_ITO
from gradsim.studies._study import Row, Study, bootstrap, canvas, decades, legend, stacked
from gradsim.studies.remedies import DEFAULT, MARGIN, PLAIN, best_gain, kept, parts

STEPS, WIDTH, INPUTS = 100, 50, 10
NEAR, FAR = 10, 90  # states between which growth is taken, 80 steps
GAINS = (0.5, DEFAULT, 1.5, 2.0, 2.25, 2.5, 3.0, 4.0)  # factors on the recurrent matrix
LEAK, DELAY, LONGEST = 0.1, 10, 100.0
SPREAD = (INPUTS / WIDTH / 3) ** 0.5  # of what the inputs add to a unit
BASE = gs.RNN(STEPS, WIDTH, input_width=INPUTS, init="pytorch_rnn", sigma_u=1.0, loss="linear",
              initial_state="zeros")  # fmt: skip
LSTM = {"cell": "lstm"}
REMEDIES = {  # fields; what is said beforehand: more than the default, as much as the best gain
    PLAIN: ({}, False, True),
    "relu, same init": ({"activation": "relu"}, False, False),
    "orthogonal": ({"init": "orthogonal", "sigma_u": SPREAD}, True, False),
    "leaky, 1/10": ({"cell": "leaky", "leak": LEAK}, True, False),
    "skip of 10 steps": ({"cell": "skip", "delay": DELAY, "skip": 1.0}, True, True),
    "GRU": ({"cell": "gru"}, True, False),
    "LSTM, forget bias 0": (LSTM, True, False),
    "LSTM, forget bias 1": (LSTM | {"forget_bias": 1.0}, True, False),
    "LSTM, chrono 100": (LSTM | {"chrono": LONGEST}, True, True),
}
NAMES = tuple(name for name in REMEDIES if name != PLAIN)
GATE, OPEN = (gs.theory.gate(b, SPREAD).mean_log.item() / math.log(10) for b in (0.0, 1.0))
THEORY = {  # decades a step: spectral radius of the leaky map; the path through the memory alone
    "leaky, 1/10": math.log10(1 - LEAK + LEAK / 3**0.5),
    "GRU": GATE,
    "LSTM, forget bias 0": GATE,
    "LSTM, forget bias 1": OPEN,
}


def measure(seeds: Any, threads: int | None) -> xr.Dataset:
    """Log-norms of the gradient of the state by step back, growth, and weights over the plain's."""
    norms, weights = [], []
    for fields, *_ in REMEDIES.values():
        model = BASE.with_fields(**fields)
        ds = gs.simulate(model, seeds, vary={"sigma_w": GAINS}, threads=threads)
        name = "log10_joint_state_grad_norm" if model.cell == "lstm" else "log10_state_grad_norm"
        norms.append(ds[name].rename(sigma_w="gain"))
        net: Any = gs.network(model, 0)
        weights.append(float(np.size(net.weights) + np.size(net.input_weights)))
    norm = stacked(norms, "remedy", REMEDIES)
    growth = (norm.sel(state_step=NEAR) - norm.sel(state_step=FAR)) / (FAR - NEAR)
    growth.attrs = {"long_name": "growth of the gradient a step backwards, decades", "units": "1"}
    growth.gain.attrs = {"long_name": "factor on the recurrent matrix", "units": "1"}
    profile = (norm - norm.sel(state_step=STEPS)).sel(gain=DEFAULT, drop=True).mean("seed")
    profile.attrs = {"long_name": "mean log10 of the gradient over that at the end", "units": "1"}
    cost = xr.DataArray(weights, dims="remedy") / weights[0]
    cost.attrs = {"long_name": "weights over those of the plain network", "units": "1"}
    return xr.Dataset({"growth": growth, "profile": profile, "cost": cost})


def estimate(ds: xr.Dataset) -> list[Row]:
    """Each remedy at its default against the plain network: at its default, at its best gain."""
    rows = []
    for gain in (DEFAULT, best_gain(ds)):
        plain = ds.growth.sel(remedy=PLAIN, gain=gain)
        for name in NAMES:
            pair = np.stack([plain, ds.growth.sel(remedy=name, gain=DEFAULT)], axis=1)
            rows.append(bootstrap(kept, pair))
    return rows


def figure(ds: xr.Dataset) -> Any:
    """Draw the gradient against time, growth over gains, and the spread between networks."""
    fig, (left, middle, right) = canvas(13, 4.8, 1, 3, width_ratios=(1.3, 1.3, 1))
    places, back = np.arange(len(REMEDIES))[::-1], np.arange(STEPS + 1)
    for place, name, color in zip(places, REMEDIES, ["black", *OKABE_ITO[1:], "grey"]):
        left.plot(back, ds.profile.sel(remedy=name)[::-1], color=color, label=name)
        if name in THEORY:
            left.plot(back, back * THEORY[name], color=color, linestyle=":")
        middle.plot(GAINS, ds.growth.sel(remedy=name).mean("seed"), "o-", color=color, markersize=3)
        spread = ds.growth.sel(remedy=name, gain=DEFAULT).std("seed") * (FAR - NEAR)
        right.plot(spread, place, "o", color=color)
    chrono = [0.0, *(0.5 * math.log10(gs.theory.chrono_retention(LONGEST, 2 * t))
                     for t in back[1:].tolist())]  # fmt: skip
    left.plot(back, chrono, color="grey", linestyle=":")
    left.plot([], [], color="grey", linestyle=":", label="theory: memory alone; leaky: radius^t")
    left.set(xlabel="steps back", ylim=(-32, 8))
    left.set_ylabel("gradient of the state over that at the end,\nmean of the log, default")
    decades(left.yaxis)
    middle.axhspan(-MARGIN, MARGIN, color="0.9")
    middle.axvline(best_gain(ds), color="black", linestyle=":", linewidth=1)
    middle.set_xlabel("gain, over that of the default")
    middle.set_ylabel(f"growth per step backwards (decades)\ngrey: within {MARGIN}")
    right.set_yticks(places, [f"{name}: {c:.2g} x weights" if c > 1 else name
                              for name, c in zip(REMEDIES, ds.cost.values)])  # fmt: skip
    right.set_xlabel("sd between networks over 80\nsteps, at the default (decades)")
    right.set_xlim(left=0)
    legend(fig, [left], 5, "small")
    return fig


STUDY = Study(
    name="remedies_recurrent",
    claim="relu, orthogonal matrices, leaky units, skips through time, LSTM and GRU cure vanishing "
    "gradients in recurrent networks, which a plain network cannot avoid.",
    statistic="|growth| of the plain network less that of the remedy: typical norm of the gradient "
    "of the state (LSTM: of h and c together) from step 90 back to step 10, decades a step",
    population="tied RNN of width 50, 100 steps, tanh where not said, all weights U(-1, 1) / "
    "sqrt(50) (PyTorch's default) where not said, no biases but the named, 10 inputs N(0, 1) a "
    "step, cost v.h_100 with v ~ N(0, I)",
    theory="A memory without recurrent weights keeps sigmoid(bias) a step: log10 is -0.30 at bias "
    "0, -0.14 at 1; chrono biases keep 1 - 1/T of a unit, T up to 100; the leaky map has radius "
    "1 - leak + leak / sqrt(3).",
    condition="At their defaults LSTM (forget bias 0) and GRU vanish nearly as the plain network, "
    "an LSTM of bias 1 less; relu vanishes faster. Only memory made long by design (chrono, a skip "
    "of strength 1) does what the plain network does at its best gain; a leak of 1/10 nearly does.",
    parts=parts(REMEDIES),
    networks=300, quick=15, measure=measure, estimate=estimate, figure=figure,
)  # fmt: skip
main = STUDY.script(__name__)
