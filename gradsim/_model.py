"""What both models share: their common fields, checked."""

from dataclasses import fields, replace
from typing import Any, ClassVar

from gradsim._registry import unknown
from gradsim._validate import choice, real
from gradsim.activations import activations
from gradsim.cells import cells
from gradsim.initializers import initializers

NORMS, PLACEMENTS = ("layer", "batch"), ("pre", "post")
STEEPEST = 1e6  # a slope is no row scale: beyond it float32 loses numbers that the window holds
LOSSES = ("mse", "cross_entropy", "linear")


class Model:
    """What both models share: validation of their common fields."""

    _kind: ClassVar[str]
    activation: str
    cell: str
    loss: str
    init: str
    sigma_w: float
    sigma_b: float
    slope: float
    norm: str | None
    norm_placement: str
    norm_eps: float
    fan: str | None
    nonzeros: int | None
    spectral_radius: float | None
    eigenvalues: tuple[float, ...] | None
    upper: float | tuple[tuple[float, ...], ...] | None

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_common(self) -> None:
        kind = self._kind
        choice(kind, "activation", self.activation, tuple(activations))
        allowed = tuple(name for name, cell in cells.items() if kind in cell.models)
        choice(kind, "cell", self.cell, allowed)
        choice(kind, "loss", self.loss, LOSSES)
        choice(kind, "init", self.init, tuple(initializers))
        for name in ("sigma_w", "sigma_b"):
            self._set(name, real(kind, name, getattr(self, name)))
        self._set("slope", real(kind, "slope", self.slope, least=None))
        if self.norm is not None:
            choice(kind, "norm", self.norm, NORMS)
        choice(kind, "norm_placement", self.norm_placement, PLACEMENTS)
        self._set("norm_eps", real(kind, "norm_eps", self.norm_eps))
        if abs(self.slope) > STEEPEST:
            raise ValueError(f"{kind}(slope={self.slope!r}): slope must be in +-{STEEPEST:g}")

    def with_fields(self, **values: Any) -> Any:
        """Copy of the model with some fields replaced, validated anew."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        for name in values:
            if name not in names:
                raise unknown(f"field of {self._kind}", name, names)
        return replace(self, **values)  # type: ignore[type-var]
