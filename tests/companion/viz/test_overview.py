"""The picture of the first page shows what the network finds that the package carries."""

import numpy as np
import pytest

pytest.importorskip("matplotlib.pyplot")
pytest.importorskip("skimage")

from PIL import Image

from pdegcnn_lib.companion import paths, segment
from pdegcnn_lib.companion.viz import overview


def orange(picture: np.ndarray) -> np.ndarray:
    """Where a picture `[H, W, 3]` has the colour of what is found, give or take what few colours make of it."""
    return (np.abs(picture.astype(int) - segment.OVERLAY) < 24).all(axis=2)


def test_the_first_page_shows_the_vessels_that_the_network_of_today_finds(tmp_path):
    shown = paths.root() / "book" / "_static" / "found.jpg"
    committed, found = (
        orange(np.asarray(Image.open(path).convert("RGB")))
        for path in (shown, overview.draw(tmp_path / "found.jpg", "found"))
    )
    assert not found[:, : found.shape[1] // 2 - 3].any() and found.mean() > 0.02
    assert (committed & found).sum() / (committed | found).sum() > 0.95
