"""Tables and pictures of what networks cost, from the record that `pdegcnn bench --networks` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from pdegcnn_lib.companion.experiments.comparison import Record, grouped, value
from pdegcnn_lib.companion.experiments.pictures.names import label, model_style, short_label
from pdegcnn_lib.companion.experiments.pictures.results import lines_of_networks
from pdegcnn_lib.companion.experiments.pictures.tables import spread, whole
from pdegcnn_lib.companion.viz.tables import markdown_table, thousands

Cost = Mapping[str, Any]


def cost_table(cost: Cost) -> str:
    """A Markdown table: parameters, time of a training step and of a photograph, memory of a step."""
    rows = []
    for row in cost["networks"]:
        times = [thousands(round(row[key]["median"])) for key in ("step_ms", "photograph_ms")]
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        rows.append([whole(label(row["variant"])), thousands(row["parameters"]), *times, peak])
    head = ["network", "parameters", "training step, ms", "photograph, ms", "peak memory of a step, MiB"]
    return markdown_table(head, rows) + f"\n\n*{cost['provenance']['device']}*"


def cost_by_parameters(cost: Cost) -> Figure:
    """The time of a training step against the number of parameters, both on logarithmic axes."""
    figure, ax = plt.subplots(figsize=(6.0, 3.4))
    for row in cost["networks"]:
        style = model_style(row["model"])
        x, y = row["parameters"], row["step_ms"]["median"]
        ax.scatter([x], [y], s=60, edgecolor="black", lw=0.6, **style)
        ax.annotate(
            short_label(row["variant"]),
            (x, y),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel="training step in ms")
    ax.margins(x=0.18)
    return figure


def minutes(record: Record, cost: Cost) -> float:
    """The minutes that the steps of a run take where `cost` was measured."""
    [step_ms] = [
        row["step_ms"]["median"]
        for row in cost["networks"]
        if (row["model"], row["options"]) == (record["model"], record["options"])
    ]
    return float(record["training"]["steps"] * step_ms / 60e3)


def training_time_table(records: Iterable[Record], metric: str, cost: Cost, *, name: str) -> str:
    """A Markdown table: the steps of training of a network, their minutes by `minutes`, and the score they end with."""
    rows = []
    for variant, group in grouped(records).items():
        score = spread([value(r, metric) for r in group])
        steps = thousands(group[0]["training"]["steps"])
        rows.append([whole(label(variant)), steps, f"{minutes(group[0], cost):.0f}", str(len(group)), score])
    return markdown_table(["network", "steps", "minutes", "seeds", f"{name}, %"], rows)


def score_by_minutes(records: Iterable[Record], metric: str, cost: Cost, *, name: str) -> Figure:
    """A score in percent against the minutes of training by `minutes`, as `lines_of_networks` draws it."""
    figure, ax = plt.subplots(figsize=(6.6, 3.6))
    lines_of_networks(ax, records, partial(minutes, cost=cost), partial(value, metric=metric))
    ax.set(xscale="log", xlabel="minutes of training", ylabel=f"{name} in percent")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return figure
