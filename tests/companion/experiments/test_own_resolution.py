"""Judging at the resolution of the photographs: coverage, thresholds, centrelines, and what varies in training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pdegcnn_lib.companion.data import Segmentation, chase, lines
from pdegcnn_lib.companion.data.segmentation import Labels, smaller
from pdegcnn_lib.companion.experiments import experiment, metrics, vessels
from pdegcnn_lib.companion.experiments.augmentation import relit, turned
from pdegcnn_lib.companion.experiments.own_resolution import OwnResolution, enlarged, judged

pytest.importorskip("sklearn.metrics")
CPU = torch.device("cpu")


class Own(nn.Module):
    """A network that answers with its input: logits are the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x


def pictures(count: int = 3, height: int = 80, width: int = 85) -> Segmentation:
    """Discs at twice the resolution, and as images the logits of what they cover, seen through a round field."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    truth = torch.stack([(x - 20 - 15 * n) ** 2 + (y - 38) ** 2 < (10 + n) ** 2 for n in range(count)])[
        :, None
    ]
    field = ((x - width / 2) ** 2 + (y - height / 2) ** 2 < 38**2).expand_as(truth)
    coverage = smaller(truth.float(), 2)
    return Segmentation(
        tuple(map(str, range(count))),
        torch.logit(coverage.clamp(1e-4, 1 - 1e-4)),
        coverage >= 0.5,
        smaller(field, 2),
        coverage=coverage,
        original=Labels(truth, field, truth.roll(1, -1)),
    )


def test_enlarging_undoes_means_of_what_is_linear():
    """Means over 2 x 2 pixels of a linear picture lie at the middle of the four, where interpolation puts them back."""
    y, x = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in (12, 15)], indexing="ij")
    picture = (3 * x - 2 * y)[None]
    back = enlarged(functional.avg_pool2d(picture, 2), 12, 15)
    assert back.shape == picture.shape
    inside = (slice(None), slice(1, -1), slice(1, -2))  # the last column is left out by the means
    assert torch.allclose(back[inside], picture[inside], atol=1e-12)
    assert torch.equal(back[..., -1], back[..., -2])
    assert torch.equal(enlarged(picture, 12, 15), picture)
    with pytest.raises(ValueError, match=r"size must be a multiple of \[12, 15\], got 10 x 15"):
        enlarged(picture, 10, 15)
    with pytest.raises(ValueError, match="got 24 x 40"):
        enlarged(picture, 24, 40)


def test_the_loss_on_coverage_is_least_at_the_coverage_itself():
    coverage = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    at = torch.logit(coverage).requires_grad_()
    loss = metrics.coverage_loss(at, coverage.float())
    assert loss.item() == pytest.approx(0, abs=1e-6)
    (slope,) = torch.autograd.grad(loss, at)
    assert slope.abs().max() < 1e-6
    hard = metrics.dice_loss(at.detach(), coverage)
    assert hard > metrics.dice_loss(40.0 * (coverage - 0.5).sign(), coverage), "which the other loss is not"
    sure = 40.0 * (2.0 * (coverage > 0.5) - 1)
    mask = (coverage > 0.5).float()
    assert metrics.coverage_loss(sure, mask) == pytest.approx(float(metrics.dice_loss(sure, mask)), abs=1e-6)


def test_the_threshold_is_the_one_with_the_best_mean_dice():
    torch.manual_seed(1)
    p = torch.rand(3, 1, 30, 30)
    truth = torch.rand(p.shape) < p**2
    field = torch.rand(p.shape) > 0.2
    scores = {
        n / 100: np.mean([metrics.dice(a >= n / 100, t, f) for a, t, f in zip(p, truth, field, strict=True)])
        for n in range(1, 100)
    }
    best = max(scores, key=scores.get)
    assert metrics.best_threshold(p, truth, field) == pytest.approx(best)
    assert 0.4 < best < 0.9, "neither end"


def test_a_threshold_that_finds_nothing_where_nothing_is_counts_as_right():
    p = torch.full((2, 1, 4, 4), 0.3)
    p[1] = torch.linspace(0.3, 0.9, 16).reshape(4, 4)
    truth, field = torch.zeros(p.shape, dtype=torch.bool), torch.ones(p.shape, dtype=torch.bool)
    truth[1] = p[1] > 0.3
    found = metrics.best_threshold(p, truth, field)
    cut = [metrics.dice(a >= found, t, f) for a, t, f in zip(p, truth, field, strict=True)]
    assert found == pytest.approx(0.31) and cut == [1.0, 1.0]


def test_a_broken_line_costs_more_of_the_centreline_than_of_the_area():
    pytest.importorskip("skimage")
    truth = torch.zeros(1, 40, 100, dtype=torch.bool)
    truth[:, 18:23, 5:95] = True
    everywhere = torch.ones_like(truth)
    thin, broken = truth.clone(), truth.clone()
    thin[:, 18:23] = False
    thin[:, 20, 5:95] = True
    broken[..., 40:60] = False
    assert metrics.centreline_dice(truth, truth, everywhere) == 1.0
    assert metrics.centreline_dice(thin, truth, everywhere) == pytest.approx(
        1, abs=0.015
    )  # a skeleton ends a pixel early
    assert metrics.dice(thin, truth, everywhere) < 0.4
    # Of the skeleton, of which 20 of nearly 90 pixels are missing: S = 7/9 about, P = 1.
    assert metrics.centreline_dice(broken, truth, everywhere) == pytest.approx(
        2 * (7 / 9) / (16 / 9), abs=0.03
    )
    nothing = torch.zeros_like(truth)
    assert metrics.centreline_dice(nothing, nothing, everywhere) == 1.0
    assert metrics.centreline_dice(nothing, truth, everywhere) == 0.0


def test_contrast_and_brightness_vary_within_their_bounds_and_by_image():
    images = torch.randn(50, 2, 7, 7)
    lit = relit(images, torch.Generator().manual_seed(3))
    fits = np.array(
        [np.polyfit(a.flatten(), b.flatten(), 1) for a, b in zip(images.numpy(), lit.numpy(), strict=True)]
    )
    assert np.allclose(fits[:, :1] * images.flatten(1).numpy() + fits[:, 1:], lit.flatten(1), atol=1e-5)
    assert np.ptp(fits[:, 0]) > 0.3 and np.abs(fits[:, 0] - 1).max() <= 0.2
    assert np.ptp(fits[:, 1]) > 0.15 and np.abs(fits[:, 1]).max() <= 0.1 + 1e-6


def test_turns_and_flips_reach_all_eight_and_keep_what_belongs_together():
    image = torch.rand(1, 5, 5)
    group = image.expand(400, -1, -1, -1)
    first, second = turned([group, group + 1], torch.Generator().manual_seed(1), flips=True)
    assert torch.equal(first + 1, second)
    eight = [m.rot90(k, (-2, -1)) for m in (image, image.flip(-1)) for k in range(4)]
    counts = [sum(torch.equal(e, one) for one in first) for e in eight]
    assert sum(counts) == 400 and min(counts) > 25, "each about 50 times"


def test_patches_hold_images_and_coverage_of_the_same_place():
    data = pictures()
    task = OwnResolution(data, data, patch=16)
    images, coverage = task.batch(40, torch.Generator().manual_seed(1))
    again = task.batch(40, torch.Generator().manual_seed(1))
    assert torch.equal(images, again[0]) and torch.equal(coverage, again[1])
    assert ((coverage > 0) & (coverage < 1)).any(), "parts of pixels"
    # Where a disc covers more, the logit is higher, in whatever light.
    for image, part in zip(images, coverage, strict=True):
        seen = image != 0
        if len(part[seen].unique()) > 1:
            assert np.corrcoef(image[seen], part[seen])[0, 1] > 0.9
    assert not (images[:, :, 0, 0] == images[0, 0, 0, 0]).all()


def test_a_network_that_knows_the_coverage_is_nearly_right_and_a_mask_of_half_the_size_is_not():
    data = pictures()
    found = OwnResolution(data, data, patch=16).evaluate(Own().eval(), CPU)
    assert found["dice"] > 0.98 and found["auc"] > 0.999 and found["cldice"] > 0.95
    assert found["half_resolution"]["dice"] == 1.0
    assert found["at_one_half"]["dice"] <= found["dice"] + 1e-9, (
        "this threshold was chosen on the same images"
    )
    small = torch.stack([enlarged(t.float(), 80, 85) for t in data.truth]) >= 0.5
    assert judged(small, data.labels)["dice"] < found["dice"]
    assert len(found["dice_by_image"]) == len(found["cldice_by_image"]) == 3
    assert found["observer"]["dice"] == pytest.approx(
        np.mean(
            [
                metrics.dice(o, t, f)
                for o, t, f in zip(
                    data.original.observer, data.original.truth, data.original.field, strict=True
                )
            ]
        )
    )
    outside = replace(data, original=replace(data.original, truth=data.original.truth ^ ~data.original.field))
    same = OwnResolution(data, outside, patch=16).evaluate(Own().eval(), CPU)
    assert same["dice"] == found["dice"], "nothing outside the field counts"


def test_the_threshold_comes_from_the_training_images_alone():
    """Training images whose vessels are seen with less certainty lower it; the test images have no say."""
    data = pictures()
    dim = replace(data, images=data.images - 1.5)
    thresholds = [
        OwnResolution(train, data, patch=16).evaluate(Own().eval(), CPU)["threshold"] for train in (data, dim)
    ]
    assert thresholds[1] < thresholds[0] - 0.1


def test_lines_carry_what_their_strokes_cover():
    drawn = lines.draw(2, 5)
    assert torch.equal(drawn.coverage >= 0.5, drawn.truth) and len(drawn.coverage.unique()) > 10
    task = experiment("lines").task("long", validation=True)
    assert isinstance(task, OwnResolution) and torch.equal(task.test.labels.truth, task.test.truth)


def test_taking_some_images_takes_what_belongs_to_them():
    data = pictures()
    some = data.take(slice(1, None))
    assert torch.equal(some.coverage, data.coverage[1:])
    assert torch.equal(some.original.truth, data.original.truth[1:])
    assert torch.equal(some.labels.observer, data.original.observer[1:])


@pytest.mark.skipif(not chase.available(), reason="CHASE_DB1 is not in PDEGCNN_DATA")
def test_photographs_carry_their_masks_as_they_were_drawn():
    task = vessels.chase("long", images=1)
    labels = task.test.labels
    assert labels.truth.shape == labels.observer.shape == (8, 1, 960, 999)
    assert torch.equal(smaller(labels.truth, 2), task.test.truth)
    # What a mask at half the resolution, and what coverage can reach at most; the second observer against the first.
    hard, soft = (
        judged(torch.stack([enlarged(x, 960, 999) for x in part]) >= 0.5, labels)["dice"]
        for part in (task.test.truth.float(), task.test.coverage)
    )
    assert hard == pytest.approx(0.924, abs=5e-4) and soft == pytest.approx(0.984, abs=5e-4)
    assert judged(labels.observer, labels)["dice"] == pytest.approx(0.799, abs=5e-4)
