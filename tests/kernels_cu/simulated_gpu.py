"""What `ops.compiled.device` asks of CuPy, for a machine without a GPU: kernels run on `simulated_gpu.h`.

A stand-in for the parts of CuPy that a launch uses, as strict as the driver: it takes addresses and C ints, refuses
more dynamic shared memory than a function was allowed, and raises what the simulation found.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pdegcnn_lib.ops.compiled import host

HERE = Path(__file__).parent
USUAL_SHARED_BYTES = 48 * 1024  # what a kernel may have without asking
MOST_SHARED_BYTES = 227 * 1024  # what it may ask for on a large GPU

# The only words that no C++ compiler for the host can read, and what is put in their place.
PTX = [
    (
        'asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));',
        "result = half_as_float(value.bits);",
    ),
    (
        'asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));',
        "result.bits = float_as_half(value);",
    ),
]


@dataclass
class Simulation:
    """Where binaries go, the order of threads and blocks, and the kernels that were launched.

    `edits`, pairs of a text and what takes its place, are made in a copy of the source before it is compiled;
    `most_shared_bytes` is what a block may have of shared memory.
    """

    folder: Path
    backwards: bool = False
    launched: list[str] = field(default_factory=list)
    edits: list[tuple[str, str]] = field(default_factory=list)
    most_shared_bytes: int = MOST_SHARED_BYTES

    @property
    def cupy(self) -> SimpleNamespace:
        """The stand-in for the module `cupy`."""
        return SimpleNamespace(
            RawModule=lambda **given: RawModule(self, **given),
            cuda=SimpleNamespace(
                Device=lambda index: Device(self),
                Stream=SimpleNamespace(from_external=lambda stream: nullcontext(stream.__cuda_stream__())),
            ),
        )


class Device(nullcontext[None]):
    """The one device of a simulation, with what is asked of its attributes."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self.attributes = {"MaxSharedMemoryPerBlockOptin": simulation.most_shared_bytes}


class RawModule:
    """Source text with its compiler options; compiled when a function is asked for."""

    def __init__(self, simulation: Simulation, *, code: str, options: Sequence[str], backend: str) -> None:
        assert backend == "nvrtc"
        self.simulation, self.code, self.options = simulation, code, options
        self.functions: dict[str, Function] = {}

    def get_function(self, name: str) -> Function:
        """The one function of this name: who asks again finds what it was allowed before."""
        if name not in self.functions:
            self.functions[name] = self._function(name)
        return self.functions[name]

    def _function(self, name: str) -> Function:
        identity = [self.code, name, *self.options, *map(str, self.simulation.edits)]
        key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]
        folder = self.simulation.folder / key
        library = folder / "kernel.so"
        if not library.is_file():
            self._build(name, folder, library)
        return Function(self.simulation, name, ctypes.CDLL(str(library)).simulate)

    def _build(self, name: str, folder: Path, library: Path) -> None:
        (include,) = (option[2:] for option in self.options if option.startswith("-I"))
        shutil.copytree(include, folder)
        (folder / "unit.cu").write_text(self.code)
        for text, other in (*PTX, *self.simulation.edits):
            found = [path for path in folder.iterdir() if text in path.read_text()]
            assert found, text
            for path in found:
                path.write_text(path.read_text().replace(text, other))
        macros = [option for option in self.options if option.startswith(("-std", "-D"))]
        command = [*host.command(), "-O1", "-fPIC", "-shared", "-Wno-psabi", *macros, f"-I{folder}"]
        command += [f"-DKERNEL={name}", '-DKERNELS="unit.cu"', "-x", "c++", str(HERE / "simulated_gpu.h")]
        subprocess.run([*command, "-o", str(library)], check=True, capture_output=True, text=True)


class Function:
    """A kernel; called with a grid, a block and a tuple of addresses and C ints."""

    def __init__(self, simulation: Simulation, name: str, simulate: ctypes._CFuncPtr) -> None:
        self.simulation, self.name, self.simulate = simulation, name, simulate
        self.simulate.restype = ctypes.c_char_p
        self.max_dynamic_shared_size_bytes = USUAL_SHARED_BYTES

    def __call__(self, grid: tuple[int], block: tuple[int], values: tuple, *, shared_mem: int) -> None:
        if self.max_dynamic_shared_size_bytes > max(self.simulation.most_shared_bytes, USUAL_SHARED_BYTES):
            raise RuntimeError(f"{self.name}: it asked for more shared memory than a block has")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise RuntimeError(
                f"{self.name}: {shared_mem} bytes of shared memory without having asked for them"
            )
        arguments = [_as_c(value) for value in values]
        addresses = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        self.simulation.launched.append(self.name)
        fault = self.simulate(
            *(ctypes.c_longlong(grid[0]), ctypes.c_int(block[0]), ctypes.c_longlong(shared_mem)),
            *(ctypes.c_int(self.simulation.backwards), addresses),
        )
        if fault is not None:
            raise RuntimeError(f"{self.name}: {fault.decode()}")


def _as_c(value: object) -> ctypes._SimpleCData:
    if isinstance(value, np.int32):
        return ctypes.c_int(int(value))
    if isinstance(value, int):
        return ctypes.c_void_p(value)
    raise TypeError(f"a kernel takes addresses and numpy.int32, got {value!r}")
