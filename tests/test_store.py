"""Run folders: stopped runs go on, parts become one result, and what does not belong is refused."""

import json
import os
import shutil
import time

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import _manifest, _pool, _training, _work, storage, store
from gradsim._manifest import Entry
from gradsim.store import RunFolder, Writer, writing

MODEL = gs.MLP(depth=3, width=4)
CALL = {"vary": {"activation": ["tanh", "relu"]}, "measure": ["gradient", "signal"]}
SEEDS, PART = 80, 32


def run(seeds=SEEDS, model=MODEL, **options):
    return gs.simulate(model, seeds, progress=False, **(CALL | options))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_work.Work, "part_seeds", PART)


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "run")


@pytest.fixture
def finished(folder, whole):
    assert_same(run(store=folder), whole)
    return folder


@pytest.fixture
def stopped(folder, monkeypatch):
    """A run folder that was left after one part."""
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        run(store=folder)
    monkeypatch.undo()
    monkeypatch.setattr(_work.Work, "part_seeds", PART)
    return folder


def stop_after(monkeypatch, parts: int) -> None:
    """Make a run stop, as Ctrl-C does, when it begins a part after the first ``parts``."""
    part, done = _work.Work.part, []

    def stopping(self, places, bar):
        if len(done) == parts:
            raise KeyboardInterrupt
        done.append(places)
        return part(self, places, bar)

    monkeypatch.setattr(_work.Work, "part", stopping)


def assert_same(found: xr.Dataset, wanted: xr.Dataset) -> None:
    """Equal to the last bit, labels and configuration included."""
    xr.testing.assert_identical(found.drop_attrs(deep=False), wanted.drop_attrs(deep=False))
    assert found.attrs["gradsim_config"] == wanted.attrs["gradsim_config"]
    assert found.seed.dtype == wanted.seed.dtype
    for name, variable in wanted.data_vars.items():
        assert found[name].values.tobytes() == variable.values.tobytes(), name


def flip(path: str, position: int) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 16]))


# Running


def test_store__gives_the_bits_of_a_run_in_memory(finished, whole):
    names = sorted(os.listdir(finished + "/parts"))
    assert names == [
        "part-000000000000-000000000031.nc",
        "part-000000000032-000000000063.nc",
        "part-000000000064-000000000079.nc",
    ]
    assert_same(gs.load(finished), whole)
    assert_same(gs.load(finished + "/parts/" + names[1]), run(range(32, 64)))


def test_store__goes_on_where_it_was_stopped(stopped, whole, monkeypatch):
    (name,) = os.listdir(stopped + "/parts")
    before = storage.checksum(f"{stopped}/parts/{name}")
    with pytest.raises(storage.InvalidFileError, match=r"32 of 80 .* gap is at places 32\.\.79"):
        gs.load(stopped)
    assert_same(gs.merge(stopped, gaps=True), run(PART))
    done = []
    part = _work.Work.part
    monkeypatch.setattr(
        _work.Work, "part", lambda self, p, bar: (done.append(p), part(self, p, bar))[1]
    )
    assert_same(run(store=stopped), whole)
    assert done == [range(32, 64), range(64, 80)]
    assert storage.checksum(f"{stopped}/parts/{name}") == before
    assert_same(run(store=stopped), whole)
    assert len(done) == 2


def test_store__names_what_differs_from_the_run_that_it_holds(stopped, monkeypatch):
    with pytest.raises(ValueError, match=r"model\.sigma_w: stored 1\.0, now 1\.5"):
        run(store=stopped, model=gs.MLP(depth=3, width=4, sigma_w=1.5))
    with pytest.raises(ValueError, match=r"seeds\.range: stored \[0, 80\], now \[0, 70\]"):
        run(70, store=stopped)
    with pytest.raises(ValueError, match=r"measure\.bounds: stored 'nothing'"):
        run(store=stopped, measure=["gradient", "signal", "bounds"])
    monkeypatch.setattr(store, "KERNEL_HASH", "0" * 64)
    with pytest.raises(ValueError, match=r"kernel_hash: stored '[0-9a-f]{10}.*now '0000"):
        run(store=stopped)


def test_store__has_one_writer(stopped, whole):
    config = RunFolder(stopped).config
    with writing(stopped, config, PART):
        with pytest.raises(BlockingIOError, match=rf"process {os.getpid()} on .* is writing"):
            run(store=stopped)
    with open(stopped + "/lock", "w") as file:  # left by a process that is no more
        file.write("process 1 on another\n")
    assert_same(run(store=stopped), whole)


def test_store__refuses_other_places(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"store=.*file'\): must be a folder"):
        run(store=tmp_path / "file")
    with pytest.raises(ValueError, match="not empty and is no run folder"):
        run(store=tmp_path)
    with pytest.raises(TypeError, match=r"simulate\(path=...\): must be a str or os.PathLike"):
        run(store=3)
    assert os.listdir(tmp_path) == ["file"]


def test_store__takes_any_seeds_and_batches(folder):
    seeds = [2**64 - 1, 5, 2**63, *range(100, 140)]
    call = {"inputs": 3, "batch": "each", "dtype": "float32"}
    whole = run(seeds, **call)
    assert_same(run(seeds, store=folder, **call), whole)
    assert gs.verify(folder, 4).exact
    assert_same(gs.load(folder), whole)


def test_store__larger_than_memory_is_merged_in_a_file(folder, monkeypatch):
    monkeypatch.setattr(_work.Work, "part_seeds", 512)
    monkeypatch.setattr(_pool, "CHUNK_BYTES", 2**18)
    model, limit = gs.MLP(depth=40, width=2), 35 * 10**5
    with pytest.raises(MemoryError, match="ask for fewer seeds"):
        gs.simulate(model, 4000, memory_limit=limit)
    with gs.simulate(model, 4000, memory_limit=limit, store=folder, progress=False) as ds:
        assert os.path.exists(folder + "/result.nc")
        assert not ds.log10_delta_norm.variable._in_memory
        assert_same(ds.load(), gs.simulate(model, 4000, progress=False))


# What is on disk


@pytest.mark.parametrize("damage", ["gone", "torn", "flipped", "empty"])
def test_manifest__is_made_again_from_the_parts(finished, whole, damage):
    path = finished + "/manifest.log"
    with open(path, "rb") as file:
        content = file.read()
    broken = {"torn": content[:-30], "empty": b"", "flipped": content[:5] + b"x" + content[6:]}
    os.unlink(path)
    if damage in broken:
        with open(path, "wb") as file:
            file.write(broken[damage])
    if damage == "flipped":
        with pytest.warns(RuntimeWarning, match=r"manifest\.log.*line 1 is damaged"):
            assert_same(gs.load(finished), whole)
    else:
        assert_same(gs.load(finished), whole)
    assert_same(run(store=finished), whole)
    with open(path, "rb") as file:
        assert sorted(file.read().split(b"\n")) == sorted(content.split(b"\n"))


def test_store__runs_lost_and_damaged_parts_again(finished, whole):
    parts = [finished + "/parts/" + name for name in sorted(os.listdir(finished + "/parts"))]
    os.unlink(parts[0])
    with pytest.raises(storage.InvalidFileError, match=r"48 of 80 .* places 0\.\.31"):
        gs.load(finished)
    assert_same(run(store=finished), whole)
    os.unlink(finished + "/manifest.log")
    flip(parts[2], 2000)
    with pytest.raises(storage.InvalidFileError, match=r"part-000000000064-000000000079\.nc"):
        gs.load(finished)
    assert_same(run(store=finished), whole)


def test_load__names_a_part_that_is_not_the_one_that_was_listed(finished, folder):
    first, second = (finished + f"/parts/part-{name}.nc" for name in
                     ("000000000000-000000000031", "000000000032-000000000063"))  # fmt: skip
    shutil.copy(second, first)
    with pytest.raises(storage.InvalidFileError, match=r"00031\.nc' is not the file that the ma"):
        gs.load(finished)
    os.unlink(finished + "/manifest.log")
    with pytest.raises(storage.InvalidFileError, match="belongs to another run: seeds: not those"):
        gs.load(finished)


def test_store__removes_what_a_killed_writer_left(stopped, whole):
    left = stopped + "/parts/.gradsim-123-0123456789abcdef.tmp"
    with open(left, "wb") as file:
        file.write(b"\x89HDF")
    assert_same(run(store=stopped), whole)
    assert not os.path.exists(left)


def test_store__with_100000_parts_opens_in_a_second(folder):
    config = json.loads(run(1, vary=None).attrs["gradsim_config"])
    config["seeds"] = {"range": [0, 10**5 * PART]}
    with writing(folder, config, PART):
        pass
    entries = [Entry(i * PART, i * PART + PART - 1, 10**6, f"{i:064x}") for i in range(10**5 - 1)]
    with open(folder + "/manifest.log", "wb") as file:
        file.write(_manifest.text(entries))
    for entry in entries:
        os.mknod(f"{folder}/parts/part-{entry.first:012d}-{entry.last:012d}.nc")
    begin = time.process_time()
    found = RunFolder(folder)
    assert found.missing() == [range((10**5 - 1) * PART, 10**5 * PART)]
    assert time.process_time() - begin < 1.0
    shutil.rmtree(folder)


# merge


def test_merge__parts_files_and_folders_in_any_order(finished, whole, tmp_path):
    parts = [finished + "/parts/" + name for name in os.listdir(finished + "/parts")]
    assert_same(gs.merge(parts), whole)
    gs.save(run(range(40, SEEDS)), tmp_path / "b.nc")
    gs.save(run(50), tmp_path / "a.nc")
    assert_same(gs.merge([tmp_path / "b.nc", tmp_path / "a.nc", finished, *parts]), whole)
    assert_same(gs.merge(parts[::-1], tmp_path / "whole.nc"), whole)
    assert_same(gs.load(tmp_path / "whole.nc"), whole)
    history = gs.merge(parts).attrs["history"]
    assert "gradsim.merge" in history
    assert "gradsim.simulate" in history


def test_merge__writes_slabs_that_no_memory_holds(finished, whole, tmp_path, monkeypatch):
    monkeypatch.setitem(gs.merge.__globals__, "SLAB_BYTES", 2**13)
    with gs.merge([finished], tmp_path / "whole.nc", memory_limit=2**13) as ds:
        assert not ds.log10_delta_norm.variable._in_memory
        assert_same(ds.load(), whole)
    with pytest.raises(MemoryError, match=r"result of 80 seeds .* give a path"):
        gs.merge(finished, memory_limit=2**13)


def test_merge__names_gaps_and_disagreements(stopped, whole, tmp_path):
    a, b = tmp_path / "a.nc", tmp_path / "b.nc"
    gs.save(run(10), a)
    gs.save(run(range(20, 30)), b)
    with pytest.raises(ValueError, match=r"seeds are missing: 10\.\.19"):
        gs.merge([a, b])
    with pytest.raises(ValueError, match=r"seeds are missing: 32\.\.79"):
        gs.merge(stopped)
    assert gs.merge([a, b], gaps=True).seed.values.tolist() == [*range(10), *range(20, 30)]
    other = run(range(5, 12))
    other["log10_loss"][1, 2] += 1e-15
    gs.save(other, b)
    with pytest.raises(ValueError, match="different log10_loss of seed 7"):
        gs.merge([a, b])
    gs.save(run(range(5, 12), key=1), b)
    with pytest.raises(ValueError, match="differ: key: first 0, second 1"):
        gs.merge([a, b])
    gs.save(xr.Dataset({"x": ("seed", [1.0])}), b)
    with pytest.raises(ValueError, match="must be a result of gradsim"):
        gs.merge([a, b])
    with pytest.raises(ValueError, match="paths must not be empty"):
        gs.merge([])


def test_merge__takes_results_of_train_and_says_who_made_what(tmp_path):
    call = {"learning_rate": 0.1, "steps": 3}
    first, second = gs.train(MODEL, 2, **call), gs.train(MODEL, range(2, 5), **call)
    provenance = json.loads(second.attrs["gradsim_provenance"]) | {"cpu": "another"}
    second.attrs["gradsim_provenance"] = json.dumps(provenance)
    gs.save(first, tmp_path / "a.nc")
    gs.save(second, tmp_path / "b.nc")
    found = gs.merge([tmp_path / "a.nc", tmp_path / "b.nc"], tmp_path / "c.nc")
    assert_same(found, gs.train(MODEL, 5, **call))
    mixed = json.loads(found.attrs["gradsim_provenance"])["mixed"]
    assert [maker["cpu"] == "another" for maker in mixed] == [False, True]


# extend


def test_extend__gives_the_bits_of_one_run(finished, whole, tmp_path):
    more = run(100)
    assert_same(gs.extend(finished, 100, progress=False), more)
    assert_same(gs.load(finished), more)
    path = tmp_path / "run.nc"
    gs.save(whole, path)
    assert_same(gs.extend(path, 100, progress=False), more)
    assert_same(gs.load(path), more)
    assert_same(gs.extend(path, 50), more)
    assert os.listdir(tmp_path).count("run.nc.extend") == 0
    gs.extend(path, [200, 7], progress=False)
    assert gs.load(path).seed.values.tolist() == [*range(100), 200]


def test_extend__of_a_file_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    path, before = tmp_path / "run.nc", run(10)
    gs.save(before, path)
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        gs.extend(path, SEEDS, progress=False)
    assert_same(gs.load(path), before)
    assert len(os.listdir(tmp_path / "run.nc.extend" / "parts")) == 1
    monkeypatch.undo()
    assert_same(gs.extend(path, 100, progress=False), run(100))


def test_extend__refuses_what_it_cannot_make_again(tmp_path, monkeypatch):
    path, ds = tmp_path / "run.nc", run(4)
    provenance = json.loads(ds.attrs["gradsim_provenance"]) | {"kernel_hash": "1" * 64}
    gs.save(ds.assign_attrs(gradsim_provenance=json.dumps(provenance)), path)
    with pytest.raises(ValueError, match="made by other kernels: kernel_hash: stored '1111"):
        gs.extend(path, 8)
    config = json.loads(ds.attrs["gradsim_config"])
    config["cells"] = {"dense": "another"}
    gs.save(ds.assign_attrs(gradsim_config=json.dumps(config)), path)
    with pytest.raises(ValueError, match=r"cannot be made again as it was: cells: stored {'dense'"):
        gs.extend(path, 8)
    gs.save(ds.assign_attrs(gradsim_config='{"seeds": {"range": [0, 4]}}'), path)
    with pytest.raises(ValueError, match=r"gradsim.train or a study .*got {'seeds"):
        gs.extend(path, 8)


# verify


CALLS = {
    "vary": {},
    "each": {"inputs": np.ones((2, 4)), "targets": np.eye(4)[:2], "batch": "each"},
    "large": {"inputs": np.sin(np.arange(80_000.0)).reshape(-1, 4), "vary": None},
    "float32": {"dtype": "float32", "measure": gs.measurements.gradient(total=False)},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_verify__finds_the_bits_that_are_stored(tmp_path, folder, call):
    gs.save(run(6, **call), tmp_path / "run.nc")
    assert gs.verify(tmp_path / "run.nc", 3) == gs.verify(tmp_path / "run.nc", 3, threads=1)
    verified = gs.verify(tmp_path / "run.nc", 9)
    assert verified.seeds == tuple(range(6))
    assert verified.exact
    assert verified.largest == {}
    run(3, store=folder, **call)
    assert_same(gs.extend(folder, 6, progress=False), run(6, **call))


def test_verify__a_network_of_arrays(tmp_path):
    for width in (5, 300):  # the larger one does not fit into the configuration
        net = gs.network(gs.MLP(depth=2, width=width), seed=3)
        gs.save(gs.simulate(net, seeds=4), tmp_path / "run.nc")
        assert gs.verify(tmp_path / "run.nc", 2).exact


def test_verify__names_a_network_that_differs(tmp_path, whole):
    other = whole.copy(deep=True)
    other["z_mean_square"][0, 79, 1] *= 1 + 1e-15
    gs.save(other, tmp_path / "run.nc")
    with pytest.raises(gs.VerificationError, match=r"z_mean_square of seed 79 is .*same software"):
        gs.verify(tmp_path / "run.nc")


def test_verify__takes_tolerances_where_another_machine_made_it(tmp_path, whole):
    other = whole.copy(deep=True)
    provenance = json.loads(other.attrs["gradsim_provenance"]) | {"cpu": "another"}
    other.attrs["gradsim_provenance"] = json.dumps(provenance)
    other["log10_loss"][0, 0] += 1e-12
    gs.save(other, tmp_path / "run.nc")
    verified = gs.verify(tmp_path / "run.nc")
    assert not verified.exact
    assert verified.largest["log10_loss"] == pytest.approx(1e-12, rel=1e-3)
    other["log10_loss"][0, 0] += 1e-8
    gs.save(other, tmp_path / "run.nc")
    with pytest.raises(gs.VerificationError, match=r"log10_loss of seed 0 .* beyond the tolerance"):
        gs.verify(tmp_path / "run.nc")


def test_verify__allows_a_chaotic_network_what_one_ulp_does(tmp_path):
    call = {"inputs": np.sin(np.arange(64.0)).reshape(1, 64)}
    model = gs.MLP(depth=60, width=64, sigma_w=4.0)
    ds = gs.simulate(model, 1, **call)
    moved = gs.simulate(model, 1, inputs=call["inputs"] * (1 - 2.0**-53))
    change = float(np.abs(ds.log10_delta_norm - moved.log10_delta_norm).max())
    assert change > 1e-9  # far beyond what a network that is not chaotic may differ by
    provenance = json.loads(ds.attrs["gradsim_provenance"]) | {"cpu": "another"}
    moved.attrs = ds.attrs | {"gradsim_provenance": json.dumps(provenance)}
    gs.save(moved, tmp_path / "run.nc")
    assert gs.verify(tmp_path / "run.nc").largest["log10_delta_norm"] == pytest.approx(change)


# Training


TRAINED = {
    "learning_rate": [0.1, 0.2, 0.3], "steps": 4, "clip": 1.0, "batch_size": 2, "keep": True,
    "inputs": np.sin(np.arange(40.0)).reshape(10, 4),
    "vary": {"activation": ["tanh", "relu"], "optimizer": ["sgd", "rmsprop"]}, "progress": False,
}  # fmt: skip
LARGE = {"inputs": np.sin(np.arange(80_000.0)).reshape(-1, 4), "vary": {}, "batch_size": 3}
RATE = {"learning_rate": 0.1, "steps": 2}


ONE = {"inputs": 1, "batch_size": None}


@pytest.mark.parametrize("call", [{}, LARGE, ONE], ids=["given", "large", "one"])
def test_train__is_verified_and_extended_like_a_simulation(tmp_path, call):
    path, call = tmp_path / "run.nc", TRAINED | call
    gs.save(gs.train(MODEL, 3, **call), path)
    verified = gs.verify(path, 2)
    assert (verified.seeds, verified.exact, verified.largest) == ((0, 2), True, {})
    more = gs.train(MODEL, 5, **call)
    assert_same(gs.extend(path, 5, progress=False), more)
    assert_same(gs.load(path), more)


def test_train__of_a_network_of_arrays_is_verified(tmp_path):
    gs.save(gs.train(gs.network(MODEL, 7, inputs=3), 2, **RATE), tmp_path / "run.nc")
    assert gs.verify(tmp_path / "run.nc").exact


def test_train__goes_on_in_its_store(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(_training, "MOST_SEEDS", 2)
    whole, (write, count) = gs.train(MODEL, 5, **TRAINED), (Writer.add, [])

    def add(self, places, ds):
        count.append(places)
        if len(count) == 3:
            raise KeyboardInterrupt
        write(self, places, ds)

    monkeypatch.setattr(Writer, "add", add)
    with pytest.raises(KeyboardInterrupt):
        gs.train(MODEL, 5, store=folder, **TRAINED)
    assert_same(gs.train(MODEL, 5, store=folder, **TRAINED), whole)
    assert [(part.start, part.stop) for part in count] == [(0, 2), (2, 4), (4, 5), (4, 5)]
    assert gs.verify(folder, 5).exact
    with pytest.raises(ValueError, match=r"holds another run: train.steps: stored 4, now 5"):
        gs.train(MODEL, 5, store=folder, **TRAINED | {"steps": 5})


def test_verify__names_a_training_that_differs(tmp_path):
    path, ds = tmp_path / "run.nc", gs.train(MODEL, 3, **TRAINED)
    ds["final_parameter"][0, 1, 2, 5] *= 1 + 1e-15
    gs.save(ds, path)
    with pytest.raises(gs.VerificationError, match=r"final_parameter of seed 2 .*same software"):
        gs.verify(path)
    provenance = json.loads(ds.attrs["gradsim_provenance"]) | {"cpu": "another"}
    ds.attrs["gradsim_provenance"] = json.dumps(provenance)
    gs.save(ds, path)
    assert 0 < gs.verify(path).largest["final_parameter"] < 1e-14
    ds["log10_loss"][1, 0, 1, 3] += 1e-6
    gs.save(ds, path)
    with pytest.raises(gs.VerificationError, match=r"log10_loss of seed 1 .*beyond the toler"):
        gs.verify(path)


# load


def test_load__lazily_in_dask_chunks(finished, whole, tmp_path):
    pytest.importorskip("dask")
    lazy = gs.load(finished, lazy=True)
    assert lazy.log10_delta_norm.chunks[1] == (32, 32, 16)
    assert_same(lazy.compute(), whole)
    gs.save(whole, tmp_path / "run.nc")
    with gs.load(tmp_path / "run.nc", lazy="dask") as ds:
        assert ds.log10_delta_norm.chunks is not None
        assert_same(ds.compute(), whole)
    with pytest.raises(ValueError, match="lazy must be False, True or 'dask'"):
        gs.load(finished, lazy="yes")


# Studies


def test_study__goes_on_where_it_was_stopped(folder):
    from gradsim.studies import bound
    from gradsim.studies._parts import measured

    calls = []

    def measure(seeds, threads):
        calls.append(list(seeds))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return bound.measure(seeds, threads)

    with pytest.raises(KeyboardInterrupt):
        measured("bound", measure, 5, None, folder, 2)
    found = measured("bound", measure, 5, None, folder, 2)
    assert calls == [[0, 1], [2, 3], [2, 3], [4]]
    whole = bound.measure(5, None)
    xr.testing.assert_identical(found.drop_attrs(deep=False), whole.drop_attrs(deep=False))
    with pytest.raises(ValueError, match="the folder holds another run: study: stored 'bound'"):
        measured("other", measure, 5, None, folder, 2)


def test_study__its_file_is_verified_and_its_folder_extended(folder, tmp_path):
    from gradsim.studies.bound import STUDY

    ds = STUDY.run(4, out=tmp_path, store=folder)
    path = tmp_path / "bound.nc"
    verified = gs.verify(path, 2)
    assert (verified.seeds, verified.exact, verified.largest) == ((0, 3), True, {})
    assert gs.verify(folder, 1).exact
    gs.extend(folder, 6, progress=False)
    more = STUDY.run(6, store=folder)
    xr.testing.assert_identical(more.drop_attrs(deep=False), STUDY.run(6).drop_attrs(deep=False))
    for call in (lambda: gs.extend(path, 6), lambda: gs.merge([path])):
        with pytest.raises(ValueError, match=r"study 'bound', whose estimates and verdict are of"):
            call()
    name = next(name for name in ds.data_vars if "seed" in ds[name].dims)
    wrong = ds.copy(deep=True)
    wrong[name][{"seed": 0}] += 1e-6
    gs.save(wrong, path)
    with pytest.raises(gs.VerificationError, match=f"{name} of seed 0 is "):
        gs.verify(path, 2)
    config = json.loads(ds.attrs["gradsim_config"])
    for change, message in (
        ({"source": "0" * 64}, "study 'bound' has changed since"),
        ({"study": "_parts"}, "no study '_parts'"),
        ({"study": "os.path"}, "no study 'os.path'"),
    ):
        gs.save(ds.assign_attrs(gradsim_config=json.dumps(config | change)), path)
        with pytest.raises(ValueError, match=message):
            gs.verify(path, 2)
