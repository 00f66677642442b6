"""The host as readers have it: compilers that fail, homes that cannot be written to, binaries that were cut short."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.ops import backends, compiled, reference
from pdegcnn_lib.ops.compiled import binaries, host, sources

pytestmark = [
    pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable())),
    pytest.mark.skipif(os.environ.get("PDEGCNN_TEST_DEVICE", "cpu") != "cpu", reason="about the host"),
]
F, K = torch.rand(1, 1, 1, 3, 3), torch.zeros(1, 1, 1, 3, 3)
LAW = ops.dilation(F, K, backend="reference")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache, in a process that knows nothing of its compiler yet."""
    remembered = [host.compiler, host._trial, host._identity, host.library]
    remembered += [backends._reason_with_one_warning, binaries._private]

    def forget() -> None:
        binaries.kept_from.clear()
        for function in remembered:
            function.cache_clear()

    monkeypatch.setenv("PDEGCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    forget()
    yield tmp_path / "cache"
    forget()


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def kept(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_a_machine_is_usable_when_a_kernel_ran_on_it(cache, monkeypatch):
    assert host.unavailable() is None
    assert [path.name.split("-")[0] for path in kept(cache)] == ["shift"]
    host._trial.cache_clear()
    monkeypatch.setattr(host, "_run", lambda *arguments: None)
    assert "compute wrongly" in host.unavailable()


def test_a_binary_that_was_cut_short_or_changed_is_made_again(cache):
    host.library(sources.TRIAL)
    [path] = kept(cache)
    sound = path.read_bytes()
    for damaged in (b"", sound[:4096], sound[:-1], sound[:9000] + b"?" + sound[9001:]):
        path.unlink()  # what a process has loaded must not change under it
        path.write_bytes(damaged)
        host.library.cache_clear()
        host.library(sources.TRIAL)
        assert path.read_bytes() == sound and kept(cache) == [path]
    assert not binaries.kept_from


def test_a_binary_for_another_processor_is_a_reason_and_ends_nothing(cache, tmp_path, monkeypatch):
    """As a cluster has it where CXX names one of its processors."""
    monkeypatch.setenv("CXX", shlex.join([*host.command(), "-march=native"]))
    host.compiler.cache_clear()
    assert host.unavailable() is None
    [unit] = kept(cache)
    trap = tmp_path / "trap.so"
    source = 'extern "C" void launch_shift(void*, void*) { __builtin_trap(); }'
    subprocess.run(
        [*host.command(), "-shared", "-fPIC", "-x", "c++", "-", "-o", trap],
        input=source,
        text=True,
        check=True,
    )
    unit.unlink()
    stem = unit.stem.rpartition("-")[0]
    foreign = cache / f"{stem}-{binaries._content(trap)}.so"
    shutil.copy(trap, foreign)
    host.library.cache_clear()
    host._trial.cache_clear()
    assert f"the kernel in {foreign} ends a process that runs it" in str(host.unavailable())
    with pytest.warns(RuntimeWarning, match="remove it, .*the reference backend runs instead, slower"):
        assert torch.equal(ops.dilation(F, K), LAW)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_binaries_are_for_those_who_may_read_the_files_of_the_user(cache, umask):
    before = os.umask(umask)
    try:
        host.library(sources.TRIAL)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    [path] = kept(cache)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_another_processor_or_c_library_shares_no_binary(cache, monkeypatch):
    """Homes are shared by the machines of a cluster; what -march=native means is asked of the compiler."""
    output, libc = host._output, host.platform.libc_ver()
    host.library(sources.TRIAL)

    def elsewhere(call: list[str]) -> str:
        return output(call) + ("#define __AVX1024F__ 1\n" if "-dM" in call else "")

    monkeypatch.setattr(host, "_output", elsewhere)
    for changed in (host, None):
        if changed is None:
            monkeypatch.setattr(host.platform, "libc_ver", lambda: (libc[0], "1.0"))
        host._identity.cache_clear()
        host.library.cache_clear()
        host.library(sources.TRIAL)
    assert len(kept(cache)) == 3
    assert "-march=native" in host.flags(host.command())


@pytest.mark.parametrize("place", ["a file", "no home", "below /proc", "never executable"])
def test_where_binaries_cannot_be_kept_they_are_made_for_the_process_and_that_is_said_once(
    cache, monkeypatch, place
):
    load = ctypes.CDLL

    def refuse(name: str | None) -> ctypes.CDLL:
        if name and name.startswith(str(cache)):
            raise OSError(f"{name}: failed to map segment from shared object")
        return load(name)

    if place == "a file":
        cache.touch()
    elif place == "no home":
        monkeypatch.delenv("PDEGCNN_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    elif place == "below /proc":
        monkeypatch.setenv("PDEGCNN_CACHE", "/proc/cache")
    else:
        monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.warns(RuntimeWarning, match="cannot be kept .*point PDEGCNN_CACHE at") as said:
        assert torch.equal(ops.dilation(F, K), LAW)
        ops.convection(F, torch.ones(1, 3))
    assert len(said) == 1 and binaries.kept_from
    private = binaries._private()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700 and list(private.glob("*.so"))


def test_no_place_at_all_is_a_reason_and_the_reference_runs(cache, monkeypatch):
    def nowhere() -> None:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(binaries, "_private", nowhere)
    cache.touch()
    with pytest.warns(RuntimeWarning, match="cpu backend is not available: .*No usable temporary"):
        assert torch.equal(ops.dilation(F, K), LAW)
    monkeypatch.undo()


@pytest.mark.parametrize("chosen", [".", "~/kept"])
def test_a_cache_may_be_named_from_where_the_reader_stands(tmp_path, monkeypatch, chosen):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PDEGCNN_CACHE", chosen)
    host.library(sources.TRIAL)
    assert len(list(tmp_path.rglob("*.so"))) == 1 and not (tmp_path / "~").exists()


def test_the_cache_of_the_system_must_be_absolute(monkeypatch, tmp_path):
    monkeypatch.delenv("PDEGCNN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert binaries.directory() == tmp_path / ".cache/pdegcnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert binaries.directory() == Path("/var/cache/pdegcnn")


# ---- the compiler ------------------------------------------------------------------------------------------------


def test_a_compiler_may_stand_behind_a_launcher_and_carry_options(tmp_path, monkeypatch):
    log = tmp_path / "a log"
    launcher = script(tmp_path / "a launcher", f'echo "$@" >>{shlex.quote(str(log))}', 'exec "$@"')
    monkeypatch.setenv("CXX", f"'{launcher}' c++ -O1 -DOWN_OPTION")
    assert host.unavailable() is None
    call = log.read_text().splitlines()[-1]
    assert " -O1 " in call and " -DOWN_OPTION " in call
    assert "-O3" not in call, "the option would be overruled"
    assert "-march=native" in call and "-march=native" not in host.flags(("c++", "-march=x86-64"))


def test_options_that_the_compiler_refuses_are_an_error(monkeypatch):
    monkeypatch.setenv("CXX", "c++ --no-such-option")
    with pytest.raises(RuntimeError, match="CXX asks for --no-such-option, which its compiler refuses"):
        ops.dilation(F, K)
    assert "no-such-option" in compiled.availability()["cpu"]


def test_a_command_that_does_not_close_its_quotes_is_quoted(monkeypatch):
    monkeypatch.setenv("CXX", '"c++')
    assert "CXX must be a command, got '\"c++'" in compiled.availability()["cpu"]


def test_blanks_name_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "  ")
    assert Path(host.compiler()).name == "c++" if shutil.which("c++") else host.compiler()


def test_a_compiler_that_is_not_there_is_not_replaced_unheard(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.warns(RuntimeWarning, match="CXX is 'no-such-compiler -O2', which is not found"):
        assert torch.equal(ops.dilation(F, K), LAW)


FAILING = {
    "licence": ('echo "cmath: No such file" >&2', "exit 1"),
    "nothing to say": ("exit 1",),
    "bytes of no encoding": (r"printf '\377\n' >&2", "exit 1"),
    "makes nothing": ("exit 0",),
    "makes no library": (
        'while [ $# -gt 1 ]; do [ "$1" = -o ] && echo text >"$2"; shift; done',
        "exit 0",
    ),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_compiler_that_is_there_and_fails_leaves_the_reference(cache, tmp_path, monkeypatch, how):
    monkeypatch.setenv("CXX", shlex.quote(str(script(tmp_path / "cc", *FAILING[how]))))
    with pytest.warns(
        RuntimeWarning, match="the cpu backend is not available: no kernel can be made with|cc"
    ):
        assert torch.equal(ops.dilation(F, K), LAW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        ops.erosion(F, K)
    with pytest.raises(RuntimeError, match="backend 'cpu' is not available"):
        ops.dilation(F, K, backend="cpu")
    assert not cache.exists() or not kept(cache), "what does not load is not kept"


def test_an_incomplete_installation_is_a_reason(monkeypatch):
    def missing() -> str:
        raise FileNotFoundError("no kernels_cu directory: the installation is incomplete")

    monkeypatch.setattr(sources, "digest", missing)
    assert "the installation is incomplete" in host.unavailable()


USE_A_FRESH_CACHE = """
import torch
from pdegcnn_lib.ops import compiled
f, k = torch.arange(16.0).view(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 3, 3)
print(compiled.semiring_convolution(f, k, "max_plus", "cpu").sum().item())
"""


def test_two_processes_may_compile_the_same_unit_at_once(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", USE_A_FRESH_CACHE],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PDEGCNN_CACHE": str(tmp_path)},
        )
        for _ in range(2)
    ]
    f, k = torch.arange(16.0).view(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 3, 3)
    expected = reference.semiring_convolution(f, k, "max_plus").sum().item()
    assert [float(p.communicate()[0]) for p in running] == [expected] * 2
    assert all(p.returncode == 0 for p in running)
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"], "no partial file is left"
