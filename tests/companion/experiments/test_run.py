"""A run from its unit to its file: provenance, repetition, weights, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pdegcnn_lib import __version__, models
from pdegcnn_lib.companion import experiments
from pdegcnn_lib.companion.experiments import EXPERIMENTS, Task, run
from pdegcnn_lib.companion.experiments import run as run_function
from pdegcnn_lib.companion.experiments.provenance import threads
from pdegcnn_lib.companion.experiments.run import checkpoint_path
from pdegcnn_lib.companion.experiments.training import train

run_module = sys.modules[run_function.__module__]
CPU = torch.device("cpu")
GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


def test_a_run_leaves_one_json_file_with_its_provenance(tiny):
    result = run(tiny.UNIT, device=CPU)
    path = experiments.result_path(tiny.UNIT)
    assert json.loads(path.read_text()) == result
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".safetensors"]
    assert result["digest"] == tiny.UNIT.digest and result["digest"] in path.name
    for key, value in (
        ("experiment", "tiny"),
        ("variant", "small"),
        ("model", "digits-pdegcnn"),
        ("seed", 3),
        ("profile", "fast"),
    ):
        assert result[key] == value
    assert result["training"]["steps"] == tiny.STEPS and result["training"]["learning_rate"] == 1e-2
    assert result["options"] == tiny.OPTIONS
    assert result["parameters"] == 2542 and result["in_channels"] == 1
    assert 0 <= result["metrics"]["accuracy"] <= 1
    assert [point["step"] for point in result["curve"]] == list(range(1, tiny.STEPS + 1))
    assert result["wall_seconds"] >= result["training_seconds"] >= 0
    assert result["versions"]["pdegcnn"] == __version__ and result["versions"]["torch"] == torch.__version__
    assert {"python", "numpy"} <= set(result["versions"])
    assert (
        threads(result["device"]) == torch.get_num_threads() and "revision" in result and "finished" in result
    )
    assert result["quarter_turn_error"] > 1e-3, "the flat head is not invariant"


def test_what_a_network_learned_is_read_from_its_weights(tiny):
    run(tiny.UNIT, device=CPU)
    learned = experiments.learned_geometry(experiments.load_model(experiments.result_path(tiny.UNIT)))
    assert len(learned["w"]) == 4 and len(learned["g0"]) == 2
    assert all(len(row) == 3 and min(row) > 0 for w in learned["w"].values() for row in w)


def test_weights_are_kept_only_where_they_are_asked_for(tiny, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "tiny", replace(tiny.TINY, keep_weights=False))
    run(tiny.UNIT, device=CPU)
    path = experiments.result_path(tiny.UNIT)
    assert path.exists() and not experiments.weights_path(path).exists()


def test_the_second_call_returns_the_file(tiny, monkeypatch):
    first = run(tiny.UNIT, device=CPU)
    monkeypatch.setattr(run_module, "train", lambda *a, **k: pytest.fail("trained again"))
    assert run(tiny.UNIT, device=CPU) == first


def test_another_configuration_does_not_take_the_file_for_its_own(tiny, tmp_path):
    out = tmp_path / "result.json"
    run(tiny.UNIT, out=out, device=CPU)
    other = replace(tiny.UNIT, seed=4)
    result = run(other, out=out, device=CPU)
    assert result["seed"] == 4 and json.loads(out.read_text())["seed"] == 4


def test_weights_replace_no_file_of_the_reader(tiny, tmp_path):
    mine = tmp_path / "result.safetensors"
    mine.write_text("mine")
    with pytest.raises(
        ValueError, match=r"result\.safetensors is there already and not the weights of a run"
    ):
        run(tiny.UNIT, out=tmp_path / "result.json", device=CPU)
    with pytest.raises(ValueError, match=r"other\.safetensors is what the weights would be called"):
        run(tiny.UNIT, out=tmp_path / "other.safetensors", device=CPU)
    assert mine.read_text() == "mine" and list(tmp_path.glob("*.*")) == [mine]


def test_weights_of_the_same_run_are_replaced_and_those_of_others_are_not(tiny, tmp_path, monkeypatch):
    """A checkpoint does not say whose the file is; a run that a kill left without its result does."""
    interrupt(tiny, experiments.result_path(tiny.UNIT), monkeypatch)
    mine = tmp_path / "result.safetensors"
    mine.write_text("mine")
    with pytest.raises(ValueError, match="is there already and not the weights of a run"):
        run(tiny.UNIT, out=tmp_path / "result.json", device=CPU)
    assert mine.read_text() == "mine"
    run(tiny.UNIT, out=tmp_path / "killed.json", device=CPU)
    (tmp_path / "killed.json").unlink()
    with pytest.raises(ValueError, match="is there already and not the weights of a run"):
        run(replace(tiny.UNIT, seed=4), out=tmp_path / "killed.json", device=CPU)
    run(tiny.UNIT, out=tmp_path / "killed.json", device=CPU)
    assert (tmp_path / "killed.json").is_file()


def test_a_task_of_ones_own_may_score_in_numpy_and_has_three_methods(tiny, monkeypatch):
    scores = {"accuracy": np.float32(0.5), "by_image": np.ones(2), "loss": torch.tensor(1.0)}
    monkeypatch.setattr(tiny.Stripes, "evaluate", lambda self, model, device: scores)
    monkeypatch.delattr(Task, "in_channels")
    result = run(tiny.UNIT, device=CPU)
    assert result["metrics"] == {"accuracy": 0.5, "by_image": [1.0, 1.0], "loss": 1.0}
    assert result["in_channels"] == 1
    monkeypatch.setattr(tiny.Stripes, "evaluate", lambda self, model, device: {"accuracy": object()})
    with pytest.raises(TypeError, match="a metric must be a number, a text or a list of them, got a object"):
        run(replace(tiny.UNIT, seed=5), device=CPU)


def test_a_folder_that_takes_no_checkpoints_is_found_out_before_training(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PDEGCNN_RUNS", str(tmp_path / "file"))
    monkeypatch.setattr(run_module, "train", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(OSError, match="nothing can be written here"):
        run(tiny.UNIT, out=tmp_path / "result.json", device=CPU)


def interrupt(tiny, out: Path, monkeypatch) -> None:
    """Begin a run that ends in its fourth step."""
    batch, seen = tiny.Stripes.batch, []

    def interrupted(self, size, generator):
        seen.append(None)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return batch(self, size, generator)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tiny.Stripes, "batch", interrupted)
        run(tiny.UNIT, out=out, device=CPU)
    assert checkpoint_path(tiny.UNIT).exists()


def test_a_checkpoint_of_another_configuration_is_not_taken_up(tiny, tmp_path, monkeypatch):
    """Two runs sent to the same file: the second starts from its own seed."""
    out, undisturbed = tmp_path / "result.json", tmp_path / "alone.json"
    interrupt(tiny, out, monkeypatch)
    other = replace(tiny.UNIT, seed=4)
    run(other, out=out, device=CPU)
    run(other, out=undisturbed, device=CPU)
    assert_same_weights(out, undisturbed)


def test_a_run_that_went_on_elsewhere_says_where_it_was(tiny, tmp_path, monkeypatch):
    """A place for each machine or version of torch, and none more for a run that goes on where it was."""
    out, module = tmp_path / "result.json", sys.modules[train.__module__]
    here = {"device": "a card", "torch": str(torch.__version__)}
    monkeypatch.setattr(module, "device_name", lambda device: "a card")
    interrupt(tiny, out, monkeypatch)
    interrupt(tiny, out, monkeypatch)
    monkeypatch.setattr(module, "device_name", lambda device: "a processor")
    result = run(tiny.UNIT, out=out, device=CPU)
    assert result["places"] == [{"step": 0, **here}, {"step": 6, **here, "device": "a processor"}]


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = (load_file(experiments.weights_path(path)) for path in (first, second))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def program(tiny, *arguments: str) -> int:
    command = [sys.executable, tiny.__file__, *arguments]
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode not in (0, -signal.SIGKILL):
        pytest.fail(done.stderr)
    return done.returncode


def test_a_run_killed_again_and_again_ends_where_an_undisturbed_one_does(tiny, tmp_path):
    """kill -9 in a step, in the writing of a checkpoint, and between weights and result: the same bits in the end."""
    out, undisturbed = tmp_path / "killed" / "result.json", tmp_path / "undisturbed" / "result.json"
    assert program(tiny, str(out), "step", "4") == -signal.SIGKILL
    checkpoint = checkpoint_path(tiny.UNIT)
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 3
    assert program(tiny, str(out), "replace", ".checkpoint.pt", "3") == -signal.SIGKILL
    assert torch.load(checkpoint, weights_only=True)["state"]["step"] == 5
    assert program(tiny, str(out), "replace", ".json", "1") == -signal.SIGKILL
    assert not out.exists()
    assert program(tiny, str(out)) == 0
    assert program(tiny, str(undisturbed)) == 0
    assert_same_weights(out, undisturbed)
    ours, theirs = (json.loads(path.read_text()) for path in (out, undisturbed))
    assert [(p["step"], p["loss"]) for p in ours["curve"]] == [
        (p["step"], p["loss"]) for p in theirs["curve"]
    ]
    assert ours["metrics"] == theirs["metrics"]
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    "model", ["digits-lenet5", "digits-gcnn-invariant", "digits-pdegcnn", "vessels-cnn6"]
)
def test_trained_networks_load(tiny, tmp_path, model):
    """Whatever the order of the stored tensors: some nets begin with a bias, some with a counter."""
    from safetensors.torch import save_file

    options = {"backend": "reference", "window": [3, 3, 3], "orientations": 4} if "pde" in model else {}
    original = models.build(model, 1, **options).eval()
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"model": model, "in_channels": 1, "options": options}))
    save_file(original.state_dict(), experiments.weights_path(path))
    loaded = experiments.load_model(path)
    x = torch.rand(2, 1, 28, 28)
    assert not loaded.training and torch.equal(loaded(x), original(x))


def test_where_memory_runs_out_a_checkpoint_is_not_damaged(tiny, monkeypatch):
    interrupt(tiny, experiments.result_path(tiny.UNIT), monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(torch, "load", lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
        run(tiny.UNIT, device=CPU)
    assert checkpoint_path(tiny.UNIT).is_file()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"average": 0.9}, r"average is 0.6 there and 0.9 here"),
        ({"steps": 4}, r"steps is 8 there and 4 here"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tiny, monkeypatch, other, named):
    """As somebody who trains by `train` may hand it over: `run` has it in the name of the file."""
    interrupt(tiny, experiments.result_path(tiny.UNIT), monkeypatch)
    path, training = checkpoint_path(tiny.UNIT), tiny.UNIT.training
    content = path.read_bytes()

    def go_on(seed=3, **changes):
        settings = replace(training, checkpoint_seconds=1e9, **changes)
        model = run_module.build_model(tiny.UNIT, 1)
        return train(model, tiny.Stripes(), settings, seed=seed, device=CPU, checkpoint=path)

    with pytest.raises(ValueError, match=f"checkpoint must be one of this training, .*{named}"):
        go_on(**other)
    assert path.read_bytes() == content
    assert go_on().places[0]["step"] == 0, "how often it is saved is no other training"


def test_a_loss_that_is_not_finite_stops_the_run(tiny, monkeypatch):
    monkeypatch.setattr(tiny.Stripes, "loss", lambda self, output, target: output.sum() * torch.nan)
    with pytest.raises(FloatingPointError, match="the loss of tiny small seed 3 is nan at step 0"):
        run(tiny.UNIT, device=CPU)
    assert not experiments.result_path(tiny.UNIT).exists()
