"""The kernels under race and memory checkers, in blocks of several real threads with a real barrier.

What a block does on a graphics processor depends on its barriers and on the bounds of its shared memory. The host's
ordinary build has blocks of one thread, in which a missing barrier is never felt; this build has teams.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pdegcnn_lib.ops.compiled import host, sources

pytestmark = pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable()))

HERE = Path(__file__).parent
ATTEMPTS = 5  # to see a planted race
SANITIZERS = {"thread": "-fsanitize=thread", "address": "-fsanitize=address,undefined"}

CIRCLE, NEIGHBOURS = ["-DGRID=Circle"], ["-DGRID=Neighbours", "-DLISTS"]
CONVOLUTION = ["-DIS_CONVOLUTION", '-DKERNELS="semiring_convolution.cu"']
SMOOTH = ["-DIS_SMOOTH_BACKWARD", '-DKERNELS="smooth_backward.cu"']
FIVE = ["-DWINDOW_ROWS=5", "-DWINDOW_COLUMNS=5"]
ANY = ["-DWINDOW_ROWS=0", "-DWINDOW_COLUMNS=0"]
BACK = ["-DIS_TROPICAL_BACKWARD", '-DKERNELS="tropical_backward.cu"', "-DCODE=Code8"]
SHIFT = ["-DIS_SHIFT", '-DKERNELS="shift.cu"']
TABLES = ["-DIS_TABLES", '-DKERNELS="tables.cu"', "-DLENGTHS=3", "-DESTIMATE=Combined", "-DLAW=Gaussian"]
KERNELS = {
    "dilation": [*CONVOLUTION, *CIRCLE, "-DSEMIRING=Tropical", *FIVE],
    "dilation-taps": [*CONVOLUTION, *CIRCLE, "-DSEMIRING=Tropical", *FIVE, "-DCODE=Code8"],
    "any-window": [*CONVOLUTION, *CIRCLE, "-DSEMIRING=Tropical", *ANY, "-DCODE=Code8"],
    "linear": [*CONVOLUTION, *CIRCLE, "-DSEMIRING=Linear", *FIVE],
    "logarithmic": [*CONVOLUTION, *CIRCLE, "-DSEMIRING=Logarithmic", *FIVE],
    "dilation-lists": [*CONVOLUTION, *NEIGHBOURS, "-DSEMIRING=Tropical", *FIVE, "-DCODE=Code8"],
    "logarithmic-lists": [*CONVOLUTION, *NEIGHBOURS, "-DSEMIRING=Logarithmic", *FIVE],
    "tropical-backward": [*BACK, *CIRCLE],
    "tropical-backward-lists": [*BACK, *NEIGHBOURS],
    "logarithmic-backward": [*SMOOTH, *CIRCLE, "-DSEMIRING=Logarithmic", "-DWINDOW_COLUMNS=5"],
    "logarithmic-backward-lists": [*SMOOTH, *NEIGHBOURS, "-DSEMIRING=Logarithmic", "-DWINDOW_COLUMNS=5"],
    "shift": [*SHIFT, "-DPERIODIC=1"],
    "shift-with-ends": [*SHIFT, "-DPERIODIC=0"],
    "mixing": ["-DIS_MIXING", '-DKERNELS="mixing.cu"'],
    "projection": ["-DIS_PROJECTION", '-DKERNELS="projection.cu"'],
    "tables": [*TABLES, "-DSHARES=1"],
}


def build(tmp_path: Path, sanitizer: str, macros: list[str], source: Path | None = None) -> Path:
    program = tmp_path / "driver"
    command = [
        *[*host.command(), "-std=c++17", "-O1", "-g", "-march=native", "-fno-sanitize-recover=all"],
        *[
            SANITIZERS[sanitizer],
            "-DSPMD_TEAMS",
            "-DSCALAR=float",
            f"-I{source or sources.directory()}",
            *sources.contract(),
            *macros,
        ],
        *[str(HERE / "driver.cpp"), "-o", str(program), "-pthread"],
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def run(program: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program)], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_free_of_races_and_overruns(tmp_path: Path, sanitizer: str, kernel: str) -> None:
    done = run(build(tmp_path, sanitizer, KERNELS[kernel]))
    assert done.returncode == 0, done.stdout + done.stderr


# A fault in a copy of the source: kernel, file, the sound text, the faulty text, who finds it and what it says.
FAULTS = {
    "no barrier after the tile": (
        *("linear", "semiring_convolution.cu", "if (any_in_block(careful))", "if (false)"),
        *("thread", "data race"),
    ),
    "no barrier before the sums are read": (
        *(
            "tropical-backward",
            "tropical_backward.cu",
            "__syncthreads();\n\n    const long long first_sum",
            "const long long first_sum",
        ),
        *("thread", "data race"),
    ),
    "no barrier after the exponentials": (
        *(
            "logarithmic",
            "semiring_convolution.cu",
            "exponential(difference));\n            }\n        __syncthreads();",
        ),
        *("exponential(difference));\n            }", "thread", "data race"),
    ),
    "no barrier after the list of taps": (
        *("dilation", "block.cuh", "counts[t] = end - t * w.taps();\n        }\n        __syncthreads();"),
        *("counts[t] = end - t * w.taps();\n        }", "thread", "data race"),
    ),
    "no barrier before a sum over warps is read": (
        *("tables", "spmd.cuh", "memory[warp()] = value;\n    __syncthreads();", "memory[warp()] = value;"),
        *("thread", "data race"),
    ),
    "one table of kernel values too many": (
        *(
            "dilation",
            "semiring_convolution.cu",
            "n < block.tables * window.taps();",
            "n < (tile_planes + 2) * window.taps();",
        ),
        *("address", "heap-buffer-overflow"),
    ),
    "one row too many in the output": (
        *("shift", "shift.cu", "y < height; y += warps()", "y <= height; y += warps()"),
        *("address", "heap-buffer-overflow"),
    ),
    "no barrier after the tile of moments": (
        *("mixing", "mixing.cu", "__syncthreads();\n    A* const to", "A* const to", "thread", "data race"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    kernel, file, sound, faulty, sanitizer, words = FAULTS[fault]
    source = tmp_path / "kernels_cu"
    shutil.copytree(sources.directory(), source)
    text = (source / file).read_text()
    assert sound in text
    (source / file).write_text(text.replace(sound, faulty))
    program = build(tmp_path, sanitizer, KERNELS[kernel], source)
    # The checker remembers the last accesses alone: where a busy machine runs threads far apart it can miss a race.
    for _ in range(ATTEMPTS):
        done = run(program)
        if words in done.stderr:
            break
    assert done.returncode != 0
    assert words in done.stderr
