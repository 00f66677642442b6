"""The gradient of a step is the same from a captured graph, and nothing in a step waits for a copy from the host."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pdegcnn_lib import models
from pdegcnn_lib.companion.experiments.gradient import WARM_UP, Gradient, own_stream

# On the meta device kernels on M3 are composed of torch's operators; a GPU makes them in one launch from tables of its
# own.
COMPOSED = {"tubes-pdegcnn"}


def square(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return (model(inputs) - targets).square().mean()


def test_the_gradient_of_the_last_batch_alone_is_left() -> None:
    model, (x, y) = nn.Linear(3, 1), torch.randn(2, 8, 3).unbind()
    gradient = Gradient(model, square, clip=1e9)
    for batch in (x, y):
        loss = gradient(batch, torch.zeros(8, 1))
    found = [p.grad for p in model.parameters()]
    law = square(model, y, torch.zeros(8, 1))
    assert torch.equal(loss, law) and not loss.requires_grad
    for a, b in zip(found, torch.autograd.grad(law, list(model.parameters())), strict=True):
        assert a is not None and torch.equal(a, b)


def test_a_captured_step_refuses_a_batch_of_another_shape() -> None:
    gradient = Gradient(nn.Linear(3, 1), square, clip=1.0)
    gradient._batch = torch.zeros(8, 3), torch.zeros(8, 1)
    gradient._fill(torch.ones(8, 3), torch.ones(8, 1))
    assert all(bool((held == 1).all()) for held in gradient._batch)
    with pytest.raises(ValueError, match=r"one shape, here \[8, 3\], got \[1, 3\]"):
        gradient._fill(torch.ones(1, 3), torch.ones(1, 1))


class FromTheHost(TorchDispatchMode):
    """Notes the operators that take numbers from the CPU to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        tensors = [x for x in args if isinstance(x, Tensor)]
        if isinstance(out, Tensor) and out.device.type != "cpu":
            self.seen += [str(func) for x in tensors if x.device.type == "cpu" and x.ndim]
        return out


@pytest.mark.parametrize("name", sorted(set(models.names()) - COMPOSED))
def test_a_second_step_takes_nothing_from_the_host(name: str) -> None:
    """What a CUDA graph cannot hold. A network on the meta device does everything but the arithmetic."""
    shape = {"digits": (2, 1, 28, 28), "vessels": (2, 1, 32, 32), "tubes": (1, 1, 8, 8, 8)}
    model = models.build(name, 1).to("meta").train()
    x = torch.zeros(shape[name.split("-")[0]], device="meta")
    for _ in range(2):
        with FromTheHost() as spy:
            model(x).square().mean().backward()
    assert not spy.seen


def test_the_spy_sees_a_copy() -> None:
    with FromTheHost() as spy:
        torch.zeros(3).to("meta")
    assert spy.seen


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "name", ["vessels-pdegcnn6", "vessels-gcnn6-narrow", "digits-pdegcnn", "tubes-pdegcnn"]
)
def test_a_captured_graph_gives_the_same_gradient(name: str) -> None:
    shape = {"digits": (4, 1, 28, 28), "vessels": (4, 1, 32, 32), "tubes": (1, 1, 16, 16, 16)}[
        name.split("-")[0]
    ]
    model = models.build(name, 1).cuda().train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0  # or else two calls are two networks
    statistics = {key: value.clone() for key, value in model.state_dict().items()}

    with torch.no_grad():
        of_output = model(torch.rand(shape, device="cuda")).shape
    gradient = Gradient(model, square, clip=1e9)
    with own_stream(torch.device("cuda")):
        for step in range(WARM_UP + 3):
            x, y = torch.rand(shape, device="cuda"), torch.rand(of_output, device="cuda")
            model.load_state_dict(statistics)
            value = gradient(x, y).clone()
            captured = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            after = {key: v.clone() for key, v in model.state_dict().items()}
            model.load_state_dict(statistics)
            law = square(model, x, y)
            eager = torch.autograd.grad(law, list(model.parameters()))
            torch.testing.assert_close(value, law.detach(), rtol=1e-5, atol=1e-6)
            # Of all parameters together: what stands before a normalisation has a gradient of nothing but rounding.
            a, b = (torch.cat([x.flatten() for x in all_of]) for all_of in (captured, eager))
            assert (a - b).norm() <= 1e-4 * b.norm(), f"step {step}"
            for key, v in model.state_dict().items():
                torch.testing.assert_close(after[key], v, rtol=1e-4, atol=1e-5)
    assert gradient._graph is not None
