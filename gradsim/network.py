"""One network as NumPy arrays, drawn by its address or given."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradsim import _draws
from gradsim._arrays import FREE, arrays, by_map, check_shapes, one_or_more, shapes_of
from gradsim._flat import Parameters
from gradsim._memory import network_bytes, require
from gradsim._registry import brief
from gradsim._validate import as_numbers, parse_memory, parse_seed
from gradsim.examples import parse_inputs, parse_targets, target_block
from gradsim.inputs import resolve
from gradsim.models import MLP, RNN
from gradsim.plan import Given
from gradsim.sweep import Sweep, bind

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
        RNN: h_0 (unit,) or (example, unit), in place of the model's; None where the model has it.
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
        """Check the arrays, and let them settle the ends that the model leaves open."""
        model = self.model
        if not isinstance(model, MLP | RNN):
            raise TypeError(f"model must be a gradsim MLP or RNN, got {brief(model)}")
        drives = self.given().input_weights[-1]
        if isinstance(model, MLP):
            ends = {"input_width": model.ends[0], "output_width": model.ends[1]}
        else:
            ends = {"input_width": drives[0].shape[1]} if drives else {}
        object.__setattr__(self, "model", model.with_fields(**ends))
        self.settled()

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

    def settled(self) -> MLP | RNN:
        """Model with the initial state that the arrays have now: what the engine runs.

        Raises
        ------
        TypeError, ValueError
            If there is one and it is not the model's, or not finite.
        """
        if self.initial_state is None:
            return self.model
        if not isinstance(self.model, RNN):
            raise ValueError("initial_state belongs to an RNN")
        return self.model.with_fields(initial_state=self.initial_state)

    def given(self) -> Given:
        """Arrays in the form that a plan takes, checked: the engine trusts them.

        Raises
        ------
        TypeError, ValueError
            If they are not the model's, or not finite.
        """
        model, shapes = self.model, shapes_of(self.model)
        weights, biases = arrays("weights", self.weights, 2), arrays("biases", self.biases, 1)
        check_shapes("weights", weights, shapes[0])
        check_shapes("biases", biases, shapes[1])
        drives: list[np.ndarray] = []
        if isinstance(model, RNN) and model.sigma_u > 0:
            drives, _ = one_or_more("input_weights", self.input_weights, 2)
            check_shapes("input_weights", drives, shapes[2])
        elif self.input_weights is not None:
            raise ValueError("input_weights belong to an RNN with sigma_u > 0")
        parts = ((weights, "weights"), (drives, "inputs"), (biases, "bias"))
        return Given(*(by_map(model, stacked, part) for stacked, part in parts))

    def with_parameters(self, values: Any) -> "Network":
        """Network with other weights and biases, and all else the same.

        Parameters
        ----------
        values
            W, input weights and b of each layer in turn (parameter,), as the `final_parameter`
            of :func:`gradsim.train` has them for one network; NaN after the last is left out.

        Raises
        ------
        TypeError, ValueError
            If they are not as many finite numbers as the network has.
        """
        parameters = Parameters.of(self.model)
        vector = np.asarray(values)
        found = vector[: parameters.total] if vector.ndim == 1 else vector
        if found.shape != (parameters.total,) or not np.isnan(vector[parameters.total :]).all():
            raise ValueError(
                f"with_parameters: values must have shape ({parameters.total},), got shape "
                f"{vector.shape}"
            )
        kinds = list(zip(*parameters.arrays(as_numbers("values", found).astype(np.float64))))
        drives = list(kinds[1]) if len(kinds) == 3 else None
        single = drives is not None and not isinstance(self.input_weights, list)
        return replace(
            self, weights=list(kinds[0]), biases=list(kinds[-1]),
            input_weights=drives[0] if drives and single else drives,
        )  # fmt: skip

    def check_vary(self, vary: Mapping[str, Any] | None) -> None:
        """Refuse to vary fields that the arrays have settled."""
        if not isinstance(vary, Mapping):
            return  # refused with all other models
        tied = isinstance(self.model, RNN) and self.model.tied
        free = FREE | ({"steps"} if tied else set())
        for name in vary or ():
            if name not in free:
                raise ValueError(
                    f"vary[{name!r}]: a Network's arrays fix it; free are {sorted(free)}"
                )

    def vector(self) -> np.ndarray:
        """W, input weights and b of each layer in turn (parameter,)."""
        drives = self.input_weights
        kinds = [self.weights, self.biases]
        if drives is not None:
            kinds.insert(1, drives if isinstance(drives, list) else [drives])
        return Parameters.of(self.model).vector(*kinds).astype(np.float64, copy=False)

    @staticmethod
    def of_vector(model: MLP | RNN, values: np.ndarray) -> "Network":
        """Network of a model with all widths set from what :meth:`vector` gives."""
        kinds = [list(kind) for kind in zip(*Parameters.of(model).arrays(values))]
        drives = kinds[1] if len(kinds) == 3 else None
        return Network(model=model, weights=kinds[0], biases=kinds[-1], input_weights=drives)


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
    TypeError, ValueError, MemoryError
        As :func:`gradsim.simulate` does.

    Examples
    --------
    >>> net = network(MLP(depth=2, width=3), seed=17)
    >>> [w.shape for w in net.weights], net.inputs.shape
    ([(3, 3), (3, 3)], (1, 3))
    """
    if not isinstance(model, MLP | RNN):
        raise TypeError(f"model must be a gradsim MLP or RNN, got {brief(model)}")
    seed, key = parse_seed("network", "seed", seed, 64), parse_seed("network", "key", key, 32)
    parsed = parse_inputs(resolve(inputs, (model,)), isinstance(model, RNN))
    given = parse_targets(targets, (model,), parsed)
    model = bind(Sweep((), (), (model,)), parsed, given).models[0]
    require(parse_memory(None), network=network_bytes(model, parsed.count))
    draw = _draws.Draws(model, seed, key)
    weights, biases = draw.weights()
    if given is None:
        y = draw.targets(parsed.count)
    else:
        moves = given.moves and getattr(model, "loss_at", "last") == "all"
        block = target_block(given, parsed.count, draw.n_out, model.depth + 1)
        y = np.moveaxis(block[1:], 0, 1) if moves else block[model.depth if given.moves else 0]
    return Network(
        model=model, weights=weights, biases=biases, input_weights=draw.input_weights(),
        inputs=draw.inputs(parsed), targets=y, initial_state=draw.initial_state(), seed=seed,
        key=key,
    )  # fmt: skip
