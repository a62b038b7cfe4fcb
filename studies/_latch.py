"""The latching task of Bengio, Simard and Frasconi (1994): one unit that has to keep one bit.

x_t = tanh(w x_(t-1) + h_t), x_0 = 0. For t <= 3 the inputs h_t are trained, three for each of two
classes; later they are noise of variance 0.2. The target of x_T is +0.8 or -0.8. One update follows
the gradient of 1/2 (x_T - target)^2 summed over one fresh sequence of each class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TRAINED, NOISE, TARGETS = 3, 0.2**0.5, np.array([0.8, -0.8])
START, INPUT = 1.25, 0.05  # w before training; inputs U(-0.05, 0.05)
FRESH, RIGHT = 200, 0.95  # new sequences of each class; share whose sign must be right
_CHUNK, _TRAIN, _TEST = 50, 0, 1


@dataclass
class Units:
    """Units with their trained inputs: w (network, rate), inputs (step, class, network, rate)."""

    w: np.ndarray
    inputs: np.ndarray

    @staticmethod
    def drawn(seeds: Sequence[int], rates: int) -> "Units":
        """Units before training: the same network at every learning rate."""
        draws = [np.random.default_rng([seed, 1994]).uniform(-INPUT, INPUT, (TRAINED, 2))
                 for seed in seeds]  # fmt: skip
        inputs = np.repeat(np.stack(draws, axis=-1)[..., None], rates, axis=-1)
        return Units(np.full((len(seeds), rates), START), inputs)

    def run(self, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Arguments of tanh, and states x_0 to x_T, under noise (time, class, network).

        Both are (time, class, network, rate).
        """
        steps = len(noise) + TRAINED
        states = np.zeros((steps + 1, *self.inputs.shape[1:]))
        sums = np.empty((steps, *self.inputs.shape[1:]))
        for t in range(steps):
            np.multiply(self.w, states[t], out=sums[t])
            sums[t] += self.inputs[t] if t < TRAINED else noise[t - TRAINED][..., None]
            np.tanh(sums[t], out=states[t + 1])
        return sums, states

    def gradient(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the cost, summed over classes, by w and by the trained inputs."""
        by_w, by_inputs = np.zeros_like(self.w), np.empty_like(self.inputs)
        delta = states[-1] - TARGETS[:, None, None]
        for t in range(len(states) - 1, 0, -1):
            delta *= 1 - states[t] ** 2
            by_w += (delta * states[t - 1]).sum(0)
            if t <= TRAINED:
                by_inputs[t - 1] = delta
            delta *= self.w
        return by_w, by_inputs


def train(units: Units, seeds: Sequence[int], steps: int, rates: np.ndarray, updates: int) -> None:
    """Train units in place on sequences of `steps` steps; the noise belongs to the seed."""
    for noise in _noises(seeds, steps - TRAINED, updates):
        by_w, by_inputs = units.gradient(units.run(noise)[1])
        units.w -= rates * by_w
        units.inputs -= rates * by_inputs


def _noises(seeds: Sequence[int], steps: int, updates: int) -> Iterator[np.ndarray]:
    """Noise (time, class, network) of every update."""
    streams = [np.random.default_rng([seed, steps, _TRAIN]) for seed in seeds]
    for first in range(0, updates, _CHUNK):
        size = (min(_CHUNK, updates - first), steps, 2)
        yield from np.stack([s.normal(0, NOISE, size) for s in streams], axis=-1)


def judge(
    units: Units, seeds: Sequence[int], steps: int, lag: int
) -> tuple[np.ndarray, np.ndarray]:
    """Success, and mean log10 |dx_T / dx_(T - lag)| over fresh sequences; (network, rate)."""
    right, contribution = np.zeros(units.w.shape), np.zeros(units.w.shape)
    streams = [np.random.default_rng([seed, steps, _TEST]) for seed in seeds]
    for _ in range(FRESH):
        noise = np.stack([s.normal(0, NOISE, (steps - TRAINED, 2)) for s in streams], axis=-1)
        sums, states = units.run(noise)
        right += (states[-1] * TARGETS[:, None, None] > 0).sum(0)
        size = abs(sums[-lag:])  # ln(1 - tanh^2) = -2 ln cosh, without cancellation
        slopes = -2 * (size + np.log1p(np.exp(-2 * size)) - np.log(2)).sum(0) / np.log(10)
        contribution += (slopes + lag * np.log10(abs(units.w))).sum(0)
    return right >= RIGHT * 2 * FRESH, contribution / (2 * FRESH)
