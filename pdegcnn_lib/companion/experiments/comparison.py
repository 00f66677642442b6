"""Two networks on the same test images: how much better is one, and could that be chance?"""

from __future__ import annotations

from collections import defaultdict
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


def grouped(records: Iterable[Record], key: str = "variant") -> dict[str, list[Record]]:
    """The records by variant (or by another entry), in the order in which they come."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record[key]].append(record)
    return dict(groups)


def value(record: Record, metric: str) -> Any:
    """A figure of merit of a record; `at_one_half.dice` is the entry `dice` of the entry `at_one_half`."""
    found = record["metrics"]
    for key in metric.split("."):
        found = found[key]
    return found


def scores(records: Iterable[Record], variant: str, metric: str) -> np.ndarray:
    """The scores `[seed, image]` of one variant. Raises: ValueError without a run of it."""
    rows = [r["metrics"][metric] for r in records if r["variant"] == variant]
    if not rows:
        raise ValueError(f"variant must have a run among the records, got {variant!r}")
    return np.array(rows)


def compare(
    records: Iterable[Record], a: str, b: str, metric: str = "dice_by_image", *, together: int = 1
) -> Comparison:
    """Variant `a` against variant `b`, image by image, each averaged over its seeds.

    The interval is the percentile bootstrap (10 000 samples, seeded) over the images, which both variants share, and
    over the seeds of each: it says whether the difference would hold on other images of the kind and for other seeds.
    Of a variant with one run it knows nothing about other seeds, and of few runs or images it is a little short. The
    p-value is that of Wilcoxon's signed-rank test over the images, two-sided. Images that belong together, so many one
    after the other, as those of both eyes of a child, count as one, by their mean.
    Raises: ValueError without a run of one, or where `together` does not divide the number of images.
    """
    from scipy import stats

    records = list(records)
    by_image = [scores(records, variant, metric) for variant in (a, b)]
    if together < 1 or by_image[0].shape[1] % together:
        raise ValueError(f"together must divide the {by_image[0].shape[1]} images, got {together}")
    runs = [rows.reshape(len(rows), -1, together).mean(2) for rows in by_image]
    difference = runs[0].mean(0) - runs[1].mean(0)
    rng = np.random.default_rng(0)
    images = drawn(rng, len(difference))
    ours, rival = ((drawn(rng, len(rows)) @ rows * images).sum(1) for rows in runs)
    low, high = np.quantile(ours - rival, [0.025, 0.975])
    p_value = stats.wilcoxon(difference).pvalue if difference.any() else 1.0
    return Comparison(
        float(difference.mean()),
        float(low),
        float(high),
        int((difference > 0).sum()),
        len(difference),
        float(p_value),
    )


def drawn(rng: np.random.Generator, count: int, samples: int = 10_000) -> np.ndarray:
    """The share of each of `count` things in `samples` bootstrap samples of them: `[samples, count]`, rows sum to 1."""
    return rng.multinomial(count, np.full(count, 1 / count), size=samples) / count


def against_base(
    base: Sequence[Record], changed: Iterable[Record], metric: str = "dice_by_image"
) -> dict[str, Comparison]:
    """Each variant among `changed` against the runs of the one variant `base` that have the same seeds."""
    found = {}
    for variant, group in grouped(changed).items():
        seeds = {r["seed"] for r in group}
        rivals = [r for r in base if r["seed"] in seeds]
        found[variant] = compare([*group, *rivals], variant, base[0]["variant"], metric)
    return found


def seed_band(base: Iterable[Record], metric: str = "dice_by_image") -> float:
    """How far two runs that differ in the seed alone may lie apart: twice the standard deviation of their difference.

    Raises: StatisticsError for fewer than two runs.
    """
    return 2 * 2**0.5 * stdev(mean(r["metrics"][metric]) for r in base)
