"""The table of support that the book shows, measured: `SUPPORT=write` in the environment writes what is found.

What is quick is asked of every line in every run. The slow questions (compilers, exporters, two processes) are asked
of a few that stand for the others and, once the library is another than the one that the table was written for, of
some that its sources draw; of all of them where the table is written.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import nullcontext
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
import torch
from filelock import FileLock

import pdegcnn_lib
from pdegcnn_lib import models, nn, ops
from tests.support import processes
from tests.support.properties import PROPERTIES, SLOW, answer
from tests.support.subjects import SLOWLY, SUBJECTS

TABLE = Path(__file__).resolve().parents[2] / "book" / "support.json"
WRITE = os.environ.get("SUPPORT") == "write"
DRAWN = 2  # lines
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def committed() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.is_file() else {"cells": {}}


def sources() -> str:
    """A short hash of torch's version and of all that a cell depends on."""
    digest, package = hashlib.sha256(torch.__version__.encode()), Path(pdegcnn_lib.__file__).parent
    files = [path for path in package.rglob("*.py") if "companion" not in path.relative_to(package).parts]
    for path in sorted([*files, *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def slowly() -> list[str]:
    """The lines of which the slow questions are asked."""
    if WRITE:
        return list(SUBJECTS)
    if committed().get("sources") == sources():
        return list(SLOWLY)
    number, rest = int(sources(), 16), [name for name in SUBJECTS if name not in SLOWLY]
    return [*SLOWLY, *(rest[(number + n) % len(rest)] for n in range(DRAWN))]


def check(name: str, found: dict[str, str]) -> None:
    """Compare the cells that were measured with the table, or write them into it."""
    with (
        FileLock(Path(gettempdir(), "support.lock")) if WRITE else nullcontext()
    ):  # tests may run side by side
        if WRITE:
            known = committed()
            known["cells"].setdefault(name, {}).update(found)
            cells = {line: known["cells"][line] for line in SUBJECTS if line in known["cells"]}
            text = json.dumps({"torch": torch.__version__, "sources": sources(), "cells": cells}, indent=1)
            TABLE.write_text(text + "\n", encoding="utf-8")
        cells = committed()["cells"].get(name, {})
    assert {question: cells.get(question) for question in found} == found


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_line_of_the_table_is_what_is_measured(name):
    asked = [question for question in PROPERTIES if question not in SLOW]
    check(name, {question: answer(name, PROPERTIES[question]) for question in asked})


@pytest.mark.parametrize("name", slowly())
def test_compilers_and_exporters_take_it_as_the_table_says(name):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    check(name, {question: answer(name, PROPERTIES[question]) for question in SLOW})


def test_two_processes_train_it_as_the_table_says(tmp_path):
    for name, found in processes.answers(slowly(), tmp_path).items():
        if not hasattr(torch.cpu.Stream, "record_event"):  # torch 2.6, which shards on a GPU alone
            del found["FSDP2"]
        check(name, found)


def test_the_table_has_a_line_for_each_and_every_cell():
    cells = committed()["cells"]
    assert list(cells) == list(SUBJECTS)
    for line in cells.values():
        assert list(line) == list(cells["nn.Dilation"]) and line.keys() == {*PROPERTIES, *processes.PROCESSES}
        assert all(said in ("yes", "-") or said.startswith("no: ") for said in line.values())


def test_the_lines_cover_what_is_public():
    """Every operator and layer; of networks every family on every space, for every task. LeNet is torch's alone."""
    lines = {name.split(",")[0].removesuffix("M3") for name in SUBJECTS}
    on_spaces = {name for name in ops.__all__ if name.endswith("_r2")}
    left_out = {"BACKENDS", "availability", "backend", "connected_components", "normalised_linear"}
    assert {f"ops.{name}" for name in ops.__all__ if name not in left_out | on_spaces} <= lines
    kinds = {name: kind for name in nn.__all__ if isinstance(kind := getattr(nn, name), type)}
    named = {
        kind.__name__ for kind in kinds.values() if not kind.__name__.startswith(("Trainable", "KernelTerm"))
    }
    assert {f"nn.{name.removesuffix('M3').removesuffix('R2')}" for name in named} <= lines
    entries = [models.entry(name) for name in models.names()]
    shown = {(e.task, e.family, e.space) for e in entries if e.name in SUBJECTS}
    assert {(e.task, e.family, e.space) for e in entries if e.family != "lenet"} <= shown
