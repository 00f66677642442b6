"""What an experiment is: a task, the variants that it compares, the seeds and settings of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pdegcnn_lib import models
from pdegcnn_lib.companion.experiments.config import PROFILES, Run, Training, check_profile
from pdegcnn_lib.companion.experiments.search import Search
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.tuned import ENDED, FOUND


@dataclass(frozen=True)
class Variant:
    """One line of an experiment's table: a network, and what is changed about it, its data or its training.

    `label` names it in tables and files; by default it is the network's name. `seeds` are those of the profiles `full`
    and `long` where they differ from the experiment's, `long_seeds` those of `long` where they differ from these;
    `profiles` are those that it is part of.
    """

    model: str
    label: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)
    seeds: int | None = None
    long_seeds: int | None = None
    profiles: tuple[str, ...] = PROFILES

    @property
    def name(self) -> str:
        """The label, or the name of the network."""
        return self.label or self.model

    @property
    def title(self) -> str:
        """What a reader calls it: the network, the rest of a label that begins with its name, its numbers."""
        words = self.label.removeprefix(self.model).strip("-").split("-")
        steps, rate = self.training.get("steps"), self.training.get("learning_rate")
        numbers = {str(steps): f"{steps} steps", f"{rate}": f"rate {rate}"}
        changed = " ".join(word for word in words if word not in numbers)
        said = [numbers[word] for word in words if word in numbers]
        return ", ".join(filter(None, (models.entry(self.model).label, changed, *said)))


@dataclass(frozen=True)
class Experiment:
    """One experiment: `task(profile, **data)` makes its data; `training[profile]` are its settings.

    `seeds[profile]` is how many seeds each variant is run with, `settings` are what the families of networks have of
    their own and `found` what a network or its kind has in the profile `long` (`key`). `score` is the figure of
    merit that the networks are ranked by; of the test images so many `together`, one after the other, are of one
    person. With a `search` the runs of `long` are those that it may ask for.
    """

    name: str
    summary: str
    task: Callable[..., Task]
    variants: tuple[Variant, ...]
    seeds: Mapping[str, int]
    training: Mapping[str, Training]
    settings: Mapping[str, Mapping[str, object]]
    score: str
    keep_weights: bool = True
    found: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    search: Search | None = None
    together: int = 1

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the variants."""
        return tuple(variant.name for variant in self.variants)

    def variant(self, name: str) -> Variant:
        """The named variant; ValueError for another name."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise ValueError(f"model must be one of {', '.join(self.labels)} in {self.name}, got {name!r}")

    def unit(self, name: str, seed: int, profile: str) -> Run:
        """The run of one variant with one seed; ValueError for what the experiment does not have."""
        check_profile(profile)
        variant = self.variant(name)
        if profile not in self.training:
            raise ValueError(f"{self.name} has the profiles {', '.join(self.training)}, got {profile!r}")
        if profile == "long":
            own = self.found.get(key(name, variant.model, self.found), {})
        else:
            own = self.settings.get(family(variant.model), {})
        settings: dict[str, Any] = {**own, **variant.training}
        training = replace(self.training[profile], **settings)
        return Run(
            self.name,
            variant.name,
            variant.model,
            seed,
            profile,
            training,
            dict(variant.options),
            dict(variant.data),
        )

    def units(self, profile: str) -> list[Run]:
        """Every run that the profile asks for, first seeds first."""
        check_profile(profile)
        counts = {v.name: self._seeds(v, profile) for v in self.variants}
        return [
            self.unit(name, seed, profile)
            for seed in range(max(counts.values(), default=0))
            for name, count in counts.items()
            if seed < count
        ]

    def settled(self, name: str) -> bool:
        """Whether a variant has in the profile `long` what a search came to, not what it begins with or what is set."""
        variant = self.variant(name)
        of = key(name, variant.model, self.found)
        ended = (of in ended for task, ended in ENDED.items() if self.found is FOUND[task])
        return "steps" not in variant.training and any(ended)

    def _seeds(self, variant: Variant, profile: str) -> int:
        if profile not in variant.profiles:
            return 0
        long = variant.seeds if variant.long_seeds is None else variant.long_seeds
        own = {"full": variant.seeds, "long": long}.get(profile)
        usual = self.seeds.get(profile, 0)
        return usual if own is None or not usual else own


def family(model: str) -> str:
    """The family of a network, within which settings are shared: pdegcnn (on R^2 too), gcnn, cnn or lenet."""
    return models.entry(model).family


def title(name: str) -> str:
    """What a reader calls a network or a variant of an experiment; the name itself where neither is on the list."""
    if name in models.names():
        return models.entry(name).label
    listed = (v for e in EXPERIMENTS.values() for v in e.variants if v.name == name)
    return next((v.title for v in listed), name)


def kind(model: str) -> str:
    """The family of a network with the number of its layers, where it has one: `pdegcnn12`, `lenet`."""
    return f"{family(model)}{models.entry(model).fixed.get('layers', '')}"


def key(network: str, model: str, settings: Mapping[str, object]) -> str:
    """What settings have a network under: its own name where that is among them, otherwise its kind."""
    return network if network in settings else kind(model)


EXPERIMENTS: dict[str, Experiment] = {}


def enter(*experiments: Experiment) -> None:
    """Put experiments on the list."""
    EXPERIMENTS.update({experiment.name: experiment for experiment in experiments})


def experiment(name: str) -> Experiment:
    """The named experiment; ValueError for an unknown name."""
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {name!r}")
    return EXPERIMENTS[name]
