"""Independent references: plain JAX under autograd, and 50-digit arithmetic by mpmath.

Both take the arrays of a :class:`gradsim.Network` and nothing else of gradsim: forward pass,
costs and definitions of the measurements are written here once more, as plainly as they go.
"""

import dataclasses

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from exact import EXACT
from mpmath import mp

import gradsim as gs

jax.config.update("jax_enable_x64", True)

# Activations ------------------------------------------------------------------------------------


def _sigmoid(z):
    return 1 / (1 + jnp.exp(-z))


def _tanh(z):
    """Written so that autograd does not meet 1 - tanh(z)**2 in the tails."""
    e = jnp.exp(-2 * jnp.maximum(jnp.abs(z), 0.5))
    tail = (1 - e) / (1 + e)
    return jnp.where(jnp.abs(z) > 1, jnp.sign(z) * tail, jnp.tanh(z))


def _decay(z):
    """exp(-|z|), of which autograd takes the side of z < 0 at 0."""
    return jnp.exp(jnp.where(z > 0, -z, z))


def _negative(z):
    """z where it is negative: keeps exp in range in the branch that is not taken."""
    return jnp.where(z > 0, 0.0, z)


def _expm1(z):
    """exp(z) - 1 for z <= 0; that of JAX has the slope expm1(z) + 1, which cancels."""
    z = _negative(z)
    return jnp.where(z < -1, jnp.exp(z) - 1, jnp.expm1(jnp.maximum(z, -1.0)))


def _softplus(z):
    return jnp.where(z > 0, z, 0.0) + jnp.log1p(_decay(z))


def _gate(z, v):
    """z sigmoid(v) without cancellation for v < 0."""
    t = _decay(v)
    return z * jnp.where(v > 0, 1.0, t) / (1 + t)


def _mish(z):
    t = _decay(z)
    low = t * (2 + t) / (2 + 2 * t + t * t)
    return z * jnp.where(z > 0, (1 + 2 * t) / (1 + 2 * t + 2 * t * t), low)


def _gelu_tanh(z):
    return _gate(z, 2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193, 1.6732632423543772848170

ACTIVATIONS = {  # (z, slope of leaky_relu) -> phi(z); the kinks have the slope of z < 0
    "identity": lambda z, slope: z,
    "sigmoid": lambda z, slope: _sigmoid(z),
    "tanh": lambda z, slope: _tanh(z),
    "relu": lambda z, slope: jnp.where(z > 0, z, 0.0),
    "leaky_relu": lambda z, slope: jnp.where(z > 0, z, slope * z),
    "elu": lambda z, slope: jnp.where(z > 0, z, _expm1(z)),
    "selu": lambda z, slope: SELU_SCALE * jnp.where(
        z > 0, z, SELU_ALPHA * _expm1(z)
    ),
    "gelu": lambda z, slope: z * jax.scipy.special.erfc(-z / np.sqrt(2)) / 2,
    "gelu_tanh": lambda z, slope: _gelu_tanh(z),
    "silu": lambda z, slope: _gate(z, z),
    "mish": lambda z, slope: _mish(z),
    "softplus": lambda z, slope: _softplus(z),
    "softsign": lambda z, slope: z / (1 + jnp.where(z > 0, z, -z)),
    "hard_tanh": lambda z, slope: jnp.where(jnp.abs(z) < 1, z, jnp.sign(z)),
    "hard_sigmoid": lambda z, slope: jnp.where(
        jnp.abs(z) < 3, (z + 3) / 6, jnp.where(z > 0, 1.0, 0.0)
    ),
    "erf": lambda z, slope: jax.scipy.special.erf(z),
    "sine": lambda z, slope: jnp.sin(z),
    "arctan": lambda z, slope: jnp.arctan(z),
    "lecun_tanh": lambda z, slope: 1.7159 * _tanh(2 * z / 3),
}  # fmt: skip
FLAT = ("relu", "hard_tanh", "hard_sigmoid")  # elsewhere a slope of 0 has underflowed here
GAMMA = {  # largest slopes, from the reference and by hand
    "sigmoid": 0.25, "softmax": 0.25, "hard_sigmoid": 1 / 6, "erf": 2 / np.sqrt(np.pi),
    "lecun_tanh": 1.7159 * 2 / 3, "gelu": 1.1289041452, "gelu_tanh": 1.1289930687,
    "silu": 1.0998393201, "mish": 1.0884981613, "selu": 1.7580993408,
}  # fmt: skip


def _rivals(z):
    """Sum over j != i of exp(z_j - z_i): neither it nor its derivatives cancel."""
    others = 1 - np.eye(z.shape[-1])
    return jnp.sum(others * jnp.exp(others * (z[:, None, :] - z[:, :, None])), axis=-1)


def activate(name, z, slope):
    """phi(z) (example, unit) for an activation or an output."""
    return 1 / (1 + _rivals(z)) if name == "softmax" else ACTIVATIONS[name](z, slope)


def slopes_of(name, z, slope):
    """d phi_i / d z_i (example, unit)."""
    if name == "softmax":
        rivals = _rivals(z)
        return rivals / (1 + rivals) / (1 + rivals)
    return jax.grad(lambda z: jnp.sum(ACTIVATIONS[name](z, slope)))(z)


def gamma_of(name, slope):
    return max(1.0, abs(slope)) if name == "leaky_relu" else GAMMA.get(name, 1.0)


# Costs ------------------------------------------------------------------------------------------


def cost_terms(model, z, a, y):
    """Terms (example, unit) whose sum over units is the cost of each example."""
    if model.loss == "mse":
        return 0.5 * (y - a) ** 2
    if model.loss == "linear":
        return y * a
    if model.last_activation == "softmax":
        return y * jnp.log1p(_rivals(z))
    if isinstance(model, gs.RNN):  # a cost on the state
        return -(y * jnp.log(a) + (1 - y) * jnp.log1p(-a))
    return y * jnp.logaddexp(0.0, -z) + (1 - y) * jnp.logaddexp(0.0, z)


# Autograd ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Arrays:
    """A network as the reference reads it: one entry of every list per layer or step."""

    names: list  # activation of each layer
    weights: list
    biases: list
    drives: list  # U of each step, or empty
    x: np.ndarray  # inputs of the first layer or initial states (example, unit)
    inputs: np.ndarray | None  # (step, example, feature)
    targets: list  # (example, unit), or None where a layer has no cost


def arrays_of(net):
    """Arrays of a network, unrolled over layers or steps."""
    model, depth = net.model, net.model.depth
    if not isinstance(model, gs.RNN):
        names = [model.activation] * (depth - 1) + [model.last_activation]
        targets = [None] * (depth - 1) + [net.targets]
        return Arrays(names, net.weights, net.biases, [], net.inputs, None, targets)
    weights, biases, drives = net.weights, net.biases, net.input_weights
    drives = [] if drives is None else ([drives] if model.tied else list(drives))
    if model.tied:
        weights, biases, drives = weights * depth, biases * depth, drives * depth
    y = np.atleast_2d(net.targets)
    all_steps = model.loss_at == "all"
    targets = [y[:, t] if y.ndim == 3 else y for t in range(depth)] if all_steps else [y]
    targets = [None] * (depth - len(targets)) + targets
    count = len(y)
    x = np.broadcast_to(np.atleast_2d(net.initial_state), (count, model.width))
    inputs = np.moveaxis(net.inputs, 1, 0) if drives else None
    return Arrays([model.activation] * depth, weights, biases, drives, x, inputs, targets)


@dataclasses.dataclass
class Reference:
    """What autograd says of a network; lists run over layers or steps, arrays over examples."""

    net: object
    arrays: Arrays
    z: list
    a: list
    cost: np.ndarray  # (example,)
    cancelling: float  # magnitudes of the terms of a cost, summed and relative to it: the largest
    delta: list  # dC_b/dz (example, unit)
    state: list  # dC_b/dh (example, unit), 0..T; the first is dC_b/dx of an MLP
    weight: list  # dC_b/dW (example, unit, input)
    drive: list  # dC_b/dU (example, unit, feature), or empty
    x: np.ndarray | None  # dC_b/dx_t (step, example, feature)
    shared: dict  # gradients of the mean cost with respect to the matrices that steps share


def reference(net):
    """Run a network under autograd; every example has its own copy of all parameters."""
    model, given = net.model, arrays_of(net)
    count, depth = len(given.x), model.depth
    tied = isinstance(model, gs.RNN) and model.tied
    free = {
        "z": [np.zeros((count, len(w))) for w in given.weights],
        "state": [np.zeros((count, n)) for n in (given.x.shape[1], *map(len, given.weights))],
        "weight": [np.zeros((count, *w.shape)) for w in given.weights],
        "drive": [np.zeros((count, *u.shape)) for u in given.drives],
        "x": given.inputs if given.drives else np.zeros(0),
        "shared": {"W": given.weights[0], "U": given.drives[0] if given.drives else np.zeros(0)},
    }

    def total(free):
        h, zs, states, terms = given.x + free["state"][0], [], [], 0.0
        for t in range(depth):
            w = (free["shared"]["W"] if tied else given.weights[t]) + free["weight"][t]
            z = jnp.einsum("bij,bj->bi", w, h) + given.biases[t] + free["z"][t]
            if given.drives:
                u = (free["shared"]["U"] if tied else given.drives[t]) + free["drive"][t]
                z = z + jnp.einsum("bij,bj->bi", u, free["x"][t])
            h = activate(given.names[t], z, model.slope) + free["state"][t + 1]
            zs.append(z)
            states.append(h)
            if given.targets[t] is not None:
                part = cost_terms(model, z, h, given.targets[t])
                terms = jnp.concatenate([terms, part], 1) if np.ndim(terms) else part
        return jnp.sum(terms), (zs, states, terms)

    (_, (z, a, terms)), grad = jax.value_and_grad(total, has_aux=True)(free)
    terms = np.asarray(terms)
    cost = terms.sum(axis=1)
    sums, sizes = [*cost, cost.sum()], [*np.abs(terms).sum(axis=1), np.abs(terms).sum()]
    cancelling = max(size / abs(total) if total else 1.0 for size, total in zip(sizes, sums))
    numpy = {k: [np.asarray(v) for v in grad[k]] for k in ("z", "state", "weight", "drive")}
    return Reference(
        net=net, arrays=given, z=[np.asarray(v) for v in z], a=[np.asarray(v) for v in a],
        cost=cost, cancelling=cancelling,
        delta=numpy["z"], state=numpy["state"], weight=numpy["weight"], drive=numpy["drive"],
        x=np.asarray(grad["x"]) if given.drives else None,
        shared={k: np.asarray(v) / count for k, v in grad["shared"].items()},
    )  # fmt: skip


# Measurements -----------------------------------------------------------------------------------


def log10(values):
    with np.errstate(divide="ignore"):
        return np.log10(values)


def norm(array, axes):
    return np.sqrt(np.sum(np.square(array), axis=axes))


def variables(ref, each=False):
    """All variables of measurements gradient and signal, as simulate gives them for one seed."""
    out = _gradient(ref, each)
    return out | _signal(ref)


def _gradient(ref, each):
    """Variables ([example,] layer) of the backward pass."""
    recurrent = isinstance(ref.net.model, gs.RNN)

    def along(values):  # layers last
        return np.stack(values, axis=-1)

    def mean(arrays):  # gradient of the batch mean, or of every example
        return arrays if each else [np.mean(a, axis=0, keepdims=True) for a in arrays]

    def reduced(values):  # (example or 1, layer) without an example dimension where there is none
        return values if each else np.mean(values, axis=0)

    weights = along([norm(g, (1, 2)) for g in mean(ref.weight)])
    drives = along([norm(g, (1, 2)) for g in mean(ref.drive)]) if ref.drive else 0 * weights
    out = {
        "log10_delta_norm": reduced(along([log10(norm(d, 1)) for d in ref.delta])),
        "log10_bias_grad_norm": reduced(along([log10(norm(d, 1)) for d in mean(ref.delta)])),
        "log10_weight_grad_norm": reduced(log10(np.hypot(weights, drives))),
        "log10_loss": log10(np.abs(ref.cost if each else ref.cost.mean())),
    }
    if not recurrent:
        out["log10_input_grad_norm"] = reduced(log10(norm(ref.state[0], 1)))
    else:
        out["log10_state_grad_norm"] = reduced(along([log10(norm(g, 1)) for g in ref.state]))
        out["log10_recurrent_grad_norm"] = reduced(log10(weights))
        out["log10_total_weight_grad_norm"] = _total(ref, each)
    if ref.drive:
        out["log10_input_grad_norm"] = reduced(along([log10(norm(g, 1)) for g in ref.x]))
        out["log10_input_weight_grad_norm"] = reduced(log10(drives))
    out["status"], out["status_layer"] = _status(ref, each)
    return out


def _total(ref, each):
    """Norm of the gradient of all weights, summed over the steps that share them."""
    kinds = [g for g in (ref.weight, ref.drive) if g]
    if not ref.net.model.tied:
        means = [[g if each else g.mean(0, keepdims=True) for g in kind] for kind in kinds]
        square = sum(norm(g, (1, 2)) ** 2 for kind in means for g in kind)
        return log10(np.sqrt(square if each else square[0]))
    if each:
        return log10(np.sqrt(sum(norm(sum(kind), (1, 2)) ** 2 for kind in kinds)))
    shared = [ref.shared["W"], *([ref.shared["U"]] if ref.drive else [])]
    return log10(np.sqrt(sum(np.sum(np.square(g)) for g in shared)))


def _status(ref, each):
    """Status and its layer: exact zeros are dead paths, as nothing here can underflow."""
    depth = len(ref.delta)
    zero = np.array([[not d.any() for d in layer] for layer in ref.delta])  # (layer, example)
    last = np.max(np.where(zero, np.arange(1, depth + 1)[:, None], 0), axis=0)
    last = last if each else last.max()
    return (last > 0).astype(int), last


def _signal(ref):
    """Variables (layer,) of the forward pass."""
    model, given = ref.net.model, ref.arrays
    rows = {name: [] for name in (
        "log10_weight_norm", "z_mean_square", "a_mean_square", "saturated_share",
        "inactive_share", "dead_share",
    )}  # fmt: skip
    for t, (name, z, a) in enumerate(zip(given.names, ref.z, ref.a)):
        slopes = np.asarray(slopes_of(name, z, model.slope))
        square = np.sum(given.weights[t] ** 2)
        square += np.sum(given.drives[t] ** 2) if given.drives else 0.0
        rows["log10_weight_norm"].append(log10(np.sqrt(square)))
        rows["z_mean_square"].append(np.mean(z**2))
        rows["a_mean_square"].append(np.mean(a**2))
        small = np.abs(slopes) < 1e-3 * gamma_of(name, model.slope)
        flat = (slopes == 0) & (name in FLAT or (name, model.slope) == ("leaky_relu", 0))
        rows["saturated_share"].append(np.mean(small))
        rows["inactive_share"].append(np.mean(flat))
        rows["dead_share"].append(np.mean(np.all((a == 0) & flat, axis=0)))
    return {name: np.array(values) for name, values in rows.items()}


# Fifty digits -----------------------------------------------------------------------------------


def _exact_pair(name, z, slope):
    """phi(z) and phi'(z) of one mpf."""
    if name == "leaky_relu":
        s = mp.one if z > 0 else mp.mpf(slope)
        return s * z, s
    value, derivative, _ = EXACT[name]
    return value(z), derivative(z)


def _exact(array):
    """Array of mpf with the very values of a float array."""
    return np.vectorize(mp.mpf, otypes=[object])(array)


def _times(matrix, vector):
    return np.array([mp.fdot(row, vector) for row in matrix], object)


def _exact_cost(model, z, a, s, y):
    """Cost of one example and delta of its output, all mpf."""
    if model.loss == "mse":
        return sum((a - y) ** 2) / 2, s * (a - y)
    if model.loss == "linear":
        return sum(y * a), s * y
    assert model.loss == "cross_entropy"
    if model.last_activation == "softmax":
        top = max(z)
        p = np.array([mp.exp(v - top) for v in z])
        total = sum(p)
        return -sum(y * (z - top)) + mp.log(total) * sum(y), p / total * sum(y) - y
    cost = sum(t * mp.log1p(mp.exp(-v)) + (1 - t) * mp.log1p(mp.exp(v)) for v, t in zip(z, y))
    return cost, a - y


def exact_norms(net, digits=50):
    """log10 norms of one example's backward pass in multiple precision, whatever their size.

    Returns log10_delta_norm, log10_weight_grad_norm (recurrent weights alone) (layer,) and
    log10_loss; the cost is on the last layer or state.  float where it is finite, else -inf.
    """
    model, given = net.model, arrays_of(net)
    assert len(given.x) == 1
    with mp.workdps(digits):
        matrices = {id(w): _exact(w) for w in (*given.weights, *given.drives)}
        h, values, slopes, zs = _exact(given.x[0]), [], [], []
        for t, name in enumerate(given.names):
            values.append(h)
            z = _times(matrices[id(given.weights[t])], h) + _exact(given.biases[t])
            if given.drives:
                z = z + _times(matrices[id(given.drives[t])], _exact(given.inputs[t][0]))
            if name == "softmax":
                h = s = z
            else:
                pairs = [_exact_pair(name, v, model.slope) for v in z]
                h, s = (np.array(list(side), object) for side in zip(*pairs))
            slopes.append(s)
            zs.append(z)
        cost, delta = _exact_cost(model, z, h, s, _exact(given.targets[-1][0]))
        deltas, weights = [], []
        for t in range(model.depth - 1, -1, -1):
            deltas.append(_exact_log10(delta))
            weights.append(deltas[-1] + _exact_log10(values[t]))
            if t:
                delta = slopes[t - 1] * _times(matrices[id(given.weights[t])].T, delta)
        loss = _exact_log10(np.array([cost]))
    return {
        "log10_delta_norm": np.array(deltas[::-1]),
        "log10_weight_grad_norm": np.array(weights[::-1]),
        "log10_loss": loss,
    }


def _exact_log10(vector):
    square = mpmath.fsum(v * v for v in vector)
    return float(mp.log10(square) / 2) if square else -np.inf
