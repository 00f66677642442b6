"""These sources and those of an earlier commit, in turns: what one convolution for every space costs M2, and what a
training step costs today.

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
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import torch

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import report
from pdegcnn_lib.companion.bench.cases import SMALL
from pdegcnn_lib.companion.bench.steps import BATCH
from pdegcnn_lib.companion.experiments.provenance import provenance

OPERATORS_BEFORE = "083ca74e2"  # the last whose kernels knew the circle of M2 and no lists of volumes
STEP_BEFORE = "5cc306955"  # the last before a training step was made cheaper

_CODE = """
import sys, time, torch
sys.path[0] = {package!r}
import pdegcnn_lib
if not pdegcnn_lib.__file__.startswith({package!r}): sys.exit("another package was found")
torch.manual_seed(0)
torch.set_num_threads(1)
{setup}
print("ready", flush=True)
for line in sys.stdin:
    start = time.process_time()
    for _ in range({calls}):
        out = call()
    spent = time.process_time() - start
    print(spent, float(out.detach().double().sum()), flush=True)
"""
_OPERATOR = """
from pdegcnn_lib import ops
size, grad, operator = {size}, {grad}, {operator!r}
f, g = torch.randn(size, requires_grad=grad), torch.randn(size)
k = torch.randn(size[1], 3) if operator == "convection" else torch.rand(*size[1:3], 5, 5, 5)
k.requires_grad_(grad)
def call():
    out = getattr(ops, operator)(f, k, backend="cpu")
    if grad:
        torch.autograd.grad(out, (f, k), g)
    return out
"""
_STEP = """
from pdegcnn_lib import models
try:
    from pdegcnn_lib.memory import keep_freed_memory
    keep_freed_memory()
except ImportError:
    pass  # training did without
net, images = models.build("vessels-pdegcnn6").train(), torch.rand({batch})
def call():
    net.zero_grad()
    torch.manual_seed(0)
    loss = net(images).square().mean()
    loss.backward()
    return loss
"""


@dataclass(frozen=True)
class Case:
    """What is measured: a name, the commit to measure against, and code that defines `call`, a tensor's maker.

    Its sum is the same there up to the relative `tolerance`.
    """

    name: str
    revision: str
    setup: str
    tolerance: float = 1e-7

    @property
    def figure(self) -> str:
        """The name of the row."""
        return f"{self.name}, one thread / at {self.revision[:7]}, time"


def _operator(name: str, operator: str, grad: bool = True) -> Case:
    setup = _OPERATOR.format(size=SMALL, grad=grad, operator=operator)
    return Case(f"{name}{' + backward' if grad else ''} on M2", OPERATORS_BEFORE, setup)


CASES = (
    _operator("dilation, forward", "dilation", grad=False),
    _operator("dilation", "dilation"),
    _operator("linear convolution", "linear_convolution"),
    _operator("logarithmic convolution", "log_convolution"),
    _operator("convection", "convection"),
    # Sums over a batch are rounded in another order.
    Case("training step of the six-layer PDE-G-CNN", STEP_BEFORE, _STEP.format(batch=BATCH), tolerance=1e-4),
)


def unpacked(revision: str, folder: Path) -> Path:
    """The package and its sources at a commit, in a folder. Raises: RuntimeError without that commit."""
    command = ["git", "-C", str(paths.root()), "archive", revision, "pdegcnn_lib", "kernels_cu"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{revision} is not in the history here: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def ratio(old: Path, case: Case, turns: int = 30, calls: int = 3) -> float:
    """The processor time of a case on one thread: here, over that of the package in `old`.

    Raises: RuntimeError where a process fails, or where the sums of the two results differ by more than rounding.
    """
    times: dict[str, list[float]] = {"now": [], "before": []}
    sums = {}
    with ExitStack() as stack:
        processes = {}
        for name, package in (("now", paths.root()), ("before", old)):
            code = _CODE.format(package=str(package), setup=case.setup, calls=calls)
            processes[name] = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, encoding="utf-8")
            )
        for name, process in processes.items():
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{case.name} failed {name}")
        for turn in range(turns + 1):
            for name, process in processes.items():
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                found = process.stdout.readline().split()
                if not found:
                    raise RuntimeError(f"{case.name} failed {name}")
                sums[name] = float(found[1])
                times[name] += [float(found[0])] if turn else []  # the first compiles
    if not math.isclose(sums["now"], sums["before"], rel_tol=case.tolerance):
        raise RuntimeError(f"{case.name} sums to {sums['now']} now and summed to {sums['before']}")
    return min(times["now"]) / min(times["before"])  # what else runs here only adds


def measured(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, object]]:
    """For every case the figure with its value, or with the reason why there is none."""
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            progress(f"{case.name} now and before")
            old = Path(folder) / case.revision
            try:
                old = old if old.is_dir() else unpacked(case.revision, old)
                found.append({"figure": case.figure, "value": round(ratio(old, case), 3)})
            except RuntimeError as error:
                found.append({"figure": case.figure, "reason": str(error).splitlines()[0]})
    return found


def main() -> None:
    """Measure and write `results/bench/before-cpu.json`."""
    result = {"provenance": provenance(torch.device("cpu")), "before": measured(print)}
    print(report.save(result, paths.results() / "bench", "before-cpu"))


if __name__ == "__main__":
    main()
