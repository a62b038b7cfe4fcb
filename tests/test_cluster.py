"""Runs on the workers of a dask cluster: the same bits, whatever happens to the workers."""

import os
import signal
from contextlib import contextmanager
from functools import partialmethod

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import _cluster, _work, initializers, store
from gradsim._cluster_worker import config_digest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

MODEL = gs.MLP(depth=20, width=32)
DEADLY = """
import multiprocessing, os, signal

def deadly(draw, n_out, n_in, model):
    "Kills the worker that draws a network whose first number is below -2."
    numbers = draw.normals(n_out, n_in)
    if numbers[0, 0] < -2 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers
"""


OWN = """
def sizes(view, *, power=1.0):
    "Log10 norms of delta, times a number."
    return {"cluster_size": [power * delta.log10_norm() for delta in view.deltas]}
"""


@contextmanager
def cluster():
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.comm.timeouts.connect": "120s",  # a worker that starts on a busy machine
        "distributed.admin.system-monitor.gil.enabled": False,
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as made,
        distributed.Client(made) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def client():
    with cluster() as found:
        yield found


@pytest.fixture
def doomed():
    """Both workers: dask does not always start again what was killed on a busy machine."""
    with cluster() as found:
        found.wait_for_workers(2, timeout=120)
        yield found


def same(left, right):
    assert left.attrs["gradsim_config"] == right.attrs["gradsim_config"]
    xr.testing.assert_identical(left.drop_attrs(deep=False), right.drop_attrs(deep=False))


def test_client__gives_the_same_bits_with_what_users_made(client):
    seeds = [*range(7), 2**64 - 1]
    gs.activation("cluster_swish", lambda t, z: z * t.sigmoid(z))
    space = {"__name__": "__main__"}
    exec(OWN, space)
    if "cluster_sizes" not in gs.measurements:
        gs.measurement("cluster_sizes", {"cluster_size": "log10 norm of delta"})(space["sizes"])
    call = {
        "model": gs.RNN(steps=4, width=6, sigma_u=1.0, activation="cluster_swish"),
        "seeds": seeds, "vary": {"sigma_w": [0.5, 2.0], "steps": [2, 4]}, "inputs": 2,
        "batch": "each",
        "measure": ["gradient", "signal", gs.measurements.cluster_sizes(power=2.0)],
    }  # fmt: skip
    same(gs.simulate(**call, client=client, progress=False), gs.simulate(**call, progress=False))
    assert gs.estimate(**call, client=client).threads == 2


def test_client__a_worker_killed_on_the_way_changes_nothing(client, monkeypatch):
    expected = gs.simulate(MODEL, 300, progress=False)
    insert, killed = _cluster.Collector.insert, []

    def kill_then_insert(*given):
        if not killed:
            killed.extend(client.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)
        insert(*given)

    monkeypatch.setattr(_cluster.Collector, "insert", kill_then_insert)
    same(gs.simulate(MODEL, 300, client=client, progress=False), expected)
    assert killed


def test_client__a_part_that_kills_every_worker_is_reported_alone(doomed, monkeypatch):
    monkeypatch.setattr(_work, "MOST_SEEDS", 8)
    monkeypatch.setattr(_cluster, "SMALLEST", 1)
    space = {"__name__": "__main__"}
    exec(DEADLY, space)
    if "cluster_deadly" not in initializers:
        gs.initializer("cluster_deadly")(space["deadly"])
    model = gs.MLP(depth=1, width=3, init="cluster_deadly")
    first = np.array([gs.network(model, seed).weights[0][0, 0] for seed in range(64)])
    guilty = set(np.flatnonzero(first < -2) // 8)
    assert len(guilty) == 1, "the premise: one part of eight"
    with pytest.raises(gs.PartialRunError) as caught:
        gs.simulate(model, 64, client=doomed, progress=False)
    (part,) = guilty
    assert [list(seeds) for seeds in caught.value.seeds] == [list(range(8 * part, 8 * part + 8))]
    assert f"seeds {8 * part} to {8 * part + 7} died" in str(caught.value)
    kept = gs.simulate(model, 64, progress=False)
    kept = kept.sel(seed=[seed for seed in range(64) if seed // 8 != part])
    xr.testing.assert_identical(
        caught.value.result.drop_attrs(deep=False), kept.drop_attrs(deep=False)
    )


@pytest.mark.parametrize("shared", [True, False])
def test_client__fills_a_store_whose_workers_are_killed(doomed, tmp_path, monkeypatch, shared):
    expected = gs.simulate(MODEL, 150, progress=False)
    monkeypatch.setattr(_work, "MOST_SEEDS", 16)
    monkeypatch.setattr(_cluster, "SMALLEST", 1)  # 10 parts
    monkeypatch.setattr(_cluster, "config_digest", config_digest if shared else lambda store: "")
    killed, written = [], []

    def kill_and_call(self, *given, call):
        if shared and not killed and len(written) > 2:
            killed.extend(doomed.run(os.getpid).values())
            os.kill(killed[-1], signal.SIGKILL)
        written.append(call.__name__)
        return call(self, *given)

    for name in ("add", "list_part"):
        call = getattr(store.Writer, name)
        monkeypatch.setattr(store.Writer, name, partialmethod(kill_and_call, call=call))
    same(gs.simulate(MODEL, 150, client=doomed, store=tmp_path / "run", progress=False), expected)
    assert bool(killed) == shared
    assert set(written) == ({"list_part"} if shared else {"add", "list_part"})
    again = gs.simulate(MODEL, 150, client=doomed, store=tmp_path / "run", progress=False)
    same(again, expected)
    assert written.count("list_part") == 10
    same(gs.load(tmp_path / "run"), expected)


def test_client__what_a_worker_refuses_is_raised_here(client):
    with pytest.raises(MemoryError, match="memory_limit"):
        gs.simulate(MODEL, 10, client=client, memory_limit=200_000, progress=False)


@pytest.mark.parametrize("seeds", [1, 2, 63, 1000, 40_000, 10**6])
def test_parts__shrink_so_that_all_threads_end_together(client, seeds):
    most, remote = 4096, _cluster.Remote(client)
    gaps = [range(3, 3 + seeds // 2), range(10**7, 10**7 + seeds - seeds // 2)]
    parts = list(remote._shrunk(_work.cut(gaps, most), seeds, most))
    assert [p for part in parts for p in part] == [p for gap in gaps for p in gap]
    assert max(map(len, parts)) <= most
    ends = [0, 0]  # of two threads that are as fast as each other
    for part in parts:
        ends[ends.index(min(ends))] += len(part)
    assert max(ends) - min(ends) <= max(seeds // 50, most // 64)


@pytest.mark.parametrize("other", ["tcp://127.0.0.1:8786", 3])
def test_client__must_be_one(other):
    with pytest.raises(TypeError, match=r"client must be a distributed.Client, got"):
        gs.simulate(MODEL, 2, client=other)
