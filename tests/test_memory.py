"""What a call says it takes in memory, before anything is made, beside what is then made."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim._memory import pass_bytes
from gradsim.examples import Inputs
from gradsim.measurements import parse
from gradsim.plan import Options, build
from gradsim.workspace import results_bytes, work_bytes

MODELS = [
    gs.MLP(depth=40, width=8),
    gs.MLP(width=(12, *[8] * 30, 9), norm="layer", norm_eps=0.1),
    gs.MLP(depth=6, width=8, cell="residual", output_width=3),
    gs.RNN(steps=30, width=8, cell="lstm"),
    gs.RNN(steps=30, width=8, tied=False),
]


@pytest.mark.parametrize("measure", ["gradient", "partials", "correlation", "curvature"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{type(m).__name__}-{m.cell}")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_pass_bytes__is_at_most_what_a_pass_takes_and_near_it(model, measure, dtype):
    model = model.with_fields(
        **{name: model.width for name in ("input_width", "output_width")
           if isinstance(model.width, int) and getattr(model, name, 0) is None}
    )  # fmt: skip
    specs = tuple((spec, gs.measurements[spec.name].reduction) for spec in parse([measure]))
    taken = tuple((spec, kind) for spec, kind in specs if kind is not None)
    count, options = 64, Options(np.dtype(dtype), False, True, False, False, measures=taken)
    (item,) = build((model,), Inputs(count), None, options, None)
    own = sum(array.nbytes for part in item.reductions for array in part.scratch())
    own += sum(8 * math.prod(part.shape(1)) for part in item.reductions)
    made = work_bytes(item) - own + results_bytes(item)
    least = pass_bytes(model, count, options, False)
    assert 0.3 * made < least <= made
