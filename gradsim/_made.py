"""Matrices that an initialiser makes as a whole: for one network's arrays, and for a worker."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from gradsim._matrices import Draw
from gradsim.initializers import initializers

if TYPE_CHECKING:
    from gradsim.plan import Group

WORK = 6  # float64 copies of a matrix that making it takes


def matrix(
    model: Any, stream: int, layer: int, n_out: int, n_in: int, key: int, seed: int
) -> np.ndarray:
    """One matrix at sigma_w = 1, float64, from its address.

    Raises
    ------
    ValueError
        If the initialiser returns something else.
    """
    make = initializers[model.init].make
    assert make is not None
    made = np.asarray(make(Draw(stream, layer, key, seed), n_out, n_in, model))
    if made.shape != (n_out, n_in) or made.dtype.kind not in "iuf":
        raise ValueError(
            f"init={model.init!r} must make real matrices of shape ({n_out}, {n_in}), got "
            f"{made.dtype} of shape {made.shape}"
        )
    return made


@cache
def _libraries() -> Any:
    return ThreadpoolController()  # to look for them takes milliseconds


def one_thread() -> Any:
    """Context in which BLAS has one thread, as in a run: its bits may depend on the number."""
    return _libraries().limit(limits=1, user_api="blas")


@dataclass(frozen=True)
class Maker:
    """Fills a worker's memory with the weights of one network.

    Attributes
    ----------
    model
        Any condition of the pass: they make the same matrices.
    places
        (start in memory, stream, layer of the address, n_out, n_in) of every matrix.
    """

    model: Any
    places: tuple[tuple[int, int, int, int, int], ...]

    @staticmethod
    def of(group: "Group", arrays: dict[str, np.ndarray], rows: np.ndarray) -> "Maker | None":
        """Maker of a pass with the addresses and the rows of W of a layout, where one is needed."""
        if initializers[group.first.init].make is None:
            return None
        layers = [1] if group.tied else range(1, group.layers + 1)
        places = [
            (
                int(arrays["weight_address"][m, layer]), int(arrays["streams"][m, 0]),
                0 if group.tied else layer, int(rows[layer]), group.widths[layer - 1],
            )
            for m, of in enumerate(group.table.matrices)
            for layer in layers
            if of.weights and (m == 0 or group.recurrent or layer < group.layers)
        ]  # fmt: skip
        return Maker(group.first, tuple(places))

    @property
    def nbytes(self) -> int:
        """Memory that making the largest matrix takes."""
        return 8 * WORK * max(max(n_out, n_in) ** 2 for *_, n_out, n_in in self.places)

    @property
    def seconds(self) -> float:
        """Rough time of one network."""
        return sum(5e-5 + 2e-9 * max(n_out, n_in) ** 3 for *_, n_out, n_in in self.places)

    def fill(self, weights: np.ndarray, key: int, seed: int, stop: np.ndarray) -> None:
        """Write all matrices of a network into flat memory; ends early where ``stop`` is set."""
        for start, stream, layer, n_out, n_in in self.places:
            if stop[0, 0]:
                return
            made = matrix(self.model, stream, layer, n_out, n_in, key, seed)
            with np.errstate(over="ignore"):  # beyond the range of T: status tells
                weights[start : start + made.size] = made.reshape(-1)
