"""Which implementation of an operator runs: the table of them and the choice are in this file alone."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from torch import Tensor

from pdegcnn_lib.geometry.constant import taken_as_found
from pdegcnn_lib.ops import compiled, exported, reference
from pdegcnn_lib.ops.tracing import exporting


@dataclass(frozen=True)
class Backend:
    """An implementation of the operators, on the one device that it runs on, or on any.

    `semiring_convolution(f, k, semiring, lists=None)` and `shift(f, displacement, periodic=True)` are as in
    `ops.reference`; `kernel_table(w, law, alpha, window, space, t, estimate, metric)` may return None where it has no
    code for a kernel, and `evolution(f, displacement, dilating, eroding)` where the three operators do better one after
    the other.
    """

    device: str | None
    semiring_convolution: Callable[..., Tensor]
    shift: Callable[..., Tensor]
    kernel_table: Callable[..., Tensor | None]
    evolution: Callable[..., Tensor | None]
    normalised_linear: Callable[..., tuple[Tensor, Tensor, Tensor] | None]
    projection: Callable[[Tensor], Tensor]


def _widely(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operator of the reference where f and its partner differ in dtype, or have 16 bits, see `widened`."""

    def run(f: Tensor, x: Tensor, *semiring: str, **grid: Any) -> Tensor:
        if f.dtype == x.dtype and f.element_size() > 2:
            return function(f, x, *semiring, **grid)
        return function(*reference.widened(f, x), *semiring, **grid).to(f.dtype)

    return run


def _on(device: str) -> Backend:
    run = partial(partial, backend=device)
    return Backend(
        device,
        run(compiled.semiring_convolution),
        run(compiled.shift),
        run(compiled.kernel_table),
        run(compiled.evolution),
        compiled.normalised_linear,
        compiled.projection,
    )


TABLE = {
    "reference": Backend(
        None,
        _widely(reference.semiring_convolution),
        _widely(reference.shift),
        lambda *arguments: None,
        lambda *arguments: None,
        lambda *arguments: None,
        reference.projection,
    ),
    "cpu": _on("cpu"),
    "cuda": _on("cuda"),
}
EXPORTED = replace(
    TABLE["reference"],
    semiring_convolution=_widely(exported.semiring_convolution),
    shift=_widely(exported.shift),
)
BACKENDS = tuple(TABLE)
COMPILED = "compiled"  # the row of the tensor's device


class _Scope(threading.local):
    name: str | None = None


_scope = _Scope()


@contextmanager
def backend(name: str | None) -> Iterator[None]:
    """The backend of every operator in a `with` block that is not told one of its own, in this thread.

    `reference`, `compiled`, or `cpu` and `cuda` for the compiled one of a device; None chooses as everywhere.
    Raises: ValueError for an unknown name.
    """
    _known(name)
    outer, _scope.name = _scope.name, name
    try:
        yield
    finally:
        _scope.name = outer


def _known(name: str | None) -> None:
    if name is not None and name not in TABLE and name != COMPILED:
        raise ValueError(
            f"backend must be None or one of {', '.join(TABLE)}, got {name!r}; {COMPILED} is the compiled one of the "
            "tensor's device"
        )


def availability() -> dict[str, str | None]:
    """For each backend None when it can be used here, otherwise the reason, in words that say what to install."""
    return {**dict.fromkeys(TABLE), **compiled.availability()}


# What runs here does not change while a process lives, so torch.compile need not trace how it is found out.
@taken_as_found
def _reason(backend: str) -> str | None:
    return availability()[backend]


@taken_as_found
def _usable(backend: str) -> bool:
    return _reason_with_one_warning(backend) is None


@cache
def _reason_with_one_warning(backend: str) -> str | None:
    reason = _reason(backend)
    if reason is not None:
        if refused := compiled.refused_options(backend):
            raise RuntimeError(f"CXX asks for {refused}, which its compiler refuses: {reason}")
        warnings.warn(
            f"the {backend} backend is not available: {reason}; the reference backend runs instead, slower",
            RuntimeWarning,
            stacklevel=2,
        )
    return reason


def choose(name: str | None, f: Tensor) -> str:
    """The row of the table that will run for input `f`.

    None takes that of the scope (`ops.backend`), or the compiled backend of the tensor's device, or the reference with
    one warning where that is not available. A name is taken at its word: it raises where it cannot run.
    Raises: ValueError for an unknown name or a device that does not fit, RuntimeError for an unavailable backend.
    """
    name = _scope.name if name is None else name
    native = f.device.type
    if name is None:
        return native if native in TABLE and _usable(native) else "reference"
    _known(name)
    if name == COMPILED:
        if native not in TABLE:
            raise ValueError(f"backend {name!r} runs on cpu and cuda tensors, got a tensor on {f.device}")
        name = native
    device = TABLE[name].device
    if device not in (None, native):
        raise ValueError(f"backend {name!r} needs tensors on that device, got a tensor on {f.device}")
    reason = _reason(name)
    if reason is not None:
        raise RuntimeError(f"backend {name!r} is not available: {reason}")
    return name


def implementation(name: str | None, f: Tensor) -> Backend:
    """The implementation that will run for input `f`, see `choose`; an export takes one in operators of torch alone."""
    return EXPORTED if exporting() else TABLE[choose(name, f)]
