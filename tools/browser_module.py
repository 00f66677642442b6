#!/usr/bin/env python3
"""Compile `kernels_cu/` for a browser: one WebAssembly module of all units that inference needs.

The compiler is Clang as the package `ziglang` carries it. A module that is up to date with the sources, this file and
the compiler is left alone, so the command is cheap to repeat. Without the package it says so and leaves an empty file,
which the pages take for no module.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pdegcnn_lib.ops.compiled.sources import CONTRACT

SOURCES = Path(__file__).resolve().parent.parent / "kernels_cu"
MODULE = Path(".make/browser/kernels.wasm")
LARGEST = 400_000  # bytes
COMPILER = [sys.executable, "-m", "ziglang", "c++", "-target", "wasm32-wasi"]
FLAGS = ["-O3", "-msimd128", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math", "-g0"]


def convolution(semiring: str, window: int) -> dict[str, str]:
    size = {"WINDOW_ROWS": str(window), "WINDOW_COLUMNS": str(window)}
    return {
        "SOURCE": "semiring_convolution.cu",
        "SCALAR": "float",
        "SEMIRING": semiring,
        "GRID": "Circle",
        **size,
    }


# As the records of pdegcnn_lib.geometry name them to the sources.
ESTIMATES = ("Diagonal", "SubRiemannian", "Combined", "SubRiemannianCovariant", "CombinedCovariant")
# The units, each with the macros of its source, and which of a source's kernels are kept.
UNITS = {
    "tropical": convolution("Tropical", 0),
    "tropical5": convolution("Tropical", 5),
    "linear": convolution("Linear", 0),
    "linear5": convolution("Linear", 5),
    "transport": {"SOURCE": "shift.cu", "SCALAR": "float"},
    "dense": {"SOURCE": "dense.cu"},
    "coordinates": {"SOURCE": "coordinates.cu"},
    **{
        f"table_{estimate}_{law.split('<')[0]}": {
            "SOURCE": "tables.cu",
            "SCALAR": "float",
            "LENGTHS": "3",
            "SHARES": "0",
            "ESTIMATE": estimate,
            "LAW": law,
        }
        for estimate in ESTIMATES
        for law in ("Power", "Gaussian", "Poisson<3>")
    },
}
KERNELS = {
    "semiring_convolution.cu": ["semiring_convolution"],
    "shift.cu": ["shift"],
    "tables.cu": ["kernel_table"],
    "dense.cu": ["combination", "projection"],
    "coordinates.cu": ["relative", "half_angle", "logarithmic"],
}


def key(sources: Path, units: Mapping[str, dict[str, str]]) -> str:
    total = hashlib.sha256(version("ziglang").encode() + repr((CONTRACT, units, FLAGS)).encode())
    for path in [*sorted(sources.glob("*.cu*")), Path(__file__)]:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


def build(target: Path, sources: Path = SOURCES, units: Mapping[str, dict[str, str]] = UNITS) -> Path:
    """The module at `target`, compiled unless it is up to date. Raises ModuleNotFoundError without the compiler."""
    try:
        version("ziglang")
    except PackageNotFoundError:
        raise ModuleNotFoundError(
            "the module for a browser needs a compiler for WebAssembly: pip install 'pdegcnn[browser]'"
        ) from None
    stamp, wanted = target.with_suffix(".key"), key(sources, units)
    if target.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    exports = [f"{unit}_{kernel}" for unit, macros in units.items() for kernel in KERNELS[macros["SOURCE"]]]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:

        def compiled(unit: str) -> str:
            macros = {**CONTRACT, **units[unit], "SOURCE": f'"{units[unit]["SOURCE"]}"', "UNIT": unit}
            to = f"{folder}/{unit}.o"
            flags = [*FLAGS, f"-I{sources}", *(f"-D{name}={value}" for name, value in macros.items())]
            run([*COMPILER, *flags, "-x", "c++", "-c", str(sources / "unit.cu"), "-o", to])
            return to

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compiled, units))
        linked = f"{folder}/module.wasm"
        options = ["-mexec-model=reactor", "-Wl,--gc-sections", "-Wl,--strip-all", "-s"]
        options += [f"-Wl,--export={name}" for name in [*exports, "malloc", "free"]]
        run([*COMPILER, *options, *objects, "-o", linked])
        size = os.path.getsize(linked)
        if size > LARGEST:
            raise SystemExit(f"the module has {size} bytes, more than the {LARGEST} that a page may carry")
        os.replace(linked, target)
    stamp.write_text(wanted, encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=MODULE, help="the module (default: %(default)s)")
    options = parser.parse_args()
    try:
        print(build(options.out).stat().st_size, "bytes")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(b"")


if __name__ == "__main__":
    main()
