"""The registry of measurements: each names its variables, their dimensions and their prose.

What is registered here validates a result, documents it and becomes its attributes.
"""

from collections.abc import Sequence
from typing import Any

from gradsim._bounds import BOUNDS
from gradsim._clipping import CLIPPING
from gradsim._correlation import CORRELATION
from gradsim._curvature import CURVATURE
from gradsim._entries import ENTRIES
from gradsim._measurement import NETWORK, STATES, Measurement, Spec, Variable
from gradsim._noise import NOISE
from gradsim._partials import PARTIALS
from gradsim._registry import Registry, brief
from gradsim._spectrum import SPECTRUM
from gradsim._stretching import JACOBIAN, LYAPUNOV

_BATCH = "one cost per network: the mean over examples"
_GRADIENT = (
    Variable(
        "log10_delta_norm", "log10 norm of delta = dC/dz",
        "log10 ||delta||, averaged over examples",
    ),
    Variable(
        "log10_bias_grad_norm", "log10 norm of the bias gradient",
        "log10 ||mean over examples of delta||",
    ),
    Variable(
        "log10_weight_grad_norm", "log10 norm of the weight gradient",
        "log10 ||mean over examples of delta a^T||_F over all weight matrices of the layer or step",
    ),
    Variable(
        "log10_recurrent_grad_norm", "log10 norm of the recurrent weight gradient of a step",
        "log10 ||mean over examples of delta_t h_(t-1)^T||_F", models=("RNN",),
    ),
    Variable(
        "log10_input_weight_grad_norm", "log10 norm of the input weight gradient of a step",
        "log10 ||mean over examples of delta_t x_t^T||_F", models=("RNN",), needs="inputs",
    ),
    Variable(
        "log10_input_grad_norm", "log10 norm of the gradient with respect to the input",
        "log10 ||dC/dx||, averaged over examples", dims=NETWORK, models=("MLP",),
    ),
    Variable(
        "log10_input_grad_norm", "log10 norm of the gradient with respect to the input of a step",
        "log10 ||dC/dx_t||, averaged over examples", models=("RNN",), needs="inputs",
    ),
    Variable(
        "log10_state_grad_norm", "log10 norm of the gradient with respect to a state",
        "log10 ||dC/dh_t||, averaged over examples", dims=STATES, models=("RNN",),
    ),
    Variable(
        "log10_cell_grad_norm", "log10 norm of the gradient with respect to a memory cell",
        "log10 ||dC/dc_t||, c_t being what the next step reads, averaged over examples",
        dims=STATES, models=("RNN",), needs="memory",
    ),
    Variable(
        "log10_joint_state_grad_norm",
        "log10 norm of the gradient with respect to state and memory together",
        "log10 ||(dC/dh_t, dC/dc_t)||, averaged over examples",
        dims=STATES, models=("RNN",), needs="memory",
    ),
    Variable(
        "log10_total_weight_grad_norm", "log10 norm of the gradient of all weights over all steps",
        "log10 ||dC/d(W, U)||_F, summed over steps where they share weights",
        dims=NETWORK, models=("RNN",), needs="total",
    ),
    Variable("log10_loss", "log10 of the cost", "log10 |C|", dims=NETWORK),
    Variable(
        "status", "status of the network",
        "0 ok; 1 exact zero, all paths dead; 2 non-finite forward value; 3 zero only because "
        "slopes or the forward signal underflowed; the most severe of the examples",
        dims=NETWORK, kind="int8",
    ),
    Variable(
        "status_layer", "layer or step of the status",
        "largest layer whose delta is exactly zero, or first with a non-finite value; 0 if ok",
        dims=NETWORK, kind="int32",
    ),
)  # fmt: skip

_SIGNAL = (
    Variable(
        "log10_weight_norm", "log10 norm of the weights",
        "log10 of the Frobenius norm of all weight matrices of the layer or step",
    ),
    Variable("z_mean_square", "mean square of the pre-activations", "mean of z^2"),
    Variable("a_mean_square", "mean square of the activations", "mean of a^2"),
    Variable("saturated_share", "share of saturated units", "share of |phi'(z)| < 1e-3 gamma"),
    Variable("inactive_share", "share of inactive units", "share of phi'(z) = 0"),
    Variable("dead_share", "share of dead units", "share of a = phi' = 0 for all examples"),
)  # fmt: skip

measurements_table = {
    "gradient": Measurement(
        "gradient", "norms of the backward pass, layer by layer", _GRADIENT, {"total": True}
    ),
    "signal": Measurement("signal", "what the forward pass carries", _SIGNAL),
    "bounds": BOUNDS,
    "partials": PARTIALS,
    "entries": ENTRIES,
    "noise": NOISE,
    "correlation": CORRELATION,
    "jacobian": JACOBIAN,
    "lyapunov": LYAPUNOV,
    "spectrum": SPECTRUM,
    "curvature": CURVATURE,
    "clipping": CLIPPING,
}


class _Measurements(Registry[Measurement]):
    """Registry whose entries are also attributes: ``measurements.gradient(total=False)``."""

    def __getattr__(self, name: str) -> Measurement:
        if name.startswith("_") or name not in self:
            raise AttributeError(f"no measurement {name!r}; known are {list(self)}")
        return self[name]


measurements = _Measurements("measurement", measurements_table, ("purpose", "names"))


def parse(measure: Any) -> tuple[Spec, ...]:
    """Specs of a run from names and specs.

    Raises
    ------
    TypeError, ValueError
        For an unknown or repeated measurement, or anything that is neither name nor spec.
    """
    if isinstance(measure, str | Spec | Measurement):
        measure = (measure,)
    if not isinstance(measure, Sequence) or not measure:
        raise TypeError(f"measure must be a sequence of names or specs, got {brief(measure)}")
    specs = []
    for item in measure:
        if isinstance(item, Spec):
            specs.append(item)
        elif isinstance(item, Measurement):
            specs.append(item())
        elif isinstance(item, str):
            specs.append(measurements[item]())
        else:
            raise TypeError(f"measure must hold names or specs, got {brief(item)}")
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise ValueError(f"measure must not repeat a measurement, got {brief(names)}")
    return tuple(specs)
