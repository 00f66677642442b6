"""The loader of vesselNN, on a small folder of its layout: cubes, masks, and what bad stacks are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pdegcnn_lib.companion.data import DataError, vesselnn


def write(path: Path, volume: np.ndarray) -> None:
    pages = [Image.fromarray(page) for page in volume]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two stacks of 6 pages, 30 x 40, with a vessel along x."""
    for name, dtype in (("a", np.uint8), ("b", np.uint16)):
        image = np.random.default_rng(0).integers(0, 50, (6, 30, 40)).astype(np.uint8)
        mask = np.zeros((6, 30, 40), dtype)
        mask[2:4, 10:20], image[2:4, 10:20] = 255, 200
        write(tmp_path / f"{name}.tif", image)
        write(tmp_path / f"{name}_label.tif", mask)
    return tmp_path


def test_stacks_become_cubes(folder: Path) -> None:
    volumes = vesselnn.load(folder, voxel=(5.0, 1.0, 1.0), size=5.0)
    assert [v.images.shape for v in volumes] == [(1, 1, 6, 6, 8)] * 2
    expected = torch.zeros(6, 6, 8, dtype=torch.bool)
    expected[2:4, 2:4] = True
    for v in volumes:
        assert torch.equal(v.truth[0, 0], expected)
        assert abs(float(v.images.mean())) < 1e-5 and abs(float(v.images.std()) - 1) < 1e-5
        assert v.images[v.truth].min() > v.images[~v.truth].max()


def test_finer_cubes_interpolate_along_z(folder: Path) -> None:
    [first, _] = vesselnn.load(folder, voxel=(5.0, 1.0, 1.0), size=2.5)
    assert first.images.shape == (1, 1, 12, 12, 16)
    assert torch.equal(first.truth[0, 0, 4:8, 4:8], torch.ones(4, 4, 16, dtype=torch.bool))


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"voxels must be cubes, got \(5.0, 0.99, 0.99\)"):
        vesselnn.load(folder, size=None)
    with pytest.raises(ValueError, match="three positive lengths"):
        vesselnn.load(folder, voxel=(5.0, 1.0))
    with pytest.raises(ValueError, match="size must be positive, got -1"):
        vesselnn.load(folder, size=-1.0)
    with pytest.raises(DataError, match=r"holds no \*_label.tif"):
        vesselnn.load(tmp_path / "nowhere")
    whole = (folder / "b.tif").read_bytes()
    for length in (len(whole) - 50, len(whole) // 2, len(whole) // 3):
        (folder / "b.tif").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"b\.tif"):
            vesselnn.load(folder)
    write(folder / "b.tif", np.zeros((5, 30, 40), np.uint8))
    with pytest.raises(DataError, match=r"must have the shape of its image, \[5, 30, 40\]"):
        vesselnn.load(folder)
    write(folder / "b.tif", np.zeros((1, 30, 40), np.uint8))
    with pytest.raises(DataError, match="at least 2 pages, got 1: its axes are unclear"):
        vesselnn.load(folder)
    write(folder / "b.tif", np.zeros((2, 30, 40, 3), np.uint8))
    with pytest.raises(DataError, match="must be grey"):
        vesselnn.load(folder)
    (folder / "a.tif").unlink()
    with pytest.raises(DataError, match="a.tif is missing"):
        vesselnn.load(folder)
