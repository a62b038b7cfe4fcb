"""What all tests share: compiled kernels, quick references and figures that are drawn nowhere."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

COMPILE = """
import sys
import gradsim as gs
dtype, measure = sys.argv[1], sys.argv[2:]
gs.simulate(gs.MLP(depth=2, width=2), 1, inputs=2, measure=measure, dtype=dtype, progress=False)
"""
QUICK = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
FUSED = "--xla_cpu_use_fusion_emitters=false"  # XLA aborts on a flag that it does not know
KNOWN = ("0.10.",)  # versions of JAX with that flag
LONG = (  # files of more than 10 s, which go first: the last file that is begun bounds the end
    "test_agreement", "test_cluster", "test_combinations", "test_exact_laws", "test_faults",
    "test_package", "test_range", "test_reference_table", "test_studies", "test_tape",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("MPLBACKEND", "agg")
    # JAX compiles thousands of small functions, each run a few times: compiling is what takes time.
    known = importlib.metadata.version("jax").startswith(KNOWN)
    os.environ.setdefault("XLA_FLAGS", " ".join([*QUICK, *[FUSED] * known]))
    config.option.loadscopereorder = False  # of pytest-xdist: by the number of tests in a file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_sessionstart(session: pytest.Session) -> None:
    # Workers that met a cold cache together would each compile every kernel.
    if not getattr(session.config.option, "numprocesses", None):
        return
    import gradsim as gs

    for dtype in ("float64", "float32"):  # on two processors each
        gs.simulate(gs.MLP(depth=2, width=2), 1, dtype=dtype, progress=False)
    if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:  # the whole suite
        command = [sys.executable, "-c", COMPILE]
        both = [subprocess.Popen([*command, d, *gs.measurements]) for d in ("float64", "float32")]
        assert [process.wait() for process in both] == [0, 0], "kernels do not compile"


@pytest.fixture
def ax():
    """Axes of a figure that is not pyplot's."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").add_subplot()


@pytest.fixture(autouse=True)
def _closed():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
