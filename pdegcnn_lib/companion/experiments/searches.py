"""The experiments that search for the number of steps and the learning rate, one for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, kind
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.tuned import SEARCHES


def search_of(
    task: str,
    summary: str,
    networks: Iterable[str],
    make: Callable[..., Task],
    training: Mapping[str, Training],
    score: str = "dice",
) -> Experiment:
    """The experiment `task-search`: every run that the search of a task may ask for, on its validation data."""
    search = SEARCHES[task]
    variants = [
        Variant(
            model,
            f"{model}-{steps}-{rate:g}",
            data={"validation": True},
            training={"steps": steps, "learning_rate": rate},
            profiles=("long",),
        )
        for model in networks
        for steps, rate in search.runs(kind(model))
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
