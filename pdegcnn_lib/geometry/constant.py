"""Tables that depend on their arguments alone, made once in a process, and what a compiler may take as found."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import cache, wraps
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def taken_as_found(function: Function) -> Function:
    """Mark a function that `torch.compile` calls while it traces, and whose result it keeps.

    The mark is that of `torch.compiler.assume_constant_result`, which would load the compiler with every import.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def as_found(number: float) -> float:
    """The number itself, which a compiled graph for free sizes keeps, and is made again for another one.

    Otherwise it would be free as well, and torch cannot say for which numbers a graph with powers of it holds.
    """
    return next(iter({number}))  # what is looked up by its hash is no symbol any more


# What compiled graphs read, by name: the values and their type.
_HELD: dict[str, tuple[np.ndarray, torch.dtype]] = {}


@torch.library.custom_op("pdegcnn::constant", mutates_args=(), schema="(str name) -> Tensor")
def _named(name: str) -> Tensor:
    return torch.tensor(_HELD[name][0], device="cpu")


@_named.register_fake
def _(name: str) -> Tensor:
    return torch.empty(_HELD[name][0].shape, dtype=_HELD[name][1], device="cpu")


@taken_as_found
def _graph_of_torch_compile() -> bool:
    """Whether `torch.compile` traces; an export, which is to know no operators of this library, is not meant."""
    # `is_compiling()` tells what is called and not traced, as this is, of exports alone in torch 2.6 to 2.11, and
    # torch 2.6 has no `is_exporting()`.
    exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return torch._guards.TracingContext.try_get() is not None and not exporting()


def constant(make: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of hashable arguments: its tensors on the CPU are kept, and every call gets copies.

    It returns a tensor, or a tuple of tensors and numbers. The first call may come from inside an export, a
    transformation, inference mode or another default device. What is kept for the whole process must know of none of
    them. They are states of a thread, so a new thread makes it, and numpy holds it.

    A graph of torch.compile reads it by name. It would take a tensor that is found while it is traced as an input, and
    two of them from one function as one input; and its sizes as free ones.
    """

    @cache
    def values(*arguments: Hashable) -> Any:
        with ThreadPoolExecutor(1) as outside:
            return outside.submit(lambda: _each(make(*arguments), _held)).result()

    @taken_as_found
    def copies(*arguments: Hashable) -> Any:
        return _each(values(*arguments), _copied)

    @taken_as_found
    def names(*found: Hashable) -> Any:
        arguments = tuple(map(_put_together, found))
        made, name = values(*arguments), f"{make.__module__}.{make.__qualname__}{arguments!r}"
        if not isinstance(made, tuple):
            return _entered(name, made)
        return tuple(_entered(f"{name}[{n}]", x) for n, x in enumerate(made))

    @wraps(make)
    def table(*arguments: Hashable) -> Any:
        if _graph_of_torch_compile():
            return _each(names(*map(_taken_apart, arguments)), _read)
        return copies(*arguments)

    return table


def on(like: Tensor, table: Callable[..., Any], *arguments: Hashable) -> Any:
    """What a `constant` function returns, where another tensor is: on its device, floating numbers in its type.

    To another device than the CPU it is brought once in a process; there it is shared, and not to be written to. A copy
    from the host in every call would make the device wait for it, and cannot be captured in a CUDA graph.
    """
    # Tensors that only stand for others, as in an export, get one of their own kind; so does a graph that is traced.
    real = type(like) in (Tensor, torch.nn.Parameter)
    if like.device.type == "cpu" or not real or _graph_of_torch_compile():
        return _each(table(*arguments), lambda x: _brought(x, like.dtype, like.device))
    return _kept(table, arguments, like.dtype, like.device)


@cache
def _kept(table: Callable[..., Any], arguments: Any, dtype: torch.dtype, device: torch.device) -> Any:
    def bring() -> Any:
        return _each(table(*arguments), lambda x: _brought(x, dtype, device))

    with ThreadPoolExecutor(1) as outside:  # see `constant`
        return outside.submit(bring).result()


def _brought(x: Any, dtype: torch.dtype, device: torch.device) -> Any:
    if not isinstance(x, Tensor):
        return x
    # Converted on the CPU: a device might do it later than another stream reads the result.
    return (x.to(dtype) if x.is_floating_point() else x).to(device)


# What operators of torch are told by name: their arguments are tensors, numbers and words alone.
_CALLED: dict[str, Hashable] = {}


def name_of(x: Hashable) -> str:
    """A name by which an operator of torch may be told a value, such as a space, in a graph too; see `of_name`."""
    return _name(_taken_apart(x))


@taken_as_found
def _name(found: Hashable) -> str:
    return _called(_put_together(found))


@cache
def _called(x: Hashable) -> str:
    name = repr(x)
    while _CALLED.setdefault(name, x) != x:  # another one that writes itself alike
        name += "'"
    return name


def of_name(name: str) -> Any:
    """The value that `name_of` gave this name."""
    return _CALLED[name]


@taken_as_found
def _integers(of: type) -> tuple[str, ...] | None:
    """The fields of a dataclass that holds integers alone, as most spaces do; None for another class."""
    return _integer_fields(of)


@cache
def _integer_fields(of: type) -> tuple[str, ...] | None:
    if not is_dataclass(of) or any(field.type not in ("int", int) for field in fields(of)):
        return None
    return tuple(field.name for field in fields(of))


def _taken_apart(x: Any) -> Any:
    """An argument as a trace may hand it on, of numbers that are fixed even where sizes are free.

    A dataclass made in the trace would be one with the usual values.
    """
    if isinstance(x, (int, float)):
        return as_found(x)
    if isinstance(x, tuple):
        return tuple(map(_taken_apart, x))
    names = _integers(type(x))
    return x if names is None else (type(x), *[as_found(getattr(x, name)) for name in names])


def _put_together(x: Any) -> Any:
    return x[0](*x[1:]) if isinstance(x, tuple) and x and isinstance(x[0], type) else x


def _entered(name: str, x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    _HELD[name] = x, torch.from_numpy(x).dtype
    return name


def _read(x: Any) -> Any:
    return _named(x) if isinstance(x, str) else x


def _each(made: Any, function: Callable[[Any], Any]) -> Any:
    return tuple(map(function, made)) if isinstance(made, tuple) else function(made)


def _held(x: Any) -> Any:
    return x.contiguous().numpy() if isinstance(x, Tensor) else x


def _copied(x: Any) -> Any:
    return torch.tensor(x, device="cpu") if isinstance(x, np.ndarray) else x
