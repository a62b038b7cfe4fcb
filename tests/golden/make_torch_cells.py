"""Write torch_cells.npz: PyTorch's parameters, data and autograd gradients of small networks.

Needs PyTorch, which no test needs: run it by hand and commit the file.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

EXAMPLES, STEPS, FEATURES, WIDTH = 3, 4, 3, 5


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def chain():
    """Linear layers with tanh between them and none at the end."""
    layers = nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)
    net = nn.Sequential(*layers).double()
    data = {"inputs": normal(EXAMPLES, 4).requires_grad_(), "targets": normal(EXAMPLES, 2)}
    outputs = net(data["inputs"])
    cost = 0.5 * (data["targets"] - outputs).square().sum(1)
    return net, data, outputs, cost


def recurrent(kind, loss_at, **options):
    """A recurrent layer under the prefix "rnn.", cost on the last state or on all states."""
    net = nn.ModuleDict({"rnn": kind(FEATURES, WIDTH, batch_first=True, **options)}).double()
    moves = (STEPS,) if loss_at == "all" else ()
    data = {
        "inputs": normal(EXAMPLES, STEPS, FEATURES).requires_grad_(),
        "initial_state": normal(EXAMPLES, WIDTH).requires_grad_(),
        "targets": normal(EXAMPLES, *moves, WIDTH),
    }
    start = data["initial_state"][None]
    start = (start, torch.zeros_like(start)) if kind is nn.LSTM else start
    states, _ = net["rnn"](data["inputs"], start)
    seen = states if moves else states[:, -1]
    cost = 0.5 * (data["targets"] - seen).square().reshape(EXAMPLES, -1).sum(1)
    return net, data, states, cost


def arrays(name, net, data, outputs, cost):
    """Everything of a network, with gradients of the mean cost over examples."""
    cost.mean().backward()
    out = {f"{name}/state/{key}": value for key, value in net.state_dict().items()}
    out |= {f"{name}/grad/{key}": value.grad for key, value in net.named_parameters()}
    out |= {f"{name}/data/{key}": value for key, value in data.items()}
    out |= {f"{name}/grad/{key}": value.grad for key, value in data.items() if value.requires_grad}
    out |= {f"{name}/outputs": outputs, f"{name}/cost": cost}
    return {key: value.detach().numpy() for key, value in out.items()}


def main():
    torch.manual_seed(0)
    out = arrays("linear", *chain())
    for name, kind in (("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)):
        for loss_at in ("last", "all"):
            out |= arrays(f"{name}_{loss_at}", *recurrent(kind, loss_at))
    for kind in (nn.RNN, nn.GRU):
        name = kind.__name__.lower()
        out |= arrays(f"{name}_without_bias", *recurrent(kind, "all", bias=False))
    for loss_at in ("last", "all"):
        out |= arrays(f"relu_{loss_at}", *recurrent(nn.RNN, loss_at, nonlinearity="relu"))
    out["torch"] = np.array(torch.__version__.split("+")[0])
    np.savez_compressed(Path(__file__).with_name("torch_cells.npz"), **out)


if __name__ == "__main__":
    main()
