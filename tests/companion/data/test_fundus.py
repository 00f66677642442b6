"""Photographs of the retina: the field of view, the scale, CHASE_DB1 and the layout of DRIVE."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.data import DataError, chase, drive, fundus
from pdegcnn_lib.companion.data.segmentation import Labels, Segmentation, smaller

pytest.importorskip("scipy")
image_module = pytest.importorskip("PIL.Image")


def disc(height: int, width: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 <= radius**2


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_field_is_the_bright_disc_without_its_dark_spots():
    eye = disc(240, 280, 110)
    rgb = torch.where(eye, 0.5, 0.02) + 0.01 * torch.rand(3, 240, 280)
    rgb[:, 120:126, 140:146] = 0.0  # a dark spot inside
    rgb[:, 3:6, 3:6] = 1.0  # a bright mark in the frame
    # Smoothing lets the disc grow by up to two pixels before the rim is taken off.
    assert overlap(fundus.field_of_view(rgb), disc(240, 280, 110 + 2 - fundus.RIM)) > 0.98


def test_a_picture_without_a_frame_is_all_field():
    assert fundus.field_of_view(0.3 + 0.1 * torch.rand(3, 40, 50)).all()
    assert fundus.field_of_view(torch.zeros(3, 40, 50)).all(), "nor does one that is all frame"


def test_light_and_contrast_of_the_camera_go():
    field, image = disc(96, 96, 40), torch.randn(2, 96, 96, dtype=torch.float64)
    out = fundus.standardise(image, field)
    assert (out[:, ~field] == 0).all()
    assert out[:, field].mean(1).abs().max() < 0.05 and (out[:, field].std(1) - 1).abs().max() < 0.05
    torch.testing.assert_close(fundus.standardise(7 + 3 * image, field), out)
    shade = torch.linspace(-1, 1, 96, dtype=torch.float64).expand(2, 96, 96)
    assert (fundus.standardise(image + shade, field) - out)[:, field].std() < 0.15
    outside = torch.where(field, image, 1e3 * torch.randn_like(image))
    torch.testing.assert_close(fundus.standardise(outside, field), out)
    turned = fundus.standardise(torch.rot90(image, 1, (1, 2)), torch.rot90(field))
    torch.testing.assert_close(turned, torch.rot90(out, 1, (1, 2)))
    assert (fundus.standardise(torch.ones(1, 8, 8), torch.ones(8, 8, dtype=torch.bool)).abs() < 1e-3).all()
    with pytest.raises(ValueError, match="field must hold at least one pixel"):
        fundus.standardise(torch.ones(1, 8, 8), torch.zeros(8, 8, dtype=torch.bool))


def test_channels():
    rgb = torch.rand(3, 4, 5)
    assert torch.equal(fundus.channels(rgb, "green"), rgb[1:2]) and fundus.channels(rgb, "rgb") is rgb
    with pytest.raises(ValueError, match="mode must be one of green, rgb, got 'red'"):
        fundus.channels(rgb, "red")


def test_smaller_pictures_and_masks():
    x = torch.arange(24.0).reshape(1, 4, 6)
    assert smaller(x, 2).tolist() == [[[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]]
    mask = torch.tensor([[[1, 0, 1, 0], [0, 0, 1, 0]]], dtype=torch.bool)
    assert smaller(mask, 2).tolist() == [[[False, True]]]


def test_a_set_of_images_holds_together():
    masks = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    both = Segmentation(("a", "b"), torch.rand(2, 3, 4, 4), masks, ~masks)
    assert len(both) == 2 and both.take(slice(1, None)).names == ("b",)
    with pytest.raises(ValueError, match=r"truth must be bool \[2, 1, 4, 4\], got torch.float32"):
        replace(both, truth=masks.float())
    with pytest.raises(ValueError, match=r"truth must be bool \[2, 1, 4, 4\], got torch.bool \[2, 1, 4, 3\]"):
        replace(both, truth=masks[..., :3])
    with pytest.raises(
        ValueError, match=r"observer must be bool \[2, 1, 4, 4\], got torch.bool \[1, 1, 4, 4\]"
    ):
        replace(both, observer=masks[:1])
    with pytest.raises(ValueError, match=r"field must be bool \[2, 1, 4, 4\], got torch.uint8"):
        Labels(masks, 255 * (~masks).byte())  # as files hold it
    with pytest.raises(
        ValueError, match="field must hold at least one pixel of every image, got an empty one"
    ):
        replace(both, field=torch.stack([masks[0], ~masks[1]]))  # else Dice there is 1
    with pytest.raises(ValueError, match="names must name 2 images, got 1"):
        replace(both, names=("a",))


# ---- CHASE_DB1 -----------------------------------------------------------------------------------------------------


def test_every_file_of_chase_has_a_checksum_and_an_address():
    assert len(chase.sha256()) == 84 and len(chase.names()) == 28
    assert all(len(digest) == 64 for digest in chase.sha256().values())
    assert chase.address("images/Image_10R.jpg").endswith("/dataset/CHASE/HR/Image_10R.jpg")
    assert chase.address("images/Image_11L.jpg").endswith("/dataset/CHASET/HR/Image_11L.jpg")
    assert chase.address("1stHO/Image_14R_1stHO.png").endswith("/dataset/CHASET/VE/Image_14R_1stHO.png")
    assert chase.address("2ndHO/Image_14R_2ndHO.png").endswith("/dataset/CHASE/human/Image_14R_2ndHO.png")


def test_missing_and_damaged_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    assert not chase.available()
    with pytest.raises(DataError, match=r"CHASE_DB1: .*Image_01L.jpg is missing; point PDEGCNN_DATA at"):
        chase.load(True)
    path = tmp_path / "CHASE_DB1/images/Image_01L.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="is damaged: its SHA-256 is"):
        chase.load(True)
    import hashlib

    monkeypatch.setitem(chase.sha256(), "images/Image_01L.jpg", hashlib.sha256(b"not a picture").hexdigest())
    with pytest.raises(DataError, match="cannot be read as a picture"):
        chase.load(True)


@pytest.mark.skipif(not chase.available(), reason="CHASE_DB1 is not in PDEGCNN_DATA")
def test_chase_has_round_fields_and_plausible_vessels():
    test = chase.load(False)
    assert test.names == tuple(f"Image_{n}{side}" for n in range(11, 15) for side in "LR")
    assert test.images.shape == (8, 1, 480, 499)
    for field, truth, observer in zip(test.field[:, 0], test.truth[:, 0], test.observer[:, 0], strict=True):
        y, x = field.nonzero(as_tuple=True)
        radius = math.sqrt(int(field.sum()) / math.pi)
        rows, columns = torch.meshgrid(*map(torch.arange, field.shape), indexing="ij")
        circle = (rows - y.double().mean()) ** 2 + (columns - x.double().mean()) ** 2 <= radius**2
        assert overlap(field, circle) > 0.99, "the field of view of a fundus camera is a disc"
        for mask in (truth, observer):
            assert 0.04 < mask.double().mean() < 0.12
            assert (mask & ~field).sum() < 0.02 * mask.sum()
        assert overlap(truth, observer) > 0.5
    assert chase.load(False, mode="rgb", factor=4).images.shape == (8, 3, 240, 249)


# ---- DRIVE ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the layout of DRIVE with random pictures, each a disc."""
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    rng = np.random.default_rng(1)
    field = disc(*drive.SIZE, 270).numpy()
    for row in (*drive.files(True), *drive.files(False)):
        for kind, name in row.items():
            path = tmp_path / "DRIVE" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "image":
                pixels = (field[..., None] * rng.integers(50, 200, 3)).astype(np.uint8)
                pixels[::7, ::5] //= 2
            else:
                pixels = (field if kind == "field" else rng.random(drive.SIZE) > 0.9).astype(np.uint8) * 255
            image_module.fromarray(pixels).save(path)
    return tmp_path / "DRIVE"


def test_drive_is_read_from_its_official_layout(folder):
    assert drive.available()
    train, test = drive.load(True, mode="rgb"), drive.load(False)
    assert train.images.shape == (20, 3, 584, 565) and test.images.shape == (20, 1, 584, 565)
    assert train.names[0] == "21_training" and test.names[-1] == "20_test"
    assert train.observer is None and test.observer is not None
    assert test.truth.dtype == torch.bool and 0.05 < test.truth.double().mean() < 0.15
    assert torch.equal(test.field[3, 0], disc(584, 565, 270))
    assert not torch.equal(test.truth, test.observer)


def test_a_mask_of_drive_is_what_it_shows_and_not_the_numbers_of_its_palette(tmp_path, monkeypatch):
    """A GIF that was saved from colours may have white first."""
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    (tmp_path / "DRIVE").mkdir()
    file, field = tmp_path / "DRIVE/mask.gif", disc(*drive.SIZE, 270)
    for dark in (0, 100):
        pixels = np.where(field.numpy(), 255, dark).astype(np.uint8)
        image_module.fromarray(pixels).convert("RGB").save(file)
        with image_module.open(file) as saved:
            assert saved.getpalette()[0] == 255
        assert torch.equal(drive._mask("mask.gif"), field)


def test_drive_is_checked_file_by_file(folder):
    name = folder / "test/mask/07_test_mask.gif"
    image_module.fromarray(np.zeros((10, 10), np.uint8)).save(name)
    with pytest.raises(
        DataError, match=r"07_test_mask.gif has the shape \[10, 10\], it must have \[584, 565\]"
    ):
        drive.load(False)
    image_module.fromarray(np.arange(584 * 565, dtype=np.uint8).reshape(584, 565)).save(name)
    with pytest.raises(DataError, match="07_test_mask.gif must hold two values, got"):
        drive.load(False)
    image_module.fromarray(np.zeros((584, 565), np.uint8)).save(name)
    with pytest.raises(DataError, match="07_test_mask.gif must hold two values, got 1"):
        drive.load(False)
    name.unlink()
    assert not drive.available()
    with pytest.raises(DataError, match="07_test_mask.gif is missing; register at"):
        drive.load(False)


def test_the_data_sets_are_listed():
    assert {"chase", "drive", "lines", "mnist", "digits"} <= set(data.__all__)
