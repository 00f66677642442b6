"""Calls that are written down to run elsewhere, where there are no operators of this library."""

from __future__ import annotations

import torch

from pdegcnn_lib.geometry.constant import taken_as_found


@taken_as_found
def exporting() -> bool:
    """Whether `torch.export`, `torch.onnx.export` or `torch.jit.trace` is at work; torch.compile is not meant.

    torch 2.6 tells an export apart with `strict=False` alone, which later ones take by themselves.
    """
    if torch.jit.is_tracing():
        return True
    if hasattr(torch.compiler, "is_exporting"):  # torch 2.7 and later
        return torch.compiler.is_exporting()
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
