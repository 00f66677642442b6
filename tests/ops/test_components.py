"""Connected components: what a search of the graph of near points finds, on every space, turned with the set."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from examples.groups_between import GroupsBetween
from pdegcnn_lib import ops
from pdegcnn_lib.kernels import morphological_kernel
from pdegcnn_lib.spaces import M2, M3, Plane, Sampled

HEISENBERG = Sampled(GroupsBetween(0.0), range(-3, 4))


def ball(space, window, *w, radius: float = 1.0) -> Tensor:
    metric = torch.tensor([w], dtype=torch.float64)
    return morphological_kernel(metric, alpha=0.5, window=window, space=space, t=radius)


def in_order(labels: Tensor) -> Tensor:
    """The same partition, numbered 1, 2, ... by first points: 0 stays."""
    names: dict[int, int] = {}
    numbers = [names.setdefault(n, len(names) + 1) if n else 0 for n in labels.flatten().tolist()]
    return torch.tensor(numbers).reshape(labels.shape)


def searched(inside: Tensor, k: Tensor) -> Tensor:
    """Components on M2 from the taps of one point after the other: `inside [Or, H, W]`, `k` of one channel."""
    turns, height, width = inside.shape
    taps = [
        [tuple(n - s // 2 for n, s in zip(tap, k.shape[1:], strict=True)) for tap in (k[o] == 0).nonzero()]
        for o in range(turns)
    ]
    labels, found = torch.zeros(inside.shape, dtype=torch.int64), 0
    for start in inside.nonzero().tolist():
        if labels[tuple(start)]:
            continue
        found += 1
        labels[tuple(start)], waiting = found, [start]
        while waiting:
            o, y, x = waiting.pop()
            for turn, down, right in taps[o]:
                q = ((o + int(turn)) % turns, y + int(down), x + int(right))
                if 0 <= q[1] < height and 0 <= q[2] < width and inside[q] and not labels[q]:
                    labels[q] = found
                    waiting.append(list(q))
    return labels


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    share=st.sampled_from([0.02, 0.1, 0.3]),
    orientations=st.sampled_from([1, 4, 6]),
    w=st.tuples(*3 * [st.floats(0.3, 2.5)]),
)
def test_a_search_of_the_graph_finds_the_same(seed, share, orientations, w):
    inside = torch.rand(orientations, 9, 10, generator=torch.Generator().manual_seed(seed)) < share
    k = ball(M2(orientations), (min(3, orientations - 1 + orientations % 2), 5, 5), *w)
    found = ops.connected_components(inside[None, None], k)
    assert found.dtype == torch.int64 and torch.equal(found[0, 0], searched(inside, k[0]))


CASES = pytest.mark.parametrize(
    ("space", "size", "k"),
    [
        (Plane(), (7, 8), ball(Plane(), (3, 3), 1.0, 1.0)),
        (M2(8), (8, 5, 6), ball(M2(8), (3, 3, 3), 0.8, 1.1, 1.2)),
        (HEISENBERG, (7, 5, 6), ball(HEISENBERG, (3, 7, 3), 0.8, 1.1, 0.9)),
        (M3(6), (6, 3, 3, 3), ball(M3(6), (5, 3, 3, 3), 0.9, 1.1, 0.5)),
    ],
    ids=["Plane", "M2", "Heisenberg", "M3"],
)


@CASES
def test_the_classes_are_those_of_the_relation_on_every_space(space, size, k, backend):
    """All powers of the matrix of near points: its ones are the pairs in one component."""
    inside = torch.rand(1, 1, *size) < 0.25
    points = torch.where(torch.eye(inside.numel(), dtype=torch.bool), 0.0, -math.inf)
    near = ops.dilation(points.reshape(-1, 1, *size).double(), k, space=space).flatten(1) == 0
    near = (near & inside.flatten() & inside.flatten()[:, None]).double()
    for _ in range(8):  # up to chains of 256 points
        near = (near @ near > 0).double()
    labels = ops.connected_components(inside, k, space=space, backend=backend).flatten()
    there = inside.flatten()
    assert torch.equal(labels > 0, there)
    assert torch.equal(labels[there][:, None] == labels[there], near[there][:, there] > 0)
    assert 1 < labels.max() < there.sum()


@CASES
def test_a_set_that_is_moved_has_its_components_moved(space, size, k):
    inside = torch.zeros(1, 1, *(3 * n if space is HEISENBERG and i else n for i, n in enumerate(size)))
    moves = space.symmetries()
    if space is HEISENBERG:  # by one slice and a shear: the grid comes round, the space does not
        moves = {n: moves[n] for n in (-1, 1)}
        inside[..., 2:5, 5:10, 6:12] = torch.rand(3, 5, 6) < 0.25
    else:
        inside = (torch.rand(inside.shape) < 0.25).float()
    labels = ops.connected_components(inside > 0, k, space=space)
    assert labels.max() > 1
    for move in moves.values():
        moved = ops.connected_components(move(inside) > 0, k, space=space)
        assert torch.equal(in_order(moved), in_order(move(labels.double()).long()))


@pytest.mark.parametrize("turn", range(16))
def test_lines_that_cross_are_two_at_every_turn(turn):
    """Two lines on M2, 67.5 degrees apart, turned by each of the orientations; in the plane they are one."""
    space, inside = M2(16), torch.zeros(1, 1, 16, 25, 25, dtype=torch.bool)
    y, x = torch.meshgrid(*2 * [torch.arange(25.0) - 12], indexing="ij")
    for o in (turn, (turn + 3) % 16):
        angle = space.points()[o, 0]
        inside[0, 0, o] = (torch.cos(angle) * y - torch.sin(angle) * x).abs() <= 0.75
    assert ops.connected_components(inside, ball(space, (3, 5, 5), 0.5, 0.9, 2.0)).max() == 2
    assert ops.connected_components(inside.any(2), ball(Plane(), (3, 3), 0.7, 0.7), space=Plane()).max() == 1


def test_images_and_channels_are_apart_and_a_long_chain_is_one():
    inside = torch.ones(2, 3, 1, 400, dtype=torch.bool)
    inside[..., 200] = False
    k = ball(Plane(), (1, 3), 1.0, 1.0).expand(3, -1, -1)
    labels = ops.connected_components(inside, k, space=Plane())
    assert labels[0, 0, 0, 198:203].tolist() == [1, 1, 0, 2, 2] and labels.max() == 12
    assert not ops.connected_components(torch.zeros_like(inside), k, space=Plane()).any()
    alone = ops.connected_components(inside, torch.full_like(k, math.inf), space=Plane())
    assert alone.max() == inside.sum()  # where not even a point is near itself


def test_bad_input_is_named():
    k = ball(M2(8), (3, 3, 3), 1.0, 1.0, 1.0)
    with pytest.raises(TypeError, match=r"inside must be a tensor of bools, got torch.float32"):
        ops.connected_components(torch.zeros(1, 1, 8, 5, 5), k)
    with pytest.raises(ValueError, match=r"k must start with \[C, Or\] = \[1, 4\]"):
        ops.connected_components(torch.zeros(1, 1, 4, 5, 5, dtype=torch.bool), k, space=M2(4))
