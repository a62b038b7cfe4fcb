"""Training once more in plain JAX: autograd, and every rule written as its source has it.

Takes the arrays of a :class:`gradsim.Network`; a step's examples are named by the caller.
"""

from functools import cache

import cell_oracle
import jax
import jax.numpy as jnp
import numpy as np
from oracle import activate, cost_terms

import gradsim as gs

jax.config.update("jax_enable_x64", True)
FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def start(net):
    """Trained arrays: a dict of W, b and, with inputs, U for every layer."""
    drives = net.input_weights
    drives = [drives] if isinstance(drives, np.ndarray) else drives
    kinds = {"W": net.weights, "b": net.biases} | ({"U": drives} if drives is not None else {})
    return [dict(zip(kinds, layer)) for layer in zip(*kinds.values())]


def loss_of(net):
    """Mean cost as a function of the trained arrays and the indices of the examples."""
    model, maps = net.model, cell_oracle.LAYOUT.get(net.model.cell, [("W", *cell_oracle.ALL)])
    recurrent, depth = isinstance(model, gs.RNN), model.depth
    extra = {"lstm": 1, "skip": getattr(model, "delay", 1) - 1}.get(model.cell, 0)

    def loss(theta, chosen):
        y, count = jnp.asarray(net.targets)[chosen], len(chosen)
        if recurrent:
            h = jnp.broadcast_to(jnp.atleast_2d(net.initial_state), (len(net.targets), model.width))
            h = h[chosen]
        else:
            h = jnp.asarray(net.inputs)[chosen]
        states, cost = [h, *[jnp.zeros_like(h)] * extra], 0.0
        for t in range(depth):
            last = not recurrent and t == depth - 1
            here = maps[:1] if last else maps
            layer = theta[0 if recurrent and model.tied else t]
            split = {}
            for part, index in (("W", 1), ("U", 2), ("b", 3)):
                names = [m[0] for m in here if m[index]]
                pieces = jnp.split(layer[part], len(names)) if part in layer else []
                split[part] = dict(zip(names, pieces))
            x = jnp.asarray(net.inputs)[chosen, t] if split["U"] else None

            def lin(name, h, split=split, x=x):
                z = h @ split["W"][name].T if name in split["W"] else h
                z = z + x @ split["U"][name].T if name in split["U"] else z
                return z + split["b"].get(name, 0.0)

            if last:
                z = cell_oracle.output(model, lin, states[0], count)
                a = activate(model.last_activation, z, model.slope)
                return cost_terms(model, z, a, y).sum() / count
            states = cell_oracle.step(model, lin, states, depth, count)
            if model.loss_at == "all" if recurrent else False:
                cost += cost_terms(model, None, states[0], y[:, t] if y.ndim == 3 else y).sum()
        if model.loss_at == "last":
            cost = cost_terms(model, None, states[0], y).sum()
        return cost / count

    return loss


def norm(tree):
    return np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(tree)))


@cache
def _gradient(model, seed, examples):
    """Network of an address, and its cost and gradient: compiled once for all rules."""
    net = gs.network(model, seed, inputs=examples)
    return net, jax.jit(jax.value_and_grad(loss_of(net)), compiler_options=FAST)


def curvature_of(net, biases=True):
    """Function (theta, examples) -> (g'g, g'Hg) of every layer, g its own gradient in H's block.

    By a Jacobian-vector product of the gradient.
    """
    loss = loss_of(net)

    def run(theta, chosen):
        gradient = jax.grad(lambda theta: loss(theta, chosen))
        g = gradient(theta)
        if not biases:
            g = [{k: v if k != "b" else jnp.zeros_like(v) for k, v in w.items()} for w in g]

        def along(mask):
            line = [jax.tree.map(lambda v, m=m: m * v, w) for w, m in zip(g, mask)]
            _, moved = jax.jvp(gradient, (theta,), (line,))
            return sum(jnp.sum(u * v) for u, v in zip(*map(jax.tree.leaves, (line, moved))))

        norms = [sum(jnp.sum(v * v) for v in w.values()) for w in g]
        return jnp.array(norms), jax.vmap(along)(jnp.eye(len(g)))

    return jax.jit(run, compiler_options=FAST)


@cache
def _curvature(model, seed, examples):
    return curvature_of(gs.network(model, seed, inputs=examples))


def clipped(grad, threshold, by):
    """Gradient after clipping (Pascanu, Mikolov and Bengio 2013, algorithm 1, or by value)."""
    size = norm(grad)
    if by == "value":
        return jax.tree.map(lambda g: np.clip(g, -threshold, threshold), grad)
    return jax.tree.map(lambda g: g * (threshold / size), grad) if size >= threshold else grad


def direction_of(optimizer, state, grad, numbers):
    """Next state and direction of a rule."""
    if optimizer == "sgd":
        return state, grad
    if optimizer == "momentum":
        state = jax.tree.map(lambda v, g: numbers["momentum"] * v + g, state, grad)
        return state, state
    if optimizer == "newton":
        sizes = np.abs(numbers["bends"]) + numbers["damping"]
        return state, [jax.tree.map(lambda v, s=s: v / s, g) for g, s in zip(grad, sizes)]
    decay, epsilon = numbers["decay"], numbers["epsilon"]
    state = jax.tree.map(lambda s, g: decay * s + (1 - decay) * g**2, state, grad)
    return state, jax.tree.map(lambda g, s: g / (np.sqrt(s) + epsilon), grad, state)


def train(address, chosen, rates, optimizer="sgd", clip=None, clip_by="norm", l2=0.0, **numbers):
    """Results of every step and the final cost, log10.

    ``address`` is (model, seed, examples), ``chosen`` has the examples of each step.
    """
    net, gradient_of = _gradient(*address)
    theta, rows = start(net), []
    state = jax.tree.map(np.zeros_like, theta)
    for examples in chosen:
        cost, grad = gradient_of(theta, np.asarray(examples))
        row = {"loss": abs(float(cost)), "gradient": [norm(g) for g in grad]}
        row["bias_gradient"] = [norm(g["b"]) for g in grad]
        if optimizer == "newton":
            squares, products = map(np.asarray, _curvature(*address)(theta, np.asarray(examples)))
            numbers["bends"] = products / squares
            row["curvature"] = np.abs(numbers["bends"])
        row |= {"weight": [norm(layer) for layer in theta], "before": norm(grad)}
        grad = grad if clip is None else clipped(grad, clip, clip_by)
        row["after"] = norm(grad)
        row["penalty"] = [l2 * norm([w[k] for k in w if k != "b"]) for w in theta]
        grad = [
            {k: g + l2 * w[k] if k != "b" else g for k, g in layer.items()}
            for layer, w in zip(grad, theta)
        ]
        state, direction = direction_of(optimizer, state, grad, numbers)
        update = [{k: -r * d for k, d in layer.items()} for r, layer in zip(rates, direction)]
        row["update"] = [norm(u) for u in update]
        theta = jax.tree.map(lambda w, u: np.asarray(w + u), theta, update)
        rows.append(row)
    final = float(gradient_of(theta, np.arange(len(net.targets)))[0])
    with np.errstate(divide="ignore"):
        logs = {name: np.log10([row[name] for row in rows]) for name in rows[0]}
        return logs, np.log10(abs(final))
