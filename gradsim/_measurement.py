"""What a measurement is: its variables, their dimensions and prose, and how it is taken."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradsim._registry import brief

if TYPE_CHECKING:
    from gradsim._reduction import Reduction

LAYERED, STATES, NETWORK = "layered", "states", "network"  # dims after (…, seed[, example])


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    Attributes
    ----------
    name, long_name, formula
        Name in the Dataset, and its prose.
    dims
        "layered" (layer or step), "states" (state_step 0..T) or "network".
    models
        Kinds of model that have it.
    needs
        "" always; "inputs": RNN with inputs; "memory": a cell with a memory; "total": where the
        total is asked for; "tied", "untied": weights that all steps share, or not.
    kind
        dtype of the variable.
    extra
        Dimensions after the layer; their sizes and coordinates are the reduction's.
    """

    name: str
    long_name: str
    formula: str
    dims: str = LAYERED
    models: tuple[str, ...] = ("MLP", "RNN")
    needs: str = ""
    kind: str = "float64"
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A measurement with its parameters, as it goes into a run and its stored configuration."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def get(self, name: str) -> Any:
        """Value of one parameter."""
        return dict(self.parameters)[name]


@dataclass(frozen=True)
class Measurement:
    """A registered measurement; calling it with parameters gives a `Spec`.

    ``reduction`` says how it is taken; None where the backward pass itself takes it. ``source`` is
    the text of a user's function, kept in files that need it.
    """

    name: str
    purpose: str
    variables: tuple[Variable, ...]
    defaults: dict[str, Any] = field(default_factory=dict, hash=False)
    reduction: "type[Reduction] | None" = None
    source: str = ""

    def __call__(self, **parameters: Any) -> Spec:
        """Spec with parameters; TypeError names one that is unknown or of the wrong type."""
        given = dict(parameters)
        for name, value in given.items():
            if name not in self.defaults:
                known = sorted(self.defaults) or "no parameters"
                raise TypeError(f"measurement {self.name!r} has {known}, got {brief(name)}")
            kind = type(self.defaults[name])
            if kind is float and type(value) is int:
                parameters[name] = value = float(value)
            if not isinstance(value, kind):
                wanted = kind.__name__
                raise TypeError(f"{self.name}({name}={brief(value)}): {name} must be a {wanted}")
        return Spec(self.name, tuple(sorted({**self.defaults, **parameters}.items())))

    @property
    def names(self) -> str:
        """Names of the variables, for the printed table."""
        return ", ".join(dict.fromkeys(variable.name for variable in self.variables))
