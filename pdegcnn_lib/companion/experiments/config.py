"""What a run is: an experiment, a model, a seed and a configuration, all of them values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

# `fast`: a part of the data or few steps, for a look; `full`: all of the data and 500 to 600 steps, which says how fast
# networks learn; `long`: as many steps as validation asks for.
PROFILES = ("fast", "full", "long")
# Batches are drawn by generators that are made from this one and the step; of what they are given they use 32 bits, so
# that two seeds may share batches in the distance, and none do that differ by less than 3 000.
LARGEST_SEED = 2**32 - 1


LATER = {"average": 0.0}  # settings of training that did not exist from the start, as they were without them


@dataclass(frozen=True)
class Training:
    """The settings of the training loop.

    `steps` batches of `batch_size`; AdamW with `weight_decay`; the learning rate follows `schedule`, `cosine` to zero
    after a linear warm-up over the first twentieth, `exponential` to a hundredth, or `constant`. With `average` the
    network that is kept is an exponential mean of those along the way, which forgets by this factor at every step; at 0
    it is the last one. `mixed_precision` is that of a GPU; a CPU trains without.
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 5e-3
    schedule: str = "cosine"
    gradient_clip: float = 1.0
    mixed_precision: bool = False
    checkpoint_seconds: float = 60.0
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}"
            )
        for name in ("learning_rate", "gradient_clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and positive, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be finite and at least 0, got {self.weight_decay}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be at least 0 and below 1, got {self.average}")
        if self.schedule not in ("cosine", "exponential", "constant"):
            raise ValueError(f"schedule must be cosine, exponential or constant, got {self.schedule!r}")


def once(kind: str, options: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Options of a command by name. Raises: ValueError for one that is given twice."""
    found: dict[str, Any] = {}
    for name, value in options:
        if name in found:
            raise ValueError(f"{kind} {name} must be given once, got {found[name]!r} and {value!r}")
        found[name] = value
    return found


def check_profile(profile: str) -> str:
    """Return the profile if it is one; raise otherwise."""
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    return profile


@dataclass(frozen=True)
class Run:
    """One run: everything that its result depends on besides the code.

    `variant` is what the tables of the experiment call it; `options` go to the network, `data` to the task.
    """

    experiment: str
    variant: str
    model: str
    seed: int
    profile: str
    training: Training
    options: dict[str, object] = field(default_factory=dict)
    data: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_profile(self.profile)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise ValueError(f"seed must be an integer >= 0, got {self.seed!r}")
        if self.seed > LARGEST_SEED:
            raise ValueError(f"seed must be at most {LARGEST_SEED}, got {self.seed}")

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"{self.experiment} {self.variant} seed {self.seed}"

    @property
    def config(self) -> dict[str, object]:
        """The configuration as plain values."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """A short hash of the configuration, which names the result.

        A setting that training got later counts only where it is used: older results keep their names.
        """
        config = self.config
        training = {k: v for k, v in asdict(self.training).items() if (k, v) not in LATER.items()}
        canonical = json.dumps({**config, "training": training}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """The file name of the result without its ending."""
        return f"{self.experiment}/{self.profile}/{self.variant}-seed{self.seed}-{self.digest}"
