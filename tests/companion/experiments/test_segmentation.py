"""Segmentation: figures of merit against scikit-learn, patches, evaluation; the choice of settings; the tasks."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pdegcnn_lib.companion.data import Segmentation, chase
from pdegcnn_lib.companion.experiments import committed_results, experiment, lines, metrics, vessels
from pdegcnn_lib.companion.experiments.registry import family
from pdegcnn_lib.companion.experiments.segmentation import SegmentationTask
from pdegcnn_lib.companion.experiments.tuned import CANDIDATES, TUNED, best, label

sk = pytest.importorskip("sklearn.metrics")
CPU = torch.device("cpu")


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    truth = torch.rand(3, 1, 20, 22) > 0.8
    return truth ^ (torch.rand(truth.shape) > 0.9), truth, torch.rand(truth.shape) > 0.3


def test_masks_are_scored_as_scikit_learn_does(masks):
    predicted, truth, field = masks
    p, t = predicted[field].numpy(), truth[field].numpy()
    assert metrics.dice(predicted, truth, field) == pytest.approx(sk.f1_score(t, p))
    found = metrics.confusion(predicted, truth, field)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(t, p))
    assert found["sensitivity"] == pytest.approx(sk.recall_score(t, p))
    assert found["specificity"] == pytest.approx(sk.recall_score(~t, ~p))
    nothing = torch.zeros_like(truth)
    assert metrics.dice(nothing, nothing, field) == 1.0 and metrics.dice(nothing, truth, field) == 0.0


def test_the_area_under_the_curve_is_the_chance_to_rank_a_pair_right(masks):
    _, truth, field = masks
    score = torch.randn(truth.shape) + truth
    up, down = score[field & truth], score[field & ~truth]
    right = (up[:, None] > down).double().mean()
    assert metrics.area_under_curve(score, truth, field) == pytest.approx(float(right), abs=1e-12)
    for one_class in (field, ~field):
        with pytest.raises(
            ValueError, match="pixels of both classes inside the field of view, got one class"
        ):
            metrics.area_under_curve(score, one_class, field)


def test_the_dice_loss_is_one_minus_dice_for_sure_predictions(masks):
    predicted, truth, _ = masks
    logits = 40.0 * (2.0 * predicted - 1)
    everywhere = torch.ones_like(truth)
    exact = 1 - metrics.dice(predicted, truth, everywhere)
    size = int(predicted.sum() + truth.sum())
    assert metrics.dice_loss(logits, truth.float()).item() == pytest.approx(exact, abs=1.0 / size)
    assert metrics.dice_loss(-40.0 * torch.ones_like(logits), 0.0 * truth).item() == pytest.approx(
        0, abs=1e-6
    )
    logits = torch.zeros_like(logits, dtype=torch.float64).normal_().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: metrics.dice_loss(x.double(), truth.double()), logits, atol=1e-3, eps=1e-2
    )


class Own(nn.Module):
    """A network that answers with its input: logits are the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x


def pictures(count: int = 3, size: int = 40) -> Segmentation:
    truth = torch.rand(count, 1, size, size) > 0.7
    field = torch.zeros_like(truth)
    field[..., 10:30, 10:30] = True
    names = tuple(map(str, range(count)))
    return Segmentation(names, torch.where(truth, 1.0, -1.0), truth, field)


def test_patches_lie_around_the_field_and_hold_what_belongs_together():
    task = SegmentationTask(pictures(), pictures(), patch=16)
    images, truths = task.batch(50, torch.Generator().manual_seed(1))
    again, _ = task.batch(50, torch.Generator().manual_seed(1))
    assert images.shape == truths.shape == (50, 1, 16, 16) and torch.equal(images, again)
    inside = truths == 1
    assert inside.flatten(1).any(dim=1).all() and (images[inside] == 1).all()
    assert (images[:, 0, 8, 8] != 0).all(), "the middle of a patch lies in the field"
    whole, _ = SegmentationTask(pictures(), pictures(), patch=0).batch(2, torch.Generator())
    assert whole.shape == (2, 1, 40, 40)
    with pytest.raises(ValueError, match="patch must be 0 or from 8 to 40, got 41"):
        SegmentationTask(pictures(), pictures(), patch=41)


@pytest.mark.parametrize("patch", [0, 16])
def test_augmented_patches_are_the_others_turned_together_with_their_masks(patch):
    data = pictures(size=40)
    plain, augmented = (SegmentationTask(data, data, patch=patch, augment=a) for a in (False, True))
    # The same draw of images and places comes first, the turns after it.
    images, truths = plain.batch(200, torch.Generator().manual_seed(1))
    turned, turned_truths = augmented.batch(200, torch.Generator().manual_seed(1))
    assert turned.shape == images.shape and turned_truths.dtype == truths.dtype
    turns = [
        next(k for k in range(4) if torch.equal(a.rot90(k, (-2, -1)), b))
        for a, b in zip(images, turned, strict=True)
    ]
    assert all(torch.equal(truths[n].rot90(k, (-2, -1)), turned_truths[n]) for n, k in enumerate(turns))
    assert all(30 <= turns.count(k) <= 75 for k in range(4)), "each of the four turns about 50 times"


def test_whole_images_that_are_not_square_are_not_augmented():
    square = pictures(size=40)
    wide = Segmentation(square.names, *(x[..., :30, :] for x in (square.images, square.truth, square.field)))
    with pytest.raises(ValueError, match="augment must be False .*, got 30 x 40"):
        SegmentationTask(wide, wide, patch=0, augment=True)
    assert SegmentationTask(wide, wide, patch=16, augment=True).batch(2, torch.Generator())


def test_test_images_of_one_class_are_refused_before_anything_is_trained():
    data = pictures()
    empty = Segmentation(data.names, data.images, torch.zeros_like(data.truth), data.field)
    with pytest.raises(ValueError, match="pixels of both classes inside the field of view, got one class"):
        SegmentationTask(data, empty, patch=16)


def test_nothing_outside_the_field_counts():
    test = pictures()
    task = SegmentationTask(pictures(), test, patch=16)
    perfect = task.evaluate(Own().eval(), CPU)
    assert perfect["dice"] == perfect["auc"] == perfect["accuracy"] == 1.0
    assert perfect["dice_by_image"] == [1.0] * 3
    spoiled = torch.where(test.field, test.images, -test.images)
    wrong = SegmentationTask(test, Segmentation(test.names, spoiled, test.truth, test.field), patch=16)
    assert wrong.evaluate(Own().eval(), CPU) == perfect


def test_the_second_observer_is_judged_as_a_network_is():
    test = pictures()
    flipped = test.truth ^ (torch.rand(test.truth.shape) > 0.9)
    seen = replace(test, observer=flipped)
    imitating = replace(test, images=torch.where(flipped, 1.0, -1.0))
    observer = SegmentationTask(test, seen, patch=16).evaluate(Own().eval(), CPU)["observer"]
    network = SegmentationTask(test, imitating, patch=16).evaluate(Own().eval(), CPU)
    assert observer["dice"] < 1 and observer == {name: network[name] for name in observer}


@pytest.mark.skipif(not chase.available(), reason="CHASE_DB1 is not in PDEGCNN_DATA")
def test_vessels_for_validation_are_training_images():
    task = vessels.chase("full", validation=True)
    assert len(task.train) == 16 and task.test.names == chase.names()[16:20]
    assert vessels.chase("full", validation=True, images=2).train.names == chase.names()[:2]
    few = vessels.chase("full", images=2, mode="rgb")
    assert few.train.names == chase.names()[:2] and few.in_channels == 3 and len(few.test) == 8


def test_lines_for_validation_are_images_of_their_own():
    task, held = lines.task("fast"), lines.task("fast", validation=True)
    assert torch.equal(task.train.images, held.train.images)
    assert not torch.equal(task.test.images, held.test.images)
    assert len(task.train) == 128 and len(task.test) == 32 and task.patch == 0


# ---- the choice of settings ------------------------------------------------------------------------------------------


def test_the_best_candidate_is_the_first_with_the_highest_score():
    def result(model, n, dice):
        return {"model": model, "training": {**CANDIDATES[n], "steps": 1}, "metrics": {"dice": dice}}

    results = [
        result("a", 5, 0.5),
        result("a", 2, 0.7),
        result("a", 4, 0.7),
        result("b", 0, 0.05),
        result("b", 1, 0.1),
    ]
    assert best(results, "dice") == {"a": CANDIDATES[2], "b": CANDIDATES[1]}
    assert len({label("m", settings) for settings in CANDIDATES}) == len(CANDIDATES)


@pytest.mark.parametrize("name", TUNED)
def test_the_settings_are_those_that_validation_chose(name):
    tuning = experiment(f"{name}-tuning")
    results = committed_results(tuning.name)
    assert len(results) == len(tuning.units("full")), "a candidate was not tried"
    chosen = best(results, tuning.score)
    assert {family(model): settings for model, settings in chosen.items()} == TUNED[name]
