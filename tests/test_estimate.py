"""What a run takes, said beforehand: exact where it can be, else compared with what is measured."""

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gradsim as gs
from gradsim import estimate as _  # noqa: F401  (the function hides its module)
from gradsim._storing import Line

MODULE = sys.modules["gradsim.estimate"]
LINE = Line(2.0, 1e-3)
MLP, RNN = gs.MLP(depth=6, width=12), gs.RNN(steps=7, width=8, sigma_u=1.0)
CASES = [
    (MLP, {"seeds": 20}),
    (MLP, {"seeds": 30, "vary": {"width": [4, 8], "depth": [2, 6]}, "measure": "signal"}),
    (MLP, {"seeds": 5, "inputs": 4, "batch": "each", "measure": ["gradient", "bounds"]}),
    (MLP, {"seeds": 4, "measure": gs.measurements.jacobian(layers=[1, 3], k=2)}),
    (RNN, {"seeds": 6, "vary": {"cell": ["vanilla", "lstm"]}, "dtype": "float32"}),
    (gs.network(MLP, 3), {}),
]


def test_estimate__takes_the_arguments_of_simulate():
    ours, theirs = (inspect.signature(f).parameters for f in (gs.estimate, gs.simulate))
    assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}


@pytest.mark.parametrize(("model", "given"), CASES)
def test_estimate__result_bytes_are_those_of_the_result(model, given):
    found = gs.estimate(model, **given)
    ds = gs.simulate(model, **given, progress=False)
    assert found.result_bytes == sum(variable.nbytes for variable in ds.data_vars.values())
    assert found.peak_bytes > found.run_bytes > found.result_bytes
    assert found.seconds > 0


@pytest.mark.parametrize(("model", "given"), CASES)
def test_simulate__refuses_on_the_estimate(model, given):
    most = gs.estimate(model, **given, threads=1).run_bytes
    gs.simulate(model, **given, threads=1, memory_limit=most, progress=False)
    with pytest.raises(MemoryError, match="result"):
        gs.simulate(model, **given, threads=1, memory_limit=most - 1, progress=False)


def test_estimate__of_what_does_not_fit_and_would_take_years():
    begin = time.perf_counter()
    few, many = gs.estimate(MLP, 1000, threads=3), gs.estimate(MLP, 10**15, threads=3)
    assert time.perf_counter() - begin < 60
    assert many.result_bytes == few.result_bytes * 10**12
    assert many.seconds > 10**6
    assert (few.threads, many.threads) == (3, 1)
    assert "result_bytes=" in repr(many)
    assert "GB" in repr(many)


def test_estimate__a_long_network_is_stopped_on_its_way(monkeypatch):
    model = gs.MLP(depth=600, width=256)
    gs.simulate(model, 1, progress=False)  # compiles
    begin = time.perf_counter()
    gs.simulate(model, 1, progress=False)
    measured = time.perf_counter() - begin
    stopped = []
    monkeypatch.setattr(MODULE, "NETWORK_SECONDS", measured / 8)
    monkeypatch.setattr(MODULE._pool, "POLL_SECONDS", measured / 30)
    monkeypatch.setattr(MODULE._Stopped, "__init__", lambda self: stopped.append(1))
    assert measured / 6 < gs.estimate(model, 1).seconds < 6 * measured
    assert stopped


def test_estimate__counts_what_a_store_takes(tmp_path, monkeypatch):
    model, count, seconds = gs.MLP(depth=60, width=4), 20_000, 100.0
    call = {"seeds": count, "threads": 1, "store": tmp_path / "run"}
    monkeypatch.setattr(MODULE, "_run_seconds", lambda work: seconds)
    gs.estimate(model, **call)  # imports, which an estimate counts
    plain, kept = gs.estimate(model, count, threads=1), gs.estimate(model, **call)
    spilled = gs.estimate(model, **call, memory_limit=30_000_000)
    assert plain.seconds < kept.seconds < spilled.seconds
    begin = time.perf_counter()
    gs.simulate(model, **call | {"seeds": 4000}, progress=False)
    found = time.perf_counter() - begin
    assert spilled.seconds - seconds < 100 * found  # the scale, on a machine that does other things
    gs.extend(tmp_path / "run", 5000, progress=False)
    monkeypatch.setattr(
        MODULE.Storing, "measured", lambda work, each: MODULE.Storing(LINE, LINE, LINE)
    )
    with pytest.raises(ValueError, match=r"another run: seeds.range: stored \[0, 5000\], now"):
        gs.estimate(model, **call)
    done = gs.estimate(model, **call | {"seeds": 5000})
    assert done.seconds == pytest.approx(LINE.of(5000, 1), abs=1.0)


def test_estimate__refuses_what_simulate_refuses():
    for given in ({"seeds": 0}, {"seeds": 2, "batch": "all"}, {"seeds": 2, "measure": "absent"}):
        errors = []
        for call in (gs.simulate, gs.estimate):
            with pytest.raises(ValueError, match=r".") as caught:
                call(MLP, **given)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    with pytest.raises(MemoryError, match="network"):
        gs.estimate(MLP, 1, memory_limit=8000)


PEAK = """
import json, re, time
from pathlib import Path
import gradsim as gs
call = {"model": gs.MLP(depth=400, width=4), "seeds": 1500, "threads": 2}
found = gs.estimate(**call)
Path("/proc/self/clear_refs").write_text("5")  # forget the largest so far
begin = time.perf_counter()
ds = gs.simulate(**call)
seconds = time.perf_counter() - begin
text = Path("/proc/self/status").read_text()
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", text)[1])
print(json.dumps([found.peak_bytes / peak, found.seconds / seconds, peak]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_estimate__peak_and_seconds_are_what_is_measured():
    out = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    peak, seconds, measured = json.loads(out.stdout)
    assert 1 / 1.5 < peak < 1.5, measured
    assert 1 / 5 < seconds < 5  # on a machine that may do other things; benchmarks have it closer


def test_plan__prints_the_rows_of_the_guide():
    home = Path(__file__).parents[1]
    if not (home / "docs").is_dir():
        pytest.skip("needs the repository")
    code = "from benchmarks.plan import facts; print(*facts(10**6, 10, 4), sep='\\n')"
    made = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-2000:]
    text = (home / "docs" / "long_runs.md").read_text(encoding="utf-8")
    rows = text.partition("| what | figure |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == made.stdout.splitlines()
