"""The linear map and its batch normalisation as one product, against the two as torch has them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from pdegcnn_lib import nn, ops


def problem(channels, size, dtype, out=None):
    f = torch.randn(size[0], channels, *size[1:], dtype=dtype) * 3 + 1
    # Correlated channels, of unlike spread and far from zero.
    f = torch.einsum("ac,bc...->ba...", torch.randn(channels, channels, dtype=dtype), f) + 5
    w = torch.randn(out or channels, channels, dtype=dtype)
    return f, w, torch.rand(len(w), dtype=dtype) + 0.5, torch.randn(len(w), dtype=dtype)


def two_steps(f, w, gain, offset, mean, var, momentum):
    return functional.batch_norm(ops.linear(f, w), mean, var, gain, offset, True, momentum, 1e-5)


def test_many_channels_are_left_to_torch(backend, dtype):
    """The products of 129 channels, one matrix for each block of points, would be larger than the features."""
    tensors = problem(129, (1, 4, 5), dtype, 3)
    running = [(torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype)) for _ in range(2)]
    found = ops.normalised_linear(*tensors, *running[0], momentum=0.3, backend=backend)
    law = two_steps(*tensors, *running[1], 0.3)
    assert torch.equal(found, law.reshape(found.shape)) and torch.equal(running[0][1], running[1][1])


# One channel, counts that no block of rows divides, images longer than a block's points and no multiple of a vector.
@pytest.mark.parametrize(
    ("channels", "out", "size"),
    [
        (1, 1, (2, 3, 5)),
        (3, 7, (2, 4, 5, 7)),
        (16, 16, (2, 8, 17, 19)),
        (10, 16, (1, 70, 67)),
        (5, 2, (3, 1)),
        (4, 3, (9,)),
    ],
)
def test_value_gradients_and_running_statistics_are_those_of_two_steps(channels, out, size, backend, dtype):
    tensors = [x.requires_grad_() for x in problem(channels, size, dtype, out)]
    running = [(torch.zeros(out, dtype=dtype), torch.ones(out, dtype=dtype)) for _ in range(2)]
    found = ops.normalised_linear(*tensors, *running[0], momentum=0.3, backend=backend)
    law = two_steps(*tensors, *running[1], 0.3)
    # Both round values of size |w| |f| / sigma, up to a hundred, in sums over the channels.
    tolerance = {torch.float32: 3e-4, torch.float64: 1e-11}[dtype]
    torch.testing.assert_close(found, law, rtol=0, atol=tolerance)
    torch.testing.assert_close(running[0], running[1], rtol=tolerance, atol=tolerance)
    g = torch.randn_like(law)
    for a, b in zip(
        torch.autograd.grad(found, tensors, g), torch.autograd.grad(law, tensors, g), strict=True
    ):
        assert (a - b).norm() <= 10 * tolerance * (1 + b.norm())


def test_gradcheck(backend):
    tensors = [x.requires_grad_() for x in problem(3, (2, 3, 4), torch.float64, 4)]
    assert torch.autograd.gradcheck(lambda *t: ops.normalised_linear(*t, backend=backend), tensors)
    assert torch.autograd.gradgradcheck(lambda *t: ops.normalised_linear(*t, backend=backend), tensors)
    assert torch.autograd.gradcheck(
        lambda *t: ops.normalised_linear(*t, backend=backend), tensors, check_batched_grad=True
    )


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:DeprecationWarning"
)  # torch itself, at the first tangent
def test_transformations_of_torch_see_the_law(backend):
    f, w, gain, offset = problem(3, (2, 3, 4), torch.float64)

    def loss(f, w):
        return ops.normalised_linear(f, w, gain, offset, backend=backend).square().mul(f.sin()).sum()

    found = torch.func.grad(loss, (0, 1))(f, w)
    leaves = (f.clone().requires_grad_(), w.clone().requires_grad_())
    torch.testing.assert_close(found, torch.autograd.grad(loss(*leaves), leaves))
    _, tangent = torch.func.jvp(loss, (f, w), (f, w))
    torch.testing.assert_close(tangent, (found[0] * f).sum() + (found[1] * w).sum())


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_layer_keeps_its_statistics_as_batch_norm_does(momentum):
    layer = nn.PDELayer(3, 4, window=(3, 3, 3), orientations=4).double()
    norm = torch.nn.BatchNorm3d(4, momentum=momentum).double()
    layer.norm.momentum = momentum
    f = torch.randn(2, 3, 4, 6, 7, dtype=torch.float64)
    seen = []
    handle = layer.linear.register_forward_hook(lambda module, inputs, out: seen.append(out))
    for step in range(3):
        layer(f + step)  # a module that somebody listens to is called as it is
    handle.remove()
    watched = {name: x.clone() for name, x in layer.norm.state_dict().items()}
    layer.norm.reset_running_stats()
    for step, mixed in enumerate(seen):
        torch.testing.assert_close(layer(f + step), norm(mixed), rtol=0, atol=1e-12)
    for name, x in layer.norm.state_dict().items():
        torch.testing.assert_close(x, watched[name], rtol=1e-12, atol=1e-12)
    layer.eval()
    torch.testing.assert_close(layer(f), norm.eval()(seen[0]), rtol=0, atol=1e-12)


def test_one_value_for_each_channel_is_refused_as_by_torch(backend):
    f, w, gain, offset = problem(2, (1, 1), torch.float32)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        ops.normalised_linear(f, w, gain, offset, backend=backend)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gain": torch.ones(1)}, r"gain must have shape \[Cout\] = \[2\], got \[1\]"),
        ({"offset": torch.zeros(1)}, r"offset must have shape \[Cout\] = \[2\], got \[1\]"),
        ({"running_mean": torch.zeros(3), "running_var": torch.ones(2)}, r"running_mean must .*, got \[3\]"),
        ({"running_mean": torch.zeros(2)}, "running_mean and running_var must be given both or neither"),
        ({"running_var": torch.ones(2)}, "running_mean and running_var must be given both or neither"),
        ({"w": torch.ones(2, 3)}, r"w must have Cin = 2 in its second axis, got \[2, 3\]"),
        ({"f": torch.ones(2)}, r"f must have shape \[B, Cin, \.\.\.\], got \[2\]"),
    ],
)
def test_bad_arguments_are_named_by_every_backend(change, says, backend):
    arguments = dict(zip(("f", "w", "gain", "offset"), problem(2, (3, 4), torch.float32), strict=True))
    with pytest.raises(ValueError, match=says):
        ops.normalised_linear(**{**arguments, **change}, backend=backend)


def test_one_graph_trains_a_layer_on_batches_of_any_size():
    layer = nn.PDELayer(2, 3, window=(3, 3, 3), orientations=4)
    known = copy.deepcopy(layer)
    torch._dynamo.reset()
    run = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape, stance in (((6, 2, 4, 7, 8), "default"), ((3, 2, 4, 9, 6), "fail_on_recompile")):
        f = torch.randn(shape)
        with torch.compiler.set_stance(stance):
            found = run(f)
        out = known(f)
        torch.testing.assert_close(found, out)
        for some in (found, out):
            some.square().mean().backward()
    for a, b in zip([*layer.parameters()], [*known.parameters()], strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(dict(layer.named_buffers()), dict(known.named_buffers()))
