"""A sample activation, initialiser and cell: each is one registration and then works everywhere."""

import cell_oracle
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import xarray as xr
from test_cells import assert_variables

import gradsim as gs

REGISTRIES = {"activation": gs.activations, "init": gs.initializers, "cell": gs.cells}


def add_activation():
    return gs.activation("sample_phi", lambda t, z: z * t.sigmoid(2 * z) + 0.1 * t.sin(z))


def add_initializer():
    @gs.initializer("sample_init", formula="a Householder reflection")
    def reflection(draw, n_out, n_in, model):
        v = draw.normals(max(n_out, n_in))
        return (np.eye(v.size) - 2 * np.outer(v, v) / (v @ v))[:n_out, :n_in]


def add_cell():
    @gs.cell("sample_cell")
    def mirror(t, h, phi):
        return 0.5 * h - t.map(phi, t.linear(h)) * t.tanh(t.linear(h))


ADD = {"activation": add_activation, "init": add_initializer, "cell": add_cell}
SAMPLES = {"activation": "sample_phi", "init": "sample_init", "cell": "sample_cell"}
USUAL = {"activation": "tanh", "init": "gaussian"}


@pytest.fixture
def registries(monkeypatch):
    """Registries that are as they were after the test."""
    for registry in REGISTRIES.values():
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    phi = "sample_phi", lambda z, slope: z / (1 + jnp.exp(-2 * z)) + 0.1 * jnp.sin(z)
    monkeypatch.setitem(oracle.ACTIVATIONS, *phi)
    monkeypatch.setitem(cell_oracle.LAYOUT, "sample_cell", cell_oracle.LAYOUT["highway"])
    cell = "sample_cell", lambda lin, h, phi: 0.5 * h - phi(lin("W", h)) * jnp.tanh(lin("V", h))
    monkeypatch.setitem(cell_oracle.USERS, *cell)


def models(samples):
    """Models of both kinds with some fields from the samples."""
    for kind, usual, sizes in (
        (gs.MLP, "dense", {"depth": 3}),
        (gs.RNN, "vanilla", {"steps": 3, "sigma_u": 0.7, "input_width": 3}),
    ):
        yield kind(width=5, sigma_b=0.3, **USUAL | {"cell": usual} | sizes | samples)


@pytest.mark.parametrize("axis", ADD)
def test_sample__touches_one_registry(registries, axis):
    before = {name: list(registry) for name, registry in REGISTRIES.items()}
    with pytest.raises(ValueError, match=SAMPLES[axis]):
        list(models({axis: SAMPLES[axis]}))
    ADD[axis]()
    after = {name: list(registry) for name, registry in REGISTRIES.items()}
    assert after == before | {axis: [*before[axis], SAMPLES[axis]]}
    assert SAMPLES[axis] in repr(REGISTRIES[axis])


def assert_runs(model):
    """`simulate`, `network` and `backward` agree with autograd on the same arrays."""
    nets = [gs.network(model, seed, inputs=3) for seed in range(4)]
    oracles = list(cell_oracle.variables(nets))
    for batch in ("mean", "each"):
        ds, each = gs.simulate(model, 4, inputs=3, batch=batch), batch == "each"
        for seed, expected in enumerate(oracles):
            assert_variables(ds.isel(seed=seed), expected[each], each, model)
        given = gs.simulate(nets[3], [3], batch=batch).isel(seed=0)
        assert_variables(given, oracles[3][each], each, model)
    net, mean = nets[3], oracles[3][False]
    single = gs.simulate(model, [3], inputs=3, dtype="float32").isel(seed=0)
    assert_variables(single, mean, False, model, "float32")
    g, log10_norm = gs.backward(net), "log10_weight_grad_norm"
    norms = [10 ** w.log10_norm() for w in g.weights]
    if isinstance(model, gs.RNN):  # the norm of a sum over steps
        log10_norm = "log10_total_weight_grad_norm"
        norms = np.hypot(*norms, 10 ** g.input_weights.log10_norm())
    np.testing.assert_allclose(norms, 10 ** mean[log10_norm], rtol=1e-10)


@pytest.mark.parametrize("axes", [["activation"], ["init"], ["cell"], list(ADD)], ids="-".join)
def test_sample__works_everywhere(registries, axes, tmp_path):
    for axis in axes:
        ADD[axis]()
    samples = {axis: SAMPLES[axis] for axis in axes}
    for model, plain in zip(models(samples), models({})):
        assert_runs(model)
        options = {"measure": ["gradient", "signal"]}
        usual = {axis: getattr(plain, axis) for axis in axes}
        vary = {axis: [usual[axis], SAMPLES[axis]] for axis in axes}
        sweep = gs.simulate(plain, 3, vary=vary, **options)
        for fields, one in ((samples, model), (usual, plain)):
            alone, part = gs.simulate(one, 3, **options), sweep.sel(fields)
            for name in alone.data_vars:
                np.testing.assert_allclose(part[name], alone[name], rtol=1e-10, atol=1e-10)
        gs.save(sweep, tmp_path / "sample.nc")
        assert all(name in sweep.attrs["gradsim_config"] for name in samples.values())
        for axis in axes:  # a file is read without what it was made with
            del REGISTRIES[axis]._entries[SAMPLES[axis]]
        xr.testing.assert_identical(gs.load(tmp_path / "sample.nc"), sweep)
        for axis in axes:
            ADD[axis]()
