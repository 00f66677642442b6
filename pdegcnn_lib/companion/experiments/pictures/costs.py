"""Tables and pictures of what networks cost, from the record that `pdegcnn bench --networks` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pdegcnn_lib.companion.experiments.comparison import Record, grouped
from pdegcnn_lib.companion.experiments.pictures.names import label, model_style, short_label
from pdegcnn_lib.companion.viz.tables import markdown_table, thousands

Cost = Mapping[str, Any]


def cost_table(cost: Cost) -> str:
    """A Markdown table: parameters, time of a training step and of a photograph, memory of a step."""
    rows = []
    for row in cost["networks"]:
        times = [f"{row[key]['median']:.0f}" for key in ("step_ms", "photograph_ms")]
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        rows.append([label(row["model"]), thousands(row["parameters"]), *times, peak])
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
            short_label(row["model"]),
            (x, y),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel="training step in ms")
    ax.margins(x=0.18)
    return figure


def steps_to(record: Record, score: float) -> int | None:
    """The step at which the training loss of a run first falls to 1 - score; None when it never does."""
    return next((point["step"] for point in record["curve"] if point["loss"] <= 1 - score), None)


def time_to_score_table(records: Iterable[Record], cost: Cost, *, score: float) -> str:
    """A Markdown table: the median over the seeds of the steps to a training score, and the time these steps take."""
    step_ms = {row["model"]: row["step_ms"]["median"] for row in cost["networks"]}
    rows = []
    for variant, group in grouped(records).items():
        if group[0]["model"] not in step_ms:
            continue
        found = [n for n in (steps_to(r, score) for r in group) if n is not None]
        cells = ["never", ""]
        if found:
            seconds = median(found) * step_ms[group[0]["model"]] / 1e3
            cells = [f"{median(found):.0f}", f"{seconds:.0f}"]
        rows.append([label(variant), f"{len(found)} of {len(group)}", *cells])
    return markdown_table(["network", f"runs that reach {100 * score:.0f} %", "steps", "seconds"], rows)
