"""The gradsim contender."""

import numpy as np

from gradsim import MLP, RNN, measurements, network, simulate

from .cases import Case
from .harness import Contender, Setting


def model_of(case: Case):
    """Build the case as a gradsim model; varied fields keep their defaults here."""
    activation = case.activations[0] if len(case.activations) == 1 else "tanh"
    if case.tied:
        cell = "lstm" if case.kind == "lstm" else "vanilla"
        return RNN(steps=case.depth, width=case.width, activation=activation, cell=cell)
    return MLP(depth=case.depth, width=case.width, activation=activation)


def arguments(case: Case, dtype: str) -> dict:
    """Keyword arguments of ``gs.simulate`` that ask for the case's quantities."""
    chosen: dict = {"dtype": dtype, "progress": False}
    if case.rows > 1:
        chosen["vary"] = {"activation": list(case.activations), "sigma_w": list(case.sigmas)}
    if case.tied and not case.total:
        chosen["measure"] = (measurements.gradient(total=False),)
    return chosen


def simulated_norms(case: Case, dtype: str, seed: int) -> dict:
    """log10 norms of one network, rows first, under the names of ``cases.reference``."""
    ds = simulate(model_of(case), seeds=[seed], **arguments(case, dtype))
    names = {
        "delta": "log10_delta_norm",
        "weight": "log10_weight_grad_norm",
        "state": "log10_state_grad_norm",
        "total": "log10_total_weight_grad_norm",
    }
    wanted = ["delta", "weight"] + ["state"] * case.tied + ["total"] * case.total
    if case.kind == "lstm":
        wanted = ["total"]
    return {name: _rows_first(case, ds[names[name]].isel(seed=0)) for name in wanted}


def _rows_first(case: Case, variable) -> np.ndarray:
    values = np.asarray(variable)
    return values.reshape(case.rows, *values.shape[2 if case.rows > 1 else 0 :])


def arrays_of(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights at sigma_w = 1 (matrix, unit, unit), input or initial state, and target."""
    drawn = network(model_of(case), seed)
    if case.tied:
        weights = np.asarray(drawn.recurrent).reshape(case.matrices, case.width, case.width)
        start = drawn.initial_state
    else:
        weights, start = np.stack(drawn.weights), drawn.inputs
    return weights, np.ravel(start), np.ravel(drawn.targets)


class Gradsim(Contender):
    """One call of ``gs.simulate``."""

    name = "gradsim"
    role = "own"
    kinds = ("mlp", "rnn", "lstm")

    def settings(self) -> list[Setting]:
        """Return the one way to call it."""
        model, chosen = model_of(self.case), arguments(self.case, self.dtype)

        def run(first, networks):
            simulate(model, range(first, first + networks), threads=self.threads, **chosen)

        return [Setting(f"threads={self.threads}", 1, run)]
