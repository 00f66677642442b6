"""`pdegcnn convert`: a checkpoint of LieTorch as a file of this library, or a sentence and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion.cli import main

safetensors = pytest.importorskip("safetensors.torch")

MODEL = "vessels-cnn3-narrow"


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """The plain CNN as LieTorch saves it: the same layers in the same order, other names, linear maps transposed."""
    torch.manual_seed(5)
    groups: dict[str, str] = {}
    weights = {}
    for key, value in models.build(MODEL, 1).state_dict().items():
        prefix, _, name = key.rpartition(".")
        weights[f"{groups.setdefault(prefix, f'block.{len(groups)}')}.{name}"] = (
            value.mT if value.ndim == 2 else value
        )
    path = tmp_path / "theirs.pt"
    torch.save(weights, path)
    return path


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_a_network_of_theirs_is_a_file_that_the_network_here_takes(checkpoint, tmp_path, capsys):
    out = tmp_path / "ours.safetensors"
    assert convert(checkpoint, "--model", MODEL, "--lietorch", "0.8.2", "-o", out) == 0
    *remarks, last = capsys.readouterr().out.splitlines()
    assert last == str(out) and all("pads by" in remark for remark in remarks)
    network = models.build(MODEL, 1)
    network.load_state_dict(safetensors.load_file(out))
    torch.manual_seed(5)
    for key, value in models.build(MODEL, 1).state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key


def test_what_cannot_be_converted_is_a_sentence_and_leaves_nothing(checkpoint, tmp_path, capsys):
    out, cut = tmp_path / "ours.safetensors", tmp_path / "cut.pt"
    cut.write_bytes(checkpoint.read_bytes()[:-2000])
    usual = ("--model", MODEL, "--lietorch", "0.8.2", "-o", out)
    other = (checkpoint, "--model", "vessels-pdegcnn3", *usual[2:])
    for arguments, problem in (
        ((cut, *usual), f"{cut} is not a whole checkpoint: "),
        ((tmp_path / "none.pt", *usual), f"there is no checkpoint {tmp_path}/none.pt: it is not there"),
        ((tmp_path, *usual), f"there is no checkpoint {tmp_path}: it is no file"),
        (
            (checkpoint, *usual[:3], "0.9", *usual[4:]),
            "version must be that of LieTorch, 0.7 or 0.8, got '0.9'",
        ),
        ((checkpoint, "--model", "vessels-pdegcnn6", *usual[2:]), "the checkpoint has "),
        ((checkpoint, *usual, "--channels", "3"), "block.0 has the shape "),
        ((checkpoint, *usual, "--option", "window=3"), f"{MODEL} takes the options "),
        (
            (checkpoint, *usual, "--option", "channels=16", "--option", "channels=10"),
            "option channels must be given once, got 16 and 10",
        ),
        ((*other, "--option", "window=5"), "window must be (KOr, KH, KW), got 5"),
        ((*other, "--option", "orientations=4.0"), "orientations must be "),
        ((checkpoint, *usual[:-1], tmp_path / "ours.pt"), "the name of the file must end in .safetensors"),
    ):
        assert convert(*arguments) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith(f"pdegcnn convert: {problem}"), said.err
        assert len(said.err.splitlines()) == 1
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["cut.pt", "theirs.pt"]
    out.write_text("mine")
    assert convert(checkpoint, *usual) == 2 and out.read_text() == "mine"
    assert convert(checkpoint, *usual, "--force") == 0 and out.read_bytes() != b"mine"
