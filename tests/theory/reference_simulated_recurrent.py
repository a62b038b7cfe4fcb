"""Published results on recurrent networks, simulated: rows of `test_reference_table`."""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim import theory

from .reference import Row, extrapolated, mean_of, share_of
from .reference_recurrent import (
    CHRONO,
    GATES,
    LATCH,
    POWERS,
    STEPS,
    TRIANGULAR,
    gate,
    power,
    tails,
    triangular,
)
from .reference_simulated import LN10, log_ratios

QUIET = {"progress": False}


@gs.cell("minimal")
def minimal(t, h, phi):
    """The minimalRNN with an input of its own for the gate."""
    u = t.sigmoid(t.linear(h))
    return u * h + (1 - u) * t.drive(0 * h, "z")


@gs.initializer("euler_step", square=True)
def euler_step(draw, n_out, n_in, model):
    """I + eps (W - W^T), eps = 0.1."""
    w = draw.normals(n_out, n_in) / math.sqrt(n_in)
    return np.eye(n_in) + 0.1 * (w - w.T)


def recurrent(n):
    """Growth of ln ||delta|| per step of an untied tanh RNN with its state at q*."""
    limit = theory.recurrent(gs.RNN(sigma_w=2.0))
    size = math.sqrt(limit.q_star.item()) / 2
    x = np.random.default_rng(n).standard_normal(n)
    state = x * size * math.sqrt(n) / np.linalg.norm(x)
    model = gs.RNN(steps=12, width=n, sigma_w=2.0, tied=False, loss="linear",
                   initial_state=tuple(state))  # fmt: skip
    value, error = mean_of(log_ratios(model, 14000 // n))
    return value / 22, error / 22


def linear_rnn(n, steps, seeds, **fields):
    model = gs.RNN(steps=steps + 1, width=n, activation="identity", loss="linear", tied=False,
                   **fields)  # fmt: skip
    return log_ratios(model, seeds) / 2


def vanished():
    return share_of(linear_rnn(10, 50, 4000, sigma_w=0.9) < math.log(1e-3))


def unit(activation, weight, bias, state, steps):
    """Growth of the gradient through one unit, whose product is known."""
    net = gs.from_arrays(
        np.array([[weight]]), [bias], cell="vanilla", activation=activation, steps=steps,
        loss="linear", initial_state=(state,), targets=[[1.0]],
    )  # fmt: skip
    ds = gs.simulate(net, 1, **QUIET)
    return ds.isel(seed=0)


def through(activation, weight, bias, state, steps):
    norm = unit(activation, weight, bias, state, steps).log10_state_grad_norm.values
    return 10 ** (norm[0] - norm[-1])


def surely(value):
    """Value of one network with what rounding may do to it."""
    return value, 1e-9 * value


@cache
def given(rows, end):
    """Gradients and Jacobians of a linear RNN with that matrix, from 20 or 100 steps on."""
    steps = 100 if len(rows) > 2 else 21
    net = gs.from_arrays(np.array(rows), np.zeros(len(rows)), cell="vanilla", steps=steps,
                         activation="identity", loss="linear", targets=[end],
                         initial_state=tuple(end))  # fmt: skip
    return gs.simulate(net, 1, measure=["gradient", "jacobian"], **QUIET).isel(seed=0)


def symmetric_power(t):
    rng = np.random.default_rng(3)
    q, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    w = q @ np.diag([1.1, 1.0, 0.9, 0.8, 0.5]) @ q.T
    norm = given(tuple(map(tuple, w)), tuple(q @ np.ones(5) / math.sqrt(5))).log10_state_grad_norm
    return 10 ** (norm.values[100 - t] - norm.values[100])


def triangular_power(t):
    ds = given(((0.5, 10.0), (0.0, 0.5)), (1.0, 0.0))
    return 10 ** ds.log10_singular_value.isel(index=0).values[20 - t]


@cache
def forgotten(**fields):
    """Mean over units of prod f^2 (network, step) from a step to the last: LSTM without weights."""
    model = gs.RNN(steps=101, width=60, cell="lstm", sigma_w=0.0, loss="linear", **fields)
    ds = gs.simulate(model, 60 if "chrono" in fields else 1, **QUIET)
    norm = ds.log10_cell_grad_norm - ds.log10_state_grad_norm.isel(state_step=-1)
    return 4 * 10 ** (2 * norm).values  # the output gate is 1/2


def kept(longest, steps):
    """E f^steps of chrono biases; the squared norm has f to the power of 2 T."""
    return mean_of(forgotten(chrono=longest)[:, 101 - steps // 2])


def minimal_growth(n):
    """ln E of the growth of the squared gradient per step, once the state is stationary."""
    model = gs.RNN(steps=14, width=n, cell="minimal", sigma_u=1.0, tied=False, loss="linear")
    norm = gs.simulate(model, 12000 // n, **QUIET).log10_state_grad_norm
    far, near = (np.exp(2 * LN10 * (norm[:, t] - norm[:, 14]).values) for t in (6, 14))
    square, error = mean_of(far / near)
    return square ** (1 / 8), square ** (1 / 8) * error / square / 8


def euler_growth():
    model = gs.RNN(steps=2, width=100, activation="identity", init="euler_step", tied=False,
                   loss="linear")  # fmt: skip
    norm = gs.simulate(model, 400, **QUIET).log10_state_grad_norm
    square, error = mean_of(10 ** (2 * (norm[:, 0] - norm[:, 1]).values))
    return math.sqrt(square), error / 2 / math.sqrt(square)


@cache
def small_matrices():
    model = gs.RNN(steps=100, width=10, activation="identity", tied=False)
    return gs.simulate(model, 250, measure="lyapunov", **QUIET).lyapunov_exponent


ROWS = [
    Row("Newman 1986, N = 10: lambda_1", "-0.0516601220",
        lambda: theory.lyapunov(10).lyapunov_exponent[0].item(),
        lambda: mean_of(linear_rnn(10, 30, 2500) / 30)),
    Row("Goodfellow et al. 2016, 10.7: E ln abs(w)", "-0.6351814227",
        lambda: theory.scalar_product(10).mean_log.item() / 10,
        lambda: mean_of(linear_rnn(1, 10, 8000) / 10)),
    Row("Goodfellow et al. 2016, 10.7: P(T = 10 product < 1e-3)", "0.40609",
        lambda: theory.scalar_product(10).below_probability.item(),
        lambda: mean_of((linear_rnn(1, 10, 8000) < math.log(1e-3)) * 1.0)),
    Row("Newman 1986, N = 10, g = 0.9, T = 50: P(r < 1e-3)", "0.71219",
        lambda: tails(True, 10, 0.9, 50), vanished),
    Row("Newman 1986, N = 10: lambda_5", "-0.34332679",
        lambda: theory.lyapunov(10).lyapunov_exponent[4].item(),
        lambda: mean_of(small_matrices().isel(index=4).values)),
    Row("Newman 1986, N = 10: lambda_10", "-1.78647397",
        lambda: theory.lyapunov(10).lyapunov_exponent[9].item(),
        lambda: mean_of(small_matrices().isel(index=9).values)),
    Row("Molgedey et al. 1992, tanh RNN, g = 2: lambda_1", "0.15472423",
        lambda: theory.recurrent(gs.RNN(sigma_w=2.0)).lyapunov_exponent.item(),
        lambda: extrapolated(recurrent), 2e-3),
    *(Row(f"Bengio et al. 1994, latch w = {w}: m^{t}", printed.split()[place],
          lambda w=w, t=t: theory.latch(w).multiplier.item() ** t,
          lambda w=w, t=t: surely(through("tanh", w, 0.0, theory.latch(w).state.item(), t)))
      for w, printed in LATCH.items() for t, place in ((9, 3), (19, 4))),
    *(Row(f"Goodfellow et al. 2016, (10.37), t = {t}: norm", printed.split()[0],
          lambda t=t: power(t)[0], lambda t=t: surely(symmetric_power(t)))
      for t, printed in POWERS.items()),
    *(Row(f"[[.5, 10], [0, .5]]: norm of W^{t}", printed, lambda i=i: triangular()[i],
          lambda t=t: surely(triangular_power(t)))
      for i, (t, printed) in enumerate(TRIANGULAR.items()) if t < 20),  # the last is false
    *(Row(f"LSTM forget gate, b = {b}, T = {t}", printed.split()[i + 1],
          lambda b=b, i=i: gate(b)[i + 1],
          lambda b=b, t=t: surely(forgotten(forget_bias=float(b))[0, 101 - t] ** 0.5))
      for b, printed in GATES.items() for i, t in enumerate(STEPS)),
    *(Row(f"Tallec and Ollivier 2018, T_max = {top}, T = {t}", printed,
          lambda top=top, t=t: theory.chrono_retention(top, t), lambda top=top, t=t: kept(top, t))
      for top, line in CHRONO.items() for t, printed in zip(STEPS, line.split())),
    Row("Pascanu et al. 2013, w = 5, b = -w/2: dx_50 / dx_0", "70064.92322",
        lambda: theory.saddle_nodes(5.0).multiplier.item() ** 50,
        lambda: surely(through("sigmoid", 5.0, -2.5, 0.5, 50))),
    Row("Pascanu et al. 2013, w = 1.1: dx_50 / dw", "5335.947858",
        lambda: theory.shared_weight(1.1, 50).gradient.item(),
        lambda: surely(10 ** unit("identity", 1.1, 0.0, 1.0, 50)
                       .log10_total_weight_grad_norm.item())),
    Row("Chang et al. 2019, eps = 0.1, N = 100: rms growth", "1.00985147",
        lambda: theory.antisymmetric(0.1, width=100).rms.item(), euler_growth),
    Row("Chen et al. 2018, minimalRNN (1, 1, 1, 0): chi_1", "0.364545",
        lambda: theory.minimal_rnn(1.0).chi_1.item(), lambda: extrapolated(minimal_growth), 2e-3),
]  # fmt: skip
