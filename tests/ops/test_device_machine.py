"""A graphics processor is usable when a kernel ran on it: CuPy that fails, or computes wrongly, is a reason."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy
import pytest
import torch

from pdegcnn_lib.ops.compiled import device


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy on arrays of numpy, whose one function does what `run` says."""
    arrays = {}

    def asarray(x: numpy.ndarray) -> SimpleNamespace:
        arrays[x.ctypes.data] = x
        return SimpleNamespace(data=SimpleNamespace(ptr=x.ctypes.data), x=x)

    module = SimpleNamespace(
        __spec__=object(),
        cuda=SimpleNamespace(Device=lambda index: nullcontext()),
        asarray=asarray,
        zeros_like=lambda a: asarray(numpy.zeros_like(a.x)),
        asnumpy=lambda a: a.x,
        run=lambda f, by, out: None,
    )

    def function(grid, block, arguments, *, shared_mem: int) -> None:
        module.run(*(arrays[pointer] for pointer in arguments[:3]))

    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(device, "_function", lambda *arguments: function)
    device._trial.cache_clear()
    yield module
    device._trial.cache_clear()


def test_a_device_on_which_a_kernel_ran_is_usable(cupy):
    def shift(f: numpy.ndarray, by: numpy.ndarray, out: numpy.ndarray) -> None:
        out[1:], out[0] = f[:-1], f[0]

    cupy.run = shift
    assert device.unavailable() is None


def test_a_kernel_that_computes_wrongly_is_a_reason(cupy):
    assert "compute wrongly" in device.unavailable()


def test_a_compiler_that_fails_is_quoted_with_what_to_install(cupy):
    def fail(*arguments: object) -> None:
        raise OSError("libnvrtc.so.12: cannot open shared object file")

    cupy.run = fail
    said = device.unavailable()
    assert "OSError: libnvrtc.so.12" in said and "pip install 'pdegcnn[cuda" in said


def test_no_trial_breaks_into_a_graph_that_is_being_captured(cupy, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert device.unavailable() is None


def test_kernels_run_on_the_stream_of_torch_by_the_protocol_of_cupy(monkeypatch):
    """CuPy 14 warns of any other way, and warnings are errors here."""
    pytest.importorskip("cupy", minversion="14")
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=8 * (index + 1))
    )
    assert device._current_stream(1).ptr == 16


def test_kernels_run_on_the_stream_of_torch_with_cupy_13_as_well(cupy, monkeypatch):
    cupy.cuda.Stream = object
    cupy.cuda.ExternalStream = lambda pointer, index: (pointer, index)
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=8 * (index + 1))
    )
    assert device._current_stream(1) == (16, 1)
