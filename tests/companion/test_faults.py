"""What happens on the way: damaged files, other repositories, other locales, readers that close early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pdegcnn_lib.companion import data, doctor, paths, segment
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.data import DataError, chase, drive, mnist
from pdegcnn_lib.companion.experiments import (
    Run,
    experiment,
    load_model,
    provenance,
    read_result,
    run,
    training,
)
from pdegcnn_lib.companion.experiments import trained as trained_networks
from pdegcnn_lib.companion.experiments.config import LARGEST_SEED, Training
from pdegcnn_lib.models import weights

ROOT = Path(__file__).resolve().parents[2]


# ---- damaged files -----------------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A result with its weights."""
    from safetensors.torch import save_file

    from pdegcnn_lib import models

    record = {"model": "digits-lenet5", "in_channels": 1, "options": {}}
    (tmp_path / "net.json").write_text(json.dumps(record))
    save_file(models.build("digits-lenet5", 1).state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.json"


@pytest.mark.parametrize("kept", [0, 5, 3000, -1])
def test_weights_that_were_cut_short_are_named(trained, kept):
    weights = trained.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"net.safetensors is damaged: .*; copy it again"):
        load_model(trained)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("", "net.json is damaged or no result"),
        ("[1]", "net.json is damaged or no result: it holds a list"),
        ("{}", "describes no network: it says nothing of 'model'"),
        ('{"model": "resnet", "in_channels": 1, "options": {}}', "describes no network: .*'resnet'"),
        ('{"model": "digits-lenet5", "in_channels": 1, "options": {"x": 1}}', "describes no network"),
        ('{"model": "digits-gcnn", "in_channels": 1, "options": {}}', "holds other weights than"),
    ],
)
def test_a_result_that_describes_no_network_is_named(trained, record, says):
    trained.write_text(record)
    with pytest.raises(DataError, match=says):
        load_model(trained)


def test_weights_that_are_no_numbers_are_named(trained):
    from safetensors.torch import load_file, save_file

    state = load_file(trained.with_suffix(".safetensors"))
    next(iter(state.values())).view(-1)[0] = torch.nan
    save_file(state, trained.with_suffix(".safetensors"))
    with pytest.raises(DataError, match="values that are not finite"):
        load_model(trained)


def test_weights_are_taken_by_a_network_of_more_digits(trained):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = load_model(trained).state_dict()
    finally:
        torch.set_default_dtype(before)
    for name, value in load_model(trained).state_dict().items():
        assert torch.equal(found[name], value.to(found[name].dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32, torch.complex64])
def test_weights_of_another_type_are_not_rounded_without_a_word(trained, dtype):
    from safetensors.torch import load_file, save_file

    state = {name: value.to(dtype) for name, value in load_file(trained.with_suffix(".safetensors")).items()}
    save_file(state, trained.with_suffix(".safetensors"))
    with pytest.raises(DataError, match=f"net.safetensors must hold torch.float32 for .*, got {dtype}"):
        load_model(trained)


PICTURES = {"preparation": {"data": "lines", "mode": "grey"}, "metrics": {"threshold": 0.5}}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"preparation": None}, "must be a mapping"),
        ({"preparation": {"data": "lines", "mode": "grey", "zoom": 2}}, "unexpected keyword argument 'zoom'"),
        (
            {"preparation": {"data": "eyes", "mode": "green", "field_diameter": "wide"}},
            "not supported between",
        ),
        ({"metrics": None}, "has no attribute 'get'"),
        ({"metrics": {"threshold": "high"}}, "not supported between"),
        ({"metrics": {"threshold": float("nan")}}, "threshold must be from 0 to 1, got nan"),
    ],
)
def test_a_result_that_describes_no_network_for_pictures_is_named_once(trained, capsys, changed, says):
    record = json.loads(trained.read_text())
    trained.write_text(json.dumps({**record, **PICTURES}))
    segment.load(trained)
    trained.write_text(json.dumps({**record, **PICTURES, **changed}))
    assert main(["segment", "a.png", "b.png", "-o", "out", "--model", str(trained)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{trained} does not describe a network for pictures: " in line and says in line


def test_a_damaged_result_keeps_nobody_from_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    unit = experiment("lines").units("full")[0]
    put(tmp_path / f"results/{unit.stem}.json", b'{"digest": ')
    put(tmp_path / f"results/{unit.stem}.safetensors")
    whole = trained_networks.resolve("vessels/vessels-pdegcnn6")
    damaged = trained_networks.resolve(f"lines/{unit.variant}")
    with pytest.raises(DataError, match=f"{unit.variant}.*json is damaged or no result"):
        load_model(damaged)
    put(tmp_path / "package/trained/vessels-pdegcnn6.json", whole.read_bytes())
    put(tmp_path / "package/trained/vessels-unet.json", b"{")
    monkeypatch.setattr(weights, "PACKAGE", tmp_path / "package")
    assert trained_networks.resolve("vessels/vessels-pdegcnn6").is_file()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_said_and_the_run_starts_anew(tmp_path, content):
    path = tmp_path / "run.checkpoint.pt"
    if content is None:
        torch.save({"model": {}}, path)
    else:
        path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"run.checkpoint.pt is damaged .*starts from its beginning"):
        assert training._read(path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["run.checkpoint.pt.damaged"]
    assert training._read(path) is None, "nor is one that has gone meanwhile a fault"


def test_a_checkpoint_of_another_network_is_set_aside(tmp_path):
    path = tmp_path / "run.checkpoint.pt"
    others = dict.fromkeys(("of", "optimizer", "average", "rng", "state"), {})
    torch.save({"model": torch.nn.Linear(2, 3).state_dict(), **others}, path)
    assert training._read(path, torch.nn.Linear(2, 3)) is not None
    with pytest.warns(RuntimeWarning, match=r"run.checkpoint.pt is damaged \(ValueError\)"):
        assert training._read(path, torch.nn.Linear(2, 4)) is None


def test_a_run_does_not_take_the_place_of_a_file_that_is_no_result(tmp_path):
    unit = Run("digits-rotated", "a", "digits-lenet5", 0, "fast", Training(steps=1))
    for content, error in (('{"mine": 1}', ValueError), ("notes", DataError)):
        (tmp_path / "mine.json").write_text(content)
        with pytest.raises(error, match="mine.json"):
            run(unit, out=tmp_path / "mine.json")
        assert (tmp_path / "mine.json").read_text() == content


def test_the_largest_seed_draws_batches():
    unit = Run("digits-rotated", "a", "digits-lenet5", LARGEST_SEED, "fast", Training(steps=1))
    torch.Generator().manual_seed(unit.seed * 1_000_000_007 + 10**6)
    with pytest.raises(ValueError, match=f"seed must be at most {LARGEST_SEED}, got 20251125183500123"):
        Run("digits-rotated", "a", "digits-lenet5", 20251125183500123, "fast", Training(steps=1))


# ---- data as they are handed out ---------------------------------------------------------------------------------


def put(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_drive_without_the_labels_of_the_test_images_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    for row in drive.files(True):
        for name in row.values():
            put(tmp_path / "DRIVE" / name)
    put(tmp_path / "DRIVE" / drive.files(False)[0]["image"])
    assert drive.available((True,)) and not drive.available()
    with pytest.raises(DataError, match="labels of the test images, .*are not handed out any more"):
        drive.load(False)
    found = doctor.report()["data"]
    assert found["DRIVE"] is False and found["DRIVE, the training part"] is True


def test_archives_of_the_owners_and_of_torchvision_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    for name in chase.sha256():
        put(tmp_path / "CHASE_DB1" / Path(name).name)
    for name in mnist.SHA256:
        put(tmp_path / "MNIST/raw" / name)
    assert chase.available() and mnist.available()
    for load, says in (
        (chase.load, r"CHASE_DB1.Image_01L.jpg is damaged"),
        (mnist.load, r"raw.train-images.*damaged"),
    ):
        with pytest.raises(DataError, match=says):
            load(True)


def test_a_relative_folder_of_data_is_below_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    monkeypatch.setenv("PDEGCNN_DATA", "elsewhere")
    monkeypatch.setenv("PDEGCNN_RUNS", "../runs")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert paths.data() == tmp_path / "elsewhere" and paths.runs() == tmp_path.parent / "runs"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o007])
def test_files_keep_from_others_what_the_user_keeps_from_them(tmp_path, umask):
    before = os.umask(umask)
    try:
        path = paths.write_atomically(tmp_path / ("x" * 255), "text")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


# ---- where a program runs ----------------------------------------------------------------------------------------


def program(code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, timeout=300)


def test_the_revision_is_that_of_the_library(tmp_path, monkeypatch):
    """Neither that of a repository around a source tree without its own, nor that of a hook."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "other"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    other = subprocess.run([*git, "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True).stdout
    revision = provenance.revision.__wrapped__  # a process asks once
    here = revision()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert revision() == here
    monkeypatch.delenv("GIT_DIR")
    (tmp_path / "p/pdegcnn_lib").mkdir(parents=True)
    monkeypatch.setattr(provenance.pdegcnn_lib, "__file__", str(tmp_path / "p/pdegcnn_lib/__init__.py"))
    assert revision() is None
    monkeypatch.setattr(provenance.pdegcnn_lib, "__file__", str(tmp_path / "pdegcnn_lib/__init__.py"))
    assert revision() == other[:12]


def test_a_reader_who_closes_early_ends_the_program_without_a_word():
    code = "import sys; from pdegcnn_lib.companion.cli import main; sys.exit(main(['models']))"
    read, write = os.pipe()
    os.close(read)
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, stdout=write, stderr=subprocess.PIPE, timeout=300
    )
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


def test_a_name_outside_the_encoding_of_the_terminal_ends_nothing(tmp_path):
    code = f"from pdegcnn_lib.companion.cli import main; main(['segment', {'œil.png'!r}, '-o', {str(tmp_path)!r}])"
    done = program(code, PYTHONIOENCODING="latin-1")
    assert rb"\u0153il.png is missing" in done.stderr and b"Traceback" not in done.stderr


def test_without_the_extra_the_sentence_says_what_to_install(capsys, monkeypatch):
    def without() -> None:
        raise ModuleNotFoundError("No module named 'tqdm'")

    monkeypatch.setattr(doctor, "report", without)
    assert main(["doctor"]) == 2
    assert "pip install 'pdegcnn[notebooks]'" in capsys.readouterr().err


def test_an_interrupted_segmentation_promises_no_checkpoint(capsys, monkeypatch):
    from pdegcnn_lib.companion import segment

    def interrupt(*arguments: object, **given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "run", interrupt)
    monkeypatch.setattr("pdegcnn_lib.companion.experiments.trained.resolve", lambda name: None)
    assert main(["segment", "a.png", "-o", "out"]) == 130
    err = capsys.readouterr().err
    assert "checkpoint" not in err and "are done" in err
    monkeypatch.setattr("pdegcnn_lib.companion.export.export", interrupt)
    assert main(["export", "net", "-o", "net.pt2"]) == 130
    assert capsys.readouterr().err == "pdegcnn export: interrupted; what it wrote is whole\n"


def test_a_run_that_diverges_is_one_sentence(capsys, monkeypatch):
    def diverge(*arguments: object, **given: object) -> None:
        raise FloatingPointError("the loss of this run is nan at step 3")

    monkeypatch.setattr("pdegcnn_lib.companion.experiments.run", diverge)
    assert main(["train", "digits-rotated", "--model", "digits-lenet5", "--seed", "0"]) == 2
    assert capsys.readouterr().err == "pdegcnn train: the loss of this run is nan at step 3\n"


def test_doctor_reports_a_cache_that_keeps_nothing(monkeypatch):
    from pdegcnn_lib.ops.compiled import binaries

    monkeypatch.setattr(binaries, "kept_from", ["Permission denied"])
    assert "nothing can be kept (Permission denied)" in doctor.as_text(doctor.report())


def test_doctor_survives_a_command_that_is_none(monkeypatch):
    def unclosed() -> None:
        raise ValueError("CXX must be a command")

    monkeypatch.setattr(doctor.host, "compiler", unclosed)
    assert doctor.compiler() == {"path": None, "version": None}


def test_a_folder_that_may_not_be_read_holds_no_data(monkeypatch):
    def refused() -> bool:
        raise PermissionError("data")

    monkeypatch.setattr(data.chase, "available", refused)
    assert doctor.report()["data"]["CHASE_DB1"] is False


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "r.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match="r.json is damaged"):
        read_result(tmp_path / "r.json")
