"""The interface between the training loop and what is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pdegcnn_lib.companion.data.preparation import Preparation


class Task(ABC):
    """Data, loss and figures of merit of one experiment. A batch depends on its generator alone.

    `preparation` says how pictures become inputs, where a network of the task is to be applied to a reader's own.
    """

    in_channels: int = 1
    preparation: Preparation | None = None

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A random training batch (inputs, targets) on the CPU."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The scalar to minimise."""

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        """The figures of merit on the test set, as plain numbers and lists."""
