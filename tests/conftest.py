"""The tests run in several processes, which read the kernels that this one has compiled."""

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    # Workers that met a cold cache together would each compile every kernel.
    if getattr(session.config.option, "numprocesses", None):
        import gradsim as gs

        for dtype in ("float64", "float32"):
            gs.simulate(gs.MLP(depth=2, width=2), 1, dtype=dtype, progress=False)
