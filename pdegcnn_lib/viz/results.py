"""Pictures and tables of results: each takes the records that `experiments.run` returns or that are committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from pdegcnn_lib.viz.style import MODEL_COLORS, MODEL_LABELS, MODEL_MARKERS

Records = Iterable[dict]


def by_model(records: Records) -> dict[str, list[dict]]:
    """The records grouped by model, in the order in which the book lists models."""
    groups: dict[str, list[dict]] = defaultdict(list)
    for record in records:
        groups[record["model"]].append(record)
    order = list(MODEL_LABELS)
    return dict(
        sorted(groups.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    )


def spread(values: list[float], digits: int = 1) -> str:
    """Mean and standard deviation in percent, with the number of seeds: `91.3 +- 0.4 (5)`."""
    deviation = f" ± {100 * stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.{digits}f}{deviation} ({len(values)})"


def result_table(records: Records, metrics: dict[str, str]) -> str:
    """A Markdown table: a row per model, a column per metric; `metrics` maps a key of the record to a heading."""
    lines = [
        "| network | parameters | " + " | ".join(metrics.values()) + " |",
        "|---|--:|" + "--:|" * len(metrics),
    ]
    for model, group in by_model(records).items():
        cells = [spread([r["metrics"][key] for r in group]) for key in metrics]
        count = f"{group[0]['parameters']:,}".replace(",", " ")
        lines.append(f"| {MODEL_LABELS.get(model, model)} | {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def committed_table(experiment: str, records: Records) -> str:
    """The committed results of an experiment as a Markdown table under a heading; or a line that there are none."""
    records = list(records)
    if not records:
        return f"*{experiment}, profile full: no run is committed yet; `make grid PROFILE=full` makes them.*"
    devices = ", ".join(sorted({r["device"] for r in records}))
    table = result_table(records, {"accuracy": "turned digits, %", "accuracy_upright": "upright digits, %"})
    steps = sorted({r["training"]["steps"] for r in records})
    return f"**{experiment}**, MNIST, {' or '.join(map(str, steps))} steps, on {devices}\n\n{table}"


def accuracy_by_parameters(records: Records, metric: str, *, title: str = "") -> Figure:
    """Accuracy against the number of parameters: a dot per run, the mean marked."""
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    for model, group in by_model(records).items():
        values = [100 * r["metrics"][metric] for r in group]
        count = group[0]["parameters"]
        style: dict[str, Any] = {"color": MODEL_COLORS[model], "marker": MODEL_MARKERS[model]}
        ax.scatter([count] * len(values), values, s=14, alpha=0.5, **style)
        ax.scatter(
            [count], [mean(values)], s=70, edgecolor="black", lw=0.7, label=MODEL_LABELS[model], **style
        )
    ax.set(xscale="log", xlabel="parameters", ylabel="accuracy in percent", title=title)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def accuracy_by_angle(records: Records, *, title: str = "") -> Figure:
    """Accuracy against the angle by which the test digits are turned: the mean over seeds, with the range shaded."""
    figure, ax = plt.subplots(figsize=(7.0, 3.4))
    for model, group in by_model(records).items():
        angles = group[0]["metrics"]["angles"]
        curves = 100 * np.array([r["metrics"]["accuracy_by_angle"] for r in group])
        ax.plot(angles, curves.mean(0), color=MODEL_COLORS[model], label=MODEL_LABELS[model])
        ax.plot(angles[::3], curves.mean(0)[::3], MODEL_MARKERS[model], color=MODEL_COLORS[model], ms=5)
        ax.fill_between(angles, curves.min(0), curves.max(0), color=MODEL_COLORS[model], alpha=0.15, lw=0)
    ax.set(xlabel="angle of the test digits in degrees", ylabel="accuracy in percent", title=title)
    ax.set_xticks(range(0, 361, 45))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
