"""Geometry is computed in the precision of its tensors: autocast rounds features, not distances."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

from pdegcnn_lib.geometry.constant import taken_as_found

Function = TypeVar("Function", bound=Callable[..., Any])


@taken_as_found
def _available(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind)


def autocast(device: torch.device) -> bool:
    """Whether autocast is on for a device."""
    return _available(device.type) and torch.is_autocast_enabled(device.type)


def outside_autocast(function: Function) -> Function:
    """Decorate a function whose first argument is a tensor or a metric: matrix products in it keep their dtype."""

    @wraps(function)
    def exact(first: Any, *arguments: Any, **options: Any) -> Any:
        tensor = first if isinstance(first, Tensor) else getattr(first, "parameters", None)
        if not isinstance(tensor, Tensor) or not autocast(tensor.device):
            return function(first, *arguments, **options)
        with torch.autocast(tensor.device.type, enabled=False):
            return function(first, *arguments, **options)

    return exact  # type: ignore[return-value]
