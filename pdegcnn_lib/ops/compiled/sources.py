"""Where the CUDA source is, what one compiled unit of it is, and what both sides of a launch agree on."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

Arguments = list[Tensor | int | None]

PACKAGE = Path(__file__).resolve().parents[2]

# Numbers that a kernel and its launch both need, macros of every unit.
CONTRACT = {
    "STENCIL_BYTES": 64,  # for a Stencil of shift.cu, at most
    # How far exponents may be from a level so that no product of their exponentials leaves the range of the type.
    "FLOAT_REACH": 28,
    "DOUBLE_REACH": 320,
    # How many sums a block of tropical_backward.cu keeps for each tap.
    "HOST_COPIES": 4,
    "GPU_COPIES": 8,
}


def contract() -> list[str]:
    """CONTRACT as compiler options."""
    return [f"-D{name}={value}" for name, value in CONTRACT.items()]


@cache
def directory() -> Path:
    """The directory of the `.cu` files: `kernels_cu/` of a checkout, or the copy inside an installed package."""
    for candidate in (PACKAGE.parent / "kernels_cu", PACKAGE / "kernels_cu"):
        if (candidate / "spmd.cuh").is_file():
            return candidate
    raise FileNotFoundError(
        f"no kernels_cu directory beside or inside {PACKAGE}: the installation is incomplete"
    )


@cache
def digest() -> str:
    """A hash of every source file, so that a changed source is never served by an old binary."""
    total = hashlib.sha256()
    for path in sorted(directory().glob("*.cu*")):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


@dataclass(frozen=True)
class Unit:
    """One source file with the macros that specialise it, the piece that is compiled at a time.

    `file` is the name without `.cu`; `macros` are `(name, value)` pairs.
    """

    file: str
    macros: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> Path:
        return directory() / f"{self.file}.cu"

    def flags(self) -> list[str]:
        """The macros as compiler options; they mean the same to a C++ compiler and to NVRTC."""
        return [*contract(), *(f"-D{name}={value}" for name, value in self.macros)]


# The bytes of the types that an argument of a kernel may point to.
BYTES = {"int": 4, "float": 4, "double": 8, "Half": 2, "BFloat16": 2, "Code8": 1, "Code16": 2, "long long": 8}


@cache
def parameters(unit: Unit, kernel: str) -> dict[str, int | None]:
    """What a kernel takes, as its source declares it: by name the bytes of what an address points to, 0 for an integer.

    None where the type is one that only the source knows.
    """
    text = unit.path.read_text(encoding="utf-8")
    declared = re.search(rf"__global__ void {kernel}\(([^)]*)\)", text)
    if declared is None:
        raise ValueError(f"{unit.file}.cu has no kernel {kernel}")
    using = re.findall(r"^using (\w+) = (.+);", text, re.MULTILINE)
    # Of a name in two branches the first counts, which is there for the macro; without it no address is passed.
    names = {**dict(reversed(using)), **dict(unit.macros)}

    def size(of: str) -> int | None:
        if of in names:
            return size(names[of])
        if of.startswith("Arithmetic<"):
            stored = size(of[len("Arithmetic<") : -1])
            return stored and max(4, stored)
        return BYTES.get(of)

    found: dict[str, int | None] = {}
    for parameter in declared[1].split(","):
        of, name = parameter.removeprefix("const ").strip().rsplit(maxsplit=1)
        of = of.removeprefix("const ")
        found[name] = size(of[:-1]) if of.endswith("*") else 0
    return found


class Call(NamedTuple):
    """A kernel of a unit over a grid of blocks. Tensors are passed by address, None as null, integers as C int."""

    unit: Unit
    kernel: str
    arguments: Arguments
    blocks: int
    shared_bytes: int


def check(unit: Unit, kernel: str, arguments: Arguments) -> None:
    """Raise TypeError unless a launch passes what the kernel takes: as many arguments, each of its kind and size."""
    takes = parameters(unit, kernel)
    if len(arguments) != len(takes):
        raise TypeError(
            f"{kernel} takes {len(takes)} arguments ({', '.join(takes)}), the launch passes {len(arguments)}"
        )
    for (name, size), argument in zip(takes.items(), arguments, strict=True):
        if isinstance(argument, int):
            fits, given = size == 0, str(argument)
        elif argument is None:
            fits, given = size != 0, "None"
        else:
            fits, given = size in (None, argument.element_size()), f"a tensor of {argument.dtype}"
        if not fits:
            wanted = "an integer" if size == 0 else f"the address of elements of {size} bytes"
            raise TypeError(f"{kernel} takes {wanted} for {name}, the launch passes {given}")


# What a machine is tried with: four numbers shifted by one, the border repeated.
TRIAL = Unit("shift", (("SCALAR", "float"),))
TRIED, SHIFTED = (1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 2.0, 3.0)
TRIAL_SIZES = (1, 1, 1, len(TRIED), 0)
