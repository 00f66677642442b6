"""The small experiment, entered into the list, and folders of its own for every test."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pdegcnn_lib.companion.experiments import EXPERIMENTS


@pytest.fixture(scope="session")
def tiny_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(tiny_module, monkeypatch, tmp_path) -> ModuleType:
    """`tiny.UNIT` can be run; results and checkpoints go to a folder of this test."""
    monkeypatch.setitem(EXPERIMENTS, "tiny", tiny_module.TINY)
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("PDEGCNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    (tmp_path / "root").mkdir()
    return tiny_module
