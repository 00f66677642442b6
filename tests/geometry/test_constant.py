"""Tables kept for a process know nothing of the state in which they were asked for first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from pdegcnn_lib.geometry.constant import constant


@contextmanager
def exporting() -> Iterator[None]:
    """The state of `torch.export` in its non-strict form: fake tensors, functional ones, and functions watched."""
    with FakeTensorMode(), torch.device("meta"), torch.inference_mode():
        yield


@pytest.mark.parametrize(
    "state",
    [exporting, FakeTensorMode, torch.inference_mode, torch.no_grad, lambda: torch.device("meta")],
)
def test_the_first_call_leaves_no_trace(state: Callable[[], AbstractContextManager]) -> None:
    calls: list[int] = []

    @constant
    def squares(n: int) -> Tensor:
        calls.append(n)
        return torch.arange(n, dtype=torch.float64) ** 2

    with state():
        squares(4)
    table = squares(4)
    assert type(table) is Tensor and table.device.type == "cpu" and not table.is_inference()
    assert table.tolist() == [0.0, 1.0, 4.0, 9.0]
    table += 1  # a copy
    assert squares(4).tolist() == [0.0, 1.0, 4.0, 9.0]
    assert calls == [4], "made once"


def test_an_error_in_the_first_call_reaches_the_caller() -> None:
    @constant
    def never(n: int) -> Tensor:
        raise ValueError(f"n must be even, got {n}")

    for _ in range(2):
        with pytest.raises(ValueError, match="n must be even, got 3"):
            never(3)


def test_an_export_holds_a_table_whole_that_was_made_as_a_view() -> None:
    """Torch warns where it writes a tensor that shows a part of its memory, or one place of it twice."""

    @constant
    def columns() -> Tensor:
        return torch.arange(3.0)[:, None].expand(3, 2)

    class Scaled(torch.nn.Module):
        def forward(self, f: Tensor) -> Tensor:
            return f * columns()

    [held] = torch.export.export(Scaled(), (torch.ones(3, 2),)).constants.values()
    assert held.untyped_storage().nbytes() == held.nbytes
