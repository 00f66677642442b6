"""Two networks on the same test images: how much better is one, and could that be chance?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import mean, stdev, variance
from typing import Any

import numpy as np

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A minus B over paired test images: the mean difference, its 95 % interval, the images won, the p-value.

    Where more than one image belongs `together`, `won` and `images` count these groups.
    """

    difference: float
    low: float
    high: float
    won: int
    images: int
    p_value: float
    together: int = 1

    def __str__(self) -> str:
        what = "images" if self.together == 1 else f"groups of {self.together} images"
        return (
            f"{100 * self.difference:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}] percent, "
            f"ahead on {self.won} of {self.images} {what}, p = {self.p_value:.2g}"
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
    found = np.array(rows)
    if not np.isfinite(found).all():
        raise ValueError(f"the scores of {variant} must be finite, got {found[~np.isfinite(found)][0]}")
    return found


def compare(
    records: Iterable[Record], a: str, b: str, metric: str = "dice_by_image", *, together: int = 1
) -> Comparison:
    """Variant `a` against variant `b`, image by image, each averaged over its seeds.

    The interval is Student's over the images, which both variants share, and over the seeds of each: it says whether
    the difference would hold on other images of the kind and for other seeds (`interval`, `over_seeds`). The p-value is
    that of Wilcoxon's signed-rank test over the images, two-sided. Images that belong together, so many one after the
    other, as those of both eyes of a child, count as one, by their mean.
    Of one observation nothing is known of others: the interval is then without bounds.
    Raises: ValueError without a run of one, for scores of other images or that are not finite, or where `together` does
    not divide the number of images.
    """
    from scipy import stats

    records = list(records)
    by_image = [scores(records, variant, metric) for variant in (a, b)]
    counts = [rows.shape[1] for rows in by_image]
    if counts[0] != counts[1]:
        raise ValueError(f"{a} and {b} must be scored on the same images, got {counts[0]} and {counts[1]}")
    if together < 1 or counts[0] % together:
        raise ValueError(f"together must divide the {counts[0]} images, got {together}")
    runs = [rows.reshape(len(rows), -1, together).mean(2) for rows in by_image]
    difference = runs[0].mean(0) - runs[1].mean(0)
    count = len(difference)
    means = {
        name: [float(mean(r["metrics"][metric])) for r in group] for name, group in grouped(records).items()
    }
    low, high = -inf, inf
    if count > 1:
        over_images = (float(difference.var(ddof=1)) / count, count - 1)
        low, high = interval(float(difference.mean()), [over_images, *over_seeds(means, a, b)])
    p_value = stats.wilcoxon(difference).pvalue if difference.any() else 1.0
    won = int((difference > 0).sum())
    return Comparison(float(difference.mean()), low, high, won, count, float(p_value), together)


OWN = 3  # runs from which on a variant has a variance over seeds of its own


def over_seeds(runs: Mapping[str, Sequence[float]], a: str, b: str) -> list[tuple[float, int]]:
    """What the seeds add to the variance of `a` minus `b`, in parts: the variance and its degrees of freedom.

    `runs` are the scores of the runs of each variant. A variant of at least `OWN` runs has the variance of its own,
    any other that of all variants, pooled as in an analysis of variance. There is no part where no variant has a
    second run: then nothing is known of other seeds. Each part is the variance of one variant, with all that it counts
    for, by itself and in the pool, so that none is taken for two.
    """
    freedom = sum(len(of) - 1 for of in runs.values())
    own = {name: 1 / len(runs[name]) for name in (a, b) if len(runs[name]) >= OWN}
    shared = sum(1 / len(runs[name]) for name in (a, b) if name not in own)
    parts = []
    for name, of in runs.items():
        if len(of) < 2:
            continue
        weight = own.get(name, 0.0) + shared * (len(of) - 1) / freedom
        if weight:
            parts.append((weight * variance(of), len(of) - 1))
    return parts


def interval(
    difference: float, parts: Iterable[tuple[float, float]], level: float = 0.95
) -> tuple[float, float]:
    """Student's interval around a difference whose variance is the sum of `parts` (variance, degrees of freedom).

    Its degrees of freedom are those of Welch and Satterthwaite.
    """
    from scipy import stats

    known = [(variance, freedom) for variance, freedom in parts if variance > 0]
    total = sum(variance for variance, _ in known)
    if not total:
        return difference, difference
    freedom = total**2 / sum(variance**2 / of for variance, of in known)
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * total**0.5
    return difference - half, difference + half


def against_base(
    base: Sequence[Record], changed: Iterable[Record], metric: str = "dice_by_image", *, together: int = 1
) -> dict[str, Comparison]:
    """Each variant among `changed` against the runs of the one variant `base` that have the same seeds: `compare`."""
    found = {}
    for variant, group in grouped(changed).items():
        seeds = {r["seed"] for r in group}
        rivals = [r for r in base if r["seed"] in seeds]
        found[variant] = compare([*group, *rivals], variant, base[0]["variant"], metric, together=together)
    return found


def seed_band(base: Iterable[Record], metric: str = "dice_by_image") -> float:
    """How far two runs that differ in the seed alone may lie apart, in 95 of 100 cases, by Student's distribution.

    Raises: StatisticsError for fewer than two runs.
    """
    from scipy import stats

    means = [mean(r["metrics"][metric]) for r in base]
    deviation = stdev(means)
    return float(stats.t.ppf(0.975, len(means) - 1)) * 2**0.5 * deviation
