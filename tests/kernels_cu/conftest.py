"""The simulated graphics processor as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from pdegcnn_lib.ops.compiled import device, machines


@pytest.fixture(scope="session")
def simulated_gpu() -> ModuleType:
    name = "simulated_gpu"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(params=["forwards", "backwards"])
def gpu(request, simulated_gpu, binaries, monkeypatch) -> Iterator[object]:
    """Operators on CPU tensors go through the launches of a GPU, to a simulated one with 4 multiprocessors."""
    simulation = simulated_gpu.Simulation(binaries, backwards=request.param == "backwards")
    monkeypatch.setitem(sys.modules, "cupy", simulation.cupy)
    monkeypatch.setattr(machines, "HOST", machines.DEVICE)
    monkeypatch.setattr(device, "multiprocessors", lambda: 4)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=0))
    caches = (device._module, device._function, device.most_shared_bytes)
    for cached in caches:
        cached.cache_clear()
    yield simulation
    for cached in caches:
        cached.cache_clear()
