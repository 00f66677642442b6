"""Where the CUDA source is, and what one compiled unit of it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]


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
        return [f"-D{name}={value}" for name, value in self.macros]


# What a machine is tried with: four numbers shifted by one, the border repeated.
TRIAL = Unit("shift", (("SCALAR", "float"),))
TRIED, SHIFTED = (1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 2.0, 3.0)
TRIAL_SIZES = (1, 1, 1, len(TRIED), 0)
