"""The cost of the grid from recorded seconds."""

from dataclasses import replace

import pytest
import torch

from pdegcnn_lib.companion.experiments import EXPERIMENTS, cost
from pdegcnn_lib.companion.experiments.provenance import device_name, threads
from pdegcnn_lib.companion.experiments.run import committed_results


def record(experiment, model, steps, training, wall):
    return {
        "experiment": experiment,
        "model": model,
        "training": {"steps": steps},
        "training_seconds": training,
        "wall_seconds": wall,
    }


def test_a_run_costs_its_steps_and_its_evaluation(tiny):
    model = tiny.UNIT.model
    here = [record("tiny", model, 4, 8.0, 9.0), record("tiny", model, 4, 10.0, 11.0)]
    elsewhere = record("other", model, 1, 100.0, 100.0)
    longer = replace(tiny.UNIT, training=replace(tiny.UNIT.training, steps=16))
    assert cost.seconds([tiny.UNIT, longer], [*here, elsewhere]) == [8 * 2.25 + 1, 16 * 2.25 + 1]
    assert cost.seconds([tiny.UNIT], [elsewhere]) == [800.0]
    # Older results of runs that were resumed have a wall clock of their last process alone.
    assert cost.seconds([tiny.UNIT], [record("tiny", model, 4, 8.0, 3.0)]) == [16.0]
    assert cost.seconds([replace(tiny.UNIT, model="digits-gcnn")], here) == [None]


def test_the_seconds_of_a_gpu_are_no_core_seconds():
    assert threads(device_name(torch.device("cpu"))) == torch.get_num_threads()
    assert threads("AMD EPYC, 1 threads") == 1  # as older results say it
    assert threads("AMD EPYC, 12 threads") == 12 and threads("NVIDIA H200") is None
    everything = [r for name in EXPERIMENTS for r in committed_results(name, "long")]
    assert any(threads(r["device"]) is None for r in everything)
    assert all(threads(r["device"]) == 1 for r in cost.recorded()), (
        "what two cores did in a second is not counted"
    )


def test_runs_are_begun_where_a_task_is_free():
    runs = [3.0, 1.0, 1.0, 2.0, 5.0]
    assert cost.elapsed(runs, 1) == sum(runs)
    assert cost.elapsed(runs, 2) == 8.0  # 3 and then 5; beside them 1, 1 and 2
    assert cost.elapsed(runs, 9) == max(runs)
    with pytest.raises(ValueError, match="tasks must be at least 1, got 0"):
        cost.elapsed(runs, 0)


def test_the_table_counts_the_runs_of_a_profile():
    head, _, row = cost.table(["full"], [1, 8]).splitlines()
    assert head == "| profile | runs | core hours | longest run | 1 at a time | 8 at a time |"
    cells = row.strip("| ").split(" | ")
    of = sum(len(e.units("full")) for e in EXPERIMENTS.values() if e.search is None)
    assert cells[0] == "full" and cells[1].endswith(f" of {of}")
    total, longest, alone, eight = (float(cell.removesuffix(" h")) for cell in cells[2:])
    assert total == alone > eight >= longest > 0
