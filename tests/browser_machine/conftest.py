"""The module for a browser in Node, behind the launches of the CPU backend."""

from __future__ import annotations

import base64
import ctypes
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pdegcnn_lib.ops.compiled import convolution, machines
from pdegcnn_lib.ops.compiled.sources import Call, Unit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("browser_module", ROOT / "tools/browser_module.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Node:
    """A process of Node with the module, and the launcher that goes through it."""

    def __init__(self, units: dict[str, dict[str, str]], module: Path) -> None:
        self.units = units
        command = [
            "node",
            str(Path(__file__).with_name("serve.js")),
            str(ROOT / "book/_browser/machine.js"),
            str(module),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def unit(self, unit: Unit) -> str:
        macros = {"SOURCE": f"{unit.file}.cu", **dict(unit.macros)}
        [name] = [name for name, its in self.units.items() if its == macros]
        return name

    def call(
        self, kernel: str, arguments: list[torch.Tensor | int | None], *, blocks: int, shared_bytes: int = 0
    ) -> None:
        """Launch a kernel of the module; tensors, which are contiguous, then hold what it left."""
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        encoded = [
            base64.b64encode(ctypes.string_at(a.data_ptr(), a.nbytes)).decode()
            if isinstance(a, torch.Tensor)
            else a
            for a in arguments
        ]
        request = {"kernel": kernel, "blocks": blocks, "shared": shared_bytes, "args": encoded}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for tensor, text in zip(tensors, json.loads(self.process.stdout.readline()), strict=True):
            ctypes.memmove(tensor.data_ptr(), base64.b64decode(text), tensor.nbytes)

    def run(self, call: Call) -> None:
        name = f"{self.unit(call.unit)}_{call.kernel}"
        self.call(name, call.arguments, blocks=call.blocks, shared_bytes=call.shared_bytes)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def start(builder: ModuleType) -> Iterator[Callable[..., Node]]:
    """Starts Node with a module of the given units, compiled from the given sources."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    started: list[Node] = []

    def run(target: Path, sources: Path = builder.SOURCES, units: dict | None = None) -> Node:
        units = builder.UNITS if units is None else units
        try:
            module = builder.build(target, sources, units)
        except ModuleNotFoundError as error:
            pytest.skip(str(error))
        started.append(Node(units, module))
        return started[-1]

    yield run
    for node in started:
        node.close()


@pytest.fixture(scope="session")
def node(builder: ModuleType, start: Callable[..., Node]) -> Node:
    """Node with the module that the pages carry."""
    return start(ROOT / builder.MODULE)


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[[Node], None]:
    """From then on the operators on the CPU are launched on the given machine."""

    def set_machine(node: Node) -> None:
        monkeypatch.setattr(machines, "HOST", replace(machines.HOST, run=node.run))
        monkeypatch.setattr(
            convolution, "UNROLLED", (5,)
        )  # the window that has code of its own in the module

    return set_machine
