"""The embedded digits, the photograph, and the rotation of images."""

import math
import sys

import pytest
import torch

from pdegcnn_lib.companion.data import digits, random_angles, retina, rotate_each
from pdegcnn_lib.testing import quarter_turn


def test_digits_are_laid_out_as_mnist():
    pytest.importorskip("sklearn", reason="the embedded digits come with scikit-learn")
    for train, count in ((True, 1437), (False, 360)):
        images, labels = digits.load(train=train)
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.float32
        assert labels.shape == (count,) and set(labels.tolist()) == set(range(10))
        assert images.min() >= 0 and images.max() <= 1 and images.max() > 0.9
        frame = images.clone()
        frame[..., 4:-4, 4:-4] = 0
        assert (frame == 0).all()
        again, _ = digits.load(train=train)
        assert torch.equal(images, again)


def test_training_and_test_digits_are_different_images():
    pytest.importorskip("sklearn", reason="the embedded digits come with scikit-learn")
    (train, _), (test, _) = digits.load(train=True), digits.load(train=False)
    assert torch.cdist(test.flatten(1), train.flatten(1)).min() > 0.5


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="scikit-learn: pip install"):
        digits.load(train=True)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="scikit-image: pip install"):
        retina.photograph()


def test_the_crossing():
    pytest.importorskip("skimage", reason="the photograph comes with scikit-image")
    patch = retina.crossing(33)
    assert patch.shape == (33, 33) and patch.min() == 0 and patch.max() == 1
    wider = retina.crossing(65)[16:-16, 16:-16]
    torch.testing.assert_close(patch, wider / wider.max())


@pytest.mark.parametrize("size", [8, 9, 28])
@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3])
def test_rotation_by_quarter_turns_is_exact(size, turns, dtype):
    """The same sense as everywhere: +x toward +y."""
    images = torch.rand(3, 2, size, size, dtype=dtype)
    turned = rotate_each(images, turns * math.pi / 2)
    # A position is off by some units in the last place of a coordinate of size `size`.
    tolerance = 16 * size * torch.finfo(dtype).eps
    torch.testing.assert_close(turned, quarter_turn(images, turns), rtol=0, atol=tolerance)


def test_each_image_has_its_own_angle():
    images = torch.rand(4, 1, 12, 12)
    angles = torch.tensor([0.0, 0.3, -1.2, math.pi])
    together = rotate_each(images, angles)
    for n in range(4):
        assert torch.equal(together[n : n + 1], rotate_each(images[n : n + 1], angles[n].item()))
    assert not torch.allclose(together[1], images[1], atol=0.05)


def test_a_point_turns_toward_positive_y():
    images = torch.zeros(1, 1, 21, 21)
    images[0, 0, 10, 16] = 1.0  # at (x, y) = (6, 0) from the centre
    turned = rotate_each(images, math.pi / 6)[0, 0]
    at = torch.arange(21.0) - 10
    x, y = (turned.sum(0) * at).sum() / turned.sum(), (turned.sum(1) * at).sum() / turned.sum()
    assert x.item() == pytest.approx(6 * math.cos(math.pi / 6), abs=0.1)
    assert y.item() == pytest.approx(6 * math.sin(math.pi / 6), abs=0.1)


def test_what_turns_out_of_the_image_leaves_zero():
    turned = rotate_each(torch.ones(1, 1, 21, 21), math.pi / 4)[0, 0]
    assert turned[0, 0] == 0 and turned[10, 10] == 1


def test_random_angles():
    angles = random_angles(5000, seed=7)
    assert torch.equal(angles, random_angles(5000, seed=7))
    assert not torch.equal(angles, random_angles(5000, seed=8))
    assert angles.min() >= 0 and angles.max() < 2 * math.pi
    # The mean direction of 5 000 uniform angles has length about 1/sqrt(5000) = 0.014.
    assert math.hypot(angles.cos().mean(), angles.sin().mean()) < 0.05
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    random_angles(10, seed=3)
    assert torch.equal(torch.rand(1), first)


def test_images_must_be_square():
    with pytest.raises(ValueError, match=r"images must be square.*got \[1, 1, 4, 5\]"):
        rotate_each(torch.zeros(1, 1, 4, 5), 0.1)
