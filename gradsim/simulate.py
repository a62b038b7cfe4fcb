"""`simulate`: the one entry point, from a model and seeds to a labelled Dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gradsim import _own
from gradsim._cluster import Remote
from gradsim._config import array_text, compact, given_arrays, input_coords, stored_arrays
from gradsim._stored import run_stored
from gradsim._validate import (
    parse_batch,
    parse_dtype,
    parse_memory,
    parse_progress,
    parse_seed,
    parse_seeds,
    parse_threads,
)  # fmt: skip
from gradsim._work import Work
from gradsim.dataset import describe
from gradsim.examples import Inputs, Targets, parse_inputs, parse_targets
from gradsim.inputs import resolve
from gradsim.measurements import Spec, measurements, parse
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.plan import Given, Options
from gradsim.sweep import Sweep, bind, expand, values_of


@dataclass(frozen=True)
class Run:
    """A checked call of :func:`simulate`: everything that its result depends on."""

    sweep: Sweep
    seeds: Sequence[int]
    key: int
    inputs: Inputs
    targets: Targets | None
    measure: tuple[Spec, ...]
    options: Options
    threads: int
    memory: int
    given: Given | None
    parameters: np.ndarray | None
    source: dict[str, Any]

    @property
    def each(self) -> bool:
        """Whether every example is a result of its own."""
        return self.options.each

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return self.options.dtype.name

    def arrays(self) -> xr.Dataset:
        """Given arrays that the configuration does not hold by value."""
        return stored_arrays(self)

    def work(self, *, whole: bool = True) -> Work:
        """Itself cut into parts; with ``whole`` all results are to be in memory at once."""
        return Work(self, whole=whole)

    def config(self) -> dict[str, Any]:
        """What rebuilds the call, as plain data."""
        arrays = {name: array_text(array) for name, array in given_arrays(self).items()}
        coords = input_coords(self)
        return (
            self.source
            | _own.texts(self.sweep.models, self.measure)
            | ({"input_coords": coords} if coords else {})
            | {
                "seeds": compact(self.seeds),
                "key": self.key,
                "measure": {spec.name: dict(spec.parameters) for spec in self.measure},
                "dtype": self.dtype,
                "batch": "each" if self.each else "mean",
                "examples": self.inputs.count,
                "inputs": None,
                "targets": None,
            }
            | arrays
        )


def simulate(
    model: MLP | RNN | Network,
    seeds: Any = None,
    *,
    vary: Mapping[str, Any] | None = None,
    inputs: Any = None,
    targets: Any = None,
    batch: str = "mean",
    measure: Any = ("gradient",),
    dtype: Any = "float64",
    key: int = 0,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: bool | None = None,
    store: Any = None,
    client: Any = None,
) -> xr.Dataset:
    """Run an ensemble of random networks forward and backward.

    Parameters
    ----------
    model
        :class:`gradsim.MLP`, :class:`gradsim.RNN`, or a :class:`gradsim.Network`, whose weights
        are then the same for all seeds.
    seeds
        Number of networks n (seeds 0..n-1) or distinct integers.  A Network that was built by
        seed brings its own.
    vary
        Maps fields of the model to sequences of values; each becomes a dimension, in this order.
        All conditions of a seed share the draws of its weights.
    inputs
        None (one random vector or sequence per network), a number of them per network, or an
        array (example, feature) or (example, step, feature) shared by all networks, or inputs of a
        known correlation, :func:`gradsim.inputs.pair` or :func:`gradsim.inputs.circle`.
    targets
        None (random), (example, feature) or (feature,), for an RNN also (example, step, feature);
        with cross-entropy also integer labels; with ``loss="linear"`` the vector v.
    batch
        "mean": one cost per network, the mean over examples.  "each": every example is its own
        cost and a dimension ``example`` appears.
    measure
        Names or specs of :data:`gradsim.measurements`.
    dtype
        "float64" or "float32"; both run the same weights up to rounding.
    key
        Integer in [0, 2**32): a further word of every random number's address.
    threads
        Worker threads; None means the processors that this process may use.
    memory_limit
        Bytes that the run may take; None means what is free.
    progress
        Show a bar: None means on a terminal, for runs of more than about two seconds.
    store
        A run folder: results are written there in parts as they come, so that a run that was
        stopped, by whatever, goes on where it was when it is called again.  Results may be larger
        than memory.  The numbers are those of the same call without it, bit for bit.
    client
        A connected ``distributed.Client`` whose workers run the parts, each on one thread or on
        `threads`; any kind of cluster.

    Returns
    -------
    xarray.Dataset
        Dimensions (…varied fields, seed[, example], layer or step); logs are base 10; attributes
        rebuild the call.  With `store`, if twice the result does not fit `memory_limit`, the parts
        are merged into the file ``result.nc`` of the folder, and that is opened lazily.

    Raises
    ------
    TypeError, ValueError
        For an argument that is wrong or contradicts another, before any work.
        With `store` also where the folder holds a run of another configuration or of other
        kernels; says what differs.
    MemoryError
        If the result (with `store` a part of it) or one network does not fit, before any work.
    gradsim.PartialRunError
        If parts of the run killed every worker of `client` that took them; all others are kept.
    OSError
        If another process writes to the store, or it cannot be written; nothing is lost.
    KeyboardInterrupt
        Ctrl-C stops all workers within half a second.

    Examples
    --------
    >>> import gradsim as gs
    >>> model = gs.MLP(depth=3, width=8)
    >>> ds = gs.simulate(model, seeds=5, vary={"activation": ["tanh", "relu"]}, progress=False)
    >>> ds.log10_delta_norm.dims
    ('activation', 'seed', 'layer')
    """
    run = prepare(
        model, seeds, vary=vary, inputs=inputs, targets=targets, batch=batch, measure=measure,
        dtype=dtype, key=key, threads=threads, memory_limit=memory_limit,
    )  # fmt: skip
    progress = parse_progress(progress)
    remote = None if client is None else Remote(client, threads, memory_limit)
    if store is not None:
        return run_stored(run, store, progress, remote)
    if remote is not None:
        return remote.run(run, progress)
    work, places = run.work(), range(len(run.seeds))
    with work.bar(len(places), progress) as bar:
        return work.part(places, bar).assign_coords(run.arrays().coords)


def prepare(
    model: Any,
    seeds: Any,
    *,
    vary: Any,
    inputs: Any,
    targets: Any,
    batch: Any,
    measure: Any,
    dtype: Any,
    key: Any,
    threads: Any,
    memory_limit: Any,
) -> Run:
    """Check every argument of :func:`simulate`."""
    given, parameters = None, None
    if isinstance(model, Network):
        network, model = model, model.settled()
        given = network.given()
        network.check_vary(vary)
        seeds = [network.seed] if seeds is None else seeds
        inputs = network.inputs if inputs is None else inputs
        targets = network.targets if targets is None else targets
        parameters = network.vector()
    if seeds is None:
        raise TypeError("seeds must be an integer >= 1 or an iterable of integers, got None")
    memory = parse_memory(memory_limit)
    sweep = expand(model, vary, memory)
    chosen = parse_seeds(seeds)
    inputs = resolve(inputs, sweep.models)
    parsed_inputs = parse_inputs(inputs, isinstance(model, RNN))
    parsed_targets = parse_targets(targets, sweep.models, parsed_inputs)
    sweep = bind(sweep, parsed_inputs, parsed_targets)
    specs = parse(measure)
    named = {spec.name: spec for spec in specs}
    taken = [(spec, measurements[spec.name].reduction) for spec in specs]
    options = Options(
        dtype=parse_dtype(dtype),
        each=parse_batch(batch),
        gradient="gradient" in named or any(kind for _, kind in taken),
        signal="signal" in named,
        total="gradient" in named and named["gradient"].get("total"),
        measures=tuple((spec, kind) for spec, kind in taken if kind is not None),
    )
    if options.each and any(m.norm == "batch" for m in sweep.models):
        raise ValueError(
            "simulate(batch='each'): under norm='batch' the examples are one batch and have no "
            "gradients of their own; batch must be 'mean'"
        )
    run = Run(
        sweep=sweep, seeds=chosen, key=parse_seed("simulate", "key", key, 32),
        inputs=parsed_inputs, targets=parsed_targets, measure=specs, options=options,
        threads=parse_threads(threads), memory=memory, given=given,
        parameters=parameters, source={"model": describe(model), "vary": _plain(sweep, vary)},
    )  # fmt: skip
    for spec, reduction in options.measures:
        for each in sweep.models:
            reduction.check(spec, each, run)
    return run


def _plain(sweep: Sweep, vary: Any) -> list[list[Any]]:
    """``vary`` as a list of pairs, so that the order survives, in what JSON can hold."""
    return [[name, values_of(vary[name])] for name in sweep.dims]
