"""Published results on gated cells, on lags and on one latching unit, simulated: rows of the table.

The latching unit is that of the study `latching`, whose gradients `tests/test_study_numbers.py`
compares with those of `gradsim.backward`.
"""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim.studies import _latch

from .reference import Row, mean_of, quantile_of, share_of
from .reference_simulated_recurrent import QUIET

TORCH = {"sigma_w": 3**-0.5, "sigma_u": (10 / 150) ** 0.5}  # all weights U(-1, 1) / sqrt(50)
BACK = (10, 20, 50, 100)
GATED = {  # cell, forget bias (None: PyTorch's), state: log10 10, 20, 50, 100 steps back
    ("lstm", 0.0, "h"): "-2.956(11) -5.055(18) -11.125(35) -21.21(7)",
    ("lstm", 0.0, "c"): "-2.690(9) -4.784(16) -10.858(32) -20.95(7)",
    ("lstm", 1.0, "h"): "-1.749(10) -2.493(14) -4.649(29) -8.12(5)",
    ("lstm", 1.0, "c"): "-1.327(8) -2.066(13) -4.213(27) -7.69(5)",
    ("lstm", 5.0, "c"): "-.927(17) -.889(17) -.671(27) +.54(4)",
    ("lstm", None, "c"): "-2.657(11) -4.708(18) -10.619(43) -20.60(8)",
    ("gru_kept", 0.0, "h"): "-2.295(9) -4.337(16) -10.406(35) -20.47(7)",
    ("gru_kept", 1.0, "h"): "-1.196(5) -2.239(9) -5.217(18) -10.14(3)",
    ("gru_kept", 5.0, "h"): "-.0300(3) -.060(1) -.149(1) -.294(1)",
    ("vanilla", None, "h"): "-2.743(17) -5.312(35) -12.81(10) -25.15(19)",
}
LAGS = {  # gain and deviation of the input (None: PyTorch's): log10 of lag 9, 19, 49 to lag 0
    (None, None): "-2.490(18) -5.052(36) -12.555(93)",
    (1.0, 0.5): "-1.109(20) -2.326(31) -5.917(65)",
}
MEDIANS = {  # the same, medians over 120 networks
    (None, None): "-2.47 -5.08 -12.67", (1.0, 0.5): "-1.12 -2.33 -5.96",
    (1.0, 1.0): "-1.82 -3.85 -10.02", (1.5, 0.5): "-.21 -.35 -.88", (1.5, 1.0): "-.64 -1.33 -3.50",
}  # fmt: skip
NOISY = {  # T: mean, its error, median, P(< 1e-3) of the latching unit under noise
    10: ("-.682", 0.007, "-.522", ".021"), 20: ("-2.603", 0.013, "-2.488", ".395"),
    50: ("-8.448", 0.023, None, ".961"),
}  # fmt: skip
TRAINED = {  # T: share of 300 units that learn to latch, at learning rates 0.03, 0.1, 0.3
    10: (".983", ".890", ".997"),
    20: (".183", ".120", ".673"),
}
SHORTER = {10: ".863"}  # after 1000 epochs at rate 0.1, not 3000
EPOCHS, UNITS, RATES = 3000, 100, (0.03, 0.1, 0.3)


@gs.cell("gru_kept")
def gru_kept(t, h, phi):
    """The GRU with a bias of its own on the gate z that keeps the state."""
    r = t.sigmoid(t.linear(h, "r"))
    z = t.sigmoid(t.linear(h, "z", shift="forget_bias"))
    inner = r * t.linear(h, "hn", inputs=False, gradient=False)
    return (1 - z) * t.map(phi, t.drive(inner, "n")) + z * h


def bracketed(text):
    """Number and standard error of "-2.956(11)"."""
    number, digits = text.rstrip(")").split("(")
    places = len(number.partition(".")[2])
    return number, int(digits) * 10.0**-places


@cache
def gated(cell, shift):
    """Growth (network, step) of the gradients by h and by c, from the last step."""
    fields = {"init": "uniform", "forget_bias": shift, **TORCH}
    if shift is None:  # the plain cell was sampled without biases
        spread = 1.0 if cell == "lstm" else 0.0
        fields = {"init": "pytorch_rnn", "sigma_u": 1.0, "sigma_b": spread}
    model = gs.RNN(steps=100, width=50, input_width=10, cell=cell, loss="linear",
                   initial_state="zeros", **fields)  # fmt: skip
    ds = gs.simulate(model, 60, inputs=1, **QUIET)
    last = ds.log10_state_grad_norm.isel(state_step=-1)
    kinds = {"h": ds.log10_state_grad_norm - last}
    if cell == "lstm":
        kinds["c"] = ds.log10_cell_grad_norm - last
    return kinds


def back(cell, shift, kind, steps):
    return mean_of(gated(cell, shift)[kind].sel(state_step=100 - steps).values)


def gate_rows(place, printed):
    cell, shift, kind = place
    bias = f"bias {shift:g}" if shift is not None else (
        "PyTorch's biases" if cell == "lstm" else "PyTorch's weights")  # fmt: skip
    name = f"{cell}, {bias}, dh_T / d{kind}: log10"
    for steps, text in zip(BACK, printed.split()):
        number, error = bracketed(text)
        yield Row(f"{name}, {steps} steps", number, None,
                  lambda steps=steps: back(*place, steps), error=error)  # fmt: skip


@cache
def lags(gain, spread):
    """Log10 norms (network, step) of the contributions of the steps to dC/dW."""
    torch = {"init": "pytorch_rnn", "sigma_u": 1.0}
    fields = torch if gain is None else {"sigma_w": gain, "sigma_u": spread}
    model = gs.RNN(steps=100, width=50, input_width=10, loss="linear", initial_state="zeros",
                   **fields)  # fmt: skip
    return gs.simulate(model, 200, inputs=1, **QUIET).log10_recurrent_grad_norm


def ratio(place, lag):
    return (lags(*place).sel(step=101 - lag) - lags(*place).sel(step=100)).values


def lag_rows(place, printed, median):
    kind = "tanh RNN, PyTorch" if place[0] is None else "tanh RNN, g = {}, s = {}".format(*place)
    for lag, text in zip((10, 20, 50), printed.split()):
        name = f"{kind}: {'median ' * median}log10 of lag {lag - 1} to lag 0"
        if median:
            yield Row(name, text, None, lambda lag=lag: median_of(ratio(place, lag), 120))
        else:
            number, error = bracketed(text)
            yield Row(name, number, None, lambda lag=lag: mean_of(ratio(place, lag)), error=error)


def median_of(sample, printed_of):
    """Median, and the error of its difference from another, of so many: 1.25 that of a mean."""
    error = 1.25 * sample.std() * math.sqrt(1 / sample.size + 1 / printed_of)
    return np.median(sample), error


@cache
def noisy(steps):
    """log10 |dx_T / dx_1| of 4000 untrained units under noise."""
    units = _latch.Units.drawn(range(2000), 1)
    rng = np.random.default_rng(1994)
    noise = rng.normal(0, _latch.NOISE, (steps - _latch.TRAINED, 2, 2000))
    states = units.run(noise)[1]
    return np.log10(_latch.START * (1 - states[2:] ** 2)).sum(axis=0).ravel()


def noisy_rows(steps, mean, error, median, share):
    name = f"Bengio et al. 1994, w = 1.25 under noise, T = {steps}: log10 |dx_T / dx_1|"
    yield Row(name, mean, None, lambda: mean_of(noisy(steps)), error=error)
    if median:
        yield Row(f"{name}, median", median, None, lambda: quantile_of(noisy(steps), 0.5),
                  error=1.25 * error)  # fmt: skip
    p = float(share)
    yield Row(f"{name}, P(< 1e-3)", share, None, lambda: share_of(noisy(steps) < -3),
              error=math.sqrt(p * (1 - p) / 20_000))  # fmt: skip


@cache
def trained(steps, epochs=EPOCHS):
    """Success (unit, rate) after training."""
    seeds = range(UNITS)
    units = _latch.Units.drawn(seeds, len(RATES))
    _latch.train(units, seeds, steps, np.array(RATES), epochs)
    return _latch.judge(units, seeds, steps, 1)[0]


def trained_row(steps, rate, printed, epochs=EPOCHS):
    p = float(printed)
    name = f"Bengio et al. 1994, latch learnt in {epochs} epochs, T = {steps}, rate {rate}"
    return Row(name, printed, None,
               lambda: share_of(trained(steps, epochs)[:, RATES.index(rate)]),
               error=math.sqrt((p * (1 - p) + 1e-3) / 300))  # fmt: skip


ROWS = [
    *(row for place, printed in GATED.items() for row in gate_rows(place, printed)),
    *(row for place, printed in LAGS.items() for row in lag_rows(place, printed, False)),
    *(row for place, printed in MEDIANS.items() for row in lag_rows(place, printed, True)),
    *(row for steps, printed in NOISY.items() for row in noisy_rows(steps, *printed)),
    *(trained_row(steps, rate, printed) for steps, shares in TRAINED.items()
      for rate, printed in zip(RATES, shares)),
    *(trained_row(steps, 0.1, printed, 1000) for steps, printed in SHORTER.items()),
]  # fmt: skip
