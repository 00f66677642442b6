"""How the weights of a network lie in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def channels_last(model: nn.Module) -> nn.Module:
    """The same network with its weights, and so its features, channels last: torch's convolutions are faster then.

    What `state_dict()` gives is contiguous all the same, as safetensors and others ask for.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
    model.register_state_dict_post_hook(_contiguous)
    return model


def _contiguous(_model: nn.Module, state: dict[str, Tensor], *_: Any) -> None:
    for name, value in state.items():
        if not value.requires_grad:  # with keep_vars=True they are the parameters themselves
            state[name] = value.contiguous()
