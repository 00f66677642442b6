"""What every layer of this library is to the tools of torch."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch import nn


class Layer(nn.Module):
    """A layer that `torch.fx` records whole, as it does those of torch: its kernel is no matter of the graph."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" not in cls.__dict__:
            return
        forward = cls.forward

        @wraps(forward)
        def recorded(self: nn.Module, f: Any) -> Any:
            if not isinstance(f, torch.fx.Proxy):
                return forward(self, f)
            tracer: Any = f.tracer
            if tracer.root is self:
                raise TypeError(
                    f"torch.fx records {cls.__name__} whole: trace nn.Sequential(layer), not the layer"
                )
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (f,), {})

        cls.forward = recorded


def watched(*layers: nn.Module) -> bool:
    """Whether somebody listens to one of the layers, which must then be called as it is."""
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in layers)
