"""Every cell once more in plain JAX, under autograd: the reference of what the engine records.

Takes the arrays of :class:`gradsim.Network` and nothing else of gradsim.  Networks that differ in
their arrays alone run together.  Each example of each network is a row with its own copy of every
matrix, so that gradients of single examples and of their mean come from one run.
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
USERS = {}  # cells of a user: name -> function(lin, h, phi)


def _norm(model, z, examples):
    if model.norm == "batch":
        return _normalised(model, z.reshape(-1, examples, z.shape[1]), 1).reshape(z.shape)
    return _normalised(model, z, -1)


def _normalised(model, z, axis):
    mean = jnp.mean(z, axis=axis, keepdims=True)
    variance = jnp.mean((z - mean) ** 2, axis=axis, keepdims=True)
    return (z - mean) / jnp.sqrt(variance + model.norm_eps)


def step(model, lin, states, depth, examples):
    """Next states of a cell; ``lin(name, h)`` is one of its affine maps."""

    def phi(z):
        return activate(model.activation, z, model.slope)

    def pre(z):
        return _norm(model, z, examples) if model.norm and model.norm_placement == "pre" else z

    def post(z):
        return _norm(model, z, examples) if model.norm and model.norm_placement == "post" else z

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
    if kind == "highway":
        gate = sigmoid(lin("W", h))
        return [gate * h + (1 - gate) * phi(lin("V", h))]
    return [USERS[kind](lin, h, phi)]


def output(model, lin, h, examples):
    """Pre-activation of an MLP's output layer: what leads to the first affine map, and the map."""
    if model.cell == "residual_pre":
        h = _norm(model, h, examples) if model.norm and model.norm_placement == "pre" else h
        h = activate(model.activation, h, model.slope)
        h = _norm(model, h, examples) if model.norm and model.norm_placement == "post" else h
    return lin("W", h)


def _split(stacked, names):
    """Arrays (row, ...) of each map, from those of all maps stacked."""
    return dict(zip(names, np.split(stacked, len(names), axis=1))) if names else {}


def parameters(nets):
    """One dict a layer or step: {"W": {map: array}, "U": ..., "b": ...}, and the maps."""
    model, depth = nets[0].model, nets[0].model.depth
    maps = LAYOUT.get(model.cell, [("W", *ALL)])
    recurrent, layers = isinstance(model, gs.RNN), []

    def rows(arrays):
        return np.concatenate([np.stack([a] * len(n.targets)) for a, n in zip(arrays, nets)])

    for t in range(depth):
        here = maps if recurrent or t < depth - 1 else maps[:1]
        at = 0 if recurrent and model.tied else t
        drives = [n.input_weights if model.tied else n.input_weights[at] for n in nets
                  if n.input_weights is not None]  # fmt: skip
        layers.append({
            "W": _split(rows([n.weights[at] for n in nets]), [m[0] for m in here if m[1]]),
            "U": _split(rows(drives), [m[0] for m in here if m[2]]) if drives else {},
            "b": _split(rows([n.biases[at] for n in nets]), [m[0] for m in here if m[3]]),
        })  # fmt: skip
    return layers, maps


def _joined(nets, name):
    """Inputs or targets of all networks, a row each."""
    arrays = [getattr(n, name) for n in nets]
    return None if arrays[0] is None else np.concatenate(arrays)


def _start(nets):
    """What the first layer or step reads (row, unit)."""
    if not isinstance(nets[0].model, gs.RNN):
        return _joined(nets, "inputs")
    states = [(np.atleast_2d(n.initial_state), len(n.targets)) for n in nets]
    return np.concatenate([np.broadcast_to(h, (count, h.shape[1])) for h, count in states])


def run(nets):
    """Cost (row,) and all gradients of networks, every example with copies of its own."""
    model, depth = nets[0].model, nets[0].model.depth
    recurrent = isinstance(model, gs.RNN)
    layers, maps = parameters(nets)
    counted = {m[0] for m in maps if m[4]}
    start, targets, x = _start(nets), _joined(nets, "targets"), _joined(nets, "inputs")
    count, examples = len(targets), len(nets[0].targets)
    units = [model.width] * depth if recurrent else list(model.widths[1:])
    extra = {"lstm": 1, "skip": getattr(model, "delay", 1) - 1}.get(model.cell, 0)
    names = [list(dict.fromkeys([*layer["W"], *layer["b"]])) for layer in layers]
    free = {
        "z": [{k: np.zeros((count, units[t])) for k in names[t]} for t in range(depth)],
        "W": [layer["W"] for layer in layers],
        "U": [layer["U"] for layer in layers],
        "h": [start, *(np.zeros((count, n)) for n in units)],
        "c": [np.zeros((count, start.shape[1])) for _ in range(depth + 1)] if extra else [],
        "x": x if recurrent and x is not None else np.zeros(0),
    }

    def total(free):
        states = [free["h"][0], *[jnp.zeros((count, start.shape[1]))] * extra]
        if model.cell == "lstm":
            states[1] = free["c"][0]
        cost = jnp.zeros(count)
        for t in range(depth):
            layer = layers[t]

            def lin(name, h, t=t, layer=layer):
                z = free["z"][t][name]
                z = z + h if name not in layer["W"] else z
                for p, v in (("W", h), ("U", free["x"][:, t] if len(free["x"]) else None)):
                    if name in layer[p]:
                        z = z + jnp.sum(free[p][t][name] * v[:, None, :], axis=2)
                return z + layer["b"].get(name, 0.0)

            if not recurrent and t == depth - 1:
                z = output(model, lin, states[0], examples)
                a = activate(model.last_activation, z, model.slope) + free["h"][t + 1]
                cost = cost_terms(model, z, a, targets).sum(1)
                return jnp.sum(cost), cost
            states = step(model, lin, states, depth, examples)
            states[0] = states[0] + free["h"][t + 1]
            if model.cell == "lstm":
                states[1] = states[1] + free["c"][t + 1]
            if recurrent and (model.loss_at == "all" or t == depth - 1):
                y = targets[:, t] if targets.ndim == 3 else targets
                cost = cost + cost_terms(model, None, states[0], y).sum(1)
        return jnp.sum(cost), cost

    (_, cost), grad = jax.value_and_grad(total, has_aux=True)(free)
    return np.asarray(cost), jax.tree.map(np.asarray, grad), counted


def _norm_of(parts):
    """Norm over all but the first axis, of several arrays together."""
    square = sum((np.square(p).reshape(len(p), -1).sum(1) for p in parts), np.zeros(1))
    return np.sqrt(square)


def log10(values):
    with np.errstate(divide="ignore"):
        return np.log10(values)


def variables(nets):
    """Variables of the measurement gradient of each network: of its mean cost, and of each example.

    Pairs of dicts with entries ([example,] layer) as simulate gives them.
    """
    cost, grad, counted = run(nets)
    grad["c"] = grad["c"] or grad["h"]  # measured where there is a memory alone
    examples = len(nets[0].targets)
    for i, net in enumerate(nets):
        rows = slice(i * examples, (i + 1) * examples)
        own = jax.tree.map(lambda array, rows=rows: array[rows], grad)
        yield tuple(_variables(net, cost[rows], own, counted, each) for each in (False, True))


def _variables(net, cost, grad, counted, each):
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
