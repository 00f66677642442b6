"""The task of tubes: batches, turns, scores, and the data that its variants ask for."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion.data.tubes import Volumes, draw
from pdegcnn_lib.companion.experiments import experiment
from pdegcnn_lib.companion.experiments import tubes as module
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.search import network_of
from pdegcnn_lib.companion.experiments.training import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def task() -> module.TubesTask:
    return module.TubesTask(draw(2, 1, 12), draw(2, 2, 12))


def test_a_perfect_network_has_dice_one(task: module.TubesTask) -> None:
    truth = {image.sum().item(): mask for image, mask in zip(task.test.images, task.test.truth, strict=True)}
    found = task.evaluate(lambda f: 20 * truth[f.sum().item()][None].float() - 10, CPU)  # type: ignore[arg-type]
    assert found["dice"] == found["auc"] == found["accuracy"] == 1.0
    assert len(found["dice_by_image"]) == 2


def test_batches_depend_on_their_generator_and_turn_image_and_truth_together() -> None:
    volumes = draw(2, 1, 12)
    whole = module.TubesTask(volumes, volumes, augment=True)
    images, truths = whole.batch(8, torch.Generator().manual_seed(3))
    again, _ = whole.batch(8, torch.Generator().manual_seed(3))
    assert torch.equal(images, again) and truths.dtype == torch.float32
    for image, truth in zip(images, truths, strict=True):
        n = int((volumes.images.sum((1, 2, 3, 4)) - image.sum()).abs().argmin())
        inside = image[truth.bool()].sort().values
        assert torch.equal(inside, volumes.images[n][volumes.truth[n]].sort().values)
    assert not torch.equal(images, torch.stack([volumes.images[0]] * 8))


def test_a_small_network_learns(task: module.TubesTask) -> None:
    torch.manual_seed(0)
    model = models.build("tubes-pdegcnn", channels=2, layers=1)
    curve, _ = train(model, task, Training(steps=12, batch_size=1, learning_rate=0.05), seed=0, device=CPU)
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_data_of_the_variants() -> None:
    small = module.task("fast")
    assert small.train.images.shape == (16, 1, 16, 16, 16) and len(small.test) == 6
    few = module.task("fast", volumes=3, augment=True)
    assert len(few.train) == 3 and few.augment and torch.equal(few.test.images, small.test.images)
    with pytest.raises(ValueError, match="upright must be False with validation"):
        module.task("fast", validation=True, upright=True)
    held = module.task("fast", validation=True)
    assert torch.equal(held.train.images, small.train.images)
    assert not any(torch.equal(a, b) for a in held.test.images for b in small.test.images)


def test_networks_of_one_model_are_searched_for_apart() -> None:
    """By their names, on the validation volumes, each with the options and the turns that it has in the tables."""
    search = experiment("tubes-search")
    named = {network_of(unit.config): unit for unit in search.units("long")}
    assert list(named) == [network.name for network in module.SEARCHED]
    for name, unit in named.items():
        table = experiment("tubes").variant(name)
        assert unit.options == table.options and unit.data == {**table.data, "validation": True}
        found = experiment("tubes-found").unit(name, 0, "long")
        assert (found.options, found.data) == (table.options, table.data)


def test_tubes_that_stand_and_tubes_that_lean() -> None:
    """The same noise and distractors; what lies along z for 0 degrees lies along x for 90."""
    upright = module.task("fast", upright=True)
    assert tuple(upright.leaning) == module.ANGLES and upright.test is upright.leaning[0]

    def elongation(volumes: Volumes) -> torch.Tensor:
        """How many voxels of tubes have a neighbour of theirs along x, and along z."""
        truth = volumes.truth
        return torch.stack(
            [(truth[..., 1:] & truth[..., :-1]).sum(), (truth[:, :, 1:] & truth[:, :, :-1]).sum()]
        )

    across, along = elongation(upright.leaning[0])
    assert along > 1.2 * across
    across, along = elongation(upright.leaning[90])
    assert across > 1.2 * along
    by_angle = upright.evaluate(lambda f: f - 0.5, CPU)["dice_by_angle"]  # type: ignore[arg-type]
    assert list(by_angle) == [str(angle) for angle in module.ANGLES] and min(by_angle.values()) > 0
    assert "dice_by_angle" not in module.task("fast").evaluate(lambda f: f - 0.5, CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tubes", "tubes-size", "tubes-turned", "tubes-parts"])
def test_every_variant_can_be_built(name: str) -> None:
    chosen = experiment(name)
    assert len(chosen.units("full")) == 3 * len(chosen.variants) and not chosen.units("fast")
    for variant in chosen.variants:
        assert models.parameter_count(models.build(variant.model, **variant.options)) > 0
