"""The benchmark's clocks and tables; its figures are for a quiet machine, not for a test."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import before, cases, gpu, measure, neighbours, report, steps, suite
from pdegcnn_lib.companion.bench.limits import Arithmetic
from pdegcnn_lib.ops.compiled.machines import HOST
from pdegcnn_lib.ops.compiled.sources import Unit
from pdegcnn_lib.spaces import M3

compiled = pytest.mark.skipif(ops.availability()["cpu"] is not None, reason=str(ops.availability()["cpu"]))


def test_calls_are_timed_in_turns() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        time.sleep(seconds)

    times = measure.side_by_side(
        {"short": lambda: call("short", 0.002), "long": lambda: call("long", 0.02)}, seconds=0.1
    )
    assert times["short"].median >= 2 and times["long"].median >= 20
    assert times["long"].calls >= 3
    assert order[4:10] == ["short", "long"] * 3, "after two warm-up calls each"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the memory peak from Linux")
def test_the_peak_counts_memory_that_is_gone_again() -> None:
    # In a process of its own: one that has run for a while serves 32 MiB from what it freed before.
    peak = measure.peak_in_fresh_process("(int, lambda: cases.torch.ones(8 * 2**20).sum())")
    assert peak is not None and 24 <= peak <= 48


@compiled
def test_the_arithmetic_loop_reports_its_taps() -> None:
    loop = Arithmetic("cpu")
    per_vector = loop.taps / loop.blocks / loop.repeats
    assert per_vector in (12 * 16, 6 * 8, 6 * 4, 12 * 4), "chains times lanes"
    # The largest f - k over all repeats, f = n k[0] and k[0] the least: no step may be left out.
    largest = (loop.repeats - 1) * loop.k[0].item() - loop.k[0].item()
    lanes = {192: 16, 48: 8, 24: 4}[int(per_vector)]
    assert loop.out[0].item() == pytest.approx(lanes * largest, rel=1e-3)


@compiled
def test_the_naive_kernel_whose_instructions_are_counted_is_a_dilation() -> None:
    f, k = torch.randn(2, 3, 4, 7, 9), torch.rand(3, 4, 3, 5, 3)
    out = torch.empty_like(f)
    HOST.launch(
        Unit("naive"),
        "naive_dilation",
        [f, k, out, *f.shape[1:], *k.shape[2:]],
        blocks=2 * 3 * 4,
    )
    assert torch.equal(out, ops.dilation(f, k, backend="reference"))


def test_the_composition_around_grid_sample_is_convection() -> None:
    f = torch.randn(2, 3, 4, 9, 11, dtype=torch.float64)
    g0 = torch.randn(3, 3, dtype=torch.float64)
    torch.testing.assert_close(
        cases.convection_by_grid_sample(f, g0),
        ops.convection(f, g0, backend="reference"),
        rtol=1e-9,
        atol=1e-9,
    )


def test_the_composition_by_slots_is_the_dilation_on_m3() -> None:
    f, k = torch.randn(2, 2, 26, 3, 4, 5), torch.rand(2, 26, 9, 3, 3, 3)
    assert torch.equal(cases.dilation_by_slots(f, k), ops.dilation(f, k, space=M3(26)))


def test_a_row_says_whether_its_target_is_met() -> None:
    assert suite.row("speed", 8.5, ">=", 8)["met"] is True
    assert suite.row("time", 1.51, "<=", 1.5)["met"] is False


RESULT = {
    "provenance": {"device": "a processor, 2 threads"},
    "load": (3.0, 2.0, 1.0),
    "limits": {"gtaps_per_second": 90.0, "copy_gb_per_second": 10.0},
    "peer": {"source": "recorded"},
    "dilation": [
        {
            "size": [1, 1, 8, 8, 8],
            "window": [3, 3, 3],
            "gtaps_per_second": 50.0,
            "milliseconds": {
                name: {"median": 2.0, "best": 1.0, "calls": 3}
                for name in (
                    "forward",
                    "forward, taps kept",
                    "forward and backward",
                    "depthwise convolution, forward",
                )
            },
        }
    ],
    "table": [suite.row("speed", 1.0, ">=", 8)],
    "neighbours": [{"figure": "here", "value": 12.0}, {"figure": "away", "reason": "ImportError: no"}],
    "before": [{"figure": "now / then", "value": 0.97}],
}


def test_the_report_names_misses_and_a_busy_machine(tmp_path: Path) -> None:
    text = report.as_text(RESULT)
    assert "missed" in text and "busy (load 3.0)" in text and "[1, 1, 8, 8, 8] 3x3x3" in text
    assert re.search(r"^here +12\.00$", text, re.MULTILINE)
    assert re.search(r"^away +not measured, ImportError: no$", text, re.MULTILINE)
    assert re.search(r"^now / then +0\.97$", text, re.MULTILINE)
    path = report.save(RESULT, tmp_path, "cpu")
    assert json.loads(path.read_text())["table"][0]["met"] is False
    assert [p.suffix for p in report.plot(RESULT, tmp_path, "cpu")] == [".png", ".svg"]


def test_a_neighbour_that_is_not_here_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> float:
        raise ModuleNotFoundError("No module named 'numba'")

    monkeypatch.setattr(neighbours, "NEIGHBOURS", {"a": lambda: 2.0, "b": missing})
    assert neighbours.measured() == [
        {"figure": "a", "value": 2.0},
        {"figure": "b", "reason": "ModuleNotFoundError: No module named 'numba'"},
    ]


@compiled
def test_sources_are_timed_beside_earlier_ones_and_must_agree_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before, "SMALL", (1, 1, 3, 6, 6))
    package = paths.root()
    step = replace(before.CASES[-1], setup=before._STEP.format(batch=(1, 1, 8, 8)))
    for case in (before._operator("convection", "convection"), step):
        assert before.ratio(package, case, turns=1, calls=1) > 0
        with pytest.raises(RuntimeError, match=re.escape(f"{case.name} failed before")):
            before.ratio(tmp_path, case, turns=1, calls=1)
    with pytest.raises(RuntimeError, match="no-such-revision is not in the history here"):
        before.unpacked("no-such-revision", tmp_path)


def test_runs_side_by_side_are_counted_together_and_a_failing_one_is_named() -> None:
    small = {"batch": (1, 1, 8, 8), "seconds": 0.0}
    assert steps.steps_per_second("vessels-cnn3-narrow", runs=1, threads=1, **small) > 0
    with pytest.raises(RuntimeError, match="a run of nothing failed"):
        steps.steps_per_second("nothing", runs=2, threads=1, **small)


def test_the_gpu_command_fails_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ops, "availability", lambda: {"cuda": "no device"})
    assert gpu.main([]) == 1
    assert "no device" in capsys.readouterr().err
