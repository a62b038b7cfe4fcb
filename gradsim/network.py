"""One network as NumPy arrays, its gradients with their own exponents, and networks from arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from gradsim import _draws
from gradsim._validate import parse_seed
from gradsim.cells import maps_of, table_of
from gradsim.examples import Inputs, as_numbers, parse_inputs, parse_targets, target_block
from gradsim.kernels.ops import LINEAR
from gradsim.models import MLP, RNN, choice, whole
from gradsim.plan import Given, Options, Pass, build
from gradsim.scaled import Scaled, outer_mean, times
from gradsim.sweep import Sweep, bind
from gradsim.tape import Map
from gradsim.workspace import Worker

_FREE = {"activation", "output", "loss", "slope", "loss_at", "initial_state"}
Matrices = np.ndarray | list[np.ndarray]


@dataclass(frozen=True, repr=False)
class Network:
    """One network: its model and all its numbers, in float64.

    Attributes
    ----------
    model
        Its MLP or RNN.
    weights
        Matrices (unit, input) in layer order; of an RNN the recurrent ones, one if tied.
    biases
        Vectors (unit,) in layer order; one if tied.
    recurrent, input_weights
        RNN: one matrix where the weights are tied, a list with one a step where not; None
        otherwise.
    inputs
        (example, feature) or (example, step, feature); None where there are none, or where seeds
        are to draw them.
    targets
        What the cost compares with, or v of ``loss="linear"``: (example, feature), for a cost at
        every step (example, step, feature); None where seeds are to draw them.
    initial_state
        RNN: h_0 (unit,) or (example, unit).
    seed, key
        Address that it was drawn from; seed None where it was built from arrays.
    """

    model: MLP | RNN
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    input_weights: Matrices | None = None
    inputs: np.ndarray | None = None
    targets: np.ndarray | None = None
    initial_state: np.ndarray | None = None
    seed: int | None = None
    key: int = 0

    def __post_init__(self) -> None:
        """Check that the arrays are the model's: the engine trusts their shapes."""
        model = self.model
        if isinstance(model, RNN):
            count = 1 if model.tied else model.steps
            sizes = [(model.width, model.width)] * count
        else:
            sizes = list(zip(model.widths[1:], model.widths[:-1]))
        maps = [maps_of(model, i) for i in range(len(sizes))]
        shapes = [(sum(m.weights for m in ms) * n, k) for ms, (n, k) in zip(maps, sizes)]
        if [np.shape(w) for w in self.weights] != shapes:
            raise ValueError(f"weights must have shapes {shapes[:6]}, as the model has them")
        lengths = [(sum(m.bias for m in ms) * n,) for ms, (n, _) in zip(maps, sizes)]
        if [np.shape(b) for b in self.biases] != lengths:
            raise ValueError(
                f"biases must have lengths {[n for (n,) in lengths[:6]]}, one a matrix"
            )

    @property
    def recurrent(self) -> Matrices | None:
        """W of an RNN: one matrix where tied, a list with one a step where not."""
        if not isinstance(self.model, RNN):
            return None
        return self.weights[0] if self.model.tied else self.weights

    def __repr__(self) -> str:
        """One line: the model and where its numbers come from."""
        source = "arrays" if self.seed is None else f"seed={self.seed}, key={self.key}"
        return f"Network({self.model}, {source})"

    def given(self) -> Given:
        """Arrays in the form that a plan takes."""
        drives = self.input_weights
        if drives is None:
            drives = []
        elif isinstance(drives, np.ndarray):
            drives = [drives]
        parts = [(self.weights, "weights"), (list(drives), "inputs"), (self.biases, "bias")]
        return Given(*(_by_map(self.model, arrays, part) for arrays, part in parts))

    def check_vary(self, vary: Mapping[str, Any] | None) -> None:
        """Refuse to vary fields that the arrays have settled."""
        if not isinstance(vary, Mapping):
            return  # refused with all other models
        tied = isinstance(self.model, RNN) and self.model.tied
        free = _FREE | ({"steps"} if tied else set())
        for name in vary or ():
            if name not in free:
                raise ValueError(
                    f"vary[{name!r}]: a Network's arrays fix it; free are {sorted(free)}"
                )

    def digest(self) -> str:
        """SHA-256 of all weights and biases."""
        total = sha256()
        for array in (*self.weights, *self.given().input_weights[0], *self.biases):
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()


@dataclass(frozen=True, repr=False)
class Gradients:
    """Gradients of a network's cost (the mean over examples); names as in :class:`Network`.

    Attributes
    ----------
    weights, biases
        dC/dW and dC/db in layer order; of a tied RNN one, summed over steps.
    deltas
        dC_b/dz (example, unit) in layer order, each example's own cost.
    inputs
        dC/dx (example, feature); of an RNN one a step, or None without inputs.
    input_weights
        dC/dU of an RNN.
    initial_state
        dC/dh_0 (example, unit) of an RNN.
    """

    model: MLP | RNN
    weights: list[Scaled]
    biases: list[Scaled]
    deltas: list[Scaled]
    inputs: Scaled | list[Scaled] | None = None
    input_weights: Scaled | list[Scaled] | None = None
    initial_state: Scaled | None = field(default=None)

    def __repr__(self) -> str:
        """One line: the model, and the size of the first weight gradient."""
        return f"Gradients({self.model}, log10 ||dC/dW^1|| = {self.weights[0].log10_norm():.6g})"

    @property
    def recurrent(self) -> Scaled | list[Scaled] | None:
        """dC/dW of an RNN: one where the weights are tied."""
        if not isinstance(self.model, RNN):
            return None
        return self.weights[0] if self.model.tied else self.weights


def _by_map(model: MLP | RNN, arrays: list[np.ndarray], part: str) -> list[list[np.ndarray]]:
    """Arrays by affine map and layer, from arrays of layers; empty where a map has none."""
    split: list[list[np.ndarray]] = [[] for _ in table_of(model).matrices]
    for layer, stacked in enumerate(arrays):
        having = [q for q, m in enumerate(maps_of(model, layer)) if getattr(m, part)]
        pieces = dict(zip(having, np.split(stacked, max(len(having), 1))))
        for q, pile in enumerate(split):
            pile.append(pieces.get(q, stacked[:0]))
    return split


def network(
    model: MLP | RNN, seed: int, *, key: int = 0, inputs: Any = None, targets: Any = None
) -> Network:
    """Rebuild one network of an ensemble as NumPy arrays.

    Parameters
    ----------
    model
        MLP or RNN.
    seed, key
        Its address, as in :func:`gradsim.simulate`.
    inputs, targets
        As in :func:`gradsim.simulate`.

    Returns
    -------
    Network
        The same numbers that ``simulate(model, [seed])`` runs in float64, up to rounding.

    Raises
    ------
    TypeError, ValueError
        As :func:`gradsim.simulate` does.

    Examples
    --------
    >>> net = network(MLP(depth=2, width=3), seed=17)
    >>> [w.shape for w in net.weights], net.inputs.shape
    ([(3, 3), (3, 3)], (1, 3))
    """
    if not isinstance(model, MLP | RNN):
        raise TypeError(f"model must be a gradsim MLP or RNN, got {model!r}")
    seed, key = parse_seed("network", "seed", seed, 64), parse_seed("network", "key", key, 32)
    parsed = parse_inputs(inputs, isinstance(model, RNN))
    given = parse_targets(targets, model, parsed)
    model = bind(Sweep((), (), (model,)), parsed, given).models[0]
    if isinstance(model, MLP):  # the arrays settle the ends
        model = model.with_fields(input_width=model.ends[0], output_width=model.ends[1])
    draw = _draws.Draws(model, seed, key)
    weights, biases = draw.weights()
    if given is None:
        y = draw.targets(parsed.count)
    else:
        moves = given.moves and getattr(model, "loss_at", "last") == "all"
        block = target_block(given, model, parsed.count, draw.n_out, model.depth + 1)
        y = np.moveaxis(block[1:], 0, 1) if moves else block[model.depth if given.moves else 0]
    return Network(
        model=model, weights=weights, biases=biases, input_weights=draw.input_weights(),
        inputs=draw.inputs(parsed), targets=y, initial_state=draw.initial_state(), seed=seed,
        key=key,
    )  # fmt: skip


def from_arrays(
    weights: Any,
    biases: Any = None,
    *,
    cell: str = "dense",
    input_weights: Any = None,
    steps: int | None = None,
    inputs: Any = None,
    targets: Any = None,
    **fields: Any,
) -> Network:
    """Network from arrays, for :func:`backward` and :func:`gradsim.simulate`.

    Parameters
    ----------
    weights
        cell "dense": matrices (unit, input) in layer order.  cell "vanilla": one matrix (unit,
        unit) tied over ``steps``, or a list with one a step.
    biases
        Vectors (unit,), one per matrix; None means none.
    cell
        "dense" (MLP) or "vanilla" (RNN).
    input_weights
        RNN: matrix (unit, feature), or a list with one a step.
    steps
        Steps of an RNN with tied weights.
    inputs, targets
        As in :func:`gradsim.simulate`; None lets seeds draw them.
    **fields
        Further fields of the model: activation, output, loss, slope, loss_at, initial_state.

    Returns
    -------
    Network
        Accepted by :func:`gradsim.simulate` in place of a model.

    Raises
    ------
    TypeError, ValueError
        If arrays do not fit together or are not finite numbers.
    """
    choice("from_arrays", "cell", cell, ("dense", "vanilla"))
    for name in fields:
        if name not in _FREE:
            raise TypeError(f"from_arrays has no argument {name!r}; fields are {sorted(_FREE)}")
    tied = cell == "vanilla" and np.ndim(weights[0] if len(weights) else weights) == 1
    matrices = _arrays("weights", [weights] if tied else weights, 2)
    vectors = _biases(biases, matrices, tied)
    drives: list[np.ndarray] = []
    if cell == "dense":
        if input_weights is not None or steps is not None:
            raise ValueError("from_arrays: input_weights and steps belong to cell='vanilla'")
        model: MLP | RNN = MLP(width=_chain(matrices), **fields)
    else:
        count = whole("from_arrays", "steps", steps) if tied else len(matrices)
        if steps not in (None, count):
            raise ValueError(f"from_arrays(steps={steps}): weights hold {count} steps")
        width = _square(matrices)
        if input_weights is not None:
            several = not isinstance(input_weights, np.ndarray) or input_weights.ndim == 3
            several = several and np.ndim(input_weights[0]) == 2
            drives = _arrays("input_weights", input_weights if several else [input_weights], 2)
            if len(drives) != len(matrices) or {d.shape[0] for d in drives} != {width}:
                raise ValueError(
                    "input_weights must be one matrix (unit, feature) per weight matrix"
                )
        features = {"input_width": drives[0].shape[1], "sigma_u": 1.0} if drives else {}
        model = RNN(steps=count, width=width, tied=tied, **features, **fields)
    parsed = parse_inputs(inputs, isinstance(model, RNN))
    given = parse_targets(targets, model, parsed)
    model = bind(Sweep((), (), (model,)), parsed, given).models[0]
    return Network(
        model=model,
        weights=matrices,
        biases=vectors,
        input_weights=None if not drives else (drives[0] if tied else drives),
        inputs=None if inputs is None else np.asarray(inputs),
        targets=None if targets is None else np.asarray(targets),
    )


def _arrays(name: str, values: Any, ndim: int) -> list[np.ndarray]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or len(values) == 0:
        raise TypeError(f"{name} must be a sequence of arrays, got {values!r}")
    arrays = [
        as_numbers(f"{name}[{i}]", value).astype(np.float64) for i, value in enumerate(values)
    ]
    for i, array in enumerate(arrays):
        if array.ndim != ndim:
            raise ValueError(f"{name}[{i}] must have {ndim} dimensions, got shape {array.shape}")
    return arrays


def _biases(biases: Any, matrices: list[np.ndarray], tied: bool) -> list[np.ndarray]:
    if biases is None:
        return [np.zeros(len(w)) for w in matrices]
    single = tied and np.ndim(biases) == 1 and np.ndim(biases[0]) == 0
    vectors = _arrays("biases", [biases] if single else biases, 1)
    shapes = [len(w) for w in matrices]
    if [len(b) for b in vectors] != shapes:
        raise ValueError(f"biases must have lengths {shapes}, got {[len(b) for b in vectors]}")
    return vectors


def _chain(matrices: list[np.ndarray]) -> tuple[int, ...]:
    for i in range(1, len(matrices)):
        if matrices[i].shape[1] != matrices[i - 1].shape[0]:
            raise ValueError(
                f"weights[{i}] of shape {matrices[i].shape} must have "
                f"{matrices[i - 1].shape[0]} columns"
            )
    return (matrices[0].shape[1], *(len(w) for w in matrices))


def _square(matrices: list[np.ndarray]) -> int:
    shapes = {w.shape for w in matrices}
    if len(shapes) != 1 or len(set(matrices[0].shape)) != 1:
        raise ValueError(f"weights of an RNN must be square and alike, got {sorted(shapes)}")
    return len(matrices[0])


def backward(net: Network) -> Gradients:
    """Gradients of one network, each with its own exponent.

    Parameters
    ----------
    net
        From :func:`network`, or from :func:`from_arrays` with inputs and targets or with the
        ones that seed 0 draws.

    Returns
    -------
    Gradients
        Of the mean cost over examples; every array is a :class:`Scaled`.

    Raises
    ------
    TypeError
        If ``net`` is not a Network.

    Examples
    --------
    >>> g = backward(network(MLP(depth=300, width=8, activation="sigmoid"), seed=0))
    >>> bool(g.weights[0].log10_norm() < -150)
    True
    """
    if not isinstance(net, Network):
        raise TypeError(f"backward takes a gradsim Network, got {repr(net)[:60]}")
    inputs = parse_inputs(net.inputs, isinstance(net.model, RNN))
    if net.inputs is None:
        inputs = Inputs(1, asked=False)
    targets = parse_targets(net.targets, net.model, inputs)
    model = bind(Sweep((), (), (net.model,)), inputs, targets).models[0]
    options = Options(np.dtype(np.float64), False, True, False, False, keep=True)
    (item,) = build((model,), inputs, targets, options, net.given())
    worker = Worker(item, np.zeros((1, 1), np.int64))
    worker.run(np.array([net.seed or 0], np.uint64), net.key)
    return _Reader(net, item, worker).gradients()


class _Reader:
    """Reads values and deltas of one network out of a worker's memory."""

    def __init__(self, net: Network, item: Pass, worker: Worker) -> None:
        self._net, self._item, self._arrays = net, item, worker.arrays
        self._count = item.scalars["examples"]
        self._layers = item.scalars["layers"]
        self._linear = [row for row in table_of(net.model).ops if row[0] == LINEAR]

    def _maps(self, layer: int) -> list[tuple[int, Map]]:
        """Affine maps of a layer (from 1), numbered."""
        return list(enumerate(maps_of(self._net.model, layer - 1)))

    def _values(self, q: int, layer: int) -> Scaled:
        """Input (example, unit) of an affine map of a layer."""
        v, arrays = self._linear[q][1], self._arrays
        address, line = arrays["address"][v, layer], arrays["index"][v, layer]
        n = arrays["layer"][0, layer - arrays["below"][0, v]]
        flat = arrays["store"][0, address : address + self._count * n]
        return Scaled.from_rows(flat.reshape(self._count, n), arrays["exponent"][line])

    def _delta(self, q: int, layer: int) -> Scaled:
        """dC_b/dz (example, unit) of an affine map of a layer."""
        model = self._net.model
        n = model.width if isinstance(model, RNN) else model.widths[layer]
        line = q * self._layers + layer - 1
        rows = self._arrays["kept"][line * self._count : (line + 1) * self._count, :n]
        return Scaled.from_rows(rows, self._arrays["kept_e"][line])

    def _x(self, step: int) -> Scaled:
        first = (step - 1) * self._count
        rows = self._arrays["x"][first : first + self._count]
        return Scaled.from_rows(rows, self._arrays["x_e"][step - 1])

    def _far(self) -> Scaled:
        """Gradient (example, unit) with respect to the input or the initial state."""
        v = table_of(self._net.model).states[0][1]
        start, line = self._arrays["place"][:, v]
        n = self._arrays["layer"][0, 0]
        rows = self._arrays["cotangents"][0, start : start + self._count * n]
        e = self._arrays["cotangent_e"][line, : self._count]
        far = Scaled.from_rows(rows.reshape(self._count, n), e)
        return Scaled(far.array / self._count, far.exponent).normalised()

    def _layer(self, layer: int) -> tuple[Scaled, Scaled, Scaled]:
        """Weight gradient, bias gradient and delta of a layer, those of its maps joined."""
        maps, delta = self._maps(layer), [self._delta(q, layer) for q, _ in self._maps(layer)]
        weights = [outer_mean(delta[q], self._values(q, layer)) for q, m in maps if m.weights]
        biases = [delta[q].mean_rows() for q, m in maps if m.bias]
        counted = [delta[q] for q, m in maps if m.gradient]
        return Scaled.joined(weights, 0), Scaled.joined(biases, 0), Scaled.joined(counted, 1)

    def _step(self, step: int, drives: list[list[np.ndarray]]) -> tuple[Scaled, Scaled]:
        """Gradients of U and of the inputs of a step."""
        x, at = self._x(step), 0 if self._tied else step - 1
        having = [q for q, m in self._maps(step) if m.inputs]
        deltas = [self._delta(q, step) for q in having]
        parts = [times(d, drives[q][at], 1 / self._count) for q, d in zip(having, deltas)]
        return Scaled.joined([outer_mean(d, x) for d in deltas], 0), Scaled.total(parts)

    @property
    def _tied(self) -> bool:
        return isinstance(self._net.model, RNN) and self._net.model.tied

    def gradients(self) -> Gradients:
        """All gradients of the network."""
        net, layers = self._net, range(1, self._layers + 1)
        weights, biases, deltas = map(list, zip(*(self._layer(layer) for layer in layers)))
        far = self._far()
        if not isinstance(net.model, RNN):
            return Gradients(net.model, weights, biases, deltas, inputs=far)
        inputs: Any = None
        gradient_u: Any = None
        if net.input_weights is not None:
            drives = net.given().input_weights
            gradient_u, inputs = map(list, zip(*(self._step(step, drives) for step in layers)))
        if net.model.tied:
            weights, biases = [Scaled.total(weights)], [Scaled.total(biases)]
            gradient_u = None if inputs is None else Scaled.total(gradient_u)
        return Gradients(
            net.model, weights, biases, deltas, inputs=inputs, input_weights=gradient_u,
            initial_state=far,
        )  # fmt: skip
