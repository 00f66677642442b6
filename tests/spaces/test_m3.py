"""The space M3 on a grid: its answers, its turns, and M2 as a part of it."""

from __future__ import annotations

import math

import pytest
import torch

from pdegcnn_lib.geometry import m3, octahedral
from pdegcnn_lib.kernels import morphological_kernel, relative_elements
from pdegcnn_lib.kernels.m3 import morphological_kernel_m3
from pdegcnn_lib.spaces import M3, of_features

COUNTS = (6, 8, 12, 13, 14, 18, 26)
EVERY = pytest.mark.parametrize("count", COUNTS)


@EVERY
def test_the_answers_fit_together(count: int) -> None:
    space = M3(count)
    window = space.default_window()
    assert window == space.check_window(list(window)) and space.axes == ("N", "D", "H", "W")
    assert space.points().shape == (space.fibre, 3) == (count, 3)
    assert space.weights().sum().item() == pytest.approx(1, abs=1e-15)
    lists = space.neighbours(window)
    assert lists.shape == (count, window[0]) and space.lists
    elements = space.relative_elements(window, dtype=torch.float32)
    assert elements.shape == (count, *window, 4) and elements.dtype == torch.float32
    assert space.absent(window).shape == (count, *window)
    assert torch.equal(space.absent(window)[:, :, 0, 0, 0], lists < 0)
    assert len(space.reach(window)) == space.lengths == 3
    assert (elements[:, 0, 1, 1, 1] == 0).all(), "the first slot holds the point itself"
    assert space == M3(count) and hash(space) == hash(M3(count)) and eval(repr(space)) == space
    assert of_features(torch.zeros(1, 1, count, 3, 3, 3)) == space


@EVERY
def test_elements_are_equal_under_all_turns(count: int) -> None:
    """Bit for bit: what the table of a kernel needs to be equal to itself."""
    space = M3(count)
    elements = space.relative_elements(space.default_window())
    lists = space.neighbours(space.default_window())
    for turn in range(1, 24):
        to = torch.argsort(octahedral.permutation(count, turn))  # direction i goes to to[i]
        for i in range(count):
            for slot, j in enumerate(lists[i].tolist()):
                if j < 0:
                    continue
                other = (lists[to[i]] == to[j]).nonzero()[0, 0]
                moved = octahedral.turn_volume(elements[i, slot].movedim(-1, 0), turn).movedim(0, -1)
                assert torch.equal(elements[to[i], other], moved)


def test_the_kernel_of_m2_is_a_part() -> None:
    """In the plane of x and y the 26 directions are 8 orientations, and their taps those of M2."""
    space, w = M3(26), torch.tensor([[0.9, 2.1, 1.4]], dtype=torch.float64)
    window = (9, 3, 3, 3)
    whole = morphological_kernel_m3(w, alpha=0.65, window=window, space=space, estimate="rho_b")
    plane = morphological_kernel(w, alpha=0.65, window=(3, 3, 3), orientations=8, estimate="rho_b")
    n, lists = space.points(), space.neighbours(window)
    for o in range(8):
        for i in range(3):
            at = [o * math.pi / 4, (o + i - 1) * math.pi / 4]
            own, other = (
                int((n @ torch.tensor([math.cos(a), math.sin(a), 0], dtype=torch.float64)).argmax())
                for a in at
            )
            slot = int((lists[own] == other).nonzero()[0, 0])
            assert (whole[0, own, slot, 1] / plane[0, o, i] - 1).abs().nan_to_num().max() < 1e-11


def test_relative_elements_are_those_of_the_geometry() -> None:
    space, window = M3(14), (7, 3, 3, 3)
    elements, n, lists = space.relative_elements(window), space.points(), space.neighbours(window)
    for o, s, z, y, x in [(0, 1, 0, 1, 2), (7, 3, 2, 2, 0), (13, 6, 1, 0, 0)]:
        q = torch.cat([torch.tensor([x - 1.0, y - 1, z - 1], dtype=torch.float64), n[lists[o, s]]])
        p = torch.cat([torch.zeros(3, dtype=torch.float64), n[o]])
        assert (m3.coordinates(q, p) - elements[o, s, z, y, x]).abs().max() < 1e-11
    assert relative_elements((3, 3, 3), 8, dtype=torch.float64).shape[-1] == 3


def test_lines_move_nowhere() -> None:
    with pytest.raises(ValueError, match="no forward direction"):
        M3(13).displacement(torch.zeros(2, 1))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((9, 3, 3, 5), r"a cube in space to be turned, got \(9, 3, 3, 5\)"),
        ((8, 3, 3, 3), "odd positive integers"),
        ((27, 3, 3, 3), "the sphere of 26 directions, got KN = 27"),
        ((3, 3, 3), r"window must be \(KN, KD, KH, KW\)"),
    ],
)
def test_windows_that_do_not_fit(window: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        M3(26).check_window(window)


def test_lines_do_not_see_those_at_a_right_angle() -> None:
    """Neither end of such a line is the nearer one, so that its coordinates would depend on how it is given."""
    with pytest.raises(ValueError, match=r"no nearer end: KN must be at most 11, got \(13, 3, 3, 3\)"):
        M3(13).check_window((13, 3, 3, 3))
    angle = M3(13).relative_elements(M3(13).check_window((11, 3, 3, 3)))[..., 3]
    assert angle.max() < math.pi / 2 - 0.1
