"""The interface between the training loop and what is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Task(ABC):
    """Data, loss and figures of merit of one experiment. A batch depends on its generator alone."""

    in_channels: int = 1

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A random training batch (inputs, targets) on the CPU."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The scalar to minimise."""

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        """The figures of merit on the test set, as plain numbers and lists."""
