"""A graphics processor as a machine for the CUDA source: CuPy compiles a unit at its first use, for the device at hand.

CuPy keeps what it compiled in its own cache. Kernels run on the current stream of torch and on the tensors' device,
so that they take their place among torch's own and can be captured in a CUDA graph.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled import sources
from pdegcnn_lib.ops.compiled.sources import SHIFTED, TRIAL, TRIAL_SIZES, TRIED, Call, Unit

WARPS = 8
USUAL_SHARED_BYTES = 48 * 1024  # what a block may hold in shared memory without asking
OPTIONS = ("-std=c++17", "--fmad=true")


def unavailable() -> str | None:
    """None if a kernel was compiled and run here with the right result, otherwise the reason."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device; install a CUDA build of torch on a machine with an NVIDIA GPU"
    if importlib.util.find_spec("cupy") is None:
        major = (torch.version.cuda or "12").split(".")[0]
        return f"CuPy is not installed; install it with `pip install cupy-cuda{major}x`"
    # A stream that is being captured takes no trial: its first kernels ran before.
    return None if torch.cuda.is_current_stream_capturing() else _trial(torch.cuda.current_device())


@cache
def _trial(index: int) -> str | None:
    """What went wrong with one small kernel, a shift of four numbers by one; None if nothing did."""
    try:
        import cupy
        import numpy

        with cupy.cuda.Device(index):
            f, by = (cupy.asarray(numpy.array(x, numpy.float32)) for x in (TRIED, (1.0, 0.0, 0.0)))
            out = cupy.zeros_like(f)
            pointers, sizes = (x.data.ptr for x in (f, by, out)), map(numpy.int32, TRIAL_SIZES)
            function = _function(TRIAL, "shift", index, 1 << 12)
            function((1,), (32 * WARPS,), (*pointers, *sizes), shared_mem=1 << 12)
            right = tuple(cupy.asnumpy(out).tolist()) == SHIFTED
    # A driver, NVRTC, CuPy and its cache fail each in their own way.
    except Exception as error:
        major = (torch.version.cuda or "12").split(".")[0]
        return (
            f"CuPy cannot compile and run a kernel, {type(error).__name__}: {str(error)[:300]}; "
            f"`pip install 'pdegcnn[cuda{major}]'` installs CuPy with the NVRTC that it needs, and CUPY_CACHE_DIR "
            "names a folder for what it compiles"
        )
    return None if right else "kernels that CuPy compiles compute wrongly here"


@cache
def multiprocessors() -> int:
    """The number of multiprocessors of the current device."""
    return torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count


@cache
def most_shared_bytes(index: int) -> int:
    """What a block may hold in the shared memory of a device where it asks for it."""
    import cupy

    return int(cupy.cuda.Device(index).attributes["MaxSharedMemoryPerBlockOptin"])


@cache
def _module(unit: Unit, _index: int) -> Any:
    """A module for each device, which keeps what is loaded on it."""
    import cupy

    options = (*OPTIONS, *unit.flags(), f"-I{sources.directory()}")
    # The digest makes CuPy's cache notice a change in an included file.
    code = f"// {sources.digest()}\n" + unit.path.read_text(encoding="utf-8")
    return cupy.RawModule(code=code, options=options, backend="nvrtc")


@cache
def _function(unit: Unit, kernel: str, index: int, shared_bytes: int) -> Any:
    function = _module(unit, index).get_function(kernel)
    if shared_bytes > USUAL_SHARED_BYTES:
        most = most_shared_bytes(index)
        if shared_bytes > most:
            raise ValueError(
                f"a window must fit the {most} bytes of shared memory that a block has on this GPU, got one for which "
                f"{kernel} needs {shared_bytes}: take a smaller window, or float32 in place of float64"
            )
        # All that there is, once: it holds for every launch of the kernel, and one that asked for less later would take
        # it from one that asked for more before.
        function.max_dynamic_shared_size_bytes = most
    return function


def _current_stream(index: int) -> Any:
    """torch's current stream as one of CuPy, which does not own it."""
    import cupy

    pointer = torch.cuda.current_stream(index).cuda_stream
    if not hasattr(cupy.cuda.Stream, "from_external"):  # CuPy 13
        return cupy.cuda.ExternalStream(pointer, index)
    # The streams of torch 2.6 do not speak this protocol themselves.
    return cupy.cuda.Stream.from_external(SimpleNamespace(__cuda_stream__=lambda: (0, pointer)))


def run(call: Call) -> None:
    """Run a kernel with WARPS warps to a block, on torch's current stream.

    Raises: ValueError where a block needs more shared memory than the device has for one.
    """
    import cupy
    import numpy

    index = next(a.device.index for a in call.arguments if isinstance(a, Tensor))
    values = [
        a.data_ptr() if isinstance(a, Tensor) else 0 if a is None else numpy.int32(a) for a in call.arguments
    ]
    with cupy.cuda.Device(index), _current_stream(index):
        function = _function(call.unit, call.kernel, index, call.shared_bytes)
        function((call.blocks,), (32 * WARPS,), tuple(values), shared_mem=call.shared_bytes)
