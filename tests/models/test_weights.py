"""The trained networks that an installed package carries, and their cards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion import segment
from pdegcnn_lib.companion.experiments import load_model, read_result, trained
from pdegcnn_lib.models import weights

pytest.importorskip("safetensors")
ROOT = Path(weights.PACKAGE).parent
each = pytest.mark.parametrize("name", models.trained_names())


@each
def test_a_trained_network_is_that_of_its_result(name):
    result = ROOT / "results" / f"{weights.TRAINED[name]}.json"
    found, known = models.trained(name).state_dict(), load_model(result).state_dict()
    assert list(found) == list(known) and all(torch.equal(found[key], known[key]) for key in known)
    assert not models.trained(name).training


@each
def test_the_command_line_knows_it_by_the_same_name(name):
    assert trained.resolve(name) == weights.place(name, ".json")


@each
def test_a_card_says_what_the_result_says(name):
    said, text = read_result(ROOT / "results" / f"{weights.TRAINED[name]}.json"), models.card(name)
    assert f"{said['parameters']} parameters" in text and f"{said['training']['steps']} steps" in text
    for key in {"dice", "accuracy"} & set(said["metrics"]):
        assert f"{key} {said['metrics'][key]:.3f}" in text
    rows = re.findall(r"^\| (\w[^|]*) \| (\w|`)", text, re.MULTILINE)
    assert {"Network", "Input", "Data", "Training", "Licence", "Limits", "Result"} <= {key for key, _ in rows}


def test_a_card_says_where_a_grid_has_no_exact_turn(monkeypatch):
    said = weights.record("vessels-pdegcnn12") | {"quarter_turn_error": None}
    monkeypatch.setattr(weights, "record", lambda name: said)
    assert "| Error of a quarter turn | its grid has no exact turn |" in models.card("vessels-pdegcnn12")


def test_the_package_carries_each_of_them():
    tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    carried = {k: v for k, v in wheel["force-include"].items() if k.startswith("results/")}
    assert carried == {
        f"results/{stem}{suffix}": f"pdegcnn_lib/trained/{name}{suffix}"
        for name, stem in weights.TRAINED.items()
        for suffix in (".json", ".safetensors")
    }
    assert sum((ROOT / file).stat().st_size for file in carried) < 500_000
    assert segment.DEFAULT_MODEL.split("/")[1] in weights.TRAINED


def test_an_installed_package_reads_its_own_copies(tmp_path, monkeypatch):
    name = "digits-pdegcnn"
    known = models.trained(name).state_dict()
    folder = tmp_path / "pdegcnn_lib" / "trained"
    folder.mkdir(parents=True)
    for suffix in (".json", ".safetensors"):
        (folder / f"{name}{suffix}").write_bytes(weights.place(name, suffix).read_bytes())
    monkeypatch.setattr(weights, "PACKAGE", tmp_path / "pdegcnn_lib")
    found = models.trained(name).state_dict()
    assert all(torch.equal(found[key], known[key]) for key in known)
    with pytest.raises(FileNotFoundError, match="the weights of vessels-unet are not beside or inside"):
        models.trained("vessels-unet")


def test_an_unknown_name_is_quoted():
    with pytest.raises(ValueError, match="name must be one of vessels-pdegcnn12-wide, .*, got 'resnet'"):
        models.trained("resnet")
