"""Where things are, and files that are never half-written."""

import errno
import os
from pathlib import Path

import pytest

from pdegcnn_lib.companion import paths


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    monkeypatch.delenv("PDEGCNN_DATA", raising=False)
    monkeypatch.delenv("PDEGCNN_RUNS", raising=False)
    assert paths.data() == tmp_path / "data" and paths.runs() == tmp_path / "runs"
    assert paths.results() == tmp_path / "results"
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PDEGCNN_RUNS", str(tmp_path / "there"))
    assert paths.data() == tmp_path / "elsewhere" and paths.runs() == tmp_path / "there"


def test_the_checkout_is_found_from_below(monkeypatch, tmp_path):
    monkeypatch.delenv("PDEGCNN_ROOT", raising=False)
    (tmp_path / "checkout" / "pdegcnn_lib").mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    below = tmp_path / "checkout" / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert paths.root() == tmp_path / "checkout"
    monkeypatch.chdir(tmp_path)
    assert paths.root() == tmp_path


@pytest.mark.parametrize("content", ["text, ümlaut\n", b"\x00bytes\xff"])
def test_write_atomically(tmp_path, content):
    path = tmp_path / "a" / "b" / "file.json"
    assert paths.write_atomically(path, content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("failing", ["replace", "chmod"])
@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing, error):
    path = paths.write_atomically(tmp_path / "file.json", "old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(type(error)):
        paths.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file\.json'"):
        paths.write_atomically(tmp_path / "file.json", "new")
    assert not any(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_named(tmp_path, monkeypatch):
    """Whether it cannot be made, takes no file, or has no room for one; nothing of the trial stays."""
    paths.check_writable(tmp_path / "a" / "b")
    assert not any((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="nothing can be written here: Not a directory: .*file/b'"):
        paths.check_writable(tmp_path / "file" / "b")
    with pytest.raises(OSError, match="nothing can be written here: .*: '/proc'"):
        paths.check_writable(Path("/proc"))
    paths.check_writable(tmp_path / "new" / "deep", make=False)
    assert not (tmp_path / "new").exists()


def test_parts_that_a_kill_left_are_deleted_and_those_being_written_are_not(tmp_path, monkeypatch):
    """A file in its place is nobody's part, however old."""
    for name in ("dead", "alive"):
        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            patch.setattr(os, "unlink", lambda *_: None)  # as after a kill, when nobody tidies up
            paths.write_atomically(tmp_path / name, name)
    old = paths.write_atomically(tmp_path / "file.json", "old")
    dead, alive = sorted(tmp_path.glob(".partial-*"), key=lambda p: p.read_text() == "alive")
    for path in (dead, old):
        os.utime(path, (0, 0))
    paths.drop_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([alive, old])
    paths.drop_parts(tmp_path / "nowhere")
