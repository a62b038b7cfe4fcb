"""The recurrent model: its fields, checked, and what follows from them."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gradsim._init_fields import check_init
from gradsim._model import Model
from gradsim._registry import brief
from gradsim._validate import choice, real, whole
from gradsim.cells import cells


@dataclass(frozen=True)
class RNN(Model):
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
        Of cell "skip": how many steps back its connection reaches, and its strength.  Numbers of
        another cell (:data:`gradsim.cells` lists them) have no effect, so that ``vary`` can take
        one model through several cells.

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
