"""`pdegcnn export`: files that other programs run, with what their readers must know."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pdegcnn_lib import models, nn
from pdegcnn_lib.companion import data, export, segment
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.experiments import load_model, read_result, trained, weights_path
from pdegcnn_lib.models.tiling import apply_tiled

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")

DEFAULT = trained.resolve(segment.DEFAULT_MODEL)
SHAPES = [(1, 9, 14), (3, 33, 20)]  # batch, height, width


@pytest.fixture(scope="module")
def default_onnx(tmp_path_factory) -> Path:
    """The default network of `pdegcnn segment`, exported once for all tests here."""
    out = tmp_path_factory.mktemp("export") / "default.onnx"
    assert main(["export", segment.DEFAULT_MODEL, "-o", str(out)]) == 0
    return out


class Running(torch.nn.Module):
    """An ONNX file as a network."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.session = onnxruntime.InferenceSession(str(path))
        self.device_of = torch.nn.Parameter(torch.empty(0))
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(["logit"], {"image": image.numpy()})[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_onnxruntime_runs_the_default_network_at_any_size_and_batch(default_onnx, shape):
    batch, *size = shape
    x = torch.randn(batch, 1, *size)
    with torch.no_grad():
        known = load_model(DEFAULT)(x)
    torch.testing.assert_close(Running(default_onnx)(x), known, rtol=1e-4, atol=1e-4)


def test_onnxruntime_gives_the_mask_of_segment_on_a_photograph(default_onnx):
    """A piece of the photograph that scikit-image carries, tile by tile: what a reader's machine does at any size."""
    photograph = pytest.importorskip("skimage.data").retina()[600:720, 500:640]
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1).float() / 255
    record, at = read_result(DEFAULT), segment.threshold(read_result(DEFAULT))
    image, _ = segment.prepare(record, rgb, scale=0.5)
    known = apply_tiled(load_model(DEFAULT), image, core=512)
    found = apply_tiled(Running(default_onnx), image, core=512)
    torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-4)
    masks = [torch.sigmoid(x) >= at for x in (found, known)]
    sure = (torch.sigmoid(known) - at).abs() > 1e-4
    assert torch.equal(masks[0][sure], masks[1][sure])
    assert 0.01 < masks[1].float().mean() < 0.6, "vessels are seen"


def test_the_file_is_valid_small_and_says_what_a_reader_must_know(default_onnx):
    import onnx

    model = onnx.load(default_onnx)
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.node) < 2000, "no loop over the 2500 taps is unrolled"
    assert str(Path(export.__file__).parents[2]).encode() not in default_onnx.read_bytes()
    assert {domain.domain for domain in model.opset_import} == {""}, "operators of ONNX alone"
    said = {prop.key: prop.value for prop in model.metadata_props}
    record = read_result(DEFAULT)
    assert said == export.description(record)
    assert said["mode"] == "green" and float(said["threshold"]) == segment.threshold(record)
    assert said["parameters"] == "5152" and said["source"].startswith(f"{segment.DEFAULT_MODEL}, seed 0")
    assert "455" in said["scale"] and "deviation 1" in said["normalisation"]


def small(folder: Path, model: str = "vessels-cnn3-narrow", **changed: Any) -> Path:
    """The result of a network that nobody trained."""
    from safetensors.torch import save_file

    built = models.build(model, **changed.get("options", {}))
    record = {
        "experiment": "lines",
        "variant": model,
        "model": model,
        "seed": 0,
        "digest": "0" * 12,
        "in_channels": 1,
        "preparation": data.Preparation("lines", "grey").record,
        "options": {},
        "parameters": models.parameter_count(built),
    }
    result = folder / "net.json"
    result.write_text(json.dumps({**record, **changed}))
    save_file(built.state_dict(), weights_path(result))
    return result


def test_a_program_of_torch_is_read_back_with_its_description(tmp_path, capsys):
    result, out = small(tmp_path, "vessels-pdegcnn3"), tmp_path / "new" / "net.pt2"
    assert main(["export", str(result), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with zipfile.ZipFile(out) as archive:
        parts = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(export.__file__).parents[2]).encode() not in parts
    files = {"description.json": ""}
    program = torch.export.load(out, extra_files=files)
    assert json.loads(files["description.json"]) == export.description(read_result(result))
    assert not any("pdegcnn" in str(node.target) for node in program.graph.nodes)
    network = load_model(result)
    for batch, *size in SHAPES:
        x = torch.rand(batch, 1, *size)
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_fixed_lift_takes_what_its_wavelets_can_mirror(tmp_path):
    """They span 21 pixels, so that 10 are mirrored."""
    result = small(tmp_path, "vessels-pdegcnn3", options={"lift": "fixed"})
    files = {"description.json": ""}
    program = torch.export.load(export.export(result, tmp_path / "net.pt2"), extra_files=files)
    assert "sides of 11 at least" in json.loads(files["description.json"])["input"]
    x = torch.rand(1, 1, 11, 30)
    torch.testing.assert_close(program.module()(x), load_model(result)(x), rtol=1e-4, atol=1e-4)


def test_so_does_a_wide_lift_of_a_network_of_ones_own():
    network = torch.nn.Sequential(nn.Lift(1, 2, orientations=4, size=19), nn.Projection()).eval()
    x = torch.rand(1, 1, 10, 30)
    torch.testing.assert_close(export.program(network, 1).module()(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_file_is_replaced_when_asked_for_and_never_in_part(tmp_path, capsys, monkeypatch):
    result, out = small(tmp_path), tmp_path / "net.pt2"
    out.write_text("mine")
    assert main(["export", str(result), "-o", str(out)]) == 2
    assert "net.pt2 is there already; --force replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    (tmp_path / "loop.pt2").symlink_to("loop.pt2")
    assert main(["export", str(result), "-o", str(tmp_path / "loop.pt2")]) == 2
    assert "loop.pt2 is there already; --force replaces it" in capsys.readouterr().err
    (tmp_path / "loop.pt2").unlink()
    assert main(["export", str(result), "-o", str(tmp_path), "--force"]) == 2
    assert main(["export", str(result), "-o", str(out / "net.pt2")]) == 2
    assert "nothing can be written here" in capsys.readouterr().err

    def fails(*_: object) -> bytes:
        raise ValueError("a bad day")

    with monkeypatch.context() as broken:
        broken.setitem(export.FORMATS, ".pt2", fails)
        assert main(["export", str(result), "-o", str(out), "--force"]) == 2
    assert out.read_text() == "mine" and sorted(p.suffix for p in tmp_path.iterdir()) == [
        ".json",
        ".pt2",
        ".safetensors",
    ]
    assert main(["export", str(result), "-o", str(out), "--force"]) == 0
    torch.export.load(out)


def test_bad_input_is_one_sentence(tmp_path, capsys):
    def said(result: object, name: str = "net.pt2") -> str:
        assert main(["export", str(result), "-o", str(tmp_path / name)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("pdegcnn export: ") and err.count("\n") == 1
        return err

    assert "must end in .onnx or .pt2, got" in said(small(tmp_path), "net.pth")
    assert "must end in .onnx or .pt2, got" in said(small(tmp_path), "net")
    assert "model must be a file or one of" in said("resnet")
    record = json.loads(small(tmp_path).read_text())
    prepared = record.pop("preparation")
    (tmp_path / "net.json").write_text(json.dumps(record))
    assert "does not say how pictures were prepared" in said(tmp_path / "net.json")
    del record["seed"], record["digest"]
    record["preparation"] = prepared
    (tmp_path / "net.json").write_text(json.dumps(record))
    assert "the record of the network says nothing of its seed, digest" in said(tmp_path / "net.json")
    assert "writes networks on images" in said(small(tmp_path, "tubes-cnn"))
    assert not (tmp_path / "net.pt2").exists()


def test_without_the_packages_of_onnx_the_reader_is_told_which(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(small(tmp_path)), "-o", str(tmp_path / "net.onnx")]) == 2
    assert "pip install 'pdegcnn[export]'" in capsys.readouterr().err


def test_a_network_for_photographs_and_one_for_lines_say_different_things(tmp_path):
    lines = export.description(read_result(small(tmp_path)))
    assert lines["scale"] == "1" and lines["mode"] == "grey" and lines["threshold"] == "0.5"
