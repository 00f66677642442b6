"""What the table of support asks: each question runs something and raises where the answer is no."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from pdegcnn_lib import ops
from tests.support.subjects import SUBJECTS


class Wrong(AssertionError):
    """A value that is not the right one, given without an error: it may not occur."""


class NotApplicable(Exception):
    """A question that has no sense for the subject."""


def close(found: object, known: object, tolerance: float = 1e-9) -> None:
    for a, b in zip(tree_leaves(found), tree_leaves(known), strict=True):
        if not torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance):
            raise Wrong(f"differs by {(a.double() - b.double()).abs().max():.2e}")


def made(name: str) -> tuple[nn.Module, Tensor]:
    """A subject in evaluation mode, in float64, with an input in general position."""
    torch.manual_seed(len(name))
    make, shape = SUBJECTS[name]
    return make().eval().double(), torch.randn(shape, dtype=torch.float64)


def parameters(module: nn.Module) -> dict[str, Tensor]:
    found = {name: p.detach() for name, p in module.named_parameters()}
    if not found:
        raise NotApplicable
    return found


def energy(module: nn.Module, x: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda p: functional_call(module, p, (x,)).square().mean()


def in_dtype(dtype: torch.dtype, name: str) -> None:
    module, x = made(name)
    known = module(x)
    found = module.to(dtype)(x.to(dtype))
    if found.dtype != dtype:
        raise Wrong(f"the result is {found.dtype}")
    # The rounding of some hundred terms and, of a network, of its layers.
    close(found, known, 100 * torch.finfo(dtype).eps * max(1.0, float(known.detach().abs().max())))
    (found.float().square().mean()).backward() if list(module.parameters()) else None
    if not all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None):
        raise Wrong("a gradient is not finite")


def under_autocast(name: str) -> None:
    module, x = made(name)
    known = module(x)
    module, x = module.float(), x.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = module(x)
    close(found, known, 100 * torch.finfo(torch.bfloat16).eps * max(1.0, float(known.detach().abs().max())))


def compiled(name: str) -> None:
    """One graph for every batch, height and width, with its gradient."""
    module, x = made(name)
    torch._dynamo.reset()
    run = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for some, stance in ((_larger(x), "default"), (torch.cat([x, x]), "fail_on_recompile")):
        leaves = [some.requires_grad_(), *module.parameters()]
        with torch.compiler.set_stance(stance):
            found = run(some)
        known = module(some)
        close(found, known, 1e-8)
        both = [torch.autograd.grad(out.square().mean(), leaves) for out in (found, known)]
        close(*both, 1e-8)


def program(module: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """The module for any batch and any height and width, in operators of torch alone."""
    axes = range(x.ndim - 2, x.ndim)
    least = 6 if x.shape[-1] < 20 else 20  # layers without padding, as for digits, take away from an image
    free = {0: torch.export.Dim("batch"), **{n: torch.export.Dim(f"s{n}", min=least) for n in axes}}
    found = torch.export.export(module, (torch.cat([x, x]),), dynamic_shapes=(free,), strict=False)
    if any("pdegcnn" in str(node.target) for node in found.graph.nodes):
        raise Wrong("operators of this library are in the program")
    return found


def exported(name: str) -> None:
    module, x = made(name)
    buffer = io.BytesIO()
    torch.export.save(program(module, x), buffer)
    buffer.seek(0)
    run = torch.export.load(buffer).module()
    for some in (x, _larger(x)):
        close(run(some), module(some), 1e-8)


def _larger(x: Tensor) -> Tensor:
    """Another batch and another size."""
    return torch.cat([torch.cat([x, x.flip(-1)], -1)] * 3)


def in_onnx(name: str) -> None:
    import onnxruntime

    module, x = made(name)
    module, x = module.float(), x.float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the exporter says about itself
        written = torch.onnx.export(program(module, x), dynamo=True, verbose=False)
    assert written is not None
    session = onnxruntime.InferenceSession(written.model_proto.SerializeToString())
    [given] = session.get_inputs()
    for some in (x, _larger(x)):
        [found] = session.run(None, {given.name: some.numpy()})
        close(torch.from_numpy(found), module(some), 1e-4)


def batched(name: str) -> None:
    module, x = made(name)
    several = torch.stack([x, x.flip(-1), 0.5 * x])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*batching rule.*")  # the slow loop
        found = vmap(module)(several)
    close(found, torch.stack([module(part) for part in several]))


def gradient_of_a_function(name: str) -> None:
    module, x = made(name)
    found = grad(energy(module, x))(parameters(module))
    module(x).square().mean().backward()
    close(found, {n: p.grad for n, p in module.named_parameters()})


def gradient_of_each_sample(name: str) -> None:
    module, x = made(name)
    p, several = parameters(module), torch.cat([x, 0.5 * x.flip(-1)])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*batching rule.*")
        found = vmap(lambda p, x: grad(energy(module, x[None]))(p), (None, 0))(p, several)
    alone = [grad(energy(module, part[None]))(p) for part in several]
    close(found, {n: torch.stack([g[n] for g in alone]) for n in p})


def forward_mode(name: str) -> None:
    module, x = made(name)
    v = torch.randn_like(x)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(module(forward_ad.make_dual(x, v))).tangent
    if found is None:
        raise Wrong("the tangent is lost")
    x.requires_grad_()
    out = module(x)
    u = torch.randn_like(out)
    # The two modes are adjoint to each other.
    close((found * u).sum(), (torch.autograd.grad(out, x, u)[0] * v).sum(), 1e-7)


def second_derivative(name: str) -> None:
    def twice(backend: str | None) -> list[Tensor]:
        module, x = made(name)
        for parameter, value in module.named_parameters():
            if parameter.endswith("g0"):  # at rest maxima tie, and rounding chooses the side of a kink
                nn.init.uniform_(value, 0.2, 1.2)
        leaves = [x.requires_grad_(), *module.parameters()]
        with ops.backend(backend):
            first = torch.autograd.grad(module(x).pow(3).mean(), leaves, create_graph=True)
            return list(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))

    close(twice(None), twice("reference"), 1e-7)


def copies(name: str) -> None:
    module, x = made(name)
    known = module(x)
    close(copy.deepcopy(module)(x), known)
    close(pickle.loads(pickle.dumps(module))(x), known)
    other = SUBJECTS[name][0]().eval().double()
    other.load_state_dict(module.state_dict())
    close(other(x), known)


def on_meta(name: str) -> None:
    module, x = made(name)
    with torch.device("meta"):
        empty = SUBJECTS[name][0]().eval().double()
    out = empty(x.to("meta"))
    if not out.is_meta or out.shape != module(x).shape:
        raise Wrong(f"gives {list(out.shape)} on {out.device}")
    empty.to_empty(device="cpu").load_state_dict(module.state_dict())
    close(empty(x), module(x))


def with_checkpoints(name: str) -> None:
    module, x = made(name)
    x.requires_grad_()
    known = torch.autograd.grad(module(x).square().mean(), x)
    close(torch.autograd.grad(checkpoint(module, x, use_reentrant=False).square().mean(), x), known)


def channels_last(name: str) -> None:
    module, x = made(name)
    if x.ndim not in (4, 5):
        raise NotApplicable
    form = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    close(module(x.contiguous(memory_format=form)), module(x))


def empty_batch(name: str) -> None:
    module, x = made(name)
    nothing = x[:0].requires_grad_()
    out = module(nothing)
    if out.shape != (0, *module(x).shape[1:]):
        raise Wrong(f"gives {list(out.shape)}")
    out.sum().backward()
    if any(p.grad is not None and p.grad.count_nonzero() for p in module.parameters()):
        raise Wrong("nothing has a gradient")


@contextmanager
def determined() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def deterministic(name: str) -> None:
    with determined():
        results = []
        for _ in range(2):
            module, x = made(name)
            x.requires_grad_()
            out = module(x)
            results.append([out, *torch.autograd.grad(out.square().mean(), x)])
    if not all(torch.equal(a, b) for a, b in zip(*results, strict=True)):
        raise Wrong("two runs differ")


def _dtype(dtype: torch.dtype) -> Callable[[str], None]:
    return lambda name: in_dtype(dtype, name)


PROPERTIES: dict[str, Callable[[str], None]] = {
    "float16": _dtype(torch.float16),
    "bfloat16": _dtype(torch.bfloat16),
    "float32": _dtype(torch.float32),
    "float64": _dtype(torch.float64),
    "autocast": under_autocast,
    "compile": compiled,
    "export": exported,
    "ONNX": in_onnx,
    "vmap": batched,
    "func.grad": gradient_of_a_function,
    "per sample": gradient_of_each_sample,
    "forward mode": forward_mode,
    "double backward": second_derivative,
    "copies": copies,
    "meta": on_meta,
    "checkpoint": with_checkpoints,
    "channels last": channels_last,
    "empty batch": empty_batch,
    "deterministic": deterministic,
}
SLOW = ("compile", "export", "ONNX")


def answer(name: str, asked: Callable[[str], None]) -> str:
    """`yes`, `-` where the question has no sense, or `no: ` and the first sentence that a user gets."""
    try:
        asked(name)
    except NotApplicable:
        return "-"
    except Wrong:
        raise
    except Exception as error:
        return f"no: {str(error).strip().splitlines()[0][:160]}"
    return "yes"
