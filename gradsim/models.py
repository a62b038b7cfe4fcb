"""Models: frozen, validated, hashable descriptions of a network."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from gradsim._init_fields import check_init
from gradsim._registry import brief, unknown
from gradsim._validate import choice, real, whole
from gradsim.activations import activations, outputs
from gradsim.cells import cells, table_of
from gradsim.initializers import initializers

NORMS, PLACEMENTS = ("layer", "batch"), ("pre", "post")
PER_DEPTH = "1/sqrt(depth)"  # the residual scale that keeps the variance of any depth
STEEPEST = 1e6  # a slope is no row scale: beyond it float32 loses numbers that the window holds
LOSSES = ("mse", "cross_entropy", "linear")


class _Model:
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


@dataclass(frozen=True)
class MLP(_Model):
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
        alpha of the residual cells; "1/sqrt(depth)" is taken at each depth.
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


@dataclass(frozen=True)
class RNN(_Model):
    """Random recurrent network, unrolled: h_t = phi(W h_(t-1) + U x_t + b), t = 1..steps.

    Parameters
    ----------
    steps
        Number of time steps T.
    width
        Units of the state.
    input_width
        Features of an input; None means ``width``, or what given inputs have.
    activation, loss, init, sigma_w, sigma_b, slope, norm, norm_placement, norm_eps
        As in :class:`MLP`; there is no readout, so "cross_entropy" needs a sigmoid state.
    init, sigma_w, fan, nonzeros, spectral_radius, eigenvalues, upper
        As in :class:`MLP`, for W.  U has the scheme's variance where a scheme is one of entries;
        beside a matrix made as a whole (orthogonal, spectral_radius, ...) it is Gaussian.
    cell
        Name in :data:`gradsim.cells`.
    tied
        One set of weights for all steps (True), or fresh weights at every step.
    loss_at
        "last": the cost is on h_T; "all": the sum over steps of the cost on h_t.
    sigma_u
        Standard deviation of an input weight times sqrt(input_width), for a named scheme a factor
        as sigma_w is; 0 means no inputs.
    initial_state
        "gaussian" h_0 ~ N(0, I), "zeros", or an array (unit,) or (example, unit).  Other states
        (c of an LSTM, the steps before h_0) start at zero.
    leak
        Of cell "leaky": the share of the new value; 1 - leak of the state is retained.
    forget_bias
        Of cell "lstm": added to the bias of the forget gate (Gers et al. 2000; 1 in Jozefowicz
        et al. 2015).
    chrono
        Of cell "lstm": T_max >= 2, the longest dependency to be kept, of the chrono initialiser
        (Tallec and Ollivier 2018, eq. 16): log U[1, T_max - 1] is added to the bias of the forget
        gate of each unit and subtracted from that of its input gate; None means not.
    delay, skip
        Of cell "skip": how many steps back its connection reaches, and its strength.

    Raises
    ------
    TypeError, ValueError
        If a field has the wrong type or value.

    Examples
    --------
    >>> RNN(steps=20, width=8, tied=False).steps
    20
    """

    _kind: ClassVar[str] = "RNN"

    steps: int = 50
    width: int = 64
    input_width: int | None = None
    activation: str = "tanh"
    cell: str = "vanilla"
    tied: bool = True
    loss: str = "mse"
    loss_at: str = "last"
    init: str = "gaussian"
    sigma_w: float = 1.0
    sigma_u: float = 0.0
    sigma_b: float = 0.0
    initial_state: str | tuple = "gaussian"
    slope: float = 0.01
    leak: float = 0.5
    forget_bias: float = 0.0
    chrono: float | None = None
    delay: int = 2
    skip: float = 1.0
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
        for name in ("steps", "width"):
            self._set(name, whole("RNN", name, getattr(self, name)))
        if self.input_width is not None:
            self._set("input_width", whole("RNN", "input_width", self.input_width))
        if not isinstance(self.tied, bool | np.bool_):
            raise TypeError(f"RNN(tied={brief(self.tied)}): tied must be True or False")
        self._set("tied", bool(self.tied))
        choice("RNN", "loss_at", self.loss_at, ("last", "all"))
        self._set("sigma_u", real("RNN", "sigma_u", self.sigma_u))
        self._check_initial_state()
        self._check_cell()

    def _check_cell(self) -> None:
        self._set("delay", whole("RNN", "delay", self.delay))
        for name in ("leak", "forget_bias", "skip"):
            self._set(name, real("RNN", name, getattr(self, name), least=None))
        if self.chrono is not None:
            self._check_chrono()
        plain = self.cell == "vanilla" and not (self.norm and self.norm_placement == "post")
        if self.loss == "cross_entropy" and not (plain and self.activation == "sigmoid"):
            raise ValueError(
                "RNN(loss='cross_entropy'): the state must be a sigmoid (cell='vanilla', "
                f"activation='sigmoid'), got cell={self.cell!r}, activation={self.activation!r}"
            )
        check_init(self)

    def _check_chrono(self) -> None:
        self._set("chrono", real("RNN", "chrono", self.chrono, least=2.0))
        if "chrono" not in cells[self.cell].fields:
            takers = [name for name, cell in cells.items() if "chrono" in cell.fields]
            raise ValueError(
                f"RNN(chrono={self.chrono!r}): cell={self.cell!r} does not take chrono, which "
                f"belongs to {takers}"
            )

    @property
    def alpha(self) -> float:
        """Scale of a residual branch; an RNN has no field for it."""
        return 1.0

    def _check_initial_state(self) -> None:
        if isinstance(self.initial_state, str):
            choice("RNN", "initial_state", self.initial_state, ("gaussian", "zeros"))
            return
        state: Any = None
        with suppress(TypeError, ValueError, OverflowError):
            state = np.asarray(self.initial_state, dtype=np.float64)
        if state is None or state.ndim == 0:
            raise TypeError(
                f"RNN(initial_state={brief(self.initial_state)}): initial_state must be "
                "'gaussian', 'zeros' or an array of numbers"
            )
        if state.ndim not in (1, 2) or state.shape[-1] != self.width or state.size == 0:
            raise ValueError(
                f"RNN(initial_state of shape {state.shape}): initial_state must have shape "
                f"({self.width},) or (example, {self.width})"
            )
        if not np.isfinite(state).all():
            raise ValueError("RNN(initial_state=...): initial_state must be finite")
        rows = state.tolist()
        self._set("initial_state", tuple(tuple(r) if isinstance(r, list) else r for r in rows))

    @property
    def depth(self) -> int:
        """Number of steps: the RNN's depth when it is unrolled."""
        return self.steps

    @property
    def last_activation(self) -> str:
        """Activation of the state that the cost is on."""
        return self.activation
