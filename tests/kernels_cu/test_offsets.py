"""Offsets beyond 2^32 in every kernel: blocks far out in tensors that do not exist but for the part they may touch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pdegcnn_lib.ops.compiled import host, sources

pytestmark = pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable()))

CONVOLUTION = [
    "-DIS_CONVOLUTION",
    '-DKERNELS="semiring_convolution.cu"',
    "-DGRID=Circle",
    "-DWINDOW_ROWS=5",
    "-DWINDOW_COLUMNS=5",
]
SMOOTH = ["-DIS_SMOOTH_BACKWARD", '-DKERNELS="smooth_backward.cu"', "-DGRID=Circle", "-DWINDOW_COLUMNS=5"]
TABLES = ["-DIS_TABLES", '-DKERNELS="tables.cu"', "-DLENGTHS=3", "-DESTIMATE=Combined", "-DLAW=Gaussian"]
KERNELS = {
    "dilation": [*CONVOLUTION, "-DSEMIRING=Tropical", "-DCODE=Code8"],
    "logarithmic": [*CONVOLUTION, "-DSEMIRING=Logarithmic"],
    "tropical-backward": [
        *["-DIS_TROPICAL_BACKWARD", '-DKERNELS="tropical_backward.cu"', "-DGRID=Circle", "-DCODE=Code8"],
    ],
    "linear-backward": [*SMOOTH, "-DSEMIRING=Linear"],
    "logarithmic-backward": [*SMOOTH, "-DSEMIRING=Logarithmic"],
    "shift": ["-DIS_SHIFT", '-DKERNELS="shift.cu"'],
    "tables": [*TABLES, "-DSHARES=0"],
}


def run(tmp_path: Path, macros: list[str], source: Path) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "far"
    # As the operators are built, but without a shared library around them.
    flags = [flag for flag in host.FLAGS if flag != "-shared"]
    command = [*host.command(), *flags, "-DSCALAR=float", f"-I{source}", *sources.contract(), *macros]
    command += [str(Path(__file__).with_name("far.cpp")), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run([str(program)], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_block_far_out_computes_what_the_first_computes(tmp_path: Path, kernel: str) -> None:
    done = run(tmp_path, KERNELS[kernel], sources.directory())
    assert done.returncode == 0, (done.returncode, done.stdout)


def test_an_offset_of_32_bits_is_found(tmp_path: Path) -> None:
    source = tmp_path / "kernels_cu"
    source.mkdir()
    for path in sources.directory().glob("*.cu*"):
        text = path.read_text()
        if path.name == "block.cuh":
            assert "first_element = ((long long)place.volume" in text
            text = text.replace(
                "first_element = ((long long)place.volume", "first_element = int(place.volume"
            )
        (source / path.name).write_text(text)
    assert run(tmp_path, KERNELS["dilation"], source).returncode != 0
