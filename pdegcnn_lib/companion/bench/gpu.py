"""Everything that needs a GPU, in one command: `python -m pdegcnn_lib.companion.bench.gpu`.

Runs the tests of the compiled operators on the GPU, a small set under compute-sanitizer, and the benchmark; writes
`results/gpu/<device>.json`. With `--quick` it measures what the kernels reach and what a step of training takes, in
half a minute, and nothing else. It fails where there is no GPU or no CuPy: it never skips.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pdegcnn_lib import ops
from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import cases, report, suite
from pdegcnn_lib.companion.bench.limits import Arithmetic
from pdegcnn_lib.companion.experiments.gradient import WARM_UP, own_stream
from pdegcnn_lib.companion.experiments.provenance import provenance

TESTS = (
    *(f"tests/ops/test_compiled{part}.py" for part in ("", "_library", "_tables", "_transport", "_gpu")),
    "tests/companion/experiments/test_gradient.py",
)
NETWORKS = (
    "vessels-pdegcnn6",
    "vessels-gcnn6-narrow",
    "vessels-cnn6-narrow",
    "vessels-pdegcnn12",
    "vessels-unet",
)
PATCHES = (8, 1, 64, 64)  # of a step
SANITIZED = ("tests/ops/test_compiled_gpu.py", "-k", "small")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts; the exit status is 0 only if every part ran and passed."""
    parser = argparse.ArgumentParser(prog="pdegcnn_lib.companion.bench.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="kernels and steps of training alone")
    quick = parser.parse_args(arguments).quick
    if reason := ops.availability()["cuda"]:
        print(f"make gpu needs a GPU: {reason}", file=sys.stderr)
        return 1
    device = torch.cuda.get_device_name()
    print(f"on {device}")
    if quick:
        print(f"wrote {_saved(_measured(), device)}")
        return 0
    parts = {
        "tests": _run([sys.executable, "-m", "pytest", "-q", "-x", *TESTS]),
        "memcheck": _sanitize("memcheck"),
        "racecheck": _sanitize("racecheck"),
    }
    result = suite.run(device="cuda", progress=lambda line: print(f"... {line}", file=sys.stderr))
    result |= {**_measured(), "parts": parts}
    print(report.as_text(result))
    print(f"wrote {_saved(result, device)}")
    return 0 if all(part["passed"] for part in parts.values()) else 1


def _measured() -> dict[str, Any]:
    return {
        "provenance": provenance(torch.device("cuda")),
        "kernels": _kernels(),
        "steps": [_step(name) for name in NETWORKS],
    }


def _saved(result: dict[str, Any], device: str) -> Path:
    return report.save(result, paths.results() / "gpu", re.sub(r"\W+", "-", device).strip("-").lower())


def _run(command: list[str]) -> dict[str, object]:
    start = time.time()
    done = subprocess.run(command, cwd=paths.root(), env={**os.environ, "PDEGCNN_TEST_DEVICE": "cuda"})
    return {"passed": done.returncode == 0, "seconds": round(time.time() - start, 1)}


def _sanitize(tool: str) -> dict[str, object]:
    program = shutil.which("compute-sanitizer")
    if program is None:
        print("compute-sanitizer is not on the path; it comes with the CUDA toolkit", file=sys.stderr)
        return {"passed": False, "seconds": 0.0}
    options = ["--tool", tool, "--error-exitcode", "1", "--target-processes", "all"]
    return _run([program, *options, sys.executable, "-m", "pytest", "-q", "-x", *SANITIZED])


def kernel_milliseconds(call: Callable[[], object], calls: int = 20) -> float:
    """Time on the device of one call, from a CUDA graph of several: launches on the host do not count."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(calls):
            call()
    best = float("inf")
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / calls)
    return best


def _kernels() -> list[dict[str, object]]:
    """What the kernels themselves reach: shares of the limit, storage types, forward against both ways."""
    f, k, g = cases.tensors(cases.SMALL, (5, 5, 5), "cuda", grad=True)
    fast, loop = cases.dilation("cuda"), Arithmetic("cuda")
    forward = kernel_milliseconds(cases.without_gradient(fast, f, k))
    half = kernel_milliseconds(cases.without_gradient(fast, f.detach().half(), k.detach().half()))
    both = kernel_milliseconds(cases.both_ways(fast, f, k, upstream=g))
    limit = kernel_milliseconds(loop, calls=2)
    share = (cases.taps(cases.SMALL, (5, 5, 5)) / forward) / (loop.taps / limit)
    rows = (
        ("dilation 5x5x5 forward: share of the measured arithmetic limit", share, ">=", 0.6),
        ("the same in milliseconds", forward, "<=", 0.04),
        ("float16 / float32 storage, time", half / forward, "<=", 1.0),
        ("forward + backward / forward, time", both / forward, "<=", 3.0),
    )
    return [suite.row(*row) for row in rows]


def _step(name: str, steps: int = 50) -> dict[str, object]:
    """The milliseconds of a step of training on patches, launched operator by operator and captured in one graph."""
    found: dict[str, object] = {"network": name, "patches": PATCHES}
    for captured in (False, True):
        step = cases.training_step(name, PATCHES, "cuda", capture=captured)
        with own_stream(torch.device("cuda")):
            for _ in range(WARM_UP + 5):
                step()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(steps):
                step()
            torch.cuda.synchronize()
        milliseconds = 1e3 * (time.perf_counter() - start) / steps
        found["captured" if captured else "one by one"] = round(milliseconds, 3)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
