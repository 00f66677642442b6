"""How long to train and at what rate, found on validation data: the same procedure for every network.

The number of steps is doubled until doubling gains too little; then four learning rates are tried with a quarter of
those steps, and where the best of them is the lowest or the highest, the next one beyond it. Runs are asked for one
after the other, as results come in, so that a search may be interrupted anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

RATES = (3e-3, 1e-2, 3e-2, 1e-1)
BEYOND = {RATES[0]: 1e-3, RATES[-1]: 3e-1}
Scores = Mapping[tuple[int, float], float]


@dataclass(frozen=True)
class Search:
    """From `start` steps on, doubled until the score gains less than `enough` or `cap` would be passed.

    `rates` is the learning rate that each network begins with, by its name or its kind (`registry.key`).
    """

    start: int
    cap: int
    enough: float
    rates: Mapping[str, float]

    @property
    def lengths(self) -> list[int]:
        """The numbers of steps that doubling may come to."""
        return [self.start * 2**n for n in range(int(math.log2(self.cap / self.start)) + 1)]

    def runs(self, key: str) -> list[tuple[int, float]]:
        """Every run (steps, rate) that may be asked for."""
        first = self.rates[key]
        quarters = product([n // 4 for n in self.lengths], (*candidates(first), *BEYOND.values()))
        return list(dict.fromkeys([*((n, first) for n in self.lengths), *quarters]))

    def length(self, scores: Scores, first: float) -> tuple[int, bool]:
        """How many steps are known to be worth it, and whether the doubling has come to its end.

        It ends where a run at the rate that it goes by has diverged.
        """
        steps = self.start
        while 2 * steps <= self.cap and {(steps, first), (2 * steps, first)} <= scores.keys():
            if not scores[2 * steps, first] - scores[steps, first] >= self.enough:  # not a number after -inf
                return steps, True
            steps *= 2
        return steps, 2 * steps > self.cap and (steps, first) in scores

    def next(self, scores: Scores, first: float) -> list[tuple[int, float]]:
        """The runs (steps, rate) that the search asks for next; none when there are no more."""
        steps, ended = self.length(scores, first)
        if not ended:
            wanted = [(steps, first), (2 * steps, first)]
            return [run for run in wanted if run not in scores][:1]
        if left := self._untried(scores, steps, first):
            return left
        beyond = BEYOND.get(self._best(scores, steps, first), first)
        return [] if (steps // 4, beyond) in scores else [(steps // 4, beyond)]

    def found(self, scores: Scores, first: float) -> dict[str, object] | None:
        """The settings that the search came to; of equal rates the lowest, beyond the candidates only a better one.

        It is over when all candidates are there; None before, and where every rate diverged.
        """
        steps, ended = self.length(scores, first)
        if not ended or self._untried(scores, steps, first):
            return None
        rate = self._best(scores, steps, first)
        return None if scores[steps // 4, rate] == -math.inf else {"steps": steps, "learning_rate": rate}

    def _untried(self, scores: Scores, steps: int, first: float) -> list[tuple[int, float]]:
        return [(steps // 4, rate) for rate in candidates(first) if (steps // 4, rate) not in scores]

    def _best(self, scores: Scores, steps: int, first: float) -> float:
        tried = [rate for rate in (*candidates(first), *BEYOND.values()) if (steps // 4, rate) in scores]
        return max(tried, key=lambda rate: scores[steps // 4, rate])


def candidates(first: float) -> list[float]:
    """The rates that every network tries, and the one that it begins with."""
    return sorted({*RATES, first})


def run_name(network: str, steps: int, rate: float) -> str:
    """What a run of a search is called."""
    return f"{network}-{steps}-{rate:g}"


def network_of(run: Mapping[str, Any]) -> str:
    """The network that a run of a search is of, from its record or its configuration."""
    training = run["training"]
    return run["variant"].removesuffix(run_name("", training["steps"], training["learning_rate"]))


def scores_of(records: Sequence[Mapping[str, Any]], score: str) -> dict[str, dict[tuple[int, float], float]]:
    """The validation scores of each network by (steps, rate); a run that diverged has the lowest of all."""
    found: dict[str, dict[tuple[int, float], float]] = {}
    for record in records:
        training = record["training"]
        value = record["metrics"].get(score, -math.inf)
        found.setdefault(network_of(record), {})[training["steps"], training["learning_rate"]] = value
    return found
