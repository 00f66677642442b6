"""The machine code that a graphics processor would run, made and read without one.

NVRTC compiles every kernel for seven architectures; the assembler's report must show neither spills nor a stack; a
disassembly counts what one tap of a dilation costs.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib.metadata import files
from pathlib import Path

import pytest

from pdegcnn_lib.ops.compiled.device import OPTIONS
from pdegcnn_lib.ops.compiled.sources import Unit, directory

nvrtc = pytest.importorskip("cupy.cuda").nvrtc

ARCHITECTURES = (70, 80, 86, 89, 90, 100, 120)


def unit(file: str, **macros: str) -> Unit:
    return Unit(file, tuple(macros.items()))


def convolution(semiring: str, window: int, scalar: str = "float", **code: str) -> Unit:
    size = {"WINDOW_ROWS": str(window), "WINDOW_COLUMNS": str(window)}
    return unit("group_convolution", SCALAR=scalar, SEMIRING=semiring, **size, **code)


# Every kernel of every file in float32, each semiring, unrolled and not, with and without taps.
IN_SINGLE = [
    convolution("Tropical", 5),
    convolution("Tropical", 5, CODE="Code8"),
    convolution("Tropical", 0, CODE="Code16"),
    convolution("Linear", 5),
    convolution("Logarithmic", 3),
    unit("tropical_backward", SCALAR="float", CODE="Code8"),
    unit("smooth_backward", SCALAR="float", SEMIRING="Linear", WINDOW_COLUMNS="5"),
    unit("smooth_backward", SCALAR="float", SEMIRING="Logarithmic", WINDOW_COLUMNS="0"),
    unit("shift", SCALAR="float"),
    unit("tables", SCALAR="float", ESTIMATE="Combined", LAW="Power"),
    unit("tables", SCALAR="float", ESTIMATE="Diagonal", LAW="Gaussian"),
    unit("tables", SCALAR="float", ESTIMATE="SubRiemannian", LAW="Poisson"),
    unit("limits"),
]
# What else occurs, on one architecture: the largest windows and the other storage types.
OTHERS = [
    convolution("Tropical", 7),
    convolution("Tropical", 7, CODE="Code16"),
    convolution("Linear", 7),
    convolution("Logarithmic", 7),
    *(convolution("Tropical", 5, scalar, CODE="Code8") for scalar in ("double", "Half", "BFloat16")),
    *(unit("tropical_backward", SCALAR=scalar, CODE="Code16") for scalar in ("double", "Half", "BFloat16")),
    *(unit("shift", SCALAR=scalar) for scalar in ("double", "Half", "BFloat16")),
    unit("smooth_backward", SCALAR="Half", SEMIRING="Logarithmic", WINDOW_COLUMNS="7"),
]


def name(of: Unit) -> str:
    return "-".join([of.file, *(value for _, value in of.macros)])


@cache
def compiled(of: Unit, architecture: int) -> tuple[bytes, str]:
    """The binary of a unit and the assembler's report."""
    program = nvrtc.createProgram(of.path.read_text(), of.path.name, [], [])
    options = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", f"-I{directory()}"]
    try:
        nvrtc.compileProgram(program, [*OPTIONS, *options, *of.flags()])
    except nvrtc.NVRTCError as error:
        raise AssertionError(nvrtc.getProgramLog(program)) from error
    # CuPy strips the last byte, as it would the end of a string.
    return nvrtc.getCUBIN(program) + b"\0", nvrtc.getProgramLog(program)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("of", IN_SINGLE, ids=name)
def test_every_kernel_compiles_without_spills_or_stack(of: Unit, architecture: int) -> None:
    _, report = compiled(of, architecture)
    kernels = re.findall(r"EXPORT_KERNEL\((\w+)\)", of.path.read_text())
    assert kernels and all(f"Function properties for {kernel}" in report for kernel in kernels)
    usage = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    assert len(usage) >= len(kernels)
    assert {int(n) for line in usage for n in line} == {0}, report


@pytest.mark.parametrize("of", OTHERS, ids=name)
def test_other_windows_and_storage_types_compile(of: Unit) -> None:
    _, report = compiled(of, 90)
    if ("SCALAR", "float") in of.macros:
        usage = re.findall(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report
        )
        assert {int(n) for line in usage for n in line} == {0}, report


def nvdisasm() -> Path:
    for file in files("nvidia-cuda-nvdisasm") or []:
        if file.name == "nvdisasm":
            return Path(str(file.locate()))
    raise FileNotFoundError("the package nvidia-cuda-nvdisasm holds no nvdisasm")


def innermost_loop(of: Unit, architecture: int, tmp_path: Path, instruction: str) -> list[str]:
    """The instructions of the loop, without one inside it, in which `instruction` occurs most often."""
    binary = tmp_path / "kernel.cubin"
    binary.write_bytes(compiled(of, architecture)[0])
    listing = subprocess.run(
        [str(nvdisasm()), "-c", str(binary)], capture_output=True, text=True, check=True
    ).stdout
    lines: list[str] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(lines)
        elif code := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            lines.append(code[1].strip())
    best: list[str] = []
    for end, line in enumerate(lines):
        jump = re.search(r"BRA `\((\.L_x_\d+)\)", line)
        if jump and (start := labels[jump[1]]) <= end:
            body = lines[start : end + 1]
            if any("BRA" in inner for inner in body[:-1]):
                continue
            if sum(instruction in x for x in body) > sum(instruction in x for x in best):
                best = body
    return best


@pytest.mark.parametrize("architecture", [80, 90])
def test_a_tap_of_the_dilation_costs_at_most_three_and_a_half_instructions(
    architecture: int, tmp_path: Path
) -> None:
    loop = innermost_loop(convolution("Tropical", 5), architecture, tmp_path, "FMNMX")
    taps = sum("FMNMX" in line for line in loop)
    assert taps == 8 * 25, (
        "the loop over one plane of the window: 25 taps of each of the 8 outputs in a strip"
    )
    print(f"sm_{architecture}: {len(loop)} instructions for {taps} taps, {len(loop) / taps:.2f} each")
    assert len(loop) / taps <= 3.5
    # Every value in the loop is in a register or in shared memory.
    assert not any(re.search(r"\b(LDG|LDL|STL|STG)\b", line) for line in loop)
