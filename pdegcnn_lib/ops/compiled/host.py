"""The host as a machine for the CUDA source: compile a unit with the system's C++ compiler, load it, launch its grid.

A unit is compiled at its first use, in about a second, and kept (`binaries`) under a name that hashes the source, the
compiler, the flags and the processor. Two processes may compile the same unit at once: each writes its own file and
renames it into place. Whether any of this works is found out by doing it, with one small kernel.
"""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch

from pdegcnn_lib.ops.compiled import binaries, sources
from pdegcnn_lib.ops.compiled.sources import SHIFTED, TRIAL, TRIAL_SIZES, TRIED, Arguments, Call, Unit

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
    """The command of the C++ compiler: `$CXX` or the first of c++, g++, clang++ on the path; None if there is none.

    CXX may hold a launcher before the compiler and options after it. It is taken at its word: where it names no
    program, no other is taken for it. Raises: ValueError for one whose quotes do not close.
    """
    asked = os.environ.get("CXX", "").strip()
    for name in [asked] if asked else ["c++", "g++", "clang++"]:
        try:
            program, *others = shlex.split(name)
        except ValueError as error:
            raise ValueError(f"CXX must be a command, got {asked!r}: {error}") from error
        if found := shutil.which(program):
            return shlex.join([os.path.abspath(found), *others])
    return None


def command() -> tuple[str, ...]:
    """The words of the compiler's command. Raises: RuntimeError where there is none."""
    if found := compiler():
        return _words(found)
    if asked := os.environ.get("CXX", "").strip():
        raise RuntimeError(
            f"CXX is {asked!r}, which is not found; correct it, or unset it for the compiler of the system"
        )
    raise RuntimeError(
        "no C++ compiler found; install g++ or clang++, or name one in the environment variable CXX"
    )


@cache
def _words(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def flags(words: tuple[str, ...]) -> list[str]:
    """FLAGS without those that a compiler's command decides itself."""
    own = [start for start in ("-O", "-march=", "-std=") if any(word.startswith(start) for word in words)]
    return [flag for flag in FLAGS if not flag.startswith(tuple(own))]


def unavailable() -> str | None:
    """None if a kernel was compiled, loaded and run here with the right result, otherwise the reason."""
    if sys.platform == "win32":
        return "the compiled CPU backend needs GCC or Clang on Linux or macOS"
    try:
        return _trial(command())
    except (RuntimeError, ValueError) as error:
        return str(error)


@cache
def _trial(words: tuple[str, ...]) -> str | None:
    """What went wrong with one small kernel, a shift of four numbers by one; None if nothing did."""
    f, by, out = (ctypes.c_float * 4)(*TRIED), (ctypes.c_float * 3)(1, 0, 0), (ctypes.c_float * 4)()
    values: list[Value] = [ctypes.c_void_p(ctypes.addressof(a)) for a in (f, by, out)]
    run = partial(_run, TRIAL, "shift", values + [ctypes.c_int(n) for n in TRIAL_SIZES], 1, 1 << 12)
    try:
        kept = library(TRIAL)._name
        # Its name says for which processor it is, unless an option of the compiler says otherwise.
        if any(word.startswith("-m") for word in words) and (how := _kills(run)):
            return (
                f"the kernel in {kept} ends a process that runs it ({how}), as one for another processor does: "
                "remove it, and name no other processor in CXX"
            )
        run()
    except (OSError, RuntimeError) as error:
        return str(error)
    return None if tuple(out) == SHIFTED else f"{shlex.join(words)} makes kernels that compute wrongly"


def _kills(work: Callable[[], object]) -> str | None:
    """The signal that ends a process which does some work, in words; None where it lives. Tried with a child."""
    try:
        with warnings.catch_warnings():
            # A child of a process with threads: it calls one function and ends.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                faulthandler.disable()  # its end is no news
                work()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
    except OSError:  # no more processes may be started here, or somebody else waits for all of them
        return None
    return signal.strsignal(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None


def refused_options() -> str | None:
    """The options in CXX without which its compiler would work: a wish, which no fallback may drop unheard."""
    if unavailable() is None or (found := compiler()) is None:
        return None
    words = _words(found)
    options = [word for word in words if word.startswith("-")]
    plain = tuple(word for word in words if word not in options)
    return shlex.join(options) if options and not _compiles(words) and _compiles(plain) else None


def _compiles(words: tuple[str, ...]) -> bool:
    """Whether a compiler takes an empty file."""
    try:
        _output([*words, *flags(words), "-x", "c++", "-c", os.devnull, "-o", os.devnull])
    except (OSError, RuntimeError):
        return False
    return True


@cache
def _identity(words: tuple[str, ...]) -> str:
    """What else decides the machine code: the compiler, and what -march=native means to it on this processor.

    Both are in the macros that it defines by itself. The C library counts too: homes are shared by unlike systems.
    """
    call = [*words, *flags(words), "-dM", "-E", "-x", "c++", os.devnull]
    return "\0".join([*call, _output(call), platform.machine(), *platform.libc_ver()])


def _output(call: list[str]) -> str:
    """What a command prints. Raises RuntimeError with its complaints."""
    done = subprocess.run(
        call, capture_output=True, stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(call)} failed:\n{done.stderr or done.stdout}")
    return done.stdout


@cache
def library(unit: Unit) -> ctypes.CDLL:
    """The shared library of a unit, compiled unless it is kept. Raises RuntimeError with the compiler's words."""
    words = command()
    options = [*flags(words), *unit.flags()]
    inputs = "\0".join([sources.digest(), _identity(words), unit.file, *options])
    stem = f"{unit.file}-{hashlib.sha256(inputs.encode()).hexdigest()[:32]}"
    problems: list[str] = []
    for place in binaries.places(problems):
        try:
            found = binaries.load(place, stem) or _built(unit, place, stem, options)
        except (OSError, RuntimeError) as error:
            problems.append(_gist(str(error)))
            continue
        if problems:
            binaries.speak(problems[0])
        return found
    raise RuntimeError(
        f"no kernel can be made with {shlex.join(words)}: " + "; ".join(dict.fromkeys(problems))
    )


def _gist(text: str) -> str:
    """The line of a compiler's output that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines[1:] if "error" in line.lower()), lines[-1])[:300]


def _built(unit: Unit, place: Path, stem: str, options: list[str]) -> ctypes.CDLL:
    with _compiled(unit, place, stem, options) as scratch:
        found = ctypes.CDLL(str(scratch))  # so that nothing is kept that does not load
        binaries.keep(scratch, stem)
    return found


@contextmanager
def _compiled(unit: Unit, place: Path, stem: str, options: list[str]) -> Iterator[Path]:
    """A new binary under a name of its own, removed unless it is renamed."""
    place.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place, prefix=f"{stem}-", suffix=".part")
    os.close(handle)
    try:
        _output([*command(), *options, "-x", "c++", str(unit.path), "-o", name])
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def build(unit: Unit, target: Path, options: list[str]) -> None:
    """Compile `unit` to the file `target`, atomically."""
    with _compiled(unit, target.parent, target.stem, options) as scratch:
        os.replace(scratch, target)


class Launch(ctypes.Structure):
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


Value = ctypes.c_int | ctypes.c_void_p


def values(arguments: Arguments) -> list[Value]:
    """The arguments of a kernel as it takes them: addresses, and integers as C int."""
    return [
        ctypes.c_int(a) if isinstance(a, int) else ctypes.c_void_p(None if a is None else a.data_ptr())
        for a in arguments
    ]


def pointers(values: list[Value]) -> ctypes.Array[ctypes.c_void_p]:
    """A pointer to each of the values, which must outlive them."""
    return (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])


def launch_on(blocks: int, shared_bytes: int) -> Launch:
    """A launch on as many threads as torch uses."""
    return Launch(blocks, shared_bytes, 1, torch.get_num_threads(), _thread_pool())


def run(call: Call) -> None:
    """Run a kernel over its grid, on as many threads as torch uses."""
    _run(call.unit, call.kernel, values(call.arguments), call.blocks, call.shared_bytes)


def _run(unit: Unit, kernel: str, values: list[Value], blocks: int, shared_bytes: int) -> None:
    how = launch_on(blocks, shared_bytes)
    getattr(library(unit), f"launch_{kernel}")(ctypes.byref(how), pointers(values))
