"""Contenders, their calibration, and interleaved repetitions."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .cases import Case


@dataclass(frozen=True)
class Setting:
    """One way of running a contender; ``run(first, networks)`` takes a multiple of ``grain``."""

    label: str
    grain: int
    run: Callable[[int, int], Any]


class Contender:
    """Something that answers a case for many networks and can be timed.

    Subclasses list their ``settings`` (batch sizes, ways of threading); ``prepare`` tries
    each of them and keeps the fastest.
    """

    name = "contender"
    role = "peer"
    kinds: tuple[str, ...] = ("mlp", "rnn")  # of the cases that it answers

    def __init__(self, case: Case, dtype: str, threads: int) -> None:
        self.case, self.dtype, self.threads = case, dtype, threads
        self.setting: Setting | None = None
        self.rate = 0.0
        self.tried: dict[str, float] = {}

    @classmethod
    def answers(cls, case: Case) -> bool:
        """Whether it can do this case."""
        return case.kind in cls.kinds

    def settings(self) -> list[Setting]:
        """List the ways of running it."""
        raise NotImplementedError

    def prepare(self, trial_seconds: float = 0.3) -> None:
        """Warm every setting up (compilation, pools), then keep the fastest."""
        for setting in self.settings():
            setting.run(0, setting.grain)
            rate = self.tried[setting.label] = trial_rate(setting, trial_seconds)
            if rate > self.rate:
                self.setting, self.rate = setting, rate

    def networks_for(self, seconds: float) -> int:
        """Return how many networks take about ``seconds``, a multiple of the grain."""
        grain = self.setting.grain
        return grain * max(1, round(self.rate * seconds / grain))

    def run(self, networks: int) -> float:
        """Wall time in seconds of that many networks."""
        start = time.perf_counter()
        self.setting.run(0, networks)
        return time.perf_counter() - start


def trial_rate(setting: Setting, seconds: float) -> float:
    """Networks per second over a trial grown until it lasts ``seconds``; best of two."""
    networks = setting.grain
    while True:
        start = time.perf_counter()
        setting.run(0, networks)
        elapsed = time.perf_counter() - start
        if elapsed >= seconds / 2:
            break
        networks *= max(2, min(64, int(0.75 * seconds / max(elapsed, 1e-6))))
    start = time.perf_counter()
    setting.run(0, networks)
    return networks / min(elapsed, time.perf_counter() - start)


def on_threads(pool: ThreadPoolExecutor, work: Callable, first: int, networks: int, grain: int):
    """Call ``work(start)`` once per batch of ``grain`` networks on a pool."""
    list(pool.map(work, range(first, first + networks, grain)))


def interleave(contenders: list[Contender], seconds: float, repeats: int) -> list[dict]:
    """Time A B C ... A B C ...; one record per contender with the rate of each repetition."""
    sizes = [contender.networks_for(seconds) for contender in contenders]
    rates: list[list[float]] = [[] for _ in contenders]
    for _ in range(repeats):
        for contender, networks, record in zip(contenders, sizes, rates):
            record.append(networks / contender.run(networks))
    return [
        {
            "name": contender.name,
            "role": contender.role,
            "setting": contender.setting.label,
            "tried": contender.tried,
            "networks": networks,
            "rates": record,
        }
        for contender, networks, record in zip(contenders, sizes, rates)
    ]
