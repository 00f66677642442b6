"""Two networks on the same test images: how much better is one, and could that be chance?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A minus B over paired test images: the mean difference, its 95 % interval, the images won, the p-value."""

    difference: float
    low: float
    high: float
    won: int
    images: int
    p_value: float

    def __str__(self) -> str:
        return (
            f"{100 * self.difference:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}] percent, "
            f"ahead on {self.won} of {self.images} images, p = {self.p_value:.2g}"
        )


def by_image(records: Iterable[Record], variant: str, metric: str) -> np.ndarray:
    """The score of every test image, averaged over the seeds of one variant. Raises: ValueError without a run of it."""
    rows = [r["metrics"][metric] for r in records if r["variant"] == variant]
    if not rows:
        raise ValueError(f"variant must have a run among the records, got {variant!r}")
    return np.mean(rows, axis=0)


def compare(records: Iterable[Record], a: str, b: str, metric: str = "dice_by_image") -> Comparison:
    """Variant `a` against variant `b`, image by image, each averaged over its seeds.

    The interval is the percentile bootstrap over images (10 000 samples, seeded), the p-value that of Wilcoxon's
    signed-rank test, two-sided. It says whether the difference would hold on other images of the kind; the spread over
    seeds is shown beside it, in the tables. Raises: ValueError without a run of one of them.
    """
    from scipy import stats

    records = list(records)
    difference = by_image(records, a, metric) - by_image(records, b, metric)
    interval = stats.bootstrap((difference,), np.mean, method="percentile", n_resamples=10_000, rng=0)
    p_value = stats.wilcoxon(difference).pvalue if difference.any() else 1.0
    low, high = interval.confidence_interval
    return Comparison(
        float(difference.mean()),
        float(low),
        float(high),
        int((difference > 0).sum()),
        len(difference),
        float(p_value),
    )


def against_base(
    base: Sequence[Record], changed: Iterable[Record], metric: str = "dice_by_image"
) -> dict[str, Comparison]:
    """Each variant among `changed` against the runs of the one variant `base` that have the same seeds."""
    groups: dict[str, list[Record]] = {}
    for record in changed:
        groups.setdefault(record["variant"], []).append(record)
    found = {}
    for variant, group in groups.items():
        seeds = {r["seed"] for r in group}
        rivals = [r for r in base if r["seed"] in seeds]
        found[variant] = compare([*group, *rivals], variant, base[0]["variant"], metric)
    return found


def seed_band(base: Iterable[Record], metric: str = "dice_by_image") -> float:
    """How far two runs that differ in the seed alone may lie apart: twice the standard deviation of their difference.

    Raises: StatisticsError for fewer than two runs.
    """
    return 2 * 2**0.5 * stdev(mean(r["metrics"][metric]) for r in base)
