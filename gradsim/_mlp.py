"""The feed-forward model: its fields, checked, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gradsim._init_fields import check_init
from gradsim._model import Model
from gradsim._registry import brief, unknown
from gradsim._validate import choice, real, whole
from gradsim.activations import outputs
from gradsim.cells import table_of

PER_DEPTH = "1/sqrt(depth)"  # the residual scale that keeps the variance of any depth


@dataclass(frozen=True)
class MLP(Model):
    """Random feed-forward network: a^l = phi(W^l a^(l-1) + b^l), l = 1..depth.

    Parameters
    ----------
    depth
        Number of weight layers L.
    width
        Units of every hidden layer, or a tuple (n_0, ..., n_L) that sets the ends and the depth.
    input_width, output_width
        Units of the ends; None means ``width``, or what given inputs and targets have.
    activation
        Name in :data:`gradsim.activations`.
    output
        Activation of the last layer; None means ``activation``.  "softmax" is an output only.
    loss
        "mse" 1/2 ||y - a^L||^2, "cross_entropy" (sigmoid or softmax output) or "linear" v . a^L.
    init
        Name in :data:`gradsim.initializers`, which prints the law of each.  "orthogonal" has
        orthonormal rows or columns, whichever are fewer, without a further scale.
    sigma_w
        Standard deviation of a weight times sqrt(fan_in); for a named scheme, a factor on the
        scheme's own standard deviation or matrix.
    sigma_b
        Standard deviation of a bias; for "pytorch_linear" and "pytorch_rnn" a factor on the
        scheme's own biases, so that 1 is PyTorch's default and 0 is ``bias=False``.
    cell
        Name in :data:`gradsim.cells`.
    slope
        Slope of leaky_relu for negative arguments, of magnitude 1e6 at most.
    residual_scale
        alpha of the residual cells, without effect in others; "1/sqrt(depth)" is taken at each
        depth.
    norm
        None, "layer" (Ba, Kiros and Hinton 2016) or "batch" (Ioffe and Szegedy 2015), without
        trainable scale and shift; hidden layers only.  Under "batch" the examples are one batch.
    norm_placement
        "pre": of what enters the activation; "post": of what leaves it.
    norm_eps
        Added to the variance.
    fan
        What the variance of a weight is divided by: "in" (units read), "out" (units written) or
        "average"; None means the scheme's own.
    nonzeros
        init "sparse" and "spectral_radius": non-zero weights of a unit; None means the smaller of
        15 and fan_in for "sparse", and all for "spectral_radius".
    spectral_radius
        init "spectral_radius": largest modulus of the eigenvalues of W; None means 1.
    eigenvalues
        init "eigenvalues" and "nonnormal": eigenvalues of W, one a unit.
    upper
        init "nonnormal": strictly upper part T of W = Q (diag(eigenvalues) + T) Q^T as rows, or a
        number s, for T_ij ~ N(0, s^2 / n), i < j.

    Raises
    ------
    TypeError, ValueError
        If a field has the wrong type or value; the message names the field, the value and what is
        allowed.

    Examples
    --------
    >>> MLP(depth=3, width=16, activation="relu", init="he_normal").depth
    3
    """

    _kind: ClassVar[str] = "MLP"

    depth: int = 10
    width: int | tuple[int, ...] = 64
    input_width: int | None = None
    output_width: int | None = None
    activation: str = "tanh"
    output: str | None = None
    loss: str = "mse"
    init: str = "gaussian"
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    cell: str = "dense"
    slope: float = 0.01
    residual_scale: float | str = 1.0
    norm: str | None = None
    norm_placement: str = "pre"
    norm_eps: float = 0.0
    fan: str | None = None
    nonzeros: int | None = None
    spectral_radius: float | None = None
    eigenvalues: tuple[float, ...] | None = None
    upper: float | tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        """Validate every field."""
        self._check_common()
        if self.residual_scale != PER_DEPTH:
            scale = self.residual_scale
            if isinstance(scale, str):
                raise unknown("MLP: residual_scale", scale, [PER_DEPTH, "a number"])
            self._set("residual_scale", real("MLP", "residual_scale", scale, least=None))
        if isinstance(self.width, tuple | list):
            self._check_widths(self.width)
        else:
            self._set("width", whole("MLP", "width", self.width))
            self._set("depth", whole("MLP", "depth", self.depth))
        for name in ("input_width", "output_width"):
            if getattr(self, name) is not None:
                self._set(name, whole("MLP", name, getattr(self, name)))
        if self.output is not None:
            choice("MLP", "output", self.output, outputs())
        if self.loss == "cross_entropy" and self.last_activation not in ("sigmoid", "softmax"):
            raise ValueError(
                "MLP(loss='cross_entropy'): output must be 'sigmoid' or 'softmax', "
                f"got {self.last_activation!r}"
            )
        self._check_widths_meet()

    def _check_widths_meet(self) -> None:
        """A cell that adds its state to a result needs layers of one width."""
        hidden = self.width[1:-1] if isinstance(self.width, tuple) else (self.width,)
        widths = {self.ends[0], *(hidden if self.depth > 1 else ())}
        if len(widths) > 1 and table_of(self).mixes_widths:
            raise ValueError(
                f"MLP(cell={self.cell!r}): the input and all hidden layers must have one width, "
                f"got {sorted(widths)}"
            )
        check_init(self)

    def _check_widths(self, widths: Sequence[Any]) -> None:
        if len(widths) < 2:
            raise ValueError(
                f"MLP(width={brief(widths)}): a tuple must hold (n_0, ..., n_L), L >= 1"
            )
        sizes = tuple(whole("MLP", "width", n) for n in widths)
        default = MLP.__dataclass_fields__["depth"].default
        if self.depth not in (default, len(sizes) - 1):
            raise ValueError(
                f"MLP(depth={brief(self.depth)}, width={brief(widths)}): depth must be "
                f"{len(sizes) - 1}, as the tuple has it"
            )
        for name, size in (("input_width", sizes[0]), ("output_width", sizes[-1])):
            given = getattr(self, name)
            if given not in (None, size):
                raise ValueError(
                    f"MLP({name}={brief(given)}, width={brief(widths)}): {name} must be {size}"
                )
            self._set(name, size)
        self._set("width", sizes)
        self._set("depth", len(sizes) - 1)

    @property
    def last_activation(self) -> str:
        """Activation of the output layer."""
        return self.activation if self.output is None else self.output

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of every layer (n_0, ..., n_L)."""
        if isinstance(self.width, tuple):
            return self.width
        first, last = self.ends
        return (first, *[self.width] * (self.depth - 1), last)

    @property
    def alpha(self) -> float:
        """Scale of a residual branch as a number."""
        if isinstance(self.residual_scale, str):
            return self.depth**-0.5
        return self.residual_scale

    @property
    def ends(self) -> tuple[int, int]:
        """Units of the input and of the output (n_0, n_L)."""
        if isinstance(self.width, tuple):
            return self.width[0], self.width[-1]
        first = self.width if self.input_width is None else self.input_width
        return first, self.width if self.output_width is None else self.output_width
