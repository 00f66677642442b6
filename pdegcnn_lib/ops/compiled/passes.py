"""Several launches on the host as one pass: each volume goes through all of them while it lies in the cache."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from pdegcnn_lib.ops.compiled import host
from pdegcnn_lib.ops.compiled.sources import Call, Unit

PASS = Unit("pass")
ALIGNED = 64  # bytes


class _Thread(threading.local):
    waiting: list[Call] | None = None


_thread = _Thread()


def run(call: Call) -> None:
    """As `host.run`; inside `one_pass` it waits for the end of the block."""
    if _thread.waiting is None:
        host.run(call)
    else:
        _thread.waiting.append(call)


@contextmanager
def one_pass(volumes: int) -> Iterator[list[Tensor]]:
    """Run the launches of a `with` block when it ends, all of them for one volume before the next one.

    No block of theirs may read another volume than its own. What a tensor holds is there only after the end, and never
    in those that are appended to the list given: one launch writes them for another, one volume at a time.
    """
    handed: list[Tensor] = []
    _thread.waiting = []
    try:
        yield handed
        stages = _thread.waiting
    finally:
        _thread.waiting = None
    if stages:
        _run(stages, volumes, handed)


class _Stage(ctypes.Structure):
    # The struct Stage of pass.cu.
    _fields_ = [
        ("block", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("handed", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("blocks", ctypes.c_int),
    ]


class _Pass(ctypes.Structure):
    # The struct Pass of pass.cu.
    _fields_ = [
        ("launch", host.Launch),
        ("stages", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("volume_bytes", ctypes.c_longlong),
        ("memory_bytes", ctypes.c_longlong),
        ("memories", ctypes.c_int),
    ]


def _run(waiting: list[Call], volumes: int, handed: list[Tensor]) -> None:
    numbers = {x.data_ptr(): n for n, x in enumerate(handed)}
    stages, kept = (_Stage * len(waiting))(), []
    for stage, of in zip(stages, waiting, strict=True):
        values = host.values(of.arguments)
        pointers = host.pointers(values)
        memory = (ctypes.c_int * len(values))(
            *[numbers.get(a.data_ptr(), -1) if isinstance(a, Tensor) else -1 for a in of.arguments]
        )
        kept += [values, pointers, memory]
        block = ctypes.cast(getattr(host.library(of.unit), f"block_{of.kernel}"), ctypes.c_void_p).value
        stage.block, stage.arguments = block, ctypes.addressof(pointers)
        stage.handed = ctypes.addressof(memory)
        stage.count, stage.blocks = len(values), of.blocks // volumes
    volume_bytes = max((x.nbytes // volumes for x in handed), default=0)
    memory_bytes = -(-volume_bytes // ALIGNED) * ALIGNED
    shared_bytes = len(handed) * memory_bytes + max(of.shared_bytes for of in waiting)
    how = _Pass(
        host.launch_on(volumes, shared_bytes),
        ctypes.addressof(stages),
        len(stages),
        volume_bytes,
        memory_bytes,
        len(handed),
    )
    host.library(PASS).run_pass(ctypes.byref(how))
