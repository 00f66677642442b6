"""Tables that depend on their arguments alone, made once in a process, and what a compiler may take as found."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
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


def constant(make: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of hashable arguments: its tensors on the CPU are kept, and every call gets copies.

    It returns a tensor, or a tuple of tensors and plain values. The first call may come from inside an export, a
    transformation, inference mode or another default device. What is kept for the whole process must know of none of
    them. They are states of a thread, so a new thread makes it, and numpy holds it.
    """

    @cache
    def values(*arguments: Hashable) -> Any:
        with ThreadPoolExecutor(1) as outside:
            return outside.submit(lambda: _each(make(*arguments), _held)).result()

    @taken_as_found
    @wraps(make)
    def table(*arguments: Hashable) -> Any:
        return _each(values(*arguments), _copied)

    return table


def _each(made: Any, function: Callable[[Any], Any]) -> Any:
    return tuple(map(function, made)) if isinstance(made, tuple) else function(made)


def _held(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else x


def _copied(x: Any) -> Any:
    return torch.tensor(x, device="cpu") if isinstance(x, np.ndarray) else x
