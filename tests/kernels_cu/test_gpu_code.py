"""The machine code that a graphics processor would run, made and read without one.

NVRTC compiles every kernel for seven architectures; the assembler's report must show neither spills nor a stack; a
disassembly counts what one tap of a dilation costs.
"""

from __future__ import annotations

import json
import re

import pytest

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import machine_code
from pdegcnn_lib.companion.bench.machine_code import compiled
from pdegcnn_lib.ops.compiled.sources import Unit

pytest.importorskip("cupy.cuda")

ARCHITECTURES = (70, 80, 86, 89, 90, 100, 120)
GRIDS = ("Circle", "Neighbours")


def unit(file: str, **macros: str) -> Unit:
    return Unit(file, tuple(macros.items()))


def convolution(semiring: str, window: int, scalar: str = "float", grid: str = "Circle", **code: str) -> Unit:
    size = {"WINDOW_ROWS": str(window), "WINDOW_COLUMNS": str(window)}
    return unit("semiring_convolution", SCALAR=scalar, SEMIRING=semiring, GRID=grid, **size, **code)


def table(estimate: str, law: str, lengths: str = "3", shares: str = "0") -> Unit:
    return unit("tables", SCALAR="float", LENGTHS=lengths, SHARES=shares, ESTIMATE=estimate, LAW=law)


# Every kernel of every file in float32, each semiring, unrolled and not, with and without taps.
IN_SINGLE = [
    convolution("Tropical", 5),
    convolution("Tropical", 5, CODE="Code8"),
    convolution("Tropical", 0, CODE="Code16"),
    convolution("Linear", 5),
    convolution("Logarithmic", 3),
    convolution("Tropical", 3, grid="Neighbours", CODE="Code8"),
    convolution("Tropical", 0, grid="Neighbours"),
    convolution("Linear", 3, grid="Neighbours"),
    convolution("Logarithmic", 3, grid="Neighbours"),
    *(unit("tropical_backward", SCALAR="float", CODE="Code8", GRID=grid) for grid in GRIDS),
    *(
        unit("smooth_backward", SCALAR="float", SEMIRING="Linear", GRID=grid, WINDOW_COLUMNS="5")
        for grid in GRIDS
    ),
    *(
        unit("smooth_backward", SCALAR="float", SEMIRING="Logarithmic", GRID=grid, WINDOW_COLUMNS="0")
        for grid in GRIDS
    ),
    unit("shift", SCALAR="float"),
    table("Combined", "Power"),
    table("CombinedCovariant", "Power"),
    table("Diagonal", "Gaussian"),
    table("SubRiemannian", "Poisson<3>"),
    unit("dense"),
    unit("mixing", SCALAR="float"),
    unit("projection", SCALAR="float"),
    unit("limits"),
    unit("naive"),
]
# What else occurs, on one architecture: the largest windows and the other storage types.
OTHERS = [
    convolution("Tropical", 7),
    convolution("Tropical", 7, CODE="Code16"),
    convolution("Linear", 7),
    convolution("Logarithmic", 7),
    *(convolution("Tropical", 5, scalar, CODE="Code8") for scalar in ("double", "Half", "BFloat16")),
    convolution("Tropical", 5, grid="Neighbours", CODE="Code16"),
    convolution("Tropical", 3, "Half", grid="Neighbours", CODE="Code8"),
    *(
        unit("tropical_backward", SCALAR=scalar, CODE="Code16", GRID="Circle")
        for scalar in ("double", "Half", "BFloat16")
    ),
    *(unit("shift", SCALAR=scalar) for scalar in ("double", "Half", "BFloat16")),
    unit("mixing", SCALAR="double"),
    *(unit("projection", SCALAR=scalar) for scalar in ("double", "Half", "BFloat16")),
    unit("smooth_backward", SCALAR="Half", SEMIRING="Logarithmic", GRID="Circle", WINDOW_COLUMNS="7"),
    table("CombinedAxial", "Power", shares="1"),
    table("CombinedAxialCovariant", "Poisson<5>", shares="1"),
    table("Axial", "Gaussian", lengths="5", shares="1"),
    table("Diagonal", "Poisson<2>", lengths="2"),
    unit("coordinates"),
]


def name(of: Unit) -> str:
    return "-".join([of.file, *(value for _, value in of.macros)])


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


@pytest.mark.parametrize(("grid", "size"), [("Circle", 5), ("Neighbours", 3)])
@pytest.mark.parametrize("architecture", machine_code.ARCHITECTURES)
def test_a_tap_of_the_dilation_costs_at_most_three_and_a_half_instructions(
    architecture: int, grid: str, size: int
) -> None:
    loop = machine_code.loop_over_taps(
        Unit("semiring_convolution", machine_code.dilation(grid, size)), architecture
    )
    taps = machine_code.taps(loop)
    assert taps == sum("FMNMX" in line for line in loop) == 8 * size**2, (
        "the loop over one plane of the window: its taps of each of the 8 outputs in a strip"
    )
    assert len(loop) / taps <= 3.5
    # Every value in the loop is in a register or in shared memory.
    assert not any(re.search(r"\b(LDG|LDL|STL|STG)\b", line) for line in loop)


def test_the_committed_counts_are_those_of_the_sources() -> None:
    committed = json.loads((paths.root() / "results" / "bench" / "machine-code.json").read_text())
    found = machine_code.run()
    assert found.keys() == committed.keys()
    for architecture, counts in found.items():
        # Another version of the compiler may count a little differently.
        assert counts == pytest.approx(committed[architecture], rel=0.1)
        assert counts["naive"] > 3 * counts["strips"]
