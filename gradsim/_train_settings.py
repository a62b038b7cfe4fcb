"""What :func:`gradsim.train` does with the gradients: its own arguments, checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from gradsim import clipping
from gradsim._registry import brief, unknown
from gradsim._validate import real, whole
from gradsim.optimizers import optimizers

NUMBERS = ("momentum", "decay", "epsilon", "damping")  # arguments that belong to some optimizers


@dataclass(frozen=True)
class Settings:
    """Arguments of :func:`gradsim.train` that are not those of a simulation."""

    optimizer: str
    learning_rate: float | tuple[float, ...]
    steps: int
    batch_size: int | None
    clip: float | None
    clip_by: str
    l2: float
    momentum: float | None
    decay: float | None
    epsilon: float | None
    damping: float | None

    def __post_init__(self) -> None:
        """Validate every argument."""
        optimizers[self.optimizer]  # refused where there is no such one
        self._set("steps", whole("train", "steps", self.steps))
        self._set("learning_rate", _rates(self.learning_rate))
        self._set("l2", real("train", "l2", self.l2))
        if self.batch_size is not None:
            self._set("batch_size", whole("train", "batch_size", self.batch_size))
        self._check_clip()
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None:
                self._set(name, real("train", name, value))
        if self.curved:
            self._check_direction()
        for name in ("momentum", "decay"):
            value = getattr(self, name)
            if value is not None and value >= 1:
                raise ValueError(f"train({name}={value!r}): {name} must be below 1")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_clip(self) -> None:
        if not isinstance(self.clip_by, str) or self.clip_by not in clipping.MODES:
            raise unknown("train: clip_by", self.clip_by, list(clipping.MODES))
        if self.clip is not None:
            self._set("clip", clipping.check("train: clip", self.clip, self.clip_by))

    def _check_direction(self) -> None:
        """Refuse what would turn the direction away from the gradient that is measured along."""
        rule = f"optimizer={self.optimizer!r} measures the curvature along the data's own gradient"
        if self.l2 > 0:
            raise ValueError(f"train(l2={self.l2!r}): {rule}; l2 must be 0")
        if self.clip is not None and self.clip_by == "value":
            raise ValueError(f"train(clip_by='value'): {rule}; clip_by must be 'norm'")

    @property
    def curved(self) -> bool:
        """Whether the optimizer asks for curvatures."""
        return optimizers[self.optimizer].curved

    def number(self, name: str) -> float:
        """One of the optimizer's own arguments, or its default."""
        value = getattr(self, name)
        return optimizers[self.optimizer].numbers[name] if value is None else value

    def with_fields(self, values: dict[str, Any]) -> "Settings":
        """Copy with some arguments replaced, validated anew."""
        return replace(self, **values)

    def rates(self, layers: int) -> np.ndarray:
        """Learning rate of every layer.

        Raises
        ------
        ValueError
            If there are several, and not as many as layers.
        """
        rates = np.atleast_1d(np.array(self.learning_rate, np.float64))
        if rates.size not in (1, layers) or (rates.size == 1 and layers != 1 and self.per_layer):
            raise ValueError(
                f"train(learning_rate={brief(self.learning_rate)}): learning_rate must be a number "
                f"or one for each of the {layers} layers with weights of their own"
            )
        return np.broadcast_to(rates, layers).copy()

    @property
    def per_layer(self) -> bool:
        """Whether every layer has a learning rate of its own."""
        return isinstance(self.learning_rate, tuple)


VARIABLE = tuple(field.name for field in fields(Settings) if field.name != "steps")


def check_taken(settings: Settings, varied: Mapping[str, Sequence[Any]]) -> None:
    """Refuse numbers that no optimizer of a call takes.

    Raises
    ------
    ValueError
        If there is one; where optimizers are varied, one of them need take it.
    """
    chosen = varied.get("optimizer", [settings.optimizer])
    taken = {name for each in chosen for name in optimizers[each].numbers}
    for name in NUMBERS:
        value = varied.get(name, getattr(settings, name))
        if value is not None and name not in taken:
            takers = [entry.name for entry in optimizers.values() if name in entry.numbers]
            raise ValueError(
                f"train({name}={brief(value)}): optimizer={', '.join(map(repr, chosen))} does not "
                f"take {name}, which belongs to {takers}"
            )


def _rates(rate: Any) -> float | tuple[float, ...]:
    """A learning rate, or one a layer."""
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate.item()
    if isinstance(rate, str) or not isinstance(rate, Iterable):
        return real("train", "learning_rate", rate)
    rates = tuple(real("train", "learning_rate", each) for each in rate)
    if not rates:
        raise ValueError("train(learning_rate=()): learning_rate must not be empty")
    return rates
