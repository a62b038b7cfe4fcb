"""Components of the variance of log10 |dC/dw|, that of minibatches among them, by nested means.

:func:`gradsim.analysis.decompose` has the components of one gradient a network; here every weight
has a variance over minibatches of its own.
"""

from collections.abc import Sequence

import numpy as np

from gradsim.studies._layers import Layers

WITHIN = {  # components within a layer, and their variables
    "minibatch": "variance_minibatch",
    "row |delta_j|": "variance_row",
    "column |a_k|": "variance_column",
    "rest": "variance_rest",
}
TEXTS = {
    "mean": "mean of log10 |dC/dw| over the weights of a layer",
    **{name: f"variance of log10 |dC/dw|: {word}" for word, name in WITHIN.items()},
    "zeros": "share of weights whose gradient is exactly 0 in some minibatch",
}
MINIBATCHES = 10  # at most


def split(layers: Layers, chosen: Sequence[int], size: int) -> np.ndarray:
    """Numbers of TEXTS for the chosen layers, (layer, number), of minibatches of a size."""
    examples, found = len(layers.y), []
    first = range(0, examples, max(size, examples // MINIBATCHES))
    for layer in chosen:
        delta, a = layers.deltas[layer], layers.a[layer - 1]
        g = np.array([delta[i : i + size].T @ a[i : i + size] for i in first]) / size
        logs = np.ma.log10(np.ma.masked_equal(np.abs(g), 0.0))
        mean = logs.mean(0)
        noise = logs.var(0, ddof=1).mean() if len(logs) > 1 else 0.0
        rows, columns = mean.mean(1).var(), mean.mean(0).var()
        numbers = [mean.mean(), noise, rows, columns, mean.var() - rows - columns]
        found.append([*np.ma.filled(np.ma.array(numbers, dtype=float), np.nan), (g == 0).mean()])
    return np.array(found)


def variances(numbers: np.ndarray) -> np.ndarray:
    """Network, layer, network by layer, then WITHIN, of networks with a gradient in every layer.

    `numbers` (seed, number) are the means of all layers, then the components within a layer.
    """
    alive = numbers[np.isfinite(numbers).all(1)]
    mean, within = alive[:, : -len(WITHIN)], alive[:, -len(WITHIN) :]
    network, layer = mean.mean(1).var(), mean.mean(0).var()
    return np.array([network, layer, mean.var() - network - layer, *within.mean(0)])


def noise_share(numbers: np.ndarray) -> float:
    """Share of the variance that is of minibatches."""
    found = variances(numbers)
    return found[3] / found.sum()


def share_without(numbers: np.ndarray) -> float:
    """Share of the variance of the first half that the second, without a cause, has not."""
    half = numbers.shape[1] // 2
    return 1 - variances(numbers[:, half:]).sum() / variances(numbers[:, :half]).sum()
