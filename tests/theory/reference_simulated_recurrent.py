"""Published results on recurrent networks, simulated: rows of `test_reference_table`."""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim import theory

from .reference import Row, extrapolated, mean_of, share_of
from .reference_recurrent import tails
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
    return share_of(linear_rnn(10, 50, 8000, sigma_w=0.9) < math.log(1e-3))


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
    return gs.simulate(model, 400, measure="lyapunov", **QUIET).lyapunov_exponent


ROWS = [
    Row("Newman 1986, N = 10: lambda_1", "-0.0516601220",
        lambda: theory.lyapunov(10).lyapunov_exponent[0].item(),
        lambda: mean_of(linear_rnn(10, 30, 4000) / 30)),
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
    Row("Bengio et al. 1994, latch w = 1.25: m^9", "1.33698e-2",
        lambda: theory.latch(1.25).multiplier.item() ** 9,
        lambda: surely(through("tanh", 1.25, 0.0, theory.latch(1.25).state.item(), 9))),
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
