"""Every cell once more in plain JAX, under autograd: the reference of what the engine records.

Takes the arrays of a :class:`gradsim.Network` and nothing else of gradsim.  Each example has its
own copy of every matrix, so that gradients of single examples and of their mean come from one run.
"""

import jax
import jax.numpy as jnp
import numpy as np
from oracle import activate, cost_terms

import gradsim as gs

jax.config.update("jax_enable_x64", True)

# Maps of a cell in the order of its stacked arrays: name, has W, has U, has b, counts in delta.
ALL = (True, True, True, True)
LAYOUT = {
    "residual": [("W", *ALL), ("V", True, False, False, False)],
    "residual_post": [("W", *ALL), ("V", True, False, False, False)],
    "lstm": [(gate, *ALL) for gate in "ifgo"],
    "gru": [("r", *ALL), ("z", *ALL), ("hn", True, False, True, False),
            ("n", False, True, True, True)],
    "highway": [("W", *ALL), ("V", *ALL)],
}  # fmt: skip


def _norm(model, z):
    axis = 0 if model.norm == "batch" else -1
    mean = jnp.mean(z, axis=axis, keepdims=True)
    variance = jnp.mean((z - mean) ** 2, axis=axis, keepdims=True)
    return (z - mean) / jnp.sqrt(variance + model.norm_eps)


def step(model, lin, states, depth):
    """Next states of a cell; ``lin(name, h)`` is one of its affine maps."""

    def phi(z):
        return activate(model.activation, z, model.slope)

    def pre(z):
        return _norm(model, z) if model.norm and model.norm_placement == "pre" else z

    def post(z):
        return _norm(model, z) if model.norm and model.norm_placement == "post" else z

    def sigmoid(z):
        return 1 / (1 + jnp.exp(-z))

    h, kind = states[0], model.cell
    if kind in ("dense", "vanilla"):
        return [post(phi(pre(lin("W", h))))]
    if kind.startswith("residual"):
        scale = model.residual_scale
        scale = depth**-0.5 if isinstance(scale, str) else scale
        if kind == "residual_single":
            return [h + scale * post(phi(pre(lin("W", h))))]
        if kind == "residual_pre":
            return [h + scale * lin("W", post(phi(pre(h))))]
        out = h + scale * lin("V", post(phi(pre(lin("W", h)))))
        return [phi(out) if kind == "residual_post" else out]
    if kind == "leaky":
        return [(1 - model.leak) * h + model.leak * post(phi(pre(lin("W", h))))]
    if kind == "skip":
        return [post(phi(pre(lin("W", h)))) + model.skip * states[-1], *states[:-1]]
    if kind == "lstm":
        i, f, o = (sigmoid(pre(lin(gate, h))) for gate in "ifo")
        c = f * states[1] + i * phi(pre(lin("g", h)))
        return [o * phi(c), c]
    if kind == "gru":
        r, z = sigmoid(pre(lin("r", h))), sigmoid(pre(lin("z", h)))
        n = phi(pre(lin("n", r * lin("hn", h))))
        return [(1 - z) * n + z * h]
    assert kind == "highway"
    gate = sigmoid(lin("W", h))
    return [gate * h + (1 - gate) * phi(lin("V", h))]


def output(model, lin, h):
    """Pre-activation of an MLP's output layer: what leads to the first affine map, and the map."""
    if model.cell == "residual_pre":
        h = _norm(model, h) if model.norm and model.norm_placement == "pre" else h
        h = activate(model.activation, h, model.slope)
        h = _norm(model, h) if model.norm and model.norm_placement == "post" else h
    return lin("W", h)


def _split(stacked, names):
    return dict(zip(names, np.split(np.asarray(stacked), len(names)))) if names else {}


def parameters(net):
    """One dict a layer or step: {"W": {map: array}, "U": ..., "b": ...}, and the maps."""
    model, depth = net.model, net.model.depth
    maps = LAYOUT.get(model.cell, [("W", *ALL)])
    layers = []
    recurrent = isinstance(model, gs.RNN)
    for t in range(depth):
        here = maps if recurrent or t < depth - 1 else maps[:1]
        at = 0 if recurrent and model.tied else t
        drives = net.input_weights
        if drives is not None:
            drives = _split(drives if model.tied else drives[at], [m[0] for m in here if m[2]])
        layers.append({
            "W": _split(net.weights[at], [m[0] for m in here if m[1]]),
            "U": drives or {},
            "b": _split(net.biases[at], [m[0] for m in here if m[3]]),
        })  # fmt: skip
    return layers, maps


def run(net):
    """Cost (example,) and all gradients of a network, every example with copies of its own."""
    model, depth = net.model, net.model.depth
    recurrent = isinstance(model, gs.RNN)
    layers, maps = parameters(net)
    counted = {m[0] for m in maps if m[4]}
    count = len(net.targets)
    start = np.atleast_2d(net.initial_state) if recurrent else net.inputs
    start = np.broadcast_to(start, (count, start.shape[1]))
    units = [model.width] * depth if recurrent else list(model.widths[1:])
    extra = {"lstm": 1, "skip": getattr(model, "delay", 1) - 1}.get(model.cell, 0)
    names = [list(dict.fromkeys([*layer["W"], *layer["b"]])) for layer in layers]
    free = {
        "z": [{k: np.zeros((count, units[t])) for k in names[t]} for t in range(depth)],
        "W": [{k: np.zeros((count, *w.shape)) for k, w in layer["W"].items()} for layer in layers],
        "U": [{k: np.zeros((count, *w.shape)) for k, w in layer["U"].items()} for layer in layers],
        "h": [np.zeros((count, n)) for n in (start.shape[1], *units)],
        "c": [np.zeros((count, n)) for n in (start.shape[1], *units)],
        "x": np.zeros(0) if net.inputs is None or not recurrent else np.array(net.inputs),
    }
    tied = recurrent and model.tied
    free["shared"] = {p: {k: np.zeros(w.shape) for k, w in layers[0][p].items()} for p in "WU"}

    def total(free):
        states = [start + free["h"][0], *[jnp.zeros((count, start.shape[1]))] * extra]
        if model.cell == "lstm":
            states[1] = states[1] + free["c"][0]
        cost = jnp.zeros(count)
        for t in range(depth):
            layer = layers[t]

            def lin(name, h, t=t, layer=layer):
                z = free["z"][t][name]
                z = z + h if name not in layer["W"] else z
                for p, v in (("W", h), ("U", free["x"][:, t] if len(free["x"]) else None)):
                    if name in layer[p]:
                        w = layer[p][name] + free[p][t][name]
                        w = w + free["shared"][p][name] if tied else w
                        z = z + jnp.einsum("bij,bj->bi", w, v)
                return z + layer["b"].get(name, 0.0)

            if not recurrent and t == depth - 1:
                z = output(model, lin, states[0])
                a = activate(model.last_activation, z, model.slope) + free["h"][t + 1]
                return jnp.sum(cost + cost_terms(model, z, a, net.targets).sum(1)), (cost, z, a)
            states = step(model, lin, states, depth)
            states[0] = states[0] + free["h"][t + 1]
            if model.cell == "lstm":
                states[1] = states[1] + free["c"][t + 1]
            if recurrent and (model.loss_at == "all" or t == depth - 1):
                y = net.targets[:, t] if net.targets.ndim == 3 else net.targets
                cost = cost + cost_terms(model, None, states[0], y).sum(1)
        return jnp.sum(cost), (cost, None, None)

    (_, (cost, z, a)), grad = jax.value_and_grad(total, has_aux=True)(free)
    if not recurrent:
        cost = cost_terms(model, z, a, net.targets).sum(1)
    return np.asarray(cost), jax.tree.map(np.asarray, grad), counted


def _norm_of(parts):
    """Norm over all but the first axis, of several arrays together."""
    square = sum((np.square(p).reshape(len(p), -1).sum(1) for p in parts), np.zeros(1))
    return np.sqrt(square)


def log10(values):
    with np.errstate(divide="ignore"):
        return np.log10(values)


def variables(net, each=False):
    """Variables of the measurement gradient, ([example,] layer) as simulate gives them."""
    cost, grad, counted = run(net)
    model, recurrent = net.model, isinstance(net.model, gs.RNN)

    def mean(parts):
        return parts if each else [p.mean(0, keepdims=True) for p in parts]

    def along(values):
        stacked = np.stack(values, axis=-1)
        return stacked if each else stacked.mean(0)

    deltas = [[z[k] for k in z if k in counted] for z in grad["z"]]
    weights = [mean(list(w.values())) for w in grad["W"]]
    drives = [mean(list(u.values())) for u in grad["U"]]
    out = {
        "log10_loss": log10(np.abs(cost if each else cost.mean())),
        "log10_delta_norm": along([log10(_norm_of(d)) for d in deltas]),
        "log10_bias_grad_norm": along([log10(_norm_of(mean(d))) for d in deltas]),
        "log10_weight_grad_norm": along([log10(_norm_of(w + u)) for w, u in zip(weights, drives)]),
    }
    if not recurrent:
        far = log10(_norm_of([grad["h"][0]]))
        out["log10_input_grad_norm"] = far if each else far.mean()
        return out
    out["log10_recurrent_grad_norm"] = along([log10(_norm_of(w)) for w in weights])
    out["log10_state_grad_norm"] = along([log10(_norm_of([h])) for h in grad["h"]])
    if model.cell == "lstm":
        pairs = list(zip(grad["h"], grad["c"]))
        out["log10_cell_grad_norm"] = along([log10(_norm_of([c])) for c in grad["c"]])
        out["log10_joint_state_grad_norm"] = along([log10(_norm_of(pair)) for pair in pairs])
    if drives[0]:
        out["log10_input_weight_grad_norm"] = along([log10(_norm_of(u)) for u in drives])
        x = grad["x"]
        out["log10_input_grad_norm"] = along(
            [log10(_norm_of([x[:, t]])) for t in range(model.depth)]
        )
    if not model.tied:
        parts = [p for w, u in zip(weights, drives) for p in w + u]
    else:
        parts = [
            sum(mean([layer[k]])[0] for layer in grad[p]) for p in "WU" for k in grad[p][0]
        ]  # fmt: skip
    whole = log10(_norm_of(parts))
    out["log10_total_weight_grad_norm"] = whole if each else whole[0]
    return out
