"""Lines among clutter: dashes alike, aligned along arcs, clear of each other, the same for the same seed."""

import math

import pytest
import torch

from pdegcnn_lib.companion.data import lines


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_seed_draws_the_same_images():
    a, b, c = lines.draw(3, seed=1), lines.draw(3, seed=1), lines.draw(3, seed=2)
    assert torch.equal(a.images, b.images) and not torch.equal(a.images, c.images)
    assert a.images.shape == a.truth.shape == (3, 1, 64, 64) and a.field.all()
    assert len(set(a.names) | set(c.names)) == 6


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_is_an_arc_of_equally_spaced_tangent_dashes(seed):
    dashes = lines.curve(64, generator(seed))
    step = dashes[1:, :2] - dashes[:-1, :2]
    turn = dashes[1:, 2] - dashes[:-1, 2]
    # Where the arc leaves the image and returns, dashes are missing.
    near = step.norm(dim=1) < 1.5 * lines.PITCH
    step, turn, start = step[near], turn[near], dashes[:-1, 2][near]
    torch.testing.assert_close(turn, turn[:1].expand_as(turn), atol=1e-9, rtol=0)
    assert turn.abs().max() <= lines.PITCH * lines.LARGEST_CURVATURE
    # The chord of an arc points along the mean of its end tangents and is 2 sin(turn/2)/turn of its length.
    torch.testing.assert_close(torch.sin(torch.atan2(step[:, 1], step[:, 0]) - start - turn / 2), 0 * turn)
    torch.testing.assert_close(step.norm(dim=1), lines.PITCH * torch.sinc(turn / (2 * math.pi)))


@pytest.mark.parametrize("seed", range(5))
def test_no_two_dashes_are_close(seed):
    found, clutter = lines.arrangement(64, generator(seed))
    centres = torch.cat([found, clutter])[:, :2]
    assert len(found) >= 4 * lines.LINES and len(clutter) > len(found) / 2
    between = (clutter[:, None, :2] - centres).norm(dim=-1)
    between[torch.arange(len(clutter)), len(found) + torch.arange(len(clutter))] = (
        torch.inf
    )  # of a dash from itself
    assert between.min() >= lines.CLEARANCE


def test_a_dash_is_drawn_where_it_lies():
    dash = torch.tensor([[20.0, 30.0, math.pi / 2]])  # along y
    stroke = lines.drawn(dash, 64)
    assert stroke.max() == 1 and stroke[30, 20] == 1 and stroke[32, 20] == 1
    assert stroke[30, 22] == 0 and stroke[36, 20] == 0
    area = lines.LENGTH * lines.WIDTH + math.pi * (lines.WIDTH / 2) ** 2
    assert stroke.sum() == pytest.approx(area, rel=0.15)
    assert lines.drawn(torch.empty(0, 3), 64).sum() == 0


def test_only_the_arrangement_tells_lines_from_clutter():
    """Dashes of lines and of clutter have the same brightness."""
    sample = lines.draw(20, seed=3)
    bright = sample.images > 0.7
    on_lines, on_clutter = sample.images[bright & sample.truth], sample.images[bright & ~sample.truth]
    assert on_clutter.numel() > on_lines.numel() / 2
    assert abs(on_lines.median() - on_clutter.median()) < 0.05


def test_training_and_test_images_differ():
    assert lines.SEEDS[True] != lines.SEEDS[False]


@pytest.mark.parametrize(("count", "size"), [(0, 64), (1, 16)])
def test_bad_sizes_are_quoted(count, size):
    with pytest.raises(ValueError, match=f"got {count} and {size}"):
        lines.draw(count, seed=1, size=size)
