"""The grid: which experiments there are, which models and seeds they ask for, with which settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pdegcnn_lib import models
from pdegcnn_lib.experiments.config import Training, Unit, check_profile
from pdegcnn_lib.experiments.digits import RotatedDigits
from pdegcnn_lib.experiments.task import Task

DIGIT_MODELS = (
    "digits-lenet5",
    "digits-gcnn",
    "digits-gcnn-invariant",
    "digits-pdegcnn",
    "digits-pdegcnn-invariant",
)


@dataclass(frozen=True)
class Experiment:
    """One experiment: `task(profile)` makes its data; `training[profile]` are its settings."""

    name: str
    summary: str
    task: Callable[[str], Task]
    models: tuple[str, ...]
    seeds: dict[str, tuple[int, ...]]
    training: dict[str, Training]
    learning_rate: dict[str, float]  # by family of networks

    def unit(self, model: str, seed: int, profile: str, **options: object) -> Unit:
        """The run of one model with one seed; ValueError for a model that the experiment does not list."""
        check_profile(profile)
        if model not in self.models:
            raise ValueError(f"model must be one of {', '.join(self.models)} in {self.name}, got {model!r}")
        rate = self.learning_rate[family(model)]
        training = replace(self.training[profile], learning_rate=rate)
        return Unit(self.name, model, seed, profile, training, options)

    def units(self, profile: str) -> list[Unit]:
        """Every run that the profile asks for, first seeds first."""
        seeds = self.seeds[check_profile(profile)]
        return [self.unit(model, seed, profile) for seed in seeds for model in self.models]


def family(model: str) -> str:
    """The family of a network, within which settings are shared: pdegcnn, gcnn or cnn."""
    models.entry(model)
    return next(kind for kind in ("pdegcnn", "gcnn", "cnn", "lenet") if kind in model)


def _digits(name: str, summary: str, *, rotated: bool) -> Experiment:
    return Experiment(
        name=name,
        summary=summary,
        task=lambda profile: RotatedDigits(profile, rotated=rotated),
        models=DIGIT_MODELS,
        seeds={"fast": (0,), "full": (0, 1, 2, 3, 4)},
        training={"fast": Training(steps=400, batch_size=32), "full": Training(steps=4000, batch_size=64)},
        learning_rate={"pdegcnn": 2e-2, "gcnn": 1e-2, "lenet": 2e-3},
    )


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        _digits("digits-upright", "trained on upright digits, tested on rotated ones", rotated=False),
        _digits("digits-rotated", "trained and tested on rotated digits", rotated=True),
    )
}


def experiment(name: str) -> Experiment:
    """The named experiment; ValueError for an unknown name."""
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {name!r}")
    return EXPERIMENTS[name]
