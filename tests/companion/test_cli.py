"""The command line: every verb, bad input in one sentence, the truth about the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pdegcnn_lib import __version__, models, ops
from pdegcnn_lib.companion import doctor
from pdegcnn_lib.companion.cli import main
from pdegcnn_lib.companion.data import mnist
from pdegcnn_lib.companion.experiments import EXPERIMENTS, PROFILES


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Results, runs and data in empty folders."""
    for name in ("ROOT", "RUNS", "DATA"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"PDEGCNN_{name}", str(tmp_path / name))
    monkeypatch.setenv("TQDM_DISABLE", "1")


def printed(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-m", "pdegcnn_lib.companion.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(models.__file__).parents[2]), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_models(capsys):
    rows = json.loads(printed(capsys, "models", "--json"))
    assert [row["name"] for row in rows] == models.names()
    counts = {row["name"]: row["parameters"] for row in rows}
    assert (counts["digits-lenet5"]["1"], counts["digits-gcnn"]["1"], counts["digits-pdegcnn"]["1"]) == (
        44426,
        12700,
        2542,
    )
    assert counts["vessels-pdegcnn6"] == {"1": 2560, "3": 4128}
    assert all(row["task"] and row["summary"] for row in rows)
    table = printed(capsys, "models").splitlines()
    assert len(table) == len(rows) + 1
    assert ["digits-pdegcnn", "digits", "2542"] in [line.split()[:3] for line in table]


def test_experiments(capsys):
    rows = json.loads(printed(capsys, "experiments", "--json"))
    assert {(r["experiment"], r["profile"]) for r in rows} == {(n, p) for n in EXPERIMENTS for p in PROFILES}
    for row in rows:
        assert row["done"] == 0 and row["runs"] == len(row["missing"])
    text = printed(capsys, "experiments")
    assert "digits-rotated (fast): 0 of" in text and "missing: digits-pdegcnn seed 0" in text


def test_doctor(capsys):
    report = json.loads(printed(capsys, "doctor", "--json"))
    assert report["versions"]["torch"] == torch.__version__ and report["versions"]["pdegcnn"] == __version__
    assert report["backends"] == {
        n: {"usable": w is None, "why_not": w} for n, w in ops.availability().items()
    }
    assert (report["gpu"] is not None) == torch.cuda.is_available()
    assert report["data"]["MNIST"] is False
    assert set(report["optional"]) == set(doctor.OPTIONAL)
    text = printed(capsys, "doctor")
    assert f"torch {torch.__version__}" in text and "MNIST: not found" in text
    for name, backend in report["backends"].items():
        assert f"backend     {name}: " + ("usable" if backend["usable"] else "not usable: ") in text


def test_doctor_finds_data_when_it_is_there(tmp_path):
    (tmp_path / "DATA" / "MNIST").mkdir()
    for name in mnist.SHA256:
        (tmp_path / "DATA" / "MNIST" / name).touch()
    assert doctor.report()["data"]["MNIST"] is True
    assert "MNIST: found" in doctor.as_text(doctor.report())


def test_doctor_without_a_compiler(monkeypatch):
    monkeypatch.setattr(doctor.host, "compiler", lambda: None)
    assert doctor.compiler() == {"path": None, "version": None}
    assert "compiler    none found" in doctor.as_text({**doctor.report(), "compiler": doctor.compiler()})


def test_doctor_tells_the_truth_without_a_gpu_and_without_a_compiler(tmp_path):
    """In a process of its own, with every device hidden and nothing on the path."""
    done = program("doctor", "--json", CUDA_VISIBLE_DEVICES="", PATH=str(tmp_path), CXX="")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["gpu"] is None and report["compiler"]["path"] is None
    assert report["backends"]["reference"] == {"usable": True, "why_not": None}
    for name in ("cpu", "cuda"):
        assert report["backends"][name]["usable"] is False
        assert len(report["backends"][name]["why_not"]) > 10


def test_train(capsys, monkeypatch, tmp_path):
    pytest.importorskip("safetensors", reason="weights are kept as safetensors")
    from dataclasses import replace

    from pdegcnn_lib.companion.experiments import Training

    class Noise:
        in_channels = 1

        def batch(self, size, generator):
            return torch.rand(size, 1, 28, 28, generator=generator), torch.zeros(size, dtype=torch.long)

        loss = staticmethod(torch.nn.functional.cross_entropy)

        def evaluate(self, model, device):
            return {"accuracy": 0.25, "angles": [0]}

    quick = dict.fromkeys(("fast", "full"), Training(steps=2, batch_size=2))
    tiny = replace(EXPERIMENTS["digits-rotated"], task=lambda profile: Noise(), training=quick)
    monkeypatch.setitem(EXPERIMENTS, "digits-rotated", tiny)
    out = tmp_path / "result.json"
    arguments = ("train", "digits-rotated", "--model", "digits-lenet5", "--seed", "5")
    assert (
        printed(capsys, *arguments, "--out", str(out)) == f"digits-lenet5, seed 5: accuracy 0.2500\n{out}\n"
    )
    assert json.loads(out.read_text())["seed"] == 5
    path = printed(capsys, *arguments).splitlines()[-1]
    assert path.startswith(str(tmp_path / "RUNS")) and json.loads(Path(path).read_text())["profile"] == "fast"


def test_grid_works_off_one_experiment_or_all(monkeypatch):
    from pdegcnn_lib.companion.experiments import work

    asked = []

    def work_off(experiments, profile, *, minutes, say):
        asked.append(([e.name for e in experiments], profile, minutes))

    monkeypatch.setattr(work, "work_off", work_off)
    assert main(["grid", "digits-rotated", "--profile", "fast"]) == 0
    assert main(["grid", "lines", "vessels", "--minutes", "7.5"]) == 0
    assert main(["grid"]) == 0
    assert asked == [
        (["digits-rotated"], "fast", None),
        (["lines", "vessels"], "long", 7.5),
        (list(EXPERIMENTS), "long", None),
    ]


BAD = [
    (("grid", "digits"), "experiment must be one of .*, got 'digits'"),
    (("grid", "lines", "--minutes", "nan"), "minutes must be at least 0, got nan"),
    (("grid", "lines", "--minutes", "-1"), "minutes must be at least 0, got -1"),
    (("grid", "digits-rotated", "--profile", "slow"), "profile must be one of fast, full, long, got 'slow'"),
    (
        ("train", "digits", "--model", "digits-gcnn", "--seed", "0"),
        "experiment must be one of .*, got 'digits'",
    ),
    (
        ("train", "digits-rotated", "--model", "resnet", "--seed", "0"),
        "model must be one of .*, got 'resnet'",
    ),
    (("train", "digits-rotated", "--model", "digits-gcnn", "--seed", "-1"), "seed must be .*, got -1"),
    (
        ("train", "digits-rotated", "--model", "digits-gcnn", "--seed", "0", "--profile", "slow"),
        "profile must be one of fast, full, long, got 'slow'",
    ),
    (
        ("train", "digits-rotated", "--model", "digits-gcnn", "--seed", "0", "--profile", "full"),
        "MNIST: .*train-images-idx3-ubyte.gz is missing; point PDEGCNN_DATA at",
    ),
]


@pytest.mark.parametrize(("arguments", "says"), BAD)
def test_bad_input_is_one_sentence_and_exit_2(capsys, arguments, says):
    import re

    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert re.search(says, err), err
    assert err.startswith(f"pdegcnn {arguments[0]}: ")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file/result.json", "nothing can be written here"),
        ("folder", "is a folder, not a file"),
        ("pipe.json", "is a pipe or a device, not a file"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_sentence(capsys, monkeypatch, tmp_path, place, says):
    """Found before any training: the folder of the result is a file, or the result would be no file."""
    module = sys.modules["pdegcnn_lib.companion.experiments.run"]
    monkeypatch.setattr(module, "train", lambda *a, **k: pytest.fail("trained for nothing"))
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    arguments = ["train", "digits-rotated", "--model", "digits-lenet5", "--seed", "0"]
    assert main([*arguments, "--out", str(tmp_path / place)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and str(tmp_path / place.split("/")[0]) in err
    assert says in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "required: COMMAND"),
        (("dance",), "invalid choice: 'dance'"),
        (("train", "digits-rotated"), "required: --model, --seed"),
        (("segment", "eye.png", "-o", ""), "-o/--out: must name a file or a folder, got ''"),
        (("segment", "", "-o", "masks"), "IMAGE: must name a file or a folder, got ''"),
        (("train", "digits-rotated", "--model", "digits-gcnn", "--seed", "x"), "invalid int value: 'x'"),
    ],
)
def test_usage_errors_exit_2(capsys, arguments, says):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2 and says in capsys.readouterr().err


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for verb in ("doctor", "models", "bench", "train", "grid", "experiments"):
        assert verb in out


@pytest.mark.parametrize("verb", ["train", "grid"])
def test_help_names_every_profile(capsys, verb):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"--profile {'|'.join(PROFILES)}" in capsys.readouterr().out


def test_an_interruption_says_how_to_go_on(capsys, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "report", interrupt)
    assert main(["doctor"]) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def test_as_a_program():
    done = program("models", "--json")
    assert done.returncode == 0 and done.stderr == ""
    assert {r["name"]: r["parameters"]["1"] for r in json.loads(done.stdout)}["digits-pdegcnn"] == 2542
    done = program("train", "digits-rotated", "--model", "resnet", "--seed", "0")
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "got 'resnet'" in done.stderr
