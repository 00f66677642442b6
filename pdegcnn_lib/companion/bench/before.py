"""M2 by these sources and by those of an earlier commit, in turns: what one convolution for every space costs it.

`python -m pdegcnn_lib.companion.bench.before` writes `results/bench/before-cpu.json`.
"""

from __future__ import annotations

import io
import math
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import torch

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import report
from pdegcnn_lib.companion.bench.cases import SMALL
from pdegcnn_lib.companion.experiments.provenance import provenance

REVISION = "083ca74e2"  # the last whose kernels knew the circle of M2 and no lists of volumes
CASES = {
    "dilation, forward": ("dilation", False),
    "dilation": ("dilation", True),
    "linear convolution": ("linear_convolution", True),
    "logarithmic convolution": ("log_convolution", True),
    "convection": ("convection", True),
}

_CODE = """
import sys, time, torch
sys.path[0] = {package!r}
import pdegcnn_lib
from pdegcnn_lib import ops
if not pdegcnn_lib.__file__.startswith({package!r}): sys.exit("another package was found")
torch.manual_seed(0)
torch.set_num_threads(1)
size, grad, operator = {size}, {grad}, {operator!r}
f, g = torch.randn(size, requires_grad=grad), torch.randn(size)
k = torch.randn(size[1], 3) if operator == "convection" else torch.rand(*size[1:3], 5, 5, 5)
k.requires_grad_(grad)
print("ready", flush=True)
for line in sys.stdin:
    start = time.process_time()
    for _ in range({calls}):
        out = getattr(ops, operator)(f, k, backend="cpu")
        if grad:
            torch.autograd.grad(out, (f, k), g)
    spent = time.process_time() - start
    print(spent, float(out.detach().double().sum()), flush=True)
"""


def unpacked(revision: str, folder: Path) -> Path:
    """The package and its sources at a commit, in a folder. Raises: RuntimeError without that commit."""
    command = ["git", "-C", str(paths.root()), "archive", revision, "pdegcnn_lib", "kernels_cu"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{revision} is not in the history here: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def ratio(old: Path, operator: str, grad: bool, turns: int = 30, calls: int = 3) -> float:
    """The processor time of an operator of M2, 5x5x5, on one thread: here, over that of the package in `old`.

    Raises: RuntimeError where a process fails, or where the sums of the two results differ by more than rounding.
    """
    times: dict[str, list[float]] = {"now": [], "before": []}
    sums = {}
    with ExitStack() as stack:
        processes = {}
        for name, package in (("now", paths.root()), ("before", old)):
            code = _CODE.format(package=str(package), size=SMALL, operator=operator, grad=grad, calls=calls)
            processes[name] = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, encoding="utf-8")
            )
        for name, process in processes.items():
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{operator} failed {name}")
        for turn in range(turns + 1):
            for name, process in processes.items():
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                found = process.stdout.readline().split()
                if not found:
                    raise RuntimeError(f"{operator} failed {name}")
                sums[name] = float(found[1])
                times[name] += [float(found[0])] if turn else []  # the first compiles
    if not math.isclose(sums["now"], sums["before"], rel_tol=1e-7):
        raise RuntimeError(f"{operator} sums to {sums['now']} now and summed to {sums['before']}")
    return min(times["now"]) / min(times["before"])  # what else runs here only adds


def measured(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, object]]:
    """For every case the figure with its value, or with the reason why there is none."""
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (operator, grad) in CASES.items():
            progress(f"{name} now and before")
            figure = f"{name}{' + backward' if grad else ''} on M2, one thread / at {REVISION[:7]}, time"
            try:
                old = Path(folder) if any(Path(folder).iterdir()) else unpacked(REVISION, Path(folder))
                found.append({"figure": figure, "value": round(ratio(old, operator, grad), 3)})
            except RuntimeError as error:
                found.append({"figure": figure, "reason": str(error).splitlines()[0]})
    return found


def main() -> None:
    """Measure and write `results/bench/before-cpu.json`."""
    result = {"provenance": provenance(torch.device("cpu")), "before": measured(print)}
    print(report.save(result, paths.results() / "bench", "before-cpu"))


if __name__ == "__main__":
    main()
