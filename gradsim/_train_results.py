"""Results of training: labelled arrays of every step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gradsim._flat import Parameters
from gradsim._train_settings import Settings
from gradsim.plan import Model
from gradsim.simulate import Run

ITERATION, LAYER, PARAMETER = ("iteration",), ("iteration", "layer"), ("parameter",)


@dataclass(frozen=True)
class TrainVariable:
    """A variable of the result: its dimensions beside the seed, and what it is."""

    dims: tuple[str, ...]
    long_name: str
    formula: str
    kind: str = "float64"
    needs: str = ""


VARIABLES = {
    "log10_gradient_norm": TrainVariable(
        LAYER, "gradient of the data's cost, before clipping", "log10 ||dC/dtheta^l||"
    ),
    "log10_bias_gradient_norm": TrainVariable(
        LAYER, "the same of the biases alone", "log10 ||dC/db^l||"
    ),
    "log10_penalty_norm": TrainVariable(
        LAYER, "gradient of the L2 penalty", "log10 (l2 ||W^l||)", needs="l2"
    ),
    "log10_update_norm": TrainVariable(
        LAYER, "step that the rule asks for", "log10 ||learning_rate d^l||"
    ),
    "log10_curvature": TrainVariable(
        LAYER, "size of the curvature along the gradient of the layer", "log10 |g'Hg / g'g|",
        needs="curved",
    ),
    "curvature_sign": TrainVariable(
        LAYER, "sign of the curvature along the gradient of the layer", "-1, 0 or 1",
        needs="curved",
    ),
    "log10_weight_norm": TrainVariable(LAYER, "weights and biases", "log10 ||theta^l||"),
    "changed_share": TrainVariable(
        LAYER, "share of weights and biases that the step changed in float64",
        "mean(theta + step != theta)",
    ),
    "log10_loss": TrainVariable(ITERATION, "cost of the step's examples before it", "log10 abs(C)"),
    "log10_norm_before": TrainVariable(
        ITERATION, "whole gradient before clipping", "log10 ||g||", needs="clip"
    ),
    "log10_norm_after": TrainVariable(
        ITERATION, "whole gradient after clipping", "log10 ||g||", needs="clip"
    ),
    "clipped": TrainVariable(
        ITERATION, "share of entries that clipping changed", "by norm: 0 or 1", needs="clip"
    ),
    "log10_final_loss": TrainVariable(
        (), "cost of all examples after the last step", "log10 abs(C)"
    ),
    "status": TrainVariable(
        (), "0 ok, 1 exact zero, 2 non-finite, 3 underflow, of the last run", "see simulate", "int8"
    ),
    "final_parameter": TrainVariable(
        PARAMETER, "W, U and b of each layer in turn, after the last step", "theta", needs="keep"
    ),
    "stop_iteration": TrainVariable(
        (), "first iteration without a result; the number of steps where all have one",
        "min(k: not finite)", "int32",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A model with what is done with its gradients."""

    model: Model
    settings: Settings

    @property
    def parameters(self) -> Parameters:
        """Where its parameters lie in the vector."""
        return Parameters.of(self.model)


class Results:
    """Arrays (condition, seed, ...) of a call of :func:`gradsim.train`.

    Parameters
    ----------
    run
        Checked arguments that a simulation has too.
    labels
        Coordinate of every varied field, in the order of `vary`.
    conditions
        All conditions, the last varied field fastest.
    keep
        Whether the trained parameters are a variable.
    """

    def __init__(
        self, run: Run, labels: dict[str, np.ndarray], conditions: Sequence[Condition], keep: bool
    ) -> None:
        self._run, self._labels = run, labels
        parameters = [condition.parameters for condition in conditions]
        self._own = {  # the extents of each condition
            "layer": [p.count for p in parameters],
            "parameter": [p.total for p in parameters],
        }
        self._sizes = {"iteration": conditions[0].settings.steps}
        self._sizes |= {dim: max(extents) for dim, extents in self._own.items()}
        used = {"keep": keep} | {
            need: any(getattr(c.settings, need) for c in conditions)
            for need in ("l2", "clip", "curved")
        }
        self._variables = {n: v for n, v in VARIABLES.items() if used.get(v.needs, True)}
        front = [len(conditions), len(run.seeds)]
        self._shapes = {
            n: front + [self._sizes[dim] for dim in v.dims] for n, v in self._variables.items()
        }
        self._arrays: dict[str, np.ndarray] = {}

    def nbytes(self) -> int:
        """Size of the result, in Python's own integers: it may be far beyond any memory."""
        return 8 * sum(math.prod(shape) for shape in self._shapes.values())

    def allocate(self) -> None:
        """Make room for the result: NaN, or 0 for a status."""
        for name, shape in self._shapes.items():
            kind = np.dtype(self._variables[name].kind)
            self._arrays[name] = np.full(shape, np.nan if kind.kind == "f" else 0, kind)

    def views(self, c: int, s: int) -> dict[str, np.ndarray]:
        """Views of the results of one network, with the layers and parameters that it has."""
        views = {}
        for name, array in self._arrays.items():
            dims = self._variables[name].dims
            own = self._own.get(dims[-1]) if dims else None
            views[name] = array[c, s, ...] if own is None else array[c, s, ..., : own[c]]
        return views

    def dataset(self) -> xr.Dataset:
        """Labelled result, without attributes of its own."""
        names, lengths = list(self._labels), [len(values) for values in self._labels.values()]
        data = {}
        for name, variable in self._variables.items():
            array = self._arrays[name]
            text = {"long_name": variable.long_name, "units": "1", "formula": variable.formula}
            dims = [*names, "seed", *variable.dims]
            data[name] = xr.DataArray(
                array.reshape(*lengths, *array.shape[1:]), dims=dims, attrs=text
            )
        return xr.Dataset(data, coords=self._coords())

    def _coords(self) -> dict[str, Any]:
        seeds = self._run.seeds
        kind = np.uint64 if max(seeds) >= 2**63 else np.int64
        own = {
            "seed": (np.array(seeds, kind), "network"),
            "iteration": (np.arange(self._sizes["iteration"]), "updates before"),
            "layer": (
                np.arange(1, self._sizes["layer"] + 1),
                "layer, from the input; step of an untied RNN; 1 of a tied one",
            ),
        }
        own |= {name: (values, name.replace("_", " ")) for name, values in self._labels.items()}
        return {n: (n, values, {"long_name": t, "units": "1"}) for n, (values, t) in own.items()}
