"""Configurations, schedules, names; the digits as a task."""

import inspect
import json
import math
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.experiments import EXPERIMENTS, PROFILES, Run, Training, experiment
from pdegcnn_lib.companion.experiments.digits import ANGLES, RotatedDigits
from pdegcnn_lib.companion.experiments.registry import family, key
from pdegcnn_lib.companion.experiments.training import learning_rate

UNIT = Run("digits-rotated", "digits-pdegcnn", "digits-pdegcnn", 0, "fast", Training(steps=10))


def test_a_unit_is_a_value():
    assert replace(UNIT) == UNIT and replace(UNIT).digest == UNIT.digest
    with pytest.raises(FrozenInstanceError):
        UNIT.seed = 1
    changed = [
        replace(UNIT, seed=1),
        replace(UNIT, model="digits-gcnn"),
        replace(UNIT, options={"alpha": 0.7}),
        replace(UNIT, training=Training(steps=11)),
        replace(UNIT, data={"train_size": 100}),
    ]
    assert len({UNIT.digest, *(u.digest for u in changed)}) == 6
    assert replace(UNIT, training=Training(steps=10, average=0.9)).digest != UNIT.digest
    assert UNIT.stem == f"digits-rotated/fast/digits-pdegcnn-seed0-{UNIT.digest}"


def test_schedules():
    constant, exponential, cosine = (
        Training(steps=100, learning_rate=0.1, schedule=s) for s in ("constant", "exponential", "cosine")
    )
    assert {learning_rate(constant, n) for n in (0, 50, 99)} == {0.1}
    assert learning_rate(exponential, 0) == 0.1
    assert learning_rate(exponential, 100) == pytest.approx(0.001)
    assert learning_rate(cosine, 0) == pytest.approx(0.1 / 5)  # a fifth of the warm-up of five steps
    assert learning_rate(cosine, 50) == pytest.approx(0.05)
    assert learning_rate(cosine, 99) < 1e-4
    assert max(learning_rate(cosine, n) for n in range(100)) <= 0.1
    assert learning_rate(Training(steps=1), 0) == 1e-2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Training(steps=0), "steps and batch_size must be at least 1, got 0 and 64"),
        (lambda: Training(steps=1, batch_size=0), "got 1 and 0"),
        (
            lambda: Training(steps=1, learning_rate=0.0),
            r"learning_rate must be finite and positive, got 0\.0",
        ),
        (
            lambda: Training(steps=1, learning_rate=math.nan),
            "learning_rate must be finite and positive, got nan",
        ),
        (
            lambda: Training(steps=1, gradient_clip=-1.0),
            r"gradient_clip must be finite and positive, got -1\.0",
        ),
        (
            lambda: Training(steps=1, weight_decay=math.inf),
            "weight_decay must be finite and at least 0, got inf",
        ),
        (lambda: Training(steps=1, schedule="step"), "must be cosine, exponential or constant, got 'step'"),
        (lambda: Training(steps=1, average=1.0), r"average must be at least 0 and below 1, got 1\.0"),
        (lambda: replace(UNIT, profile="slow"), "profile must be one of fast, full, long, got 'slow'"),
        (lambda: replace(UNIT, seed=-1), "seed must be an integer >= 0, got -1"),
        (lambda: replace(UNIT, seed=1.5), r"seed must be an integer >= 0, got 1\.5"),
        (
            lambda: experiment("digits"),
            "experiment must be one of digits-upright, digits-rotated.*got 'digits'",
        ),
        (
            lambda: experiment("digits-rotated").unit("resnet", 0, "fast"),
            "model must be one of .*got 'resnet'",
        ),
        (lambda: experiment("digits-rotated").unit("digits-gcnn", 0, "slow"), "profile must be .*got 'slow'"),
        (
            lambda: experiment("digits-rotated").units("slow"),
            "profile must be one of fast, full, long, got 'slow'",
        ),
    ],
)
def test_bad_values_are_quoted(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_unit_of_the_grid_is_complete(name, profile):
    entry = experiment(name)
    assert entry.name == name and entry.summary
    units = entry.units(profile)
    assert len(entry.labels) == len(set(entry.labels)) == len(entry.variants)
    assert len({u.stem for u in units}) == len(units)
    assert [u.seed for u in units] == sorted(u.seed for u in units)
    asked = {v.name for v in entry.variants if profile in v.profiles}
    assert {u.variant for u in units} == (asked if entry.seeds.get(profile) else set())
    for unit in units:
        variant = entry.variant(unit.variant)
        settings = (
            entry.found.get(key(unit.variant, unit.model, entry.found))
            if profile == "long"
            else entry.settings.get(family(unit.model))
        )
        assert settings is not None or not (entry.found if profile == "long" else entry.settings)
        expected = {**(settings or {}), **variant.training}
        assert {name: getattr(unit.training, name) for name in expected} == expected
        assert set(unit.options) <= set(models.entry(unit.model).options)
        assert set(unit.data) <= set(inspect.signature(entry.task).parameters)


def test_a_variant_may_have_seeds_of_its_own():
    counts = Counter(unit.variant for unit in experiment("vessels").units("full"))
    assert counts["vessels-pdegcnn6"] == 5 and counts["vessels-pdegcnn12"] == 3


def test_families():
    assert [
        family(m) for m in ("digits-pdegcnn-invariant", "digits-gcnn", "vessels-cnn6", "digits-lenet5")
    ] == [
        "pdegcnn",
        "gcnn",
        "cnn",
        "lenet",
    ]


@pytest.fixture(scope="module")
def tasks() -> dict[str, RotatedDigits]:
    pytest.importorskip("sklearn", reason="the embedded digits come with scikit-learn")
    return {kind: RotatedDigits("fast", rotated=kind == "rotated") for kind in ("upright", "rotated")}


def test_digits_are_rotated_where_they_should_be(tasks):
    upright, rotated = tasks["upright"], tasks["rotated"]
    assert torch.equal(upright.labels, rotated.labels)
    assert not torch.allclose(upright.images, rotated.images, atol=0.1)
    assert torch.equal(upright.turned, rotated.turned) and torch.equal(
        upright.test_images, rotated.test_images
    )
    assert torch.equal(RotatedDigits("fast", rotated=True).images, rotated.images)
    assert len(RotatedDigits("fast", rotated=False, train_size=100).images) == 100


def test_validation_digits_come_out_of_the_training_set(tasks):
    held = RotatedDigits("fast", rotated=False, validation=True)
    assert len(held.images) + len(held.test_images) == len(tasks["upright"].images)
    assert torch.equal(torch.cat([held.images, held.test_images]), tasks["upright"].images)


def test_digit_batches(tasks):
    task = tasks["upright"]
    images, labels = task.batch(8, torch.Generator().manual_seed(1))
    again, _ = task.batch(8, torch.Generator().manual_seed(1))
    assert images.shape == (8, 1, 28, 28) and labels.shape == (8,) and torch.equal(images, again)
    assert task.loss(torch.zeros(8, 10), labels).item() == pytest.approx(math.log(10), rel=1e-6)


def test_evaluation_counts_what_is_right(tasks):
    """A model that looks its answer up in the upright test set is perfect there and at 0 degrees alone."""
    task = tasks["upright"]
    known = task.test_images.flatten(1)

    class Memory(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            distance, nearest = torch.cdist(x.flatten(1), known).min(1)
            answer = torch.where(
                distance < 1e-2, task.test_labels[nearest], (task.test_labels[nearest] + 1) % 10
            )
            return torch.nn.functional.one_hot(answer, 10).float()

    metrics = task.evaluate(Memory(), torch.device("cpu"))
    assert metrics["accuracy_upright"] == 1.0
    assert metrics["angles"] == list(ANGLES) == list(range(0, 360, 30))
    assert metrics["accuracy_by_angle"][0] == 1.0
    assert max(metrics["accuracy_by_angle"][1:]) < 0.6 and metrics["accuracy"] < 0.6


RESULTS = sorted(
    p for p in (paths.root() / "results").glob("*/*/*.json") if len(p.parts) - len(paths.root().parts) == 4
)


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_every_committed_result_is_that_of_its_configuration(path):
    """A setting that comes into being later leaves the names of older results as they are."""
    record = json.loads(path.read_text())
    names = ("experiment", "variant", "model", "seed", "profile")
    unit = Run(*(record[n] for n in names), Training(**record["training"]), record["options"], record["data"])
    assert unit.digest == record["digest"] and path.name.startswith(Path(unit.stem).name)


def test_training_digits_are_lit_differently_in_the_long_profile(tasks):
    task = tasks["upright"]
    plain, labels = task.batch(64, torch.Generator().manual_seed(1))
    task.relit = True
    try:
        lit, same = task.batch(64, torch.Generator().manual_seed(1))
    finally:
        task.relit = False
    assert torch.equal(labels, same)
    fits = [np.polyfit(a.flatten(), b.flatten(), 1) for a, b in zip(plain.numpy(), lit.numpy(), strict=True)]
    gains, offsets = np.array(fits).T
    assert np.allclose([g * a + o for (g, o), a in zip(fits, plain.numpy(), strict=True)], lit, atol=1e-5)
    assert 0.8 <= gains.min() < 0.9 and 1.1 < gains.max() <= 1.2 and np.abs(offsets).max() <= 0.1 + 1e-6
