"""The thread pool: what a first run finds."""

import json
import subprocess
import sys

CODE = """
import json, sys
sys.path[:] = sys.argv[1:]
import gradsim as gs
from gradsim import _pool
from threadpoolctl import threadpool_info
run, found = _pool.run_pass, []
def record(*arguments):
    run(*arguments)
    found.extend((i["filepath"], i["num_threads"]) for i in threadpool_info()
                 if i["user_api"] == "blas")
_pool.run_pass = record
gs.simulate(gs.MLP(depth=2, width=3), 1, progress=False)
print(json.dumps(found))
"""


def test_run__the_first_one_holds_every_blas_to_one_thread_too():
    """SciPy's BLAS, which Numba calls, would else be loaded within the run, with threads."""
    made = subprocess.run(
        [sys.executable, "-c", CODE, *sys.path], capture_output=True, text=True, check=True
    )
    found = dict(json.loads(made.stdout))
    assert any("scipy" in path for path in found)
    assert set(found.values()) == {1}, found
