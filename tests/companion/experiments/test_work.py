"""The work of the grid: what is done, what is recorded, what is not done twice, and what kills leave."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from pdegcnn_lib.companion import experiments, paths
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.experiments import EXPERIMENTS, grid, pictures, work
from pdegcnn_lib.companion.experiments.run import checkpoint_path, result_path, weights_path
from pdegcnn_lib.companion.paths import runs, write_atomically

run_module = sys.modules[experiments.run.__module__]


def fail_at(monkeypatch, failing, error):
    """Have one run end in an error, and every other leave an empty result."""

    def finish(unit, out):
        if unit == failing:
            raise error
        write_atomically(out, "{}")

    monkeypatch.setattr(work, "run", finish)


def test_a_run_that_diverges_is_recorded_and_the_next_is_begun(tiny, monkeypatch):
    said, units = [], tiny.TINY.units("full")

    fail_at(monkeypatch, units[0], FloatingPointError("the loss is inf at step 3"))
    work.work_off([tiny.TINY], "full", say=said.append)
    assert "the loss is inf at step 3" in said[0] and "done" in said[1] and len(said) == 2
    assert not grid.missing(tiny.TINY, "full"), "it is not tried again"
    status = grid.status(tiny.TINY, "full")
    assert status["diverged"] == [{"model": units[0].variant, "seed": 0}]
    assert (status["runs"], status["done"], status["missing"]) == (2, 1, [])
    record = json.loads(grid.diverged_path(units[0]).read_text())
    assert record["digest"] == units[0].digest and record["diverged"] == "the loss is inf at step 3"
    assert {"versions", "device", "revision", "code"} <= record.keys()
    monkeypatch.setitem(EXPERIMENTS, "tiny", tiny.TINY)
    other = {**units[1].config, **record, "seed": 1, "training": {"steps": 8, "batch_size": 4}}
    assert f"Diverged, and in no mean: {units[0].name}." in pictures.provenance_line([other])


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_a_damaged_result_is_named_set_aside_and_done_again(tiny, monkeypatch, ending):
    unit, _ = tiny.TINY.units("full")
    monkeypatch.setitem(EXPERIMENTS, "tiny", replace(tiny.TINY, variants=tiny.TINY.variants[:1]))
    work.do(unit)
    result = grid.committed_path(unit)
    sound = {name: value.clone() for name, value in load_file(experiments.weights_path(result)).items()}
    damaged = result.with_suffix(ending)
    damaged.write_bytes(damaged.read_bytes()[:100])
    said = []
    work.work_off([EXPERIMENTS["tiny"]], "full", say=said.append)
    assert len(said) == 2 and f"{damaged} is damaged" in said[0] and said[1].endswith("seed 0: done")
    assert said[0].endswith(f"it is set aside as {result.name}.damaged")
    names = {p.name for p in result.parent.iterdir()}
    assert names == {
        f"{result.stem}{end}{aside}" for end in (".json", ".safetensors") for aside in ("", ".damaged")
    }
    again = load_file(experiments.weights_path(result))
    assert all(torch.equal(again[name], value) for name, value in sound.items())


class Killed(BaseException):
    """The end of a process: nothing catches it."""


def kill_before(patch, module, name, ending):
    """Have whoever calls this function of a module with a path of this ending, or with a run, killed."""
    does = getattr(module, name)

    def call(path, *rest):
        if str(path).endswith(ending):
            raise Killed
        return does(path, *rest)

    patch.setattr(module, name, call)


@pytest.mark.parametrize("again", ["grid --unit", "grid", "train"])
def test_a_run_killed_before_its_checkpoint_is_deleted_leaves_none_for_good(tiny, monkeypatch, again):
    """Whoever finds the result deletes it, and writes nothing anew."""
    unit, other = tiny.TINY.units("full")
    result = grid.committed_path(unit)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before(patch, run_module, "drop_checkpoint", "")
        work.do(unit)
    assert checkpoint_path(unit).is_file()
    content = result.read_bytes()
    {
        "grid --unit": lambda: work.do(unit),
        "grid": lambda: work.work_off([tiny.TINY], "full", minutes=0),
        "train": lambda: experiments.run(unit, out=result),
    }[again]()
    assert not checkpoint_path(unit).exists() and result.read_bytes() == content
    assert not grid.known(other)


@pytest.mark.parametrize("asked", ["grid --unit", "grid"])
def test_a_run_that_somebody_does_once_more_keeps_its_checkpoint(tiny, asked):
    """The result that lies with the project does not end it."""
    unit = tiny.TINY.units("full")[0]
    work.do(unit)
    write_atomically(checkpoint_path(unit), b"half of it")
    later = grid.committed_path(unit).stat().st_mtime + 60
    os.utime(checkpoint_path(unit), (later, later))
    {
        "grid --unit": lambda: work.do(unit),
        "grid": lambda: work.work_off([tiny.TINY], "full", minutes=0),
    }[asked]()
    assert checkpoint_path(unit).read_bytes() == b"half of it"


def test_a_run_killed_between_weights_and_result_goes_on_without_a_checkpoint(tiny, monkeypatch):
    """One that is over before its first checkpoint: the weights of its name are its own."""
    unit = replace(tiny.UNIT, training=replace(tiny.UNIT.training, checkpoint_seconds=1e9))
    result = grid.committed_path(unit)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before(patch, paths, "write_atomically", ".json")
        work.do(unit)
    assert experiments.weights_path(result).is_file() and not checkpoint_path(unit).exists()
    work.do(unit)
    assert grid.known(unit)


def test_a_run_that_another_experiment_has_done_is_not_done_twice(tiny, monkeypatch):
    """The numbers and weights of its twin, which it names; and a run of other data, settings or seed is no twin."""
    unit = tiny.TINY.units("full")[0]
    work.do(unit)
    variant = replace(tiny.TINY.variants[0], label="renamed")
    same = replace(tiny.TINY, name="same", variants=(variant,))
    monkeypatch.setitem(EXPERIMENTS, "same", same)
    other_task = replace(same, name="other", task=lambda profile: tiny.Stripes())
    other_rate = replace(same, name="other", variants=(replace(variant, training={"learning_rate": 0.5}),))
    for other in (other_task, other_rate):
        monkeypatch.setitem(EXPERIMENTS, "other", other)
        assert work.twin(other.units("full")[0]) is None
    monkeypatch.setattr(work, "run", lambda *a, **k: pytest.fail("trained again"))
    said, named = [], same.units("full")[0]
    work.do(named, said.append)
    assert said == ["same renamed seed 0: done as tiny digits-pdegcnn seed 0"]
    assert work.twin(replace(named, seed=1)) is work.twin(replace(named, data={"gate": "open"})) is None
    first, second = (grid.read_result(grid.committed_path(u)) for u in (unit, named))
    assert second["run_as"] == unit.stem and second["digest"] == named.digest
    assert {k for k in first if first[k] != second[k]} == {"digest", "experiment", "variant"}
    assert (
        weights_path(grid.committed_path(unit)).read_bytes()
        == weights_path(grid.committed_path(named)).read_bytes()
    )
    assert grid.known(named) and work.twin(unit) is not None, "either may stand for the other"


def test_a_result_that_this_machine_has_made_is_kept_and_not_made_again(tiny, monkeypatch):
    """The grid puts among those to commit what `pdegcnn train` has left, with its weights."""
    unit, other = tiny.TINY.units("full")
    experiments.run(unit)
    monkeypatch.setattr(work, "run", lambda unit, out: unit == other or pytest.fail("trained again"))
    work.work_off([tiny.TINY], "full", minutes=0)
    assert grid.find(unit) == grid.committed_path(unit)
    for path in (lambda at: at, weights_path):
        assert path(grid.committed_path(unit)).read_bytes() == path(result_path(unit)).read_bytes()


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, TypeError, IndexError, MemoryError])
def test_a_run_that_fails_does_not_keep_the_others_from_being_done(tiny, monkeypatch, kind):
    said, units = [], tiny.TINY.units("full")

    fail_at(monkeypatch, units[0], kind("Input contains NaN."))
    with pytest.raises(RuntimeError, match="1 runs failed"):
        work.work_off([tiny.TINY], "full", say=said.append)
    assert said[0] == f"{units[0].stem} failed and is passed over: {kind.__name__}: Input contains NaN."
    assert grid.known(units[1]) and grid.missing(tiny.TINY, "full") == [units[0]], "it is tried again"


@pytest.mark.parametrize("error", [ImportError("no module"), OSError("disk full")])
def test_what_every_run_would_end_in_ends_the_grid(tiny, monkeypatch, error):
    units = tiny.TINY.units("full")
    fail_at(monkeypatch, units[0], error)
    with pytest.raises(type(error), match=str(error)):
        work.work_off([tiny.TINY], "full")
    assert not grid.known(units[1])


def test_a_last_step_that_diverges_is_recorded_too(tiny, monkeypatch):
    """The loss of a step is that of the network before it, so nothing but the network shows it."""
    step = torch.optim.AdamW.step

    def last(optimizer, *rest, **named):
        value = step(optimizer, *rest, **named)
        seen.append(None)
        if len(seen) == tiny.STEPS:
            optimizer.param_groups[0]["params"][0].data.fill_(torch.nan)
        return value

    seen, said, unit = [], [], tiny.TINY.units("full")[0]
    monkeypatch.setattr(torch.optim.AdamW, "step", last)
    work.do(unit, said.append)
    assert grid.diverged_path(unit).is_file() and not grid.committed_path(unit).exists()
    name = "tiny digits-pdegcnn seed 0"
    assert said == [f"{name}: the network of {name} is not finite after step {tiny.STEPS - 1}"]


def test_what_other_code_left_of_a_run_goes_with_its_end(tiny):
    unit, other = tiny.TINY.units("full")
    stale = [
        checkpoint_path(u).with_name(f"{Path(u.stem).name}-another.checkpoint.pt") for u in (unit, other)
    ]
    for path in stale:
        write_atomically(path, b"")
    work.do(unit)
    assert stale[0].exists(), "a training from another folder may be at it"
    before = time.time() - 2 * paths.SECONDS_OF_A_WRITE
    for path in stale:
        os.utime(path, (before, before))
    work.do(unit)
    assert not stale[0].exists() and stale[1].exists()


def test_a_damaged_result_that_another_process_sets_aside_is_no_fault(tiny, monkeypatch):
    unit = tiny.TINY.units("full")[0]
    write_atomically(grid.committed_path(unit), "{")
    aside = paths.set_aside

    def twice(path):
        aside(path)
        return aside(path)

    monkeypatch.setattr(paths, "set_aside", twice)
    work.set_aside_damaged([unit])
    assert not grid.committed_path(unit).exists()


def test_a_damaged_file_of_this_machine_hides_no_committed_result(tiny):
    unit = tiny.TINY.units("full")[0]
    write_atomically(result_path(unit), "{")
    assert grid.end_of(unit) is None
    write_atomically(grid.committed_path(unit), "{}")
    assert grid.end_of(unit) == grid.committed_path(unit)


def test_the_name_of_a_variant_is_no_pattern_for_what_is_deleted(tiny):
    """Its own checkpoint goes, whatever signs it is called by, and nobody else's."""
    units = [replace(tiny.UNIT, variant=variant) for variant in ("[3]", "3", "*")]
    for unit in units:
        write_atomically(checkpoint_path(unit), b"")
    work.drop_checkpoint(units[0])
    work.drop_checkpoint(units[2])
    assert [checkpoint_path(unit).exists() for unit in units] == [False, True, False]


def test_a_run_that_diverges_leaves_no_checkpoint(tiny, monkeypatch):
    loss, seen = tiny.Stripes.loss, []

    def diverging(self, output, target):
        seen.append(checkpoint_path(tiny.UNIT).is_file())
        return loss(self, output, target) / (len(seen) < 4)

    monkeypatch.setattr(tiny.Stripes, "loss", diverging)
    work.do(tiny.UNIT)
    assert seen == [False, True, True, True]
    assert grid.diverged_path(tiny.UNIT).is_file() and not checkpoint_path(tiny.UNIT).exists()


def test_the_grid_works_off_what_is_missing(tiny, monkeypatch):
    done, said = [], []

    def finish(unit, out):
        done.append((unit.model, unit.seed, unit.experiment))
        write_atomically(out, "{}")

    monkeypatch.setattr(work, "run", finish)
    other = replace(tiny.TINY, name="other")
    work.work_off([tiny.TINY, other], "fast", say=said.append)
    assert done == [(m, s, e) for s in (0, 1) for e in ("tiny", "other") for m in tiny.TINY.labels]
    assert len(said) == len(done) and "digits-pdegcnn seed 0: done" in said[0]
    work.work_off([tiny.TINY, other], "fast", say=said.append)
    assert len(done) == 8, "nothing is done twice"


def test_two_processes_share_the_grid(tiny, monkeypatch):
    """A run that another process holds is passed over; one that it has finished meanwhile is not done again."""
    done, units = [], tiny.TINY.units("full")
    held = FileLock(runs() / f"{units[0].stem}.lock")

    def finish(unit, out):
        done.append(unit.variant)
        write_atomically(out, "{}")

    monkeypatch.setattr(work, "run", finish)
    (runs() / units[0].stem).parent.mkdir(parents=True)
    with held:
        work.work_off([tiny.TINY], "full")
    assert done == [units[1].variant]


def test_the_grid_stops_in_time_and_leaves_out_what_has_no_data(tiny, monkeypatch):
    said = []
    work.work_off([tiny.TINY], "full", minutes=0, say=said.append)
    assert said == ["stopped after 0 minutes; the next call goes on"]

    def without_data(unit, out):
        raise DataError("STARE: nowhere to be found")

    monkeypatch.setattr(work, "run", without_data)
    said.clear()
    work.work_off([tiny.TINY], "full", say=said.append)
    assert said == ["tiny is left out: STARE: nowhere to be found"]
