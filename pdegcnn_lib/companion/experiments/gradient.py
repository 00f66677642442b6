"""The gradient of a step of training: on a GPU one captured graph, which is launched as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WARM_UP = 5  # steps before one is captured, in which kernels are compiled


class Gradient:
    """From a batch to its loss, and to the gradient in the parameters of a model, shortened to the norm `clip`.

    On a GPU these are some two thousand launches of a few microseconds each, and the processor takes longer to launch
    them than the GPU to do them. After a few steps, in which kernels are compiled, they are captured in one CUDA graph,
    which is launched as a whole. It computes the same, for batches of one shape. `capture`: False for all launches one
    by one. Raises: ValueError for a batch of another shape than the one that was captured.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
        clip: float,
        *,
        capture: bool = True,
    ) -> None:
        self.model, self.loss, self.clip, self.capture = model, loss, clip, capture
        self._graph: torch.cuda.CUDAGraph | None = None
        self._steps = 0

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self._steps += 1
        if inputs.device.type != "cuda" or not self.capture or self._steps <= WARM_UP:
            return self._from(inputs, targets)
        if self._graph is None:
            self._capture(inputs, targets)
        assert self._graph is not None
        self._fill(inputs, targets)
        self._graph.replay()
        return self._value

    def _from(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.model.zero_grad(set_to_none=True)
        loss = self.loss(self.model, inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        return loss.detach()

    def _fill(self, *batch: Tensor) -> None:
        for held, new in zip(self._batch, batch, strict=True):
            if new.shape != held.shape:  # a copy would repeat a single image
                raise ValueError(
                    f"a captured step takes batches of one shape, here {list(held.shape)}, got {list(new.shape)}"
                )
            held.copy_(new)

    def _capture(self, inputs: Tensor, targets: Tensor) -> None:
        """Capture a step for batches of this shape. Its tensors stay where they are, gradients too."""
        self._batch = inputs.clone(), targets.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self._value = self._from(*self._batch)
        self._graph = graph


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU a stream beside the usual one, which alone cannot be captured."""
    if device.type != "cuda":
        yield
        return
    usual, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(usual)
    with torch.cuda.stream(own):
        yield
    usual.wait_stream(own)
