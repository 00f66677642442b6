"""The experiments that search for the number of steps and the learning rate, one for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, key
from pdegcnn_lib.companion.experiments.search import run_name
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.tuned import FOUND, SEARCHES


def beginning(task: str, model: str, steps: int) -> dict[str, object]:
    """A number of steps that is set, at the rate that the search of a network begins with."""
    rates = SEARCHES[task].rates
    return {"steps": steps, "learning_rate": rates[key(model, model, rates)]}


def doubled(task: str, model: str, steps: int, suffix: str = "", **options: object) -> Variant:
    """A network after a number of steps that is set, whatever its search came to."""
    return Variant(
        model,
        f"{model}{suffix}-{steps}",
        options=options,
        training=beginning(task, model, steps),
        profiles=("long",),
    )


def last(task: str, model: str) -> Variant:
    """A network that keeps its last weights in place of their mean, judged on validation data.

    It takes as many steps as its search came to, at the rate that this begins with: its rival is a run of the search.
    """
    steps = int(str(FOUND[task][key(model, model, FOUND[task])]["steps"]))
    return Variant(
        model,
        f"{model}-last",
        data={"validation": True},
        training={**beginning(task, model, steps), "average": 0.0},
        profiles=("long",),
    )


def search_of(
    task: str,
    summary: str,
    networks: Iterable[str | Variant],
    make: Callable[..., Task],
    training: Mapping[str, Training],
    score: str = "dice",
) -> Experiment:
    """The experiment `task-search`: every run that the search of a task may ask for, on its validation data.

    A network is one on the list, or one with options or data of its own.
    """
    search = SEARCHES[task]
    variants = [
        replace(
            network,
            label=run_name(network.name, steps, rate),
            data={**network.data, "validation": True},
            training={"steps": steps, "learning_rate": rate},
            profiles=("long",),
        )
        for network in (Variant(n) if isinstance(n, str) else n for n in networks)
        for steps, rate in search.runs(key(network.name, network.model, search.rates))
    ]
    return Experiment(
        name=f"{task}-search",
        summary=summary,
        task=make,
        variants=tuple(variants),
        seeds={"long": 1},
        training=training,
        settings={},
        score=score,
        keep_weights=False,
        search=search,
    )
