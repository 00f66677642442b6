"""A trained network on a reader's own pictures: formats, sizes, tiles, what cannot be read, names of networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import data, segment
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.data.segmentation import smaller
from pdegcnn_lib.companion.experiments import (
    EXPERIMENTS,
    grid,
    load_model,
    result_path,
    trained,
    weights_path,
)
from pdegcnn_lib.companion.experiments.own_resolution import enlarged
from pdegcnn_lib.models.tiling import apply_tiled

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("safetensors")
pytest.importorskip("scipy")


def preparation(experiment: str, channels: int = 1) -> dict:
    """That of the data set that an experiment learns from."""
    if experiment == "lines":
        return data.Preparation("lines", "grey").record
    return data.Preparation("CHASE_DB1", "green" if channels == 1 else "rgb", segment.FIELD_DIAMETER).record


def network(
    path: Path, experiment: str = "vessels", model: str = "vessels-pdegcnn3", channels: int = 1
) -> Path:
    """A result with random weights whose probabilities spread over (0, 1)."""
    from safetensors.torch import save_file

    built = models.build(model, channels)
    torch.nn.init.normal_(built[-1].linear.weight, std=1.0)
    record = {
        "experiment": experiment,
        "variant": model,
        "model": model,
        "in_channels": channels,
        "preparation": preparation(experiment, channels),
        "options": {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    save_file(built.state_dict(), weights_path(path))
    return path


@pytest.fixture
def result(tmp_path, monkeypatch) -> Path:
    for name in ("ROOT", "RUNS", "DATA"):
        monkeypatch.setenv(f"PDEGCNN_{name}", str(tmp_path / name))
    return network(tmp_path / "net.json")


def save(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


RNG = np.random.default_rng(3)
FORMATS = {
    "rgb.png": RNG.integers(0, 256, (40, 57, 3), dtype=np.uint8),
    "grey.tif": RNG.integers(0, 256, (33, 40), dtype=np.uint8),
    "alpha.png": RNG.integers(0, 256, (21, 64, 4), dtype=np.uint8),
    "deep.png": RNG.integers(0, 65536, (30, 31), dtype=np.uint16),
    "photo.jpg": RNG.integers(0, 256, (64, 20, 3), dtype=np.uint8),
    "palette.gif": RNG.integers(0, 2, (50, 50), dtype=np.uint8) * 255,
}


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_of_common_formats_and_any_size(result, tmp_path, name, capsys):
    picture = save(FORMATS[name], tmp_path / name)
    assert main(["segment", str(picture), "-o", str(tmp_path / "out"), "--model", str(result)]) == 0
    height, width = FORMATS[name].shape[:2]
    stem = picture.stem
    mask, probability, overlay = (
        np.asarray(Image.open(tmp_path / f"out/{stem}_{kind}.png"))
        for kind in ("mask", "probability", "overlay")
    )
    assert mask.shape == probability.shape == (height, width) and overlay.shape == (height, width, 3)
    assert set(np.unique(mask)) <= {0, 255}
    sure = np.abs(probability.astype(int) - 127.5) > 1
    assert ((probability > 127.5) == (mask == 255))[sure].all()
    assert (overlay[mask == 255] == segment.OVERLAY).all()
    assert "1 of 1 pictures segmented" in capsys.readouterr().out


def test_the_result_does_not_depend_on_the_tiles(result):
    record, model = json.loads(result.read_text()), load_model(result)
    rgb = torch.rand(3, 90, 130)
    whole = segment.probability(model, record, rgb, core=1000)
    tiled = segment.probability(model, record, rgb, core=32)
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
    assert whole.std() > 0.01


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_done(result, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG and then nothing")
    good = save(FORMATS["rgb.png"], tmp_path / "good.png")
    missing = tmp_path / "missing.png"
    arguments = [
        "segment",
        *map(str, (broken, missing, good)),
        "-o",
        str(tmp_path / "out"),
        "--model",
        str(result),
    ]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert "broken.png cannot be read as a picture" in err and "missing.png is missing" in err
    assert "1 of 3 pictures segmented" in out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"good_{kind}.png" for kind in ("mask", "overlay", "probability")
    ]


def test_an_ending_in_capitals_is_taken_off_too():
    places = segment.stems([Path("A.NII.GZ"), Path("b.PNG"), Path("c")], Path("out"))
    assert [place.name for place in places.values()] == ["A", "b", "c"]


def test_results_do_not_overwrite_each_other(result, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    pictures = [save(FORMATS["rgb.png"], tmp_path / name) for name in ("eye.png", "a/eye.jpg")]
    assert main(["segment", *map(str, pictures), "-o", str(tmp_path / "out"), "--model", str(result)]) == 2
    assert "two pictures named 'eye' would overwrite each other" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("twins", [("eye.png", "EYE.png"), ("caf\u00e9.png", "cafe\u0301.png")])
def test_names_that_are_one_on_some_file_systems_are_refused(tmp_path, twins):
    """On every system, or what runs here would lose a picture there."""
    with pytest.raises(ValueError, match="would overwrite each other"):
        segment.stems([tmp_path / name for name in twins], tmp_path / "out")


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "9"])
def test_a_bad_scale_is_quoted(result, tmp_path, scale, capsys):
    picture = save(FORMATS["rgb.png"], tmp_path / "eye.png")
    assert main(["segment", str(picture), "-o", str(tmp_path), "--model", str(result), "--scale", scale]) == 2
    assert f"scale must be positive and at most 8, got {float(scale)}" in capsys.readouterr().err


def test_pictures_are_made_smaller_by_the_means_of_training_and_larger_linearly():
    picture = torch.rand(3, 36, 54)
    for factor in (2, 3):
        found = segment.resized(picture, 36 // factor, 54 // factor)
        assert torch.allclose(found, smaller(picture, factor), atol=1e-6)
    odd = segment.resized(picture, 17, 40)
    assert torch.allclose(
        odd.mean((1, 2)), picture.mean((1, 2)), atol=1e-6
    )  # parts of one size, none left out
    ramp = torch.arange(20.0).expand(1, 3, 20)
    assert torch.allclose(segment.resized(ramp, 6, 40)[0, 0, 1:-1], torch.arange(0.25, 19, 0.5), atol=1e-6)


def test_photographs_of_the_eye_are_brought_to_the_size_of_training(result):
    y, x = np.mgrid[:300, :320]
    eye = torch.from_numpy((y - 150) ** 2 + (x - 160) ** 2 < 120**2)
    assert segment.natural_scale(eye) == pytest.approx(segment.FIELD_DIAMETER / 240, rel=0.01)
    assert segment.natural_scale(torch.ones(4, 4, dtype=torch.bool)) == 1.0
    rgb = torch.where(eye, 0.5, 0.0) * (0.8 + 0.2 * torch.rand(3, 300, 320))
    found = segment.probability(load_model(result), json.loads(result.read_text()), rgb)
    assert found.shape == (300, 320) and (found[~segment.fundus.field_of_view(rgb)] == 0).all()


def test_a_scale_near_one_half_is_the_half_of_training(result):
    """As in training pixels are means of two by two, what is left over is left out, and comes back as its neighbour."""
    y, x = np.mgrid[:301, :321]
    eye = torch.from_numpy((y - 150) ** 2 + (x - 160) ** 2 < 120**2)
    rgb = torch.where(eye, 0.5, 0.0) * (0.8 + 0.2 * torch.rand(3, 301, 321))
    model, record = load_model(result), json.loads(result.read_text())
    field = segment.fundus.field_of_view(rgb)
    inside = smaller(field[None], 2)[0]
    expected = segment.fundus.standardise(segment.fundus.channels(smaller(rgb, 2), "green"), inside)
    found = enlarged(torch.sigmoid(apply_tiled(model, expected)), 301, 321)[0]
    for scale in (0.4965, 0.5, 0.5035):
        torch.testing.assert_close(segment.prepare(record, rgb, scale=scale)[0], expected, rtol=0, atol=1e-5)
        shown = segment.probability(model, record, rgb, scale=scale)
        torch.testing.assert_close(shown, found * field, rtol=0, atol=1e-5)
    assert segment.prepare(record, rgb, scale=0.49)[0].shape == (1, 147, 157)
    assert segment.prepare(record, rgb, scale=1 / 3)[0].shape == (1, 100, 107)


def test_networks_for_lines_and_for_colours(tmp_path):
    rgb = torch.rand(3, 40, 40)
    for experiment, channels in (("lines", 1), ("vessels-rgb", 3)):
        path = network(tmp_path / f"{experiment}.json", experiment, channels=channels)
        found = segment.probability(load_model(path), json.loads(path.read_text()), rgb)
        assert found.shape == (40, 40) and found.min() >= 0 and found.max() <= 1


def test_the_mask_is_cut_where_the_training_images_chose(result, tmp_path):
    import numpy as np
    from PIL import Image

    assert segment.threshold({"metrics": {"dice": 0.5}}) == 0.5
    found = torch.rand(20, 20)
    at = segment.threshold({"metrics": {"threshold": 0.3}})
    mask, *_ = segment.write(torch.rand(3, 20, 20), found, tmp_path / "eye", at=at)
    assert np.array_equal(np.asarray(Image.open(mask)) == 255, (found >= 0.3).numpy())


def test_networks_are_found_by_name_or_file(result, monkeypatch, tmp_path):
    assert trained.resolve(str(result)) == trained.resolve(str(weights_path(result))) == result
    monkeypatch.setattr(models.weights, "TRAINED", {})
    with pytest.raises(ValueError, match="model must be a file or one of .none is here.*got 'vessels'"):
        trained.resolve("vessels")
    unit = next(
        u for u in EXPERIMENTS["vessels"].units("full") if u.seed == 1 and u.variant == "vessels-pdegcnn6"
    )
    second = network(grid.committed_path(unit), model="vessels-pdegcnn6")
    assert trained.resolve("vessels/vessels-pdegcnn6") == trained.resolve("vessels-pdegcnn6") == second
    first = network(grid.committed_path(EXPERIMENTS["vessels"].unit("vessels-pdegcnn6", 0, "full")))
    assert trained.resolve("vessels-pdegcnn6") == first
    long = network(grid.committed_path(EXPERIMENTS["vessels"].unit("vessels-pdegcnn6", 0, "long")))
    assert trained.resolve("vessels-pdegcnn6") == long, "of one trained for long and one for less the former"
    with pytest.raises(ValueError, match="one of vessels/vessels-pdegcnn6, got 'resnet'"):
        trained.resolve("resnet")
    weights_path(result).unlink()
    with pytest.raises(ValueError, match="net.safetensors is missing"):
        trained.resolve(str(result))


def test_networks_that_lie_with_the_library_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    for name in (segment.DEFAULT_MODEL, segment.VOLUME_MODEL, "vessels-unet"):
        assert trained.resolve(name).is_file()
    assert not any("digits" in name for name in trained.available()), "they make no mask"


def test_a_short_training_of_the_readers_does_not_hide_a_network_of_the_library(
    result, monkeypatch, tmp_path
):
    packaged = trained.resolve(segment.DEFAULT_MODEL)
    for profile, found in (("full", packaged), ("long", None)):
        unit = EXPERIMENTS["vessels"].unit("vessels-pdegcnn12-wide", 0, profile)
        mine = network(result_path(unit), model="vessels-pdegcnn12")
        assert trained.resolve(segment.DEFAULT_MODEL) == (found or mine)


def test_results_go_into_a_folder(result, tmp_path):
    with pytest.raises(ValueError, match=r"out must be a folder, .*net.json is a file"):
        list(segment.run([tmp_path / "a.png"], result, result))


def test_a_missing_picture_says_so(tmp_path):
    with pytest.raises(DataError, match="nothing.png is missing; check its name"):
        segment.read(tmp_path / "nothing.png")


@pytest.mark.skipif(not data.chase.available(), reason="CHASE_DB1 is not in PDEGCNN_DATA")
def test_the_command_finds_in_test_photographs_what_the_record_of_its_network_says(tmp_path):
    """Its field, size, tiles and threshold are those of the experiment: the Dice score at the original resolution."""
    from pdegcnn_lib.companion.experiments.metrics import dice

    _, record = segment.load(trained.resolve(segment.DEFAULT_MODEL))
    names = data.chase.names()[20:]
    scores = []
    for name in names:
        picture = data.chase.photograph(name)
        pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        assert main(["segment", str(tmp_path / f"{name}.png"), "-o", str(tmp_path / "out")]) == 0
        mask = torch.from_numpy(np.array(Image.open(tmp_path / "out" / f"{name}_mask.png")) > 0)
        field = data.fundus.field_of_view(picture)
        scores.append(dice(mask[None], data.chase.vessels(name)[None], field[None]))
    assert len(scores) == 8 and np.mean(scores) > 0.785
    assert scores == pytest.approx(record["metrics"]["dice_by_image"], abs=1e-3)
