"""A network from arrays that a user has."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradsim._arrays import FREE, read_biases, read_mlp, read_rnn
from gradsim._registry import brief
from gradsim._torch_names import read_names
from gradsim._validate import choice
from gradsim.cells import cells
from gradsim.examples import parse_inputs, parse_targets
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.sweep import Sweep, bind


def from_arrays(
    weights: Any,
    biases: Any = None,
    *,
    cell: str | None = None,
    input_weights: Any = None,
    steps: int | None = None,
    inputs: Any = None,
    targets: Any = None,
    **fields: Any,
) -> Network:
    """Network from arrays, for :func:`gradsim.backward` and :func:`gradsim.simulate`.

    Parameters
    ----------
    weights
        MLP: matrices (unit, input) in layer order.  RNN: one matrix (unit, unit) tied over
        ``steps``, or a list with one a step.  The matrices of a cell with several are stacked
        along the first dimension in the order of its affine maps: W, V of a residual block;
        i, f, g, o of an LSTM; r, z, n of a GRU.  Or a mapping from PyTorch's names to arrays, as
        described below.
    biases
        Vectors (unit,), one per matrix, stacked likewise (GRU: b_r, b_z, b_hn, b_n); None means
        none.
    cell
        Name in :data:`gradsim.cells`; None means what a mapping holds, and "dense" otherwise.  A
        user's cell makes an RNN where ``steps`` or ``input_weights`` are given.
    input_weights
        RNN: matrix (unit, feature), or a list with one a step.
    steps
        Steps of an RNN with tied weights.
    inputs, targets
        Arrays as in :func:`gradsim.simulate`; None lets seeds draw them.
    **fields
        Further fields of the model: activation, output, loss, slope, loss_at, initial_state.

    Returns
    -------
    Network
        Accepted by :func:`gradsim.simulate` in place of a model.

    Raises
    ------
    TypeError, ValueError
        If arrays do not fit together or are not finite numbers, or a mapping holds other names.

    Notes
    -----
    A mapping is a ``state_dict`` of arrays, or of anything that :func:`numpy.asarray` takes, and
    brings biases, input weights and cell with it:

    - ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` of one layer and one direction, with or without biases
      and with any prefix: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``.  The
      two biases are summed, but for b_hn of a GRU.  Inputs are (example, step, feature), as
      ``batch_first=True`` has them, and ``initial_state`` is h_0 without its first dimension; c_0
      is 0.
    - ``nn.Linear`` layers, in the order of the mapping: ``0.weight``, ``0.bias``, ``2.weight``, …

    It does not hold the activation; a last layer without one needs ``output="identity"``.

    Examples
    --------
    >>> state = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3))}
    >>> from_arrays(state, output="identity").model.widths
    (2, 3, 1)
    >>> state = {"rnn.weight_ih_l0": np.ones((8, 5)), "rnn.weight_hh_l0": np.ones((8, 2))}
    >>> net = from_arrays(state, steps=4)
    >>> net.model.cell, net.input_weights.shape
    ('lstm', (8, 5))
    """
    if isinstance(weights, Mapping):
        _alone(biases=biases, input_weights=input_weights)
        named = read_names(weights)
        if cell not in (None, named.cell):
            raise ValueError(
                f"from_arrays(cell={brief(cell)}): the mapping holds cell {named.cell!r}"
            )
        cell, weights, biases = named.cell, named.weights, named.biases
        input_weights = named.input_weights
    cell = "dense" if cell is None else choice("from_arrays", "cell", cell, tuple(cells))
    for name in fields:
        if name not in FREE:
            fields_are = f"fields are {sorted(FREE)}"
            raise TypeError(f"from_arrays has no argument {brief(name)}; {fields_are}")
    drives: list[np.ndarray] = []
    recurrent = "MLP" not in cells[cell].models or steps is not None or input_weights is not None
    if recurrent and "RNN" not in cells[cell].models:
        raise ValueError(f"from_arrays(cell={cell!r}): input_weights and steps belong to an RNN")
    model: MLP | RNN
    if recurrent:
        model, matrices, drives = read_rnn(weights, input_weights, steps, cell, fields)
    else:
        model, matrices = read_mlp(weights, cell, fields)
    vectors = read_biases(biases, model)
    data = parse_inputs(inputs, isinstance(model, RNN))
    if data.asked and data.array is None:
        raise TypeError(f"from_arrays(inputs={brief(inputs)}): inputs must be an array")
    if data.asked and isinstance(model, RNN) and model.sigma_u == 0:
        raise ValueError("from_arrays: inputs have no effect without input_weights")
    wanted = parse_targets(targets, (model,), data)
    model = bind(Sweep((), (), (model,)), data, wanted).models[0]
    tied = isinstance(model, RNN) and model.tied
    drives = [u.copy() for u in drives]
    return Network(
        model=model,
        weights=[w.copy() for w in matrices],
        biases=[b.copy() for b in vectors],
        input_weights=drives[0] if tied and drives else drives or None,
        inputs=data.plain(),
        targets=None if wanted is None else wanted.plain(data),
        initial_state=_state(model),
    )


def _alone(**given: Any) -> None:
    """Refuse arguments that a mapping brings with it."""
    for name, value in given.items():
        if value is not None:
            raise TypeError(f"from_arrays({name}=...): a mapping as weights holds them already")


def _state(model: MLP | RNN) -> np.ndarray | None:
    """h_0 of a model that states it; None where seeds draw it."""
    if not isinstance(model, RNN) or model.initial_state == "gaussian":
        return None
    zeros = model.initial_state == "zeros"
    return np.zeros(model.width) if zeros else np.array(model.initial_state)
