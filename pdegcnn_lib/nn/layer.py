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
        def recorded(self: nn.Module, *given: Any, **named: Any) -> Any:
            proxies = [x for x in (*given, *named.values()) if isinstance(x, torch.fx.Proxy)]
            if not proxies:
                return forward(self, *given, **named)
            tracer: Any = proxies[0].tracer
            if tracer.root is self:
                raise TypeError(
                    f"torch.fx records {cls.__name__} whole: trace nn.Sequential(layer), not the layer"
                )
            return tracer.create_proxy("call_module", tracer.path_of_module(self), given, named)

        cls.forward = recorded


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def watched(*layers: nn.Module) -> bool:
    """Whether somebody listens to one of the layers or has given it another `forward`: it must be called as it is."""
    everywhere = any(getattr(nn.modules.module, f"_global{hooks}") for hooks in HOOKS)
    return everywhere or any("forward" in m.__dict__ or any(getattr(m, h) for h in HOOKS) for m in layers)


def asked(module: nn.Module) -> Any:
    """What a module without inputs returns that is no tensor.

    It is not called where somebody hears what it returns: tools that print networks by such hooks know tensors alone.
    Hooks that come before alone, as those that `torch.nn.utils.prune` makes parameters by, are to run.
    """
    return (module if module._forward_pre_hooks and not module._forward_hooks else module.forward)()
