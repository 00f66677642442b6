"""The host as a machine for the CUDA source: compile a unit with the system's C++ compiler, load it, launch its grid.

A unit is compiled at its first use, in about a second, and kept in a directory of the user, under a name that
hashes the source, the compiler, the flags and the processor. Two processes may compile the same unit at once: each
writes its own file and renames it into place.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from pdegcnn_lib.ops.compiled import sources
from pdegcnn_lib.ops.compiled.sources import Unit

# No -ffast-math: NaN and infinities keep their meaning. -fno-trapping-math only says that nobody reads the flags of
# the floating point unit, which lets a comparison of vectors be one instruction.
FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-pthread",
)


@cache
def compiler() -> str | None:
    """The C++ compiler: `$CXX` or the first of c++, g++, clang++ on the path; None if there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (found := shutil.which(shlex.split(name)[0])):
            return found
    return None


def unavailable() -> str | None:
    """None if units can be compiled and loaded here, otherwise the reason."""
    if sys.platform == "win32":
        return "the compiled CPU backend needs GCC or Clang on Linux or macOS"
    if compiler() is None:
        return "no C++ compiler found; install g++ or clang++, or name one in the environment variable CXX"
    return None


def cache_directory() -> Path:
    """Where compiled units are kept: `$PDEGCNN_CACHE`, or `pdegcnn` in the user's cache directory."""
    if chosen := os.environ.get("PDEGCNN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pdegcnn"


@cache
def _identity() -> str:
    """What else decides the machine code: the compiler's version and the processor that -march=native means."""
    command = compiler()
    assert command is not None
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    processor = platform.machine() + platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        first = cpuinfo.read_text().split("\n\n")[0]
        keys = ("model name", "flags", "Features", "CPU part")
        processor += "".join(line for line in first.splitlines() if line.startswith(keys))
    return version + processor


@cache
def library(unit: Unit) -> ctypes.CDLL:
    """The shared library of a unit, compiled unless cached. Raises RuntimeError with the compiler's words."""
    reason = unavailable()
    if reason is not None:
        raise RuntimeError(reason)
    options = [*FLAGS, *unit.flags()]
    key = hashlib.sha256(
        "\0".join([sources.digest(), _identity(), unit.file, *options]).encode()
    ).hexdigest()[:32]
    target = cache_directory() / f"{unit.file}-{key}.so"
    if not target.is_file():
        build(unit, target, options)
    return ctypes.CDLL(str(target))


def build(unit: Unit, target: Path, options: list[str]) -> None:
    """Compile `unit` to the file `target`, atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=target.stem, suffix=".part")
    os.close(handle)
    try:
        command = [str(compiler()), *options, "-x", "c++", str(unit.path), "-o", scratch]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
        os.replace(scratch, target)
    finally:
        Path(scratch).unlink(missing_ok=True)


class _Launch(ctypes.Structure):
    # The struct Launch of machine_host.cuh.
    _fields_ = [
        ("blocks", ctypes.c_longlong),
        ("shared_bytes", ctypes.c_longlong),
        ("threads", ctypes.c_int),
        ("workers", ctypes.c_int),
        ("parallel", ctypes.c_void_p),
    ]


@cache
def _thread_pool() -> int | None:
    """The address of GOMP_parallel in the OpenMP that torch has loaded.

    Its threads are those that torch's own operators use. A second pool would fight with the first for the cores,
    as idle threads of OpenMP spin for a while before they sleep.
    """
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except (AttributeError, OSError):
        return None


def launch(
    unit: Unit, kernel: str, arguments: list[torch.Tensor | int | None], *, blocks: int, shared_bytes: int
) -> None:
    """Run `kernel` of `unit` over a grid of `blocks`, on as many threads as torch uses.

    Tensors are passed by address, None as a null pointer, integers as C int.
    """
    if blocks == 0:
        return
    values = [
        ctypes.c_int(a) if isinstance(a, int) else ctypes.c_void_p(None if a is None else a.data_ptr())
        for a in arguments
    ]
    pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
    how = _Launch(blocks, shared_bytes, 1, torch.get_num_threads(), _thread_pool())
    getattr(library(unit), f"launch_{kernel}")(ctypes.byref(how), pointers)
