"""What a tap costs in the machine code of a GPU, without one: `python -m pdegcnn_lib.companion.bench.machine_code`.

NVRTC compiles a kernel, a disassembler lists it, and the instructions of the loop over taps are counted: of a dilation
as one would write it first (`kernels_cu/naive.cu`), and of the one that runs. Needs CuPy and nvidia-cuda-nvdisasm.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from pdegcnn_lib.companion import paths
from pdegcnn_lib.ops.compiled.device import OPTIONS
from pdegcnn_lib.ops.compiled.sources import Unit, directory

ARCHITECTURES = (80, 90)


def dilation(grid: str, size: int) -> tuple[tuple[str, str], ...]:
    """The macros of a dilation on a kind of grid, with a window of `size` rows and columns."""
    window = (("WINDOW_ROWS", str(size)), ("WINDOW_COLUMNS", str(size)))
    return (("SCALAR", "float"), ("SEMIRING", "Tropical"), ("GRID", grid), *window)


KERNELS = {
    "naive": Unit("naive"),
    "strips": Unit("semiring_convolution", dilation("Circle", 5)),
    "strips, taps kept": Unit("semiring_convolution", (*dilation("Circle", 5), ("CODE", "Code8"))),
}


@cache
def compiled(unit: Unit, architecture: int) -> tuple[bytes, str]:
    """The binary of a unit and the assembler's report. Raises RuntimeError with the compiler's words."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(unit.path.read_text(encoding="utf-8"), unit.path.name, [], [])
    options = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", f"-I{directory()}"]
    try:
        nvrtc.compileProgram(program, [*OPTIONS, *options, *unit.flags()])
    except nvrtc.NVRTCError as error:
        raise RuntimeError(nvrtc.getProgramLog(program)) from error
    # CuPy strips the last byte, as it would the end of a string.
    return nvrtc.getCUBIN(program) + b"\0", nvrtc.getProgramLog(program)


def _disassembler() -> Path:
    try:
        found = [file for file in files("nvidia-cuda-nvdisasm") or [] if file.name == "nvdisasm"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise RuntimeError("no nvdisasm found; install it with `pip install nvidia-cuda-nvdisasm`")
    return Path(str(found[0].locate()))


def loop_over_taps(unit: Unit, architecture: int) -> list[str]:
    """The instructions of the loop, without one inside it, that adds most often: an addition is a tap."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(compiled(unit, architecture)[0])
        listing = subprocess.run(
            [str(_disassembler()), "-c", str(binary)], capture_output=True, encoding="utf-8", check=True
        ).stdout
    lines: list[str] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(lines)
        elif code := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            lines.append(code[1].strip())
    loops = []
    for end, line in enumerate(lines):
        jump = re.search(r"BRA.*`\((\.L_x_\d+)\)", line)
        if jump and (start := labels[jump[1]]) <= end:
            loops.append((start, end))
    innermost = [loop for loop in loops if not any(loop[0] <= s and e < loop[1] for s, e in loops)]
    bodies = [lines[start : end + 1] for start, end in innermost]
    return max(bodies, key=taps)


def taps(loop: list[str]) -> int:
    """How many taps a pass of the loop takes."""
    return sum(bool(re.search(r"\bFADD\b", line)) for line in loop)


def run() -> dict[str, dict[str, float]]:
    """Instructions per tap of every kernel, by architecture."""
    found = {}
    for architecture in ARCHITECTURES:
        loops = {name: loop_over_taps(unit, architecture) for name, unit in KERNELS.items()}
        found[f"sm_{architecture}"] = {name: round(len(loop) / taps(loop), 2) for name, loop in loops.items()}
    return found


def main() -> None:
    """Write `results/bench/machine-code.json`."""
    counts = run()
    print(json.dumps(counts, indent=2))
    print(
        paths.write_atomically(
            paths.results() / "bench" / "machine-code.json", json.dumps(counts, indent=2) + "\n"
        )
    )


if __name__ == "__main__":
    main()
