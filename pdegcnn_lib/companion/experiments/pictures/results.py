"""Pictures of results: each takes the records that `experiments.run` returns or that are committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from pdegcnn_lib.companion.experiments.comparison import Record, against_base, grouped, seed_band
from pdegcnn_lib.companion.experiments.pictures.names import change_label, label, model_style, short_label
from pdegcnn_lib.companion.experiments.published import Published
from pdegcnn_lib.companion.viz.style import COLORS
from pdegcnn_lib.companion.viz.tables import thousands

# Where a name may stand beside its point, in points across and up, by preference, and how it is aligned there.
NAME_PLACES = [
    *((8, up, "left") for up in (0, 5, -5, 10, -10)),
    *((-8, up, "right") for up in (0, 5, -5)),
    *((0, up, "center") for up in (11, -11, 20, -20)),
]


def beside(ax: Axes) -> None:
    """Put the legend of a picture at its right side, where it lies on nothing."""
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def score_by_parameters(
    records: Iterable[Record],
    metric: str,
    *,
    name: str,
    references: Mapping[str, float] | None = None,
    published: Iterable[Published] = (),
) -> Figure:
    """A score in percent against the number of parameters: a dot per run, the mean of the seeds marked.

    `references` are horizontal lines, such as a human observer; `published` networks of others have hollow marks.
    """
    figure, ax = plt.subplots(figsize=(7.2, 3.8))
    points = []
    for variant, group in grouped(records).items():
        values = [100 * r["metrics"][metric] for r in group]
        count, style = group[0]["parameters"], model_style(group[0]["model"])
        ax.scatter([count] * len(values), values, s=14, alpha=0.5, **style)
        ax.scatter([count], [mean(values)], s=70, edgecolor="black", lw=0.7, **style)
        points.append((count, mean(values), short_label(variant)))
    for theirs in published:
        ax.scatter(
            [theirs.parameters], [100 * theirs.dice], s=55, marker="o", facecolor="none", edgecolor="0.3"
        )
        points.append((theirs.parameters, 100 * theirs.dice, theirs.name))
    counts = [count for count, _, _ in points]
    ax.set(xscale="log", xlabel="parameters", ylabel=f"{name} in percent")
    # A decade at least, and room for names on the right.
    ax.set_xlim(min(counts) / 1.5, max(10 * min(counts), 8 * max(counts)))
    for text, value in (references or {}).items():
        ax.axhline(100 * value, color="0.4", lw=1, ls="--")
        ax.annotate(text, (ax.get_xlim()[1], 100 * value), ha="right", va="bottom", fontsize=8, color="0.3")
    _name_points(ax, points)
    low, high = ax.get_xlim()
    if high < 50 * low:
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda count, _: thousands(round(count)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    return figure


def _name_points(ax: Axes, points: list[tuple[float, float, str]]) -> None:
    """Write names beside points: to the right where nothing lies there, else where they cover least."""
    ax.figure.canvas.draw()  # the places of points on the page are known from here on
    size = ax.figure.dpi / 72
    marks = [ax.transData.transform((x, y)) for x, y, _ in points]
    taken = [Bbox.from_extents(u - 5 * size, v - 5 * size, u + 5 * size, v + 5 * size) for u, v in marks]
    taken += [written.get_window_extent().padded(size) for written in (*ax.lines, *ax.texts)]
    for x, y, text in sorted(points, key=lambda point: point[1]):
        name = ax.annotate(text, (x, y), (0, 0), textcoords="offset points", va="center", fontsize=8)
        covered = {}
        for across, up, side in NAME_PLACES:
            name.set(position=(across, up), ha=side)
            box = name.get_window_extent()
            outside = box.width * box.height - _common(box, ax.bbox)
            covered[across, up, side] = sum(_common(box, other) for other in taken) + outside
        across, up, side = min(covered, key=covered.__getitem__)
        name.set(position=(across, up), ha=side)
        taken.append(name.get_window_extent())


def _common(a: Bbox, b: Bbox) -> float:
    found = Bbox.intersection(a, b)
    return 0.0 if found is None else float(found.width * found.height)


def score_boxes(
    records: Iterable[Record], metric: str, *, name: str, references: Mapping[str, float] | None = None
) -> Figure:
    """A box per variant over its seeds, one under the other, the runs as dots along the score in percent."""
    groups = grouped(records)
    figure, ax = plt.subplots(figsize=(6.4, 0.9 + 0.42 * len(groups)))
    for place, group in enumerate(groups.values()):
        values = [100 * r["metrics"][metric] for r in group]
        style = model_style(group[0]["model"])
        ax.boxplot(
            [values],
            positions=[place],
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            medianprops={"color": "black", "lw": 1.4},
        )
        offsets = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
        ax.scatter(values, place + np.asarray(offsets), s=22, zorder=3, edgecolor="black", lw=0.4, **style)
    for text, value in (references or {}).items():
        ax.axvline(100 * value, color="0.4", lw=1, ls="--")
        end = (100 * value, -0.6)  # above the boxes, where nothing lies under it
        ax.annotate(text, end, (0, 3), textcoords="offset points", ha="center", fontsize=9, color="0.3")
    ax.set(xlabel=f"{name} in percent", ylim=(len(groups) - 0.4, -0.6))
    ax.set_yticks(range(len(groups)), [label(v) for v in groups])
    return figure


def lines_of_networks(
    ax: Axes,
    records: Iterable[Record],
    along: Callable[[Record], float],
    score: Callable[[Record], float],
    *,
    key: str = "model",
) -> list[float]:
    """Draw a score in percent along what training took, a line per network: where runs agree in that, their mean.

    Filled marks are runs of the profile `long`, hollow ones are shorter. Records of one network have the entry `key` in
    common. Networks of 12 layers have dashed lines, and so has the second of two of one colour. Returns the places.
    """
    every: set[float] = set()
    seen: set[str] = set()
    for network, group in grouped(records, key).items():
        style = model_style(group[0]["model"])
        found: dict[tuple[float, bool], list[float]] = defaultdict(list)
        for record in group:
            found[along(record), record["profile"] == "long"].append(100 * score(record))
        points = sorted((x, long, mean(values)) for (x, long), values in found.items())
        every |= {x for x, _, _ in points}
        dash = "--" if "12" in network or style["color"] in seen else "-"
        seen.add(style["color"])
        ax.plot([x for x, _, _ in points], [y for _, _, y in points], dash, color=style["color"], lw=1.3)
        for x, long, y in points:
            ax.plot([x], [y], style["marker"], color=style["color"], mfc=None if long else "white", ms=6)
        ax.plot([], [], dash + style["marker"], color=style["color"], label=label(network))
    beside(ax)
    return sorted(every)


def score_by_steps(
    records: Iterable[Record], score: Callable[[Record], float], *, name: str, key: str = "model"
) -> Figure:
    """A score in percent against the steps of training, as `lines_of_networks` draws it."""
    figure, ax = plt.subplots(figsize=(6.6, 3.6))
    steps = lines_of_networks(ax, records, lambda r: r["training"]["steps"], score, key=key)
    ax.set(xscale="log", xlabel="steps of training", ylabel=f"{name} in percent")
    ax.set_xticks(steps, [thousands(round(n)) for n in steps])
    ax.xaxis.set_minor_locator(NullLocator())
    return figure


def score_by_size(
    records: Iterable[Record], metric: str, *, name: str, size: Callable[[Record], int], unit: str
) -> Figure:
    """A score in percent against the number of training images: the mean over seeds, with the range shaded."""
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    every: set[int] = set()
    for model, group in grouped(records, "model").items():
        by_size: dict[int, list[float]] = defaultdict(list)
        for record in group:
            by_size[size(record)].append(100 * record["metrics"][metric])
        sizes = sorted(by_size)
        every |= set(sizes)
        style = model_style(model)
        ax.plot(sizes, [mean(by_size[n]) for n in sizes], label=label(model), ms=5, **style)
        low, high = ([pick(by_size[n]) for n in sizes] for pick in (min, max))
        ax.fill_between(sizes, low, high, color=style["color"], alpha=0.15, lw=0)
    ax.set(xscale="log", xlabel=unit, ylabel=f"{name} in percent")
    ax.set_xticks(sorted(every), [thousands(n) for n in sorted(every)])
    ax.xaxis.set_minor_locator(NullLocator())
    beside(ax)
    return figure


def change_plot(base: Sequence[Record], changed: Iterable[Record], *, together: int = 1) -> Figure:
    """What each change does to the score: the paired difference to the base in percent, with its 95 % interval.

    The band is `seed_band`, what another seed does. Of the test images so many `together` count as one, see `compare`.
    """
    found = against_base(base, changed, together=together)
    figure, ax = plt.subplots(figsize=(6.6, 0.8 + 0.24 * len(found)))
    if len(base) > 1:
        band = 100 * seed_band(base)
        ax.axvspan(-band, band, color="0.9", lw=0)
    ax.axvline(0, color="0.4", lw=1)
    for place, c in enumerate(found.values()):
        low, middle, high = (100 * value for value in (c.low, c.difference, c.high))
        ax.plot([low, high], [place, place], color=COLORS["blue"], lw=1.6)
        ax.plot([middle], [place], "o", color=COLORS["vermillion"], ms=5)
    names = [change_label(variant, base[0]["variant"]) for variant in found]
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlabel="Dice score minus that of the unchanged network, in percent", ylim=(len(names) - 0.5, -0.5))
    return figure


def accuracy_by_angle(records: Iterable[Record]) -> Figure:
    """Accuracy against the angle by which the test digits are turned: the mean over seeds, with the range shaded."""
    figure, ax = plt.subplots(figsize=(7.0, 3.4))
    for variant, group in grouped(records).items():
        angles = [*group[0]["metrics"]["angles"], 360]  # where it is what it is at 0
        curves = 100 * np.array([r["metrics"]["accuracy_by_angle"] for r in group])
        curves = np.concatenate([curves, curves[:, :1]], axis=1)
        style = model_style(group[0]["model"])
        ax.plot(angles, curves.mean(0), color=style["color"], label=label(variant))
        ax.plot(angles[::3], curves.mean(0)[::3], style["marker"], color=style["color"], ms=5)
        ax.fill_between(angles, curves.min(0), curves.max(0), color=style["color"], alpha=0.15, lw=0)
    ax.set(xlabel="angle of the test digits in degrees", ylabel="accuracy in percent")
    ax.set_xticks(range(0, 361, 45))
    beside(ax)
    return figure


def training_curves(records: Iterable[Record], *, name: str = "loss") -> Figure:
    """The training loss against the step, the mean over the seeds of each variant."""
    figure, ax = plt.subplots(figsize=(6.2, 3.2))
    for variant, group in grouped(records).items():
        steps = [point["step"] for point in group[0]["curve"]]
        losses = np.mean([[point["loss"] for point in r["curve"]] for r in group], axis=0)
        ax.plot(steps, losses, color=model_style(group[0]["model"])["color"], label=label(variant))
    ax.set(xlabel="step", ylabel=name)
    beside(ax)
    return figure
