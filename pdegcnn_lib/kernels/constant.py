"""Tables that depend on their arguments alone, made once in a process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps

import numpy as np
import torch
from torch import Tensor


def constant(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate a function of hashable arguments: its tensor on the CPU is kept, and every call gets a copy.

    The first call may come from inside an export, a transformation, inference mode or another default device. What
    is kept for the whole process must know of none of them. They are states of a thread, so a new thread makes it,
    and numpy holds it.
    """

    @cache
    def values(*arguments: Hashable) -> np.ndarray:
        with ThreadPoolExecutor(1) as outside:
            return outside.submit(lambda: make(*arguments).numpy()).result()

    @torch.compiler.assume_constant_result
    @wraps(make)
    def table(*arguments: Hashable) -> Tensor:
        return torch.tensor(values(*arguments), device="cpu")

    return table
