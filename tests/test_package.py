"""What holds for the package as a whole: imports, compiler options, cache, interrupts, memory."""

import ast
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numba
import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim import _pool, kernels
from gradsim.kernels import _jit

HOME = Path(gs.__file__).parent
KERNELS = Path(kernels.__file__).parent
JIT = not numba.config.DISABLE_JIT
LATENCY = 0.5  # seconds from Ctrl-C to KeyboardInterrupt

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's accounts")
compiled = pytest.mark.skipif(not JIT, reason="needs compiled kernels")


def child(code, *arguments, **options):
    """Run Python code in another process that finds this gradsim."""
    environment = {**os.environ, "PYTHONPATH": str(HOME.parent)} | options.pop("env", {})
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=300, **options,
    )  # fmt: skip


# Imports ----------------------------------------------------------------------------------------


def sources():
    """Module name and syntax tree of every file of the package."""
    for folder, _, files in os.walk(HOME, followlinks=True):
        for path in sorted(Path(folder, file) for file in files if file.endswith(".py")):
            parts = path.relative_to(HOME.parent).with_suffix("").parts
            yield parts, ast.parse(path.read_text(encoding="utf-8"))


def imported(parts, tree):
    """Full names of all that a module imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(parts[: -node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)


def test_imports__neither_kernels_nor_studies_are_top_level():
    code = """
    import sys
    import gradsim as gs
    import gradsim.studies
    from gradsim.kernels import engine
    gs.network(gs.MLP(depth=2, width=3), 0)
    print(sorted(name for name in sys.modules if name.split(".")[0] in ("kernels", "studies")))
    print("gradsim.kernels" in sys.modules, "gradsim.studies" in sys.modules)
    """
    out = child(code, cwd=HOME.parent)
    assert out.stdout.split("\n")[:2] == ["[]", "True True"], out.stderr


def test_imports__source_lists_are_complete():
    names = {parts[1:] for parts, _ in sources()}
    assert {("simulate",), ("theory", "mean_field"), ("kernels", "engine")} <= names
    assert ("studies", "depth_profile") in names


def test_imports__point_one_way():
    for parts, tree in sources():
        found = list(imported(parts, tree))
        assert not [n for n in found if n.split(".")[0] in ("kernels", "studies")], parts
        if parts[1] != "studies":
            assert not [n for n in found if n.startswith("gradsim.studies")], parts


def test_imports__kernels_import_only_numba_and_numpy():
    allowed = {"numba", "numpy", "llvmlite", *sys.stdlib_module_names}
    for parts, tree in sources():
        if parts[1] == "kernels":
            for name in imported(parts, tree):
                assert name.startswith("gradsim.kernels") or name.split(".")[0] in allowed, name


def test_requirements__of_a_test_run_leave_pytorch_out():
    path = HOME.parent / "pyproject.toml"
    if not path.exists():
        pytest.skip("needs the repository")
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["lint"], *extras["data"]]
    assert not [name for name in wanted if name.startswith("torch")]


# Compiler options -------------------------------------------------------------------------------


def names_used(tree):
    """Every name, attribute and imported name of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def test_options__one_module_compiles():
    for parts, tree in sources():
        makers = {"njit", "vectorize", "guvectorize", "cfunc", "generated_jit", "stencil"}
        if parts != ("gradsim", "kernels", "_jit"):
            assert not makers & set(names_used(tree)), parts
            assert "numba.jit" not in imported(parts, tree), parts


def test_options__no_unsafe_mathematics_and_no_threads():
    for parts, tree in sources():
        used = set(names_used(tree))
        assert "prange" not in used, parts
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel"):
                assert not (isinstance(node.value, ast.Constant) and node.value.value), parts


def test_options__kernels_have_no_generator_of_numpy():
    for parts, tree in sources():
        if parts[1] == "kernels":
            assert not [n for n in imported(parts, tree) if n.startswith("numpy.random")], parts
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr == "random":
                    assert not isinstance(node.value, ast.Name), parts


@compiled
def test_options__every_kernel_keeps_nan_and_releases_the_lock():
    for name, function in kernel_functions():
        options = function.targetoptions
        assert options["nogil"], name
        assert options["error_model"] == "numpy", name
        assert "fastmath" not in options, name


def kernel_functions():
    """Name and dispatcher of every compiled function of the kernels."""
    found = []
    for path in sorted(KERNELS.glob("*.py")):
        module = __import__(f"gradsim.kernels.{path.stem}", fromlist=["*"])
        for name, value in vars(module).items():
            if hasattr(value, "targetoptions") and hasattr(value, "py_func"):
                found.append((f"{path.stem}.{name}", value))
    assert len(found) > 50
    return found


# Cache ------------------------------------------------------------------------------------------

TINY = {
    "__init__.py": "",
    "helper.py": """
        from ._jit import jit

        @jit(inline=True)
        def answer(x):
            return 12 * x
        """,
    "run.py": """
        from ._jit import jit
        from .helper import answer

        @jit
        def run(x):
            return answer(x)
        """,
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A package of two small kernels with a cache of its own, and a way to start it afresh."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    shutil.copy(KERNELS / "_jit.py", folder)
    for name, text in TINY.items():
        (folder / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    def start():
        for name in [name for name in sys.modules if name.split(".")[0] == "tiny"]:
            monkeypatch.delitem(sys.modules, name)
        from tiny.run import run

        return run

    start.folder = folder
    start.cache = folder / "__pycache__"
    yield start
    for name in [name for name in sys.modules if name.split(".")[0] == "tiny"]:
        del sys.modules[name]


def hits(function):
    """How often a function was read from the cache."""
    return sum(function.stats.cache_hits.values())


@compiled
def test_cache__second_start_reads_it(tiny):
    first = tiny()
    assert first(1) == 12
    assert hits(first) == 0
    second = tiny()
    assert second(1) == 12
    assert hits(second) == 1


@compiled
def test_cache__an_edit_of_a_called_file_is_seen(tiny):
    first = tiny()
    assert first(1) == 12
    helper = tiny.folder / "helper.py"
    helper.write_text(helper.read_text().replace("12", "42"))
    second = tiny()
    assert second(1) == 42
    assert hits(second) == 0
    assert first.py_func.__qualname__ != second.py_func.__qualname__


@compiled
def test_cache__every_cached_kernel_carries_the_hash_of_all_sources():
    assert re.fullmatch("[0-9a-f]{64}", _jit.KERNEL_HASH)
    for name, function in kernel_functions():
        assert function.py_func.__qualname__.endswith(f".{_jit.KERNEL_HASH[:16]}"), name


def test_cache__hash_depends_on_every_source_and_name(tiny):
    def digest():
        tiny()
        return sys.modules["tiny._jit"].KERNEL_HASH

    seen = {digest()}
    (tiny.folder / "new.py").write_text("")
    seen.add(digest())
    (tiny.folder / "new.py").rename(tiny.folder / "newer.py")
    seen.add(digest())
    (tiny.folder / "newer.py").write_text("x = 1\n")
    seen.add(digest())
    assert len(seen) == 4


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "noise": lambda data: np.random.default_rng(1).bytes(len(data)),
    "pickle": lambda data: b"cno_such_module\nname\n.",
}


@compiled
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_cache__damaged_entry_is_compiled_anew(tiny, ending, kind):
    assert tiny()(1) == 12
    for path in tiny.cache.glob(f"*{ending}"):
        path.write_bytes(DAMAGE[kind](path.read_bytes()))
    assert tiny()(1) == 12
    mended = tiny()
    assert mended(1) == 12
    assert hits(mended) == 1


@compiled
def test_cache__entry_of_another_type_is_not_run(tiny):
    """Two processes that fill one cache at once can leave an entry under the other's type."""
    first = tiny()
    assert first(1) == 12
    assert first(0.5) == 6.0
    one, two = sorted(tiny.cache.glob("*.nbc"))
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    code = "from tiny.run import run; print(run(1), run(0.5))"
    out = child(code, env={"PYTHONPATH": str(tiny.folder.parent), "NUMBA_CACHE_DIR": None})
    assert out.stdout.split() == ["12", "6.0"], out.stderr


@compiled
def test_cache__without_a_folder_kernels_run_uncached(tiny):
    for path in [tiny.cache, tiny.cache.parent / "home"]:
        path.write_text("a file where a folder would be")
    home = str(tiny.cache.parent / "home")
    code = "from tiny.run import run; print(run(1), run(0.5))"
    for folder in (None, home):
        out = child(
            code,
            env={
                "PYTHONPATH": str(tiny.folder.parent), "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": home, "XDG_CACHE_HOME": home, "NUMBA_CACHE_DIR": folder,
            },
        )  # fmt: skip
        assert out.stdout.split() == ["12", "6.0"], out.stderr


@compiled
def test_cache__folder_that_vanishes_costs_nothing_but_time(tiny):
    run = tiny()
    shutil.rmtree(tiny.cache)
    tiny.cache.write_text("a file where a folder would be")
    assert run(1) == 12


# Ctrl-C -----------------------------------------------------------------------------------------

INTERRUPTED = """
import json, os, signal, sys, threading, time
import gradsim as gs
from gradsim import _pool, _train_engine

crew = []

class Watched(_pool.Worker):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        crew.append(self)

_pool.Worker = _train_engine.Worker = Watched
gs.simulate(gs.MLP(depth=2, width=3), 1, progress=False)  # from here on the kernels are loaded

def interrupt(ticks):
    while sum(worker.ticks for worker in crew) < ticks:
        time.sleep(0.002)
    time.sleep(0.05)
    global sent
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

for call, ticks in json.loads(sys.argv[1]):
    crew.clear()
    threading.Thread(target=interrupt, args=[ticks], daemon=True).start()
    try:
        eval(call)
        print(json.dumps(["finished", []]))
    except KeyboardInterrupt:
        seconds = time.monotonic() - sent
        left = [t.name for t in threading.enumerate() if t.name.startswith("gradsim")]
        print(json.dumps([seconds, left]))
raise KeyboardInterrupt
"""
BUSY = {  # a call, and the layers that are done when Ctrl-C comes
    "huge, forward": ("gs.simulate(gs.MLP(depth=60, width=6000), 1)", 2),
    "huge, backward": ("gs.simulate(gs.MLP(depth=3, width=6000), 1)", 5),
    "many seeds": ("gs.simulate(gs.MLP(depth=50, width=64), 30_000)", 1000),
    "many conditions": (
        "gs.simulate(gs.MLP(depth=20, width=500), 10,"
        " vary={'sigma_w': [0.001 * (k + 1) for k in range(1000)]})",
        25,
    ),
    "many examples": ("gs.simulate(gs.MLP(depth=3, width=3000), 1, inputs=1600)", 5),
    "tied": ("gs.simulate(gs.RNN(steps=1000, width=3000), 1)", 2),
    "training": (
        "gs.train(gs.MLP(depth=20, width=300), 9, learning_rate=0.1, steps=10_000, inputs=9)",
        200,
    ),
    "singular values": ("gs.simulate(gs.MLP(depth=2, width=1500), 1, measure='jacobian')", 4),
}


@pytest.fixture(scope="module")
def interrupted():
    """Seconds from Ctrl-C to KeyboardInterrupt, and threads left, of every busy run."""
    return interrupt(BUSY)


def interrupt(names):
    out = child(INTERRUPTED, json.dumps([BUSY[name] for name in names]))
    assert out.returncode == -signal.SIGINT, out.stderr
    return dict(zip(names, map(json.loads, out.stdout.splitlines())))


@compiled
@pytest.mark.parametrize("name", BUSY)
def test_interrupt__ends_any_run_at_once(interrupted, name):
    seconds, left = interrupted[name]
    for _ in range(5):  # other programs may have held the processors
        if seconds != "finished" and seconds >= LATENCY:
            seconds, left = interrupt([name])[name]
    assert not left
    assert seconds != "finished"
    assert seconds < LATENCY


@compiled
def test_interrupt__leaves_a_session_that_can_go_on(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    model = gs.MLP(depth=4, width=8)
    expected = gs.simulate(model, 300, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(_pool, "CHUNK_SECONDS", 0.0)
        patch.setattr(_pool.Bar, "show", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gs.simulate(model, 300, progress=False)
    again = gs.simulate(model, 300, progress=False)
    assert again.drop_attrs().identical(expected.drop_attrs())


# Progress ---------------------------------------------------------------------------------------


class Screen(io.StringIO):
    """Standard error that is, or is not, a terminal."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "after", "progress", "shown"),
    [
        (False, 0.0, None, False),
        (True, 0.0, None, True),
        (True, 1e9, None, False),
        (True, 0.0, False, False),
        (False, 1e9, True, True),
    ],
)
def test_progress__is_silent_off_a_terminal_and_in_short_runs(
    terminal, after, progress, shown, monkeypatch, capfd
):
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(_pool, "BAR_AFTER_SECONDS", after)
    gs.simulate(gs.MLP(depth=2, width=3), 50, measure="signal", progress=progress)
    text = screen.getvalue()
    assert bool(text) == shown
    assert ("100%" in text) == shown
    assert capfd.readouterr() == ("", "")


@linux
def test_progress__shows_on_a_terminal():
    import pty
    import termios

    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    code = """
        import gradsim as gs
        from gradsim import _pool
        _pool.BAR_AFTER_SECONDS = 0.0
        gs.simulate(gs.MLP(depth=5, width=8), 2000)
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
        env={**os.environ, "PYTHONPATH": str(HOME.parent)},
    )  # fmt: skip
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 4096):
            text += piece
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(master)
    assert process.communicate()[0] == b""
    assert process.returncode == 0
    assert b"gradsim" in text
    assert b"100%" in text


# Memory -----------------------------------------------------------------------------------------

PEAK = """
import json, re, sys
from pathlib import Path
import gradsim as gs
for call in sys.argv[1:]:
    ds = eval(call)
    text = Path("/proc/self/status").read_text()  # ru_maxrss would start with the parent's
    print(json.dumps([1024 * int(re.search(r"VmHWM:\\s+(\\d+)", text)[1]), ds.nbytes]))
"""


def peaks(*calls):
    """Largest memory of a fresh process so far, and the size of the result, after each call."""
    out = child(PEAK, *calls)
    assert out.returncode == 0, out.stderr
    return list(map(json.loads, out.stdout.splitlines()))


@linux
@compiled
@pytest.mark.parametrize(
    "call",
    [
        "gs.simulate(gs.MLP(depth=3, width=100), {}, progress=False)",
        "gs.simulate(gs.RNN(steps=20, width=40, sigma_u=1.0), {}, inputs=4, progress=False)",
    ],
)
def test_memory__does_not_grow_with_the_number_of_networks(call):
    (few, _), (many, size) = peaks(call.format(50), call.format(5000))
    assert many - few < 3 * size + 20e6


@linux
@compiled
def test_memory__a_large_network_fits_into_a_gigabyte():
    small = "gs.simulate(gs.MLP(depth=2, width=3), 1, progress=False)"
    (least, _), (most, _) = peaks(small, "gs.simulate(gs.MLP(depth=6, width=4096), 1)")
    assert most < 1e9
    assert most - least < 0.5e9


# Files ------------------------------------------------------------------------------------------

WORDS = xr.DataArray(
    np.ones((2, 5)), dims=("example", "feature"), coords={"word": ("example", ["a", "bc"])}
)
RUNS = {
    "mlp": lambda: gs.simulate(
        gs.MLP(width=5, depth=30, activation="relu"), [0, 2**64 - 1], inputs=WORDS, batch="each",
        vary={"output": [None, "tanh"], "depth": [3, 30]}, measure=["gradient", "signal"],
    ),
    "rnn": lambda: gs.simulate(
        gs.RNN(width=4, sigma_u=0.5), 3, vary={"tied": [True, False], "steps": [2, 5]},
        dtype="float32",
    ),
    "signal": lambda: gs.simulate(gs.MLP(width=(2, 3, 4)), [9], measure="signal"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_file__of_a_run_comes_back_unchanged(name, tmp_path):
    ds = RUNS[name]()
    gs.save(ds, tmp_path / "run.nc")
    back = gs.load(tmp_path / "run.nc")
    assert back.identical(ds)
    assert {n: v.dtype for n, v in back.variables.items()} == {
        n: v.dtype for n, v in ds.variables.items()
    }
    assert {n: list(v.attrs.items()) for n, v in back.variables.items()} == {
        n: list(v.attrs.items()) for n, v in ds.variables.items()
    }


@pytest.mark.parametrize("name", RUNS)
def test_file__of_a_run_opens_in_plain_xarray(name, tmp_path):
    ds = RUNS[name]()
    gs.save(ds, tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc") as plain:
        assert plain.equals(ds)
        assert plain.attrs == ds.attrs
        assert plain.sizes == ds.sizes
        if "status" in ds:
            assert (plain.status.dtype, plain.status_layer.dtype) == (np.int8, np.int32)
