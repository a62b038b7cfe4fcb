"""`train`: ensembles of networks under gradient descent, every step with its norms."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._stored import run_stored
from gradsim._train_results import Condition
from gradsim._train_settings import VARIABLE, Settings, check_taken
from gradsim._training import Training
from gradsim._validate import parse_progress
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.simulate import Run
from gradsim.simulate import prepare as prepare_run
from gradsim.sweep import check_sequence, label, values_of


def train(
    model: MLP | RNN | Network,
    seeds: Any = None,
    *,
    optimizer: str = "sgd",
    learning_rate: Any,
    steps: int,
    batch_size: int | None = None,
    clip: float | None = None,
    clip_by: str = "norm",
    l2: float = 0.0,
    momentum: float | None = None,
    decay: float | None = None,
    epsilon: float | None = None,
    damping: float | None = None,
    keep: bool = False,
    vary: Mapping[str, Any] | None = None,
    inputs: Any = None,
    targets: Any = None,
    key: int = 0,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: bool | None = None,
    store: Any = None,
) -> xr.Dataset:
    """Train an ensemble of networks by gradient descent on the mean cost over examples.

    All matrices and biases are trained, in float64; the gradients are those of
    :func:`gradsim.backward`, each with an exponent of its own.

    Parameters
    ----------
    model, seeds, inputs, targets, key, threads, memory_limit, progress, store
        As in :func:`gradsim.simulate`.  A Network gives the weights to start from.  Threads train
        networks side by side, but for small ones gain little: at width 16 the engine is a
        fifteenth of a step, and the rest is Python, which runs on one thread at a time.
    optimizer
        "sgd", "momentum" (the heavy ball), "rmsprop" or "newton".  The last scales the gradient
        of each layer by the curvature along it, g / (abs(g'Hg / g'g) + damping): with
        learning_rate=1 and no damping the minimum of the layer's own quadratic where the
        curvature is positive; where it is negative as long a step, downhill still, and none
        where it is 0.  It takes neither l2 nor clipping by value, which turn the gradient.
    learning_rate
        A number, or one a layer; a layer at 0 stays as it is.
    steps
        Number of updates.
    batch_size
        Examples of a step: None means all.  Each epoch is a random order of the examples that
        depends on seed and key alone; what does not fill a batch at its end is left out.
    clip, clip_by
        Threshold of the data's gradient, by the "norm" of the whole or by "value".
    l2
        Adds l2 W to the gradient of every matrix W after clipping, the derivative of
        l2 / 2 ||W||^2; biases are left out.
    momentum
        Of "momentum"; 0.9 where it is None.
    decay, epsilon
        Of "rmsprop"; 0.9 and 1e-8 where they are None.
    damping
        Of "newton"; 0 where it is None.
    keep
        Whether the result holds the trained parameters, as `final_parameter`; to make networks of
        them is `Network.with_parameters`.
    vary
        Maps fields of the model, and arguments from ``optimizer`` to ``damping`` but ``steps``,
        to sequences of values.  Numbers go to those of the varied optimizers that take them.

    Returns
    -------
    xarray.Dataset
        Dimensions (…varied fields, seed, iteration, layer); tied weights are one layer, those of
        an untied RNN one a step.  NaN from where a network has left the range of float64.

    Raises
    ------
    TypeError, ValueError, MemoryError, OSError
        As :func:`gradsim.simulate` does, before any work.
    KeyboardInterrupt
        Ctrl-C, once all workers have stopped.

    References
    ----------
    Newton steps: Y. N. Dauphin et al. 2014, arXiv:1406.2572 (absolute curvature).
    Clipping: R. Pascanu, T. Mikolov and Y. Bengio 2013, arXiv:1211.5063, algorithm 1.

    Examples
    --------
    >>> import gradsim as gs
    >>> ds = gs.train(gs.MLP(depth=3, width=8), seeds=2, learning_rate=0.1, steps=20, inputs=5)
    >>> ds.log10_gradient_norm.dims, bool((ds.log10_final_loss < ds.log10_loss[:, 0]).all())
    (('seed', 'iteration', 'layer'), True)
    """
    progress = parse_progress(progress)
    training = prepare(
        model, seeds, optimizer=optimizer, learning_rate=learning_rate, steps=steps,
        batch_size=batch_size, clip=clip, clip_by=clip_by, l2=l2, momentum=momentum, decay=decay,
        epsilon=epsilon, damping=damping, keep=keep, vary=vary, inputs=inputs, targets=targets,
        key=key, threads=threads, memory_limit=memory_limit,
    )  # fmt: skip
    if store is not None:
        return run_stored(training, store, progress)
    work, places = training.work(), range(len(training.seeds))
    with work.bar(len(places), progress) as bar:
        return work.part(places, bar).assign_coords(training.arrays().coords)


def prepare(
    model: Any,
    seeds: Any,
    *,
    keep: Any,
    vary: Any,
    inputs: Any,
    targets: Any,
    key: Any,
    threads: Any,
    memory_limit: Any,
    **asked: Any,
) -> Training:
    """Check every argument of :func:`train`; ``asked`` are those that a simulation has not."""
    settings = Settings(**asked)
    if not isinstance(keep, bool | np.bool_):
        raise TypeError(f"train(keep={brief(keep)}): keep must be True or False")
    vary = {} if vary is None else vary
    of_model, of_settings = _split(vary)
    check_taken(settings, of_settings)
    run = prepare_run(
        model, seeds, vary=of_model, inputs=inputs, targets=targets, batch="mean",
        measure=("gradient",), dtype="float64", key=key, threads=threads,
        memory_limit=memory_limit,
    )  # fmt: skip
    conditions = tuple(_conditions(run, settings, of_settings, list(vary)))
    for condition in conditions:
        _check(condition, run.inputs.count)
    labels = dict(zip(run.sweep.dims, run.sweep.labels))
    labels |= {name: label(name, values) for name, values in of_settings.items()}
    return Training(
        run=run,
        base=model if isinstance(model, Network) else None,
        settings=settings,
        keep=bool(keep),
        vary={name: _plain(vary[name]) for name in vary},
        labels={name: labels[name] for name in vary},
        conditions=conditions,
    )


def _plain(values: Any) -> list[Any]:
    """Varied values in what JSON can hold."""
    return [v.tolist() if isinstance(v, np.ndarray) else v for v in values_of(values)]


def _split(vary: Any) -> tuple[Any, dict[str, list[Any]]]:
    """What `vary` has of the model, and of the arguments of `train`."""
    if not isinstance(vary, Mapping):
        return vary, {}
    own = {name: values for name, values in vary.items() if name in VARIABLE}
    for name, values in own.items():
        check_sequence(name, values)
    rest = {name: values for name, values in vary.items() if name not in own}
    return rest, {name: values_of(values) for name, values in own.items()}


def _conditions(
    run: Run, settings: Settings, own: dict[str, list[Any]], names: list[str]
) -> Iterator[Condition]:
    """Every condition, the last varied field fastest."""
    lengths = dict(zip(run.sweep.dims, run.sweep.shape))
    lengths |= {name: len(values) for name, values in own.items()}
    models = np.arange(len(run.sweep.models)).reshape(run.sweep.shape)
    for index in product(*(range(lengths[name]) for name in names)):
        at = dict(zip(names, index))
        model = run.sweep.models[models[tuple(at[name] for name in run.sweep.dims)]]
        chosen = {name: values[at[name]] for name, values in own.items()}
        yield Condition(model, settings.with_fields(chosen))


def _check(condition: Condition, examples: int) -> None:
    """Refuse settings that contradict a model or its examples."""
    condition.settings.rates(condition.parameters.count)
    size = condition.settings.batch_size
    if size is not None and size > examples:
        raise ValueError(
            f"train(batch_size={size}): batch_size must be at most the number of examples, "
            f"{examples}"
        )
    if size == 1 and condition.model.norm == "batch":
        raise ValueError(
            "train(batch_size=1): under norm='batch' the examples of a step are its batch; "
            "batch_size must be at least 2"
        )
