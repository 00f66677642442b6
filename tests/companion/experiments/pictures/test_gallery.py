"""The gallery shows the best and the worst photograph, and the place where most is wrong."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")

from matplotlib.colors import to_rgb

from pdegcnn_lib.companion.data import Segmentation
from pdegcnn_lib.companion.data.segmentation import Labels
from pdegcnn_lib.companion.experiments import experiment, grid
from pdegcnn_lib.companion.experiments.pictures import gallery
from pdegcnn_lib.companion.viz.segmentations import VERDICTS


class Threshold(torch.nn.Module):
    """Finds what is brighter than one half."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return x - self.level


@pytest.fixture
def photographs() -> Segmentation:
    images = torch.zeros(3, 1, 40, 40)
    images[:, 0, 18:22] = 1.0
    truth = images > 0.5
    images[1, 0, 30:34, 2:6] = 1.0  # made up, in the worst photograph
    return Segmentation(("a", "b", "c"), images, truth, torch.ones_like(truth))


def test_the_worst_place_is_where_most_is_wrong():
    wrong = np.zeros((40, 50), dtype=bool)
    wrong[33:37, 21:25] = True
    wrong[0, 0] = True
    rows, columns = gallery.worst_place(wrong, 10)
    assert wrong[rows, columns].sum() == 16


def test_best_and_worst_whole_and_close(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "load_model", lambda path: Threshold().eval())
    networks = {title: tmp_path / f"{title}.json" for title in ("net", "other")}
    for title, path in networks.items():
        # The logits of what is bright are 1/2: only the first network's threshold lets them pass.
        threshold = {"net": 0.6, "other": 0.7}[title]
        path.write_text(json.dumps({"metrics": {"dice_by_image": [0.9, 0.5, 0.8], "threshold": threshold}}))
    figure = gallery.examples(networks, photographs, window=10)
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(pictures) == 12  # best and worst, whole and close, each: photograph and two networks
    best, worst, close = pictures[1], pictures[7], pictures[10]
    assert best.shape[:2] == worst.shape[:2] == (40, 40)
    assert close.shape[:2] == (10, 10)
    made_up = np.asarray(to_rgb(VERDICTS["made up"]))
    assert not (best == made_up).all(-1).any()
    assert (worst == made_up).all(-1).sum() == (close == made_up).all(-1).sum() == 16
    missed = np.asarray(to_rgb(VERDICTS["missed"]))
    assert not (best == missed).all(-1).any()
    assert (pictures[2] == missed).all(-1).sum() == 4 * 40


def test_the_gallery_is_at_the_resolution_of_the_masks_beside_the_second_observer(
    photographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(gallery, "load_model", lambda path: Threshold().eval())
    small = _large(photographs)
    original = Labels(
        *(x.repeat_interleave(2, -1).repeat_interleave(2, -2) for x in (small.truth, small.field))
    )
    halves = replace(small, original=replace(original, observer=original.truth))
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"metrics": {"dice_by_image": [0.9, 0.5, 0.8], "threshold": 0.5}}))
    figure = gallery.examples({"net": path}, halves)
    titles = [ax.get_title() for ax in figure.axes if ax.images]
    assert titles[:3] == ["photograph", "net", "second observer"]
    best = next(ax for ax in figure.axes if ax.images).images[0].get_array()
    assert best.shape[:2] == (640, 640)


def test_the_gallery_is_drawn_from_the_first_seeds(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    monkeypatch.setattr(gallery, "chase", lambda profile: SimpleNamespace(test=_large(photographs)))
    with pytest.raises(FileNotFoundError):
        gallery.gallery(("vessels-pdegcnn6",))
    result = grid.committed_path(experiment("vessels").unit("vessels-pdegcnn6", 0, "long"))
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps({"metrics": {"dice_by_image": [0.9, 0.5, 0.8], "threshold": 0.5}}))
    monkeypatch.setattr(gallery, "load_model", lambda path: Threshold().eval())
    assert gallery.gallery(("vessels-pdegcnn6",)).read_bytes().startswith(b"\x89PNG")


def _large(few: Segmentation) -> Segmentation:
    def grown(x):
        return x.repeat_interleave(8, -1).repeat_interleave(8, -2)

    return Segmentation(few.names, grown(few.images), grown(few.truth), grown(few.field))
