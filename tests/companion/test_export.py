"""`pdegcnn export`: files that other programs run, with what their readers must know."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import data, export
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.experiments import load_model, read_result, weights_path

pytest.importorskip("onnxscript")
pytest.importorskip("safetensors")

SHAPES = [(1, 9, 14), (3, 33, 20)]  # batch, height, width


def small(folder: Path, model: str = "vessels-cnn3-narrow", **changed: object) -> Path:
    """The result of a network that nobody trained."""
    from safetensors.torch import save_file

    built = models.build(model)
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
    files = {"description.json": ""}
    program = torch.export.load(out, extra_files=files)
    assert json.loads(files["description.json"]) == export.description(read_result(result))
    assert not any("pdegcnn" in str(node.target) for node in program.graph.nodes)
    network = load_model(result)
    for batch, *size in SHAPES:
        x = torch.rand(batch, 1, *size)
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_file_is_replaced_when_asked_for_and_never_in_part(tmp_path, capsys, monkeypatch):
    result, out = small(tmp_path), tmp_path / "net.pt2"
    out.write_text("mine")
    assert main(["export", str(result), "-o", str(out)]) == 2
    assert "net.pt2 is there already; --force replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"

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
    del record["preparation"]
    (tmp_path / "net.json").write_text(json.dumps(record))
    assert "does not say how pictures were prepared" in said(tmp_path / "net.json")
    assert "writes networks on images" in said(small(tmp_path, "tubes-cnn"))
    assert not (tmp_path / "net.pt2").exists()


def test_without_the_packages_of_onnx_the_reader_is_told_which(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(small(tmp_path)), "-o", str(tmp_path / "net.onnx")]) == 2
    assert "pip install 'pdegcnn[export]'" in capsys.readouterr().err


def test_a_network_for_photographs_and_one_for_lines_say_different_things(tmp_path):
    lines = export.description(read_result(small(tmp_path)))
    assert lines["scale"] == "1" and lines["mode"] == "grey" and lines["threshold"] == "0.5"
