"""A network of a reader's own on data of their own: one registration each, and every tool of the book knows it."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("safetensors")
pytest.importorskip("PIL")

from pdegcnn_lib import models
from pdegcnn_lib.companion import segment
from pdegcnn_lib.companion.data import Preparation, Segmentation
from pdegcnn_lib.companion.experiments import EXPERIMENTS, Experiment, Training, Variant, enter, grid, trained
from pdegcnn_lib.companion.experiments.pictures import result_table
from pdegcnn_lib.companion.experiments.segmentation import SegmentationTask

MINE = models.Entry(
    "stripes-net",
    "stripes",
    "mine",
    "Plane",
    1,
    1,
    "My net",
    "one convolution",
    lambda in_channels: torch.nn.Conv2d(in_channels, 1, 3, padding=1),
)


def stripes(profile: str) -> SegmentationTask:
    """Every fourth row is bright, and is what is to be found."""
    truth = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    truth[..., ::4, :] = True
    images = truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    few = Segmentation(
        ("a", "b", "c", "d"),
        images,
        truth,
        torch.ones_like(truth),
        preparation=Preparation("stripes", "grey"),
    )
    return SegmentationTask(few, few, patch=16)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    for name in ("ROOT", "RUNS", "DATA"):
        monkeypatch.setenv(f"PDEGCNN_{name}", str(tmp_path / name))
    monkeypatch.setattr(models.registry, "_ENTRIES", dict(models.registry._ENTRIES))
    models.register(MINE)
    mine = Experiment(
        "stripes",
        "bright rows",
        stripes,
        (Variant("stripes-net"),),
        seeds={"fast": 1, "full": 1},
        training={p: Training(steps=60, batch_size=4, learning_rate=0.1) for p in ("fast", "full")},
        settings={},
        score="dice",
    )
    enter(mine)
    yield mine
    del EXPERIMENTS["stripes"]


def test_a_network_of_ones_own_goes_through_the_experiment_the_tables_and_the_command(experiment):
    unit = experiment.unit("stripes-net", 0, "full")
    record = grid.obtain(unit)
    assert record["preparation"] == {"data": "stripes", "mode": "grey", "field_diameter": None}
    assert "| My net | 10 |" in result_table([record], {"dice": "Dice"})
    result = trained.resolve("stripes/stripes-net")
    picture = torch.zeros(3, 24, 40)
    picture[:, ::4] = 1
    found = segment.probability(*segment.load(result), picture)
    assert found.shape == (24, 40) and ((found >= 0.5) == (picture[0] > 0.5)).float().mean() > 0.95


def test_a_profile_that_the_experiment_does_not_have_is_quoted(experiment):
    with pytest.raises(ValueError, match="stripes has the profiles fast, full, got 'long'"):
        experiment.unit("stripes-net", 0, "long")


def test_a_result_that_says_nothing_of_its_pictures_is_not_applied_to_others(experiment):
    record = {**grid.obtain(experiment.unit("stripes-net", 0, "full"))}
    del record["preparation"]
    with pytest.raises(segment.DataError, match="stripes does not say how pictures were prepared"):
        segment.prepare(record, torch.zeros(3, 8, 8))


@pytest.mark.parametrize(
    ("mode", "diameter", "message"),
    [
        ("blue", 455.0, "mode must be one of green, rgb, grey, volume, got 'blue'"),
        ("green", None, "must be a positive number of pixels in the mode green, got None"),
        ("rgb", -1.0, "must be a positive number of pixels in the mode rgb, got -1.0"),
        ("grey", 455.0, "must be None in the mode grey, got 455.0"),
    ],
)
def test_a_preparation_says_what_is_allowed(mode, diameter, message):
    with pytest.raises(ValueError, match=message):
        Preparation("mine", mode, diameter)


def test_every_committed_network_that_segments_says_how():
    found = trained.available()
    assert {name.split("/")[0] for name in found} >= {"vessels", "lines"}
