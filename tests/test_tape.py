"""Recorded cells against the same cells run eagerly, and every operation against its adjoint.

The oracle runs a cell on complex NumPy arrays (`gradsim.eager.Eager`), once for each parameter of
the network, and reads the derivatives off the imaginary parts.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradsim as gs
from gradsim._draws import Draws
from gradsim._rows import input_std, weight_std
from gradsim.activations import activations, engine_facts
from gradsim.cells import Cell, cells, dense
from gradsim.eager import Eager
from gradsim.examples import Inputs
from gradsim.kernels import ops
from gradsim.kernels._jit import load_units
from gradsim.kernels.normalize import (
    batch_norm_rows,
    batch_norm_vjp,
    layer_norm_row,
    layer_norm_vjp,
)
from gradsim.kernels.norms import EMPTY, add_row
from gradsim.kernels.program import CONTEXT
from gradsim.table import MATRICES
from gradsim.tape import PHI, Recorder, Value, trace

STEP = 1e-200  # of the complex step: nothing cancels, and its square is 0, so that kinks stay put
FLOOR = -100  # decades below which the oracle's numbers may have underflowed
HOME = Path(gs.__file__).parents[1]


# Cells ------------------------------------------------------------------------------------------


def residual(t, h, phi):
    return h + t.map(phi, t.linear(h))


def scaled_residual(t, h, phi):
    return -0.5 * t.map(phi, t.linear(h)) + 0.75 * h


def highway(t, h, phi):
    gate = t.sigmoid(t.linear(h))
    return gate * h + (1 - gate) * t.map(phi, t.linear(h))


def bilinear(t, h, phi):
    return t.linear(h) * t.tanh(t.linear(h))


def square(t, h, phi):
    z = t.linear(h)
    return 0.25 * (z * z) + h


def constants(t, h, phi):
    return 1.5 - 2 * t.map(phi, 0.5 * t.linear(h) + 0.25) * 3


def reuse(t, h, phi):
    z = t.linear(h)
    a = t.map(phi, z)
    return a + z * 0.5 + a * a - a * z + (h + h)


def two_deep(t, h, phi):
    return t.map(phi, t.linear(t.map(phi, t.linear(h))))


def gated(t, h, phi):
    return t.tanh(t.linear(t.sigmoid(t.linear(h)) * h))


def unused(t, h, phi):
    z = t.linear(h)
    t.map(phi, z) * z
    return t.tanh(z)


def unused_map(t, h, phi):
    z = t.linear(h)
    t.linear(z)
    return t.map(phi, z)


def shifted(t, h, phi):
    return t.map(phi, t.linear(1 - 0.5 * h))


def parallel(t, h, phi):
    return t.map(phi, t.linear(h) + t.linear(h * h) * 0.5)


def last_map_first(t, h, phi):
    return h * 0.5 + t.linear(t.map(phi, h))


BOTH = [dense, residual, scaled_residual, highway, bilinear, square, constants, reuse, two_deep]
BOTH += [gated, unused, unused_map, parallel]
ONLY_RNN = [shifted, last_map_first]
KINDS = [("MLP", cell) for cell in BOTH] + [("RNN", cell) for cell in BOTH + ONLY_RNN]
kinds = pytest.mark.parametrize(
    ("kind", "cell"), KINDS, ids=[f"{k}-{c.__name__}" for k, c in KINDS]
)


@contextlib.contextmanager
def registered(cell, kind):
    """Name under which a model of some kind can have a cell."""
    name = f"test_{cell.__name__}"
    cells._entries[name] = Cell(name, cell, (kind,), "of a test")
    try:
        yield name
    finally:
        del cells._entries[name]


# Oracle -----------------------------------------------------------------------------------------


class Rows(Eager):
    """`Eager` with parameters of its own for every row of the state."""

    def linear(self, x):
        i, self._next = self._next, self._next + 1
        z = np.einsum("pij,pj->pi", self._weights[i], x) + self._biases[i]
        return z if self._drives is None else z + self._drives[i]


class Oracle:
    """One network and example of a model: its cost and the derivatives by every parameter.

    Parameters are named ("W", layer, map), "U", "b", ("x", step) and ("h", layer); ("h", 0) is
    the input of an MLP or h_0, any other is a zero added to the state.
    """

    def __init__(self, model, seed, example=0, examples=1):
        self.model, self.function = model, cells[model.cell].function
        self.recurrent = isinstance(model, gs.RNN)
        recorder = Recorder(1)  # an eager run meets all affine maps, also those without effect
        self.function(recorder, Value(recorder, 0), PHI)
        self.maps = [m.name for m in recorder.matrices]
        self.layers = model.depth
        draws = Draws(model, seed, 0)
        self.parameters = self._drawn(draws, example, examples)
        self.y = draws.targets(examples)[example]
        self.states, self.cost, self.gradient = [], 0.0, {}
        self._differentiate()

    def _drawn(self, draws, example, examples):
        model, out = self.model, {}
        if self.recurrent:
            widths, features = [model.width] * (self.layers + 1), model.input_width or model.width
            out["h", 0] = draws.initial_state()
            if model.sigma_u > 0:
                x = draws.inputs(Inputs(examples))[example]
                out |= {("x", t): x[t - 1] for t in range(1, self.layers + 1)}
        else:
            widths = model.widths
            out["h", 0] = draws.inputs(Inputs(examples))[example]
        for layer in range(1, self.layers + 1):
            address = 0 if self.recurrent and model.tied else layer
            rows, columns = widths[layer], widths[layer - 1]
            last = layer == self.layers and not self.recurrent
            for m, name in enumerate(self.maps[: 1 if last else None]):
                w, u, b = MATRICES[name]
                std = weight_std(model, columns, rows)
                out["W", layer, m] = draws._weights(w, address, std, rows, columns)
                out["b", layer, m] = model.sigma_b * draws._normals(b, address, rows)
                if self.recurrent and model.sigma_u > 0:
                    shape = rows, features
                    out["U", layer, m] = draws._weights(u, address, input_std(model), *shape)
            if not last:
                out["h", layer] = np.zeros(rows)
        return out

    def _run(self, p):
        """Costs (row,) for parameters with a row each."""
        model, cost, h = self.model, 0.0, p["h", 0]
        self.states = [h]
        for layer in range(1, self.layers + 1):
            count = sum(key[:2] == ("W", layer) for key in p)
            drives = None
            if ("x", layer) in p:
                pairs = [(p["U", layer, m], p["x", layer]) for m in range(count)]
                drives = [np.einsum("pij,pj->pi", u, x) for u, x in pairs]
            arrays = [[p[name, layer, m] for m in range(count)] for name in "Wb"]
            t = Rows(*arrays, drives, model.slope)
            if layer == self.layers and not self.recurrent:
                h = t.map(model.last_activation, t.linear(h))
            else:
                h = self.function(t, h, model.activation) + p["h", layer]
            self.states.append(h)
            if layer == self.layers or getattr(model, "loss_at", "last") == "all":
                cost = cost + self._cost(h, layer)
        return cost

    def _cost(self, a, layer):
        y = self.y[layer - 1] if self.y.ndim == 2 else self.y
        if self.model.loss == "linear":
            return np.sum(y * a, axis=-1)
        return 0.5 * np.sum((y - a) ** 2, axis=-1)

    def _differentiate(self):
        flat = np.concatenate([array.ravel() for array in self.parameters.values()])
        rows = flat + 1j * STEP * np.eye(flat.size)
        cost = self._run(dict(self._split(rows)))
        self.states = [state[0].real for state in self.states]
        self.cost = float(cost[0].real)
        self.gradient = {k: g[0] for k, g in self._split(cost.imag[None] / STEP)}

    def _split(self, rows):
        start = 0
        for key, array in self.parameters.items():
            piece = rows[:, start : start + array.size]
            yield key, piece.reshape(len(rows), *array.shape)
            start += array.size

    def stack(self, kinds, layer):
        """Gradient by all parameters of some kinds in a layer, as one vector."""
        found = [g.ravel() for k, g in self.gradient.items() if k[0] in kinds and k[1] == layer]
        return np.concatenate(found)


def log10(norm):
    with np.errstate(divide="ignore"):
        return np.log10(norm)


def norm(vector):
    return np.linalg.norm(vector)


def expected(oracles):
    """Variables of `gradient` for one condition, from the oracles of its examples."""
    first = oracles[0]
    layers = range(1, first.layers + 1)

    def mean_log(kinds, layer):
        return np.mean([log10(norm(o.stack(kinds, layer))) for o in oracles])

    def log_mean(kinds, layer):
        return log10(norm(np.mean([o.stack(kinds, layer) for o in oracles], axis=0)))

    out = {
        "log10_delta_norm": [mean_log("b", layer) for layer in layers],
        "log10_bias_grad_norm": [log_mean("b", layer) for layer in layers],
        "log10_weight_grad_norm": [log_mean("WU", layer) for layer in layers],
        "log10_loss": log10(abs(np.mean([o.cost for o in oracles]))),
    }
    if not first.recurrent:
        return out | {"log10_input_grad_norm": mean_log("h", 0)}
    out["log10_recurrent_grad_norm"] = [log_mean("W", layer) for layer in layers]
    out["log10_state_grad_norm"] = [mean_log("h", layer) for layer in range(first.layers + 1)]
    if first.model.sigma_u > 0:
        out["log10_input_weight_grad_norm"] = [log_mean("U", layer) for layer in layers]
        out["log10_input_grad_norm"] = [mean_log("x", layer) for layer in layers]
    parts = [np.mean([o.stack("WU", layer) for o in oracles], axis=0) for layer in layers]
    total = np.sum(parts, axis=0) if first.model.tied else np.concatenate(parts)
    return out | {"log10_total_weight_grad_norm": log10(norm(total))}


def assert_agree(model, vary, seeds=(3,), examples=1, dtype="float64", tolerance=1e-9):
    """A sweep has the values of the oracle in every condition."""
    inputs = None if examples == 1 else examples
    ds = gs.simulate(
        model, list(seeds), vary=vary, inputs=inputs, dtype=dtype,
        measure=["gradient", "signal"], progress=False,
    )  # fmt: skip
    for place in np.ndindex(*(len(values) for values in vary.values())):
        fields = {name: vary[name][i] for name, i in zip(vary, place)}
        one = model.with_fields(**fields)
        for seed in seeds:
            part = ds.isel(dict(zip(vary, place))).sel(seed=seed)
            oracles = [Oracle(one, seed, b, examples) for b in range(examples)]
            for name, values in expected(oracles).items():
                got = part[name].values
                got = np.maximum(got[: len(values)] if np.ndim(values) else got, FLOOR)
                text = f"{name} at {fields}, seed {seed}"
                values = np.maximum(values, FLOOR)
                np.testing.assert_allclose(got, values, rtol=0, atol=tolerance, err_msg=text)
            hidden = slice(1, None if isinstance(one, gs.RNN) else -1)
            squares = np.mean([[np.mean(s**2) for s in o.states[hidden]] for o in oracles], axis=0)
            got = part.a_mean_square.values[: len(squares)]
            np.testing.assert_allclose(got, squares, rtol=max(1e-9, 10 * tolerance))


# The engine against the oracle ------------------------------------------------------------------


def model_of(kind, name, **fields):
    if kind == "MLP":
        return gs.MLP(**{"width": 5, "output_width": 3, "sigma_b": 0.3, "cell": name} | fields)
    usual = {"width": 4, "input_width": 3, "sigma_b": 0.3, "sigma_u": 0.7, "cell": name}
    return gs.RNN(**usual | fields)


def sweep_of(kind, *values):
    return {
        "activation": ["tanh", "leaky_relu"],
        "depth" if kind == "MLP" else "steps": list(values),
    }


@kinds
def test_cell__agrees_with_complex_steps(kind, cell):
    with registered(cell, kind) as name:
        assert_agree(model_of(kind, name), sweep_of(kind, 2, 4))


@kinds
def test_cell__agrees_with_complex_steps_for_a_batch(kind, cell):
    with registered(cell, kind) as name:
        model = model_of(kind, name, sigma_w=0.8)
        assert_agree(model, {"sigma_w": [0.8, 1.2]} | sweep_of(kind, 3), [2**63], examples=3)


@kinds
def test_cell__agrees_with_complex_steps_in_float32(kind, cell):
    with registered(cell, kind) as name:
        assert_agree(model_of(kind, name), sweep_of(kind, 3), dtype="float32", tolerance=1e-4)


@pytest.mark.parametrize("cell", BOTH + ONLY_RNN, ids=lambda cell: cell.__name__)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"loss_at": "all"},
        {"loss": "linear", "sigma_u": 0.0, "input_width": None},
        {"sigma_b": 0.0, "initial_state": "zeros"},
    ],
    ids=["all", "linear", "zeros"],
)
def test_recurrent_cell__agrees_with_complex_steps(cell, tied, fields):
    with registered(cell, "RNN") as name:
        assert_agree(model_of("RNN", name, tied=tied, **fields), sweep_of("RNN", 2, 3))


@pytest.mark.parametrize("loss", ["mse", "linear"])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_mlp_cell__agrees_with_complex_steps(loss, output):
    for cell in (residual, highway, gated):
        with registered(cell, "MLP") as name:
            model = model_of("MLP", name, loss=loss, output=output, init="he_uniform")
            assert_agree(model, {"depth": [1, 4], "sigma_b": [0.0, 0.2]})


@pytest.mark.parametrize("kind", ["MLP", "RNN"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cell__keeps_norms_far_beyond_the_range_of_floats(kind, dtype):
    """A map that doubles the exponent's distance from 0: z -> c z, deep, at tiny and huge gains."""

    def linear(t, h, phi):
        return t.linear(h) + 0.5 * h

    with registered(linear, kind) as name:
        for sigma_w, sign in ((1e-20, -1), (1e20, 1)):
            depth = {"depth": 60} if kind == "MLP" else {"steps": 60}
            fields = {"sigma_u": 0.0, "input_width": None} if kind == "RNN" else {"output_width": 5}
            model = model_of(
                kind, name, sigma_w=sigma_w, sigma_b=0.0, loss="linear", **depth, **fields
            )
            model = model.with_fields(activation="identity")
            ds = gs.simulate(model, 2, dtype=dtype, progress=False)
            assert np.isfinite(ds.log10_delta_norm).all()
            assert (ds.status == 0).all()
            first = ds.log10_delta_norm.isel({"layer" if kind == "MLP" else "step": 0})
            if sign > 0:
                assert (first > 1000).all()


# Random cells -----------------------------------------------------------------------------------

NUMBERS = st.sampled_from([-1.0, -0.5, 0.3, 0.5, 0.8, 1.5])
SHIFTS = st.sampled_from([0.0, 0.0, -0.4, 0.25, 1.0])


@st.composite
def programs(draw, start):
    """Operations of a random cell: (name, operands and constants), the last one its result."""
    program, linears = list(start), sum(op[0] == "linear" for op in start)
    for _ in range(draw(st.integers(1, 6))):
        operand = st.integers(0, len(program))
        allowed = ["map", "add", "multiply", "affine", *["linear"] * (linears < 2)]
        name = draw(st.sampled_from(allowed))
        linears += name == "linear"
        if name == "map":
            phi = draw(st.sampled_from(["phi", "phi", "sigmoid", "tanh", "relu"]))
            program.append((name, draw(operand), phi))
        elif name == "affine":
            program.append((name, draw(operand), draw(NUMBERS), draw(SHIFTS)))
        elif name == "linear":
            program.append((name, draw(operand)))
        else:
            program.append((name, draw(operand), draw(operand)))
    return tuple(program)


def cell_of(program):
    """Cell that carries out a program."""

    def cell(t, h, phi):
        values = [h]
        for name, i, *rest in program:
            x = values[i]
            if name == "linear":
                values.append(t.linear(x))
            elif name == "map":
                values.append(t.map(phi if rest[0] == "phi" else rest[0], x))
            elif name == "affine":
                values.append(rest[0] * x + rest[1])
            else:
                y = values[rest[0]]
                values.append(x + y if name == "add" else x * y)
        return values[-1]

    return cell


def is_tame(oracle):
    """Whether plain floats hold everything: each state and gradient is 0 or of a usual size."""
    gradients = [g for k, g in oracle.gradient.items() if k[0] == "b"]
    sizes = [norm(vector) for vector in oracle.states + gradients]
    return all(size == 0 or 1e-6 < size < 1e6 for size in sizes)


def assert_random_cell_agrees(kind, program, model_fields, vary):
    cell = cell_of(program)
    try:
        table = trace(cell)
    except ValueError as error:
        assume("affine map" not in str(error))
        raise
    if kind == "MLP":  # its output layer is the first affine map, of the state
        first = table.ops[0]
        assume(first[:2] == (ops.LINEAR, 0) and table.matrices[first[4]].name == "W")
    with registered(cell, kind) as name, np.errstate(over="ignore", invalid="ignore"):
        model = model_of(kind, name, sigma_w=0.7, **model_fields)
        oracles = [Oracle(model.with_fields(activation=v), 3) for v in vary["activation"]]
        assume(all(map(is_tame, oracles)))
        assert_agree(model, vary, tolerance=1e-7)


@settings(max_examples=60, deadline=None)
@given(program=programs(start=[]), tied=st.booleans(), loss_at=st.sampled_from(["last", "all"]))
def test_random_recurrent_cell__agrees_with_complex_steps(program, tied, loss_at):
    fields = {"tied": tied, "loss_at": loss_at, "steps": 3}
    assert_random_cell_agrees("RNN", program, fields, {"activation": ["tanh", "sigmoid"]})


@settings(max_examples=60, deadline=None)
@given(program=programs(start=[("linear", 0)]))
def test_random_mlp_cell__agrees_with_complex_steps(program):
    vary = {"activation": ["tanh", "leaky_relu"]}
    assert_random_cell_agrees("MLP", program, {"depth": 3}, vary)


# The recorder -----------------------------------------------------------------------------------


def test_oracle__is_the_eager_form_of_the_cell():
    rng = np.random.default_rng(5)
    w, b, h = rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    for cell in BOTH + ONLY_RNN:
        rows = Rows(np.broadcast_to(w[:, None], (2, 3, 4, 4)), b)
        plain = cell(Eager(w, b), h, "tanh")
        np.testing.assert_allclose(cell(rows, h, "tanh"), plain, rtol=1e-12)


def test_trace__drops_operations_without_effect():
    assert len(trace(unused).ops) == len(trace(dense).ops)


def test_trace__makes_the_result_a_value_of_its_own():
    table = trace(lambda t, h, c, phi: (t.linear(c), h), 2)
    assert [row[0] for row in table.ops] == [ops.LINEAR, ops.AFFINE]
    assert table.states == ((0, 2), (1, 3))


def test_trace__refuses_a_cell_without_weights():
    with pytest.raises(ValueError, match="must have an affine map"):
        trace(lambda t, h, phi: h * 2.0)


def test_trace__refuses_more_maps_than_there_are_matrices():
    with pytest.raises(ValueError, match="at most 2 affine maps"):
        trace(lambda t, h, phi: t.linear(t.linear(t.linear(h))))


def test_trace__refuses_a_wrong_number_of_states():
    with pytest.raises(ValueError, match="return 1 states, got 2"):
        trace(lambda t, h, phi: (h, t.linear(h)))


def test_trace__names_an_unknown_activation():
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        trace(lambda t, h, phi: t.map("tnah", t.linear(h)))


# Adjoints ---------------------------------------------------------------------------------------
# Every value is rows of mantissas with an exponent each.  Cotangent row k belongs to forward row
# SOURCE[k], because several results can share a forward row.

UNITS, SOURCE = 7, np.array([0, 0, 2, 1, 2], np.int64)
FORWARD, BACKWARD = 3, len(SOURCE)
ROUNDING = {np.float32: 1e-6, np.float64: 1e-14}
LARGEST = 30  # binary exponents, so that plain numbers hold every result in float32 too
exponents = st.lists(st.integers(-LARGEST, LARGEST), min_size=BACKWARD, max_size=BACKWARD)
ADJOINT = {
    "dtype": st.sampled_from([np.float32, np.float64]), "seed": st.integers(0, 2**32),
    "ex": exponents, "ey": exponents, "eo": exponents,
}  # fmt: skip
adjoint = given(**ADJOINT)
normal_adjoint = given(eps=st.sampled_from([0.0, 1e-5, 1.0]), **ADJOINT)
few = settings(max_examples=40, deadline=None)


class Scaled:
    """Random rows with exponents, and the numbers that they stand for."""

    def __init__(self, rng, dtype, rows, e, units=UNITS):
        self.x = rng.normal(size=(rows, units)).astype(dtype)
        self.e = np.array(e[:rows], np.int64)

    @property
    def true(self):
        return np.ldexp(self.x.astype(np.float64), self.e[:, None])


def forward_of(rule, operands, *constants, units=UNITS):
    """What a forward rule writes, as plain numbers."""
    out = Scaled(np.random.default_rng(0), operands[0].x.dtype, FORWARD, [0] * FORWARD, units)
    rule(
        *[part for operand in operands for part in (operand.x, operand.e)], *constants, out.x, out.e
    )
    return out.true


def assert_close(got, wanted, size, dtype):
    """Rows agree to the rounding of their largest entry."""
    largest = np.max(np.abs(size), axis=-1, keepdims=True)
    largest[largest == 0] = 1
    error = (got - wanted) / largest
    np.testing.assert_allclose(error, 0, rtol=0, atol=ROUNDING[dtype])


def assert_adjoint(rule, g, v, jv, rng, dtype):
    """<g, J v> = <J^T g, v> where a rule writes, and the same is added where it accumulates.

    ``rule(ci, ei, accumulate, tmp)`` is the vector-Jacobian product of the cotangent ``g``.
    """
    tmp = np.empty((1, 2 * UNITS), dtype)[:, : v.x.shape[1]].copy()
    new = Scaled(rng, dtype, BACKWARD, [0] * BACKWARD, v.x.shape[1])
    new.x[:] = np.nan  # what is written must not be read
    rule(new.x, new.e, 0, tmp)
    left, right = g.true * jv[SOURCE], new.true * v.true[SOURCE]
    size = np.concatenate([np.abs(left), np.abs(right)], axis=1).sum(axis=1, keepdims=True)
    sums = left.sum(axis=1, keepdims=True), right.sum(axis=1, keepdims=True)
    assert_close(*sums, size, dtype)
    old = Scaled(rng, dtype, BACKWARD, rng.integers(-LARGEST, LARGEST, BACKWARD), v.x.shape[1])
    before = old.true
    rule(old.x, old.e, 1, tmp)
    assert_close(old.true, before + new.true, np.abs(before) + np.abs(new.true), dtype)


@few
@adjoint
def test_adjoint__of_a_sum(dtype, seed, ex, ey, eo):
    rng = np.random.default_rng(seed)
    x, y = Scaled(rng, dtype, FORWARD, ex), Scaled(rng, dtype, FORWARD, ey)
    g = Scaled(rng, dtype, BACKWARD, eo)
    size = np.abs(x.true) + np.abs(y.true)
    assert_close(forward_of(ops.add_forward, [x, y]), x.true + y.true, size, dtype)

    def rule(ci, ei, accumulate, tmp):
        ops.pass_vjp(g.x, g.e, ci, ei, accumulate)

    assert_adjoint(rule, g, x, x.true, rng, dtype)


@few
@adjoint
def test_adjoint__of_a_product(dtype, seed, ex, ey, eo):
    rng = np.random.default_rng(seed)
    v, y = Scaled(rng, dtype, FORWARD, ex), Scaled(rng, dtype, FORWARD, ey)
    g = Scaled(rng, dtype, BACKWARD, eo)
    jv = forward_of(ops.multiply_forward, [v, y])
    assert_close(jv, v.true * y.true, v.true * y.true, dtype)

    def rule(ci, ei, accumulate, tmp):
        ops.multiply_vjp(y.x, y.e, SOURCE, g.x, g.e, ci, ei, accumulate, tmp)

    assert_adjoint(rule, g, v, jv, rng, dtype)


@few
@adjoint
def test_adjoint__of_scale_and_shift(dtype, seed, ex, ey, eo):
    rng = np.random.default_rng(seed)
    v, g = Scaled(rng, dtype, FORWARD, ex), Scaled(rng, dtype, BACKWARD, eo)
    scale, shift = dtype(-0.7), dtype(rng.choice([0.0, 1e-3, 2.5]))

    def forward(x, e, scale, shift, out, eo):
        ops.shift_forward(x, e, scale, shift, out, eo, (0, FORWARD))

    moved = forward_of(forward, [v], scale, shift)
    wanted = scale * v.true + shift
    assert_close(moved, wanted, np.abs(v.true) + abs(shift), dtype)
    jv = forward_of(forward, [v], scale, dtype(0))

    def rule(ci, ei, accumulate, tmp):
        ops.scale_vjp(scale, g.x, g.e, ci, ei, accumulate, tmp, (0, BACKWARD))

    assert_adjoint(rule, g, v, jv, rng, dtype)


def facts_record(dtype):
    """What a kernel reads of the activations, and the units that it calls."""
    load_units(CONTEXT, np.dtype(dtype))
    record = np.zeros(1, CONTEXT).view(np.recarray)[0]
    for name in FACTS:
        at = getattr(record, name)
        at.at, at.rows, at.columns = FACTS[name].ctypes.data, *FACTS[name].shape
    return record


FACTS = engine_facts()


@few
@adjoint
@pytest.mark.parametrize("name", [n for n, phi in activations.items() if phi.program is None])
def test_adjoint__of_an_activation(name, dtype, seed, ex, ey, eo):
    rng = np.random.default_rng(seed)
    z = Scaled(rng, dtype, FORWARD, [e // 8 for e in ey])
    v, g = Scaled(rng, dtype, FORWARD, ex), Scaled(rng, dtype, BACKWARD, eo)
    plain, code = z.true, activations[name].code
    a, s = Scaled(rng, dtype, FORWARD, [0] * FORWARD), np.empty_like(z.x)
    ops.map_forward(facts_record(dtype), code, 0.2, z.x, z.e, a.x, a.e, s, (0, FORWARD))
    wanted = activations[name].value(plain + 1j * STEP, 0.2)
    assert_close(a.true, wanted.real, wanted.real, dtype)
    assert_close(s, wanted.imag / STEP, np.ones_like(s), dtype)

    def rule(ci, ei, accumulate, tmp):
        ops.map_vjp(s, SOURCE, g.x, g.e, ci, ei, accumulate, tmp)

    assert_adjoint(rule, g, v, s * v.true, rng, dtype)


@few
@adjoint
def test_adjoint__of_an_affine_map(dtype, seed, ex, ey, eo):
    rng = np.random.default_rng(seed)
    units, scale, e = 2 * UNITS, dtype(0.8), np.int64(ey[0])
    w = rng.normal(size=(units, UNITS)).astype(dtype)
    v, push = Scaled(rng, dtype, FORWARD, ex), Scaled(rng, dtype, FORWARD, ey, units)
    g = Scaled(rng, dtype, BACKWARD, eo, units)
    product, weights = v.x @ w.T, np.ldexp(w.astype(np.float64), ey[0])

    def forward(pushed):
        z, ez = np.empty_like(product), np.empty(FORWARD, np.int64)
        for r in range(FORWARD):
            size = push.e[r] if pushed else np.int64(EMPTY)
            ez[r], _ = ops.affine_row(product, z, r, scale, v.e[r] + e, push.x, r, size)
        return np.ldexp(z.astype(np.float64), ez[:, None])

    jv = scale * v.true @ weights.T
    size = np.abs(v.true) @ np.abs(weights.T)
    assert_close(forward(False), jv, size, dtype)
    assert_close(forward(True), jv + push.true, size + np.abs(push.true), dtype)
    back = g.x @ w

    def rule(ci, ei, accumulate, tmp):
        for k in range(BACKWARD):
            ei[k] = ops.scale_row_vjp(back, ci, k, scale, g.e[k] + e, ei[k], accumulate, tmp)

    assert_adjoint(rule, g, v, forward(False), rng, dtype)


def normalised(x, eps, axis):
    """Complex numbers less their mean, over their root mean square deviation."""
    y = x - x.mean(axis=axis, keepdims=True)
    return y / np.sqrt((y * y).mean(axis=axis, keepdims=True) + eps)


def along(x, v, eps, axis):
    """Normalised x, and its derivative along v: v is scaled so that no part of a step is lost."""
    size = np.max(np.abs(v))
    moved = normalised(x + 1j * STEP * (v / size), eps, axis)
    return moved.real, moved.imag / STEP * size


@few
@normal_adjoint
def test_adjoint__of_layer_norm(dtype, seed, ex, ey, eo, eps):
    rng = np.random.default_rng(seed)
    x, v = Scaled(rng, dtype, FORWARD, ey), Scaled(rng, dtype, FORWARD, ex)
    g, y = Scaled(rng, dtype, BACKWARD, eo), Scaled(rng, dtype, FORWARD, [0] * FORWARD)
    scale, shift = np.empty(FORWARD), np.empty(FORWARD, np.int64)
    for r in range(FORWARD):
        y.e[r], scale[r], shift[r] = layer_norm_row(x.x, r, x.e[r], eps, y.x)
    rows = [along(x.true[r], v.true[r], eps, -1) for r in range(FORWARD)]
    wanted, jv = (np.stack(part) for part in zip(*rows))
    assert_close(y.true, wanted, wanted, dtype)

    def rule(ci, ei, accumulate, tmp):
        for k, r in enumerate(SOURCE):
            layer_norm_vjp(y.x, y.e[r], r, g.x, k, g.e[k], scale[r], tmp)
            old = ei[k] if accumulate else EMPTY
            ei[k] = add_row(ci, k, old, tmp, 0, g.e[k] + shift[r])

    assert_adjoint(rule, g, v, jv, rng, dtype)


@few
@normal_adjoint
def test_adjoint__of_batch_norm(dtype, seed, ex, ey, eo, eps):
    """<g, J v> = <J^T g, v> over the batch; rows of the batch differ by far in their size."""
    rng = np.random.default_rng(seed)
    x, v = Scaled(rng, dtype, BACKWARD, ey), Scaled(rng, dtype, BACKWARD, ex)
    g, y = Scaled(rng, dtype, BACKWARD, eo), Scaled(rng, dtype, BACKWARD, [0] * BACKWARD)
    scale, work = np.empty(UNITS), np.empty((3, UNITS))
    shift = batch_norm_rows(x.x, x.e, 0, BACKWARD, eps, y.x, y.e, scale, work[0])
    wanted, jv = along(x.true, v.true, eps, 0)
    assert_close(y.true, wanted, np.ones_like(wanted), dtype)

    def rule(out, accumulate):
        batch_norm_vjp(
            y.x, y.e, 0, g.x, g.e, 0, BACKWARD, scale, shift, out.x, out.e, accumulate,
            work[1], work[2], np.empty((1, UNITS), dtype),
        )  # fmt: skip

    new, old = (Scaled(rng, dtype, BACKWARD, [0] * BACKWARD) for _ in range(2))
    before, new.x[:] = old.true, np.nan  # what is written must not be read
    rule(new, 0)
    left, right = g.true * jv, new.true * v.true
    size = max(np.abs(left).sum(), np.abs(right).sum())
    # Both sides multiply numbers that cancel: J^T g is orthogonal to 1 and to y in every unit.
    spread = np.abs(g.true).max() * np.abs(v.true).max() / np.sqrt(x.true.var(0).min() + eps)
    assert abs(left.sum() - right.sum()) <= ROUNDING[dtype] * (size + BACKWARD * spread)
    rule(old, 1)
    assert_close(old.true, before + new.true, np.abs(before) + np.abs(new.true), dtype)


# Plain Python -----------------------------------------------------------------------------------

SMALL = [
    "gs.simulate(gs.MLP(depth=3, width=4, sigma_b=0.2), 2,"
    " vary={'activation': ['tanh', 'relu', 'sigmoid', 'leaky_relu'], 'depth': [1, 3]}, **REST)",
    "gs.simulate(gs.MLP(depth=3, width=4, output='softmax', loss='cross_entropy'), 2,"
    " inputs=3, batch='each', **REST)",
    "gs.simulate(gs.RNN(steps=4, width=3, sigma_u=0.5, loss_at='all'), 2,"
    " vary={'tied': [True, False], 'steps': [2, 4]}, inputs=2, **REST)",
    "gs.simulate(gs.RNN(steps=3, width=3, cell='lstm', chrono=9, sigma_b=0.2), 2,"
    " vary={'forget_bias': [0.0, 1.0], 'norm': [None, 'layer']}, **REST)",
]
PLAIN = """
import json, sys
import numba
import gradsim as gs
assert numba.config.DISABLE_JIT
REST = {"measure": ["gradient", "signal"], "progress": False, "threads": 1}
for call in json.loads(sys.argv[1]):
    ds = eval(call)
    print(json.dumps({n: v.values.ravel().tolist() for n, v in ds.data_vars.items()}))
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="compares with compiled kernels")
def test_engine__as_plain_python_gives_the_same():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(HOME)}
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAIN, json.dumps(SMALL)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    rest = {"measure": ["gradient", "signal"], "progress": False, "threads": 1}
    for call, line in zip(SMALL, out.stdout.splitlines()):
        ds, plain = eval(call, {"gs": gs, "REST": rest}), json.loads(line)
        assert set(plain) == set(ds.data_vars)
        for name, values in plain.items():
            np.testing.assert_allclose(
                ds[name].values.ravel(), values, rtol=1e-12, atol=1e-12, err_msg=name
            )
