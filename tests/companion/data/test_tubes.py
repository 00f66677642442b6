"""The volumes of tubes: the same for a seed, what they hold, and what bad input is told."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib.companion.data import tubes


def test_the_same_seed_draws_the_same_volumes() -> None:
    first, again, other = tubes.draw(2, 7, 16), tubes.draw(2, 7, 16), tubes.draw(2, 8, 16)
    assert torch.equal(first.images, again.images) and torch.equal(first.truth, again.truth)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(tubes.draw(1, 7, 16).images, first.images[:1]), (
        "later volumes do not change earlier ones"
    )


def test_tubes_are_a_few_percent_and_not_all_that_is_bright() -> None:
    volumes = tubes.draw(6, 1, 24, noise=0.0)
    share = volumes.truth.float().mean().item()
    assert 0.01 < share < 0.06
    bright = volumes.images > 0.3
    assert (bright & ~volumes.truth).sum() > volumes.truth.sum(), "sheets and balls hold more voxels"
    assert volumes.images[volumes.truth].min() > 0.2 and volumes.images.max() <= 1


def test_curves_bend_no_more_than_they_may() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        points = tubes.curve(24, generator)
        steps = points.diff(dim=0)
        assert (torch.linalg.vector_norm(steps, dim=-1) - 0.5).abs().max() < 1e-9
        n = steps / 0.5
        angle = torch.linalg.vector_norm(n.diff(dim=0), dim=-1)
        # tan of the angle of a step is at most the curvature times its length
        assert angle.max() <= 0.5 * tubes.LARGEST_CURVATURE + 1e-9


def test_upright_tubes_stand_upright() -> None:
    def leaning(along: tuple[float, float, float] | None) -> float:
        generator = torch.Generator().manual_seed(1)
        axis = None if along is None else torch.tensor(along, dtype=torch.float64)
        means = []
        for _ in range(20):
            points = tubes.curve(24, generator, axis)
            n = points.diff(dim=0) / 0.5
            means.append(n[:, 2].abs().mean())
        return float(torch.stack(means).mean())

    assert leaning((0.0, 0.0, 1.0)) > 0.8 > 0.7 > leaning(None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0, "seed": 1}, "got 0, 24"),
        ({"count": 1, "seed": 1, "size": 8}, "got 1, 8"),
        ({"count": 1, "seed": 1, "noise": -1.0}, "and -1"),
        ({"count": 1, "seed": 1, "along": (0.0, 0.0, 0.0)}, "direction of positive length"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tubes.draw(**arguments)


def test_volumes_that_do_not_fit() -> None:
    f = torch.zeros(1, 1, 4, 4, 4)
    with pytest.raises(ValueError, match=r"truth must be bool \[1, 1, 4, 4, 4\]"):
        tubes.Volumes(f, f)
    f[0, 0, 1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match=r"images must be finite, got nan at \[0, 0, 1, 2, 3\]"):
        tubes.Volumes(f, torch.zeros_like(f, dtype=torch.bool))
