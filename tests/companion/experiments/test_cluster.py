"""The grid by numbers, and as an array of Slurm jobs on a cluster that the test starts."""

import json
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pdegcnn_lib.companion import cli, paths
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.experiments import EXPERIMENTS, Training, Variant, cluster, grid, work
from pdegcnn_lib.companion.experiments.registry import kind
from pdegcnn_lib.companion.experiments.run import checkpoint_path
from pdegcnn_lib.companion.experiments.search import Search

sys.path.append(str(Path(__file__).parent))
import slurm

pytest.importorskip("submitit")


def pdegcnn(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["grid", "--profile", "fast", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


# ---- by numbers ------------------------------------------------------------------------------------------------


def test_missing_runs_are_numbered_and_the_numbers_stay(tiny, capsys):
    code, out, _ = pdegcnn(capsys, "tiny", "--list", "--json")
    rows = json.loads(out)
    units = tiny.TINY.units("fast")
    assert code == 0 and [row["digest"] for row in rows] == [unit.digest for unit in units]
    before = sum(len(e.units("fast")) for name, e in EXPERIMENTS.items() if name != "tiny")
    assert [row["number"] for row in rows] == [before + n for n in range(4)]
    assert [grid.numbered_unit(row["number"], "fast") for row in rows] == units
    paths.write_atomically(grid.committed_path(units[1]), "{}")
    _, out, _ = pdegcnn(capsys, "tiny", "--list")
    assert out.splitlines() == [
        *(f"{before + n:>5}  tiny {units[n].variant} seed {units[n].seed}" for n in (0, 2, 3)),
        "3 runs are missing",
    ]


def test_a_number_is_that_run_alone_and_once(tiny, capsys):
    units = tiny.TINY.units("fast")
    number = grid.numbered("fast").index(units[2])
    code, out, _ = pdegcnn(capsys, "--unit", str(number))
    assert code == 0 and out == f"tiny {units[2].variant} seed 1: done\n"
    assert [grid.find(unit) is not None for unit in units] == [False, False, True, False]
    content = grid.committed_path(units[2]).read_bytes()
    code, out, _ = pdegcnn(capsys, "--unit", str(number))
    assert code == 0 and out.endswith(": done before\n")
    assert grid.committed_path(units[2]).read_bytes() == content


def test_what_cannot_be_done_is_a_sentence(tiny, capsys, tmp_path):
    last = len(grid.numbered("fast")) - 1
    for arguments, problem in (
        (["--unit", str(last + 1)], f"unit must be 0 to {last} in the profile fast, got {last + 1}"),
        (["--unit", "-1"], f"unit must be 0 to {last} in the profile fast, got -1"),
        (["tiny", "--unit", "0"], "--unit counts all experiments; leave out tiny"),
        (["--partition", "x", "--cpus", "2"], "--partition, --cpus is for --cluster slurm alone"),
        (["--json"], "--json is for --list alone"),
        (["--cluster", "slurm", "--tasks", "0"], "tasks must be at least 1, got 0"),
        (["--cluster", "slurm", "--time", "0"], "time, in minutes, must be at least 1, got 0"),
        (["--cluster", "slurm", "--gpus", "-1"], "gpus must be at least 0, got -1"),
        (["--cluster", "slurm", "--sbatch", "time=10"], "sbatch time is given by --time, got '10'"),
        (
            ["--cluster", "slurm", "--sbatch", "account=x", "--sbatch", "account=y"],
            "sbatch account must be given once, got 'x' and 'y'",
        ),
        (
            ["--cluster", "slurm", "--sbatch", "dependency=afterok:1"],
            "sbatch dependency is what makes an array go on after a kill, and not to be chosen, got 'afterok:1'",
        ),
    ):
        assert pdegcnn(capsys, *arguments) == (2, "", f"pdegcnn grid: {problem}\n")
    assert not list(tmp_path.rglob("*.json"))


# ---- on a cluster ----------------------------------------------------------------------------------------------


def test_without_slurm_nothing_is_written(tiny, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    code, out, err = pdegcnn(capsys, "tiny", "--cluster", "slurm")
    assert (code, out) == (2, "")
    assert err == "pdegcnn grid: Slurm is not here: there is no sbatch or sinfo or srun on the PATH\n"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "program, says, problem",
    [
        ("sinfo", "echo controller is away >&2; exit 1", "Slurm does not answer: controller is away"),
        (
            "srun",
            'echo "missed /scratch/results"',
            "results and runs must lie in folders that all machines share",
        ),
    ],
)
def test_a_slurm_that_is_away_or_does_not_share_the_folders(
    tiny, capsys, monkeypatch, tmp_path, program, says, problem
):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, does in {"sinfo": "echo debug", "srun": "", "sbatch": "exit 1", program: says}.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = pdegcnn(capsys, "tiny", "--cluster", "slurm")
    assert (code, out) == (2, "") and err.startswith(f"pdegcnn grid: {problem}")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_search_is_one_task_for_each_network_and_goes_on_as_results_come_in(tiny, monkeypatch):
    search = Search(start=8, cap=16, enough=0.1, rates={"pdegcnn": 1e-2, "gcnn": 1e-3})
    variants = tuple(
        Variant(model, f"{model}-{n}-{rate:g}", training={"steps": n, "learning_rate": rate})
        for model in ("digits-pdegcnn", "digits-gcnn")
        for n, rate in search.runs(kind(model))
    )
    entered = replace(
        tiny.TINY, variants=variants, seeds={"long": 1}, training={"long": Training(1)}, search=search
    )
    monkeypatch.setitem(EXPERIMENTS, "tiny", entered)

    def finish(unit, out):
        record = {"variant": unit.variant, "training": unit.config["training"], "metrics": {"accuracy": 0.5}}
        paths.write_atomically(out, json.dumps(record))

    monkeypatch.setattr(work, "run", finish)
    first = cluster.tasks([entered], "long")
    assert [unit.model for _, unit in first] == ["digits-pdegcnn", "digits-gcnn"]
    cluster.Work(None)(*first[0])
    assert [unit.model for _, unit in cluster.tasks([entered], "long")] == ["digits-gcnn"]
    cluster.Work(None)(*first[1])
    assert not grid.missing(entered, "long")


def test_a_task_that_does_not_see_the_results_does_nothing(tiny, tmp_path):
    task = cluster.Work(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match="is not shared: .*elsewhere.json is not on this machine"):
        task(tiny.TINY, tiny.UNIT)
    assert grid.find(tiny.UNIT) is None


def test_a_second_signal_does_not_interrupt_what_the_first_one_began(tiny):
    """submitit writes the task down and puts it back into the queue after this; twice at a time it fails."""
    before = signal.getsignal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, lambda *_: pytest.fail("it began again"))
    try:
        task = cluster.Work(None)
        later = task.checkpoint(tiny.TINY, tiny.UNIT)
        signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert later.function is task and later.args == (tiny.TINY, tiny.UNIT)


@pytest.fixture
def cluster_of_one(monkeypatch):
    if absent := slurm.absent():
        pytest.skip(f"{', '.join(absent)} not here; they come with slurmctld, slurmd, slurm-client and munge")
    with tempfile.TemporaryDirectory() as folder, slurm.Slurm(Path(folder)) as started:
        monkeypatch.setenv("PATH", slurm.PATH)
        monkeypatch.setenv("SLURM_CONF", started.environment["SLURM_CONF"])
        yield started


def test_an_array_of_jobs_survives_what_happens_to_a_cluster(
    tiny, cluster_of_one, capsys, monkeypatch, tmp_path
):
    """Six runs on two tasks; one cancelled, one at its time limit, a node lost, the controller restarted: what a serial
    grid leaves.

    Until all of that has happened runs wait at step `GATE`: what is signalled is at work, and none ends meanwhile.
    """
    ask = cluster_of_one
    gate = tmp_path / "gate"
    gate.touch()
    small = Variant("digits-pdegcnn", "small", options=tiny.OPTIONS, data={"gate": str(gate)})
    six = replace(tiny.TINY, variants=(small,), seeds={"fast": 6})
    monkeypatch.setitem(EXPERIMENTS, "tiny", six)
    units = six.units("fast")

    tasks = cluster.tasks([six], "fast")
    submit = ["tiny", "--cluster", "slurm", "--tasks", "2", "--time", "9", "--mem", "500M"]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = pdegcnn(capsys, *submit, "--partition", "nowhere")
    assert (code, out) == (2, "")
    assert err == "pdegcnn grid: partition must be one of debug, got 'nowhere'\n"
    code, out, err = pdegcnn(capsys, *submit, "--gpus", "1")
    assert code == 2 and "Slurm refuses the array: " in err and len(err.splitlines()) == 1, err
    assert sorted(tmp_path.rglob("*")) == before

    code, out, err = pdegcnn(capsys, *submit, "--partition", "debug")
    assert (code, err) == (0, "") and "6 tasks, at most 2 at a time" in out
    array, begun = out.split()[1].rstrip(":"), time.monotonic()
    monkeypatch.setattr(cluster, "PROBE_SECONDS", 1)
    code, out, _ = pdegcnn(capsys, *submit)
    busy, queued = out.splitlines()
    assert busy.startswith("no node was free within 1 seconds to look whether")
    second = queued.split()[1].rstrip(":")
    assert code == 0 and ask("squeue", "-h", "-j", second, "-o", "%t %E") == "PD singleton(unfulfilled)"

    def running() -> list[str]:
        return ask("squeue", "-h", "-r", "-t", "R", "-j", array, "-o", "%i").split()

    def begun_on_the_node() -> set[str]:
        """The tasks that run a step; a script that has none yet runs as `batch`."""
        steps = (step.split(".") for step in ask("squeue", "-h", "-s", "-o", "%i").split())
        return {task for task, step in steps if step != "batch"}

    def at_the_gate() -> list[str]:
        """The tasks whose run has got there."""
        found = []
        for n, (_, unit) in enumerate(tasks):
            path = checkpoint_path(unit)
            if path.is_file() and torch.load(path, weights_only=True)["state"]["step"] == tiny.GATE:
                found.append(f"{array}_{n}")
        return found

    slurm.wait(lambda: len(at_the_gate()) == 2, "two tasks at work")
    slow, victim = at_the_gate()
    assert set(running()) == {slow, victim}
    ask("scancel", victim)
    state = ("squeue", "-h", "-r", "-t", "all", "-o", "%t", "-j")
    slurm.wait(lambda: ask(*state, victim) == "CA", "the end of the cancelled task")
    assert not ask("scontrol", "requeue", victim)
    assert ask(*state, victim) == "PD"
    ask("scontrol", "update", f"jobid={slow}", f"timelimit={2 + int(time.monotonic() - begun) // 60}")
    slurm.wait(lambda: "Restarts=1" in ask("scontrol", "show", "job", slow), "the slow task in the queue")
    ask("scontrol", "update", f"jobid={slow}", "timelimit=9")
    slurm.wait(lambda: {*at_the_gate()} & {*running()}, "a task at work after that")
    ask("scontrol", "update", "nodename=localhost", "state=down", "reason=test")
    ask.kill_tasks()
    slurm.wait(lambda: not running(), "the tasks to leave the node")
    ask("scontrol", "update", "nodename=localhost", "state=resume")
    # A step that is asked for while the controller is away is asked for again after two minutes.
    slurm.wait(lambda: len({*running()} & begun_on_the_node()) == 2, "two tasks to come back")
    ask.restart_controller()
    gate.unlink()
    slurm.wait(lambda: not ask("squeue", "-h", "-j", array, "-t", "PD,R,CG"), "the array", 300)
    ask("scancel", second)

    found = sorted(p.name for p in paths.results().rglob("*") if p.is_file())
    stems = [Path(unit.stem).name for unit in units]
    assert found == sorted(f"{stem}{ending}" for stem in stems for ending in (".json", ".safetensors"))
    assert not list(paths.runs().rglob("*.checkpoint.pt"))
    in_array = {unit.stem: grid.committed_path(unit) for unit in units}

    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path / "serial"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a task of one core
    work.work_off([six], "fast")
    torch.set_num_threads(threads)
    for unit in units:
        ours, theirs = in_array[unit.stem], grid.committed_path(unit)
        assert (
            ours.with_suffix(".safetensors").read_bytes() == theirs.with_suffix(".safetensors").read_bytes()
        )
        records = [json.loads(path.read_text()) for path in (ours, theirs)]
        for record in records:
            record["curve"] = [(point["step"], point["loss"]) for point in record["curve"]]
        for name in ("digest", "metrics", "curve", "quarter_turn_error", "code"):
            assert records[0][name] == records[1][name], name
