"""What a space answers, recomputed from the group and the grid; and what it says to bad questions."""

import math
import pickle

import pytest
import torch

from examples.groups_between import GroupsBetween
from pdegcnn_lib.geometry import R2, SE2
from pdegcnn_lib.kernels import relative_elements
from pdegcnn_lib.nn import Dilation
from pdegcnn_lib.spaces import M2, M3, Plane, Sampled, Volume, of_features
from pdegcnn_lib.testing import quarter_turn

CIRCLE = [2 * math.pi * i / 8 for i in range(8)]
SLOPES = range(-3, 4)
SPACES = {
    "plane": Plane(),
    "volume": Volume(),
    "M2": M2(6),
    "Heisenberg": Sampled(GroupsBetween(0.0), SLOPES),
    "between": Sampled(GroupsBetween(0.3), [-0.5, 0.0, 0.5, 1.0, 1.5]),
    "circle": Sampled(SE2, CIRCLE, periodic=True),
}
EVERY = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
SLICED = pytest.mark.parametrize("name", ["M2", "Heisenberg", "between", "circle"])


@EVERY
def test_the_answers_fit_together(space):
    window = space.default_window(3)
    assert window == space.check_window(list(window)) and len(window) == len(space.axes)
    assert len(space.periodic) == len(space.axes) and not any(space.periodic[-space.positions :])
    assert space.points().shape[0] == space.fibre == len(space.weights())
    assert space.weights().sum().item() == pytest.approx(1)
    slots = window[0] if space.kernels else 1
    assert space.neighbours(window).shape == (space.fibre, slots)
    elements = space.relative_elements(window, dtype=torch.float32)
    assert elements.dtype == torch.float32
    assert elements.shape[:-1] == (*space.kernels, *window)
    assert space.displacement(torch.randn(4, space.velocities)).shape == (4, *space.kernels, 3)
    assert len(space.reach(window)) == space.lengths
    assert space.absent(window) is None and not space.lists
    for estimate in space.estimates.values():
        assert estimate.coordinates(elements).shape[-1] == space.lengths


@pytest.mark.parametrize("space", [*SPACES.values(), M3(6)], ids=[*SPACES, "M3"])
def test_a_layer_that_is_given_an_estimate_can_be_pickled(space):
    for estimate in space.estimates.values():
        layer = Dilation(1, space=space, estimate=estimate)
        f = torch.randn(1, 1, *space.kernels, *[3] * space.positions)
        assert torch.equal(pickle.loads(pickle.dumps(layer))(f), layer(f))


@EVERY
def test_a_space_is_a_value(space):
    again = type(space)(*(getattr(space, f) for f in space.__dataclass_fields__ if f != "wraps"))
    if not space.__dict__.get("wraps"):
        assert again == space and hash(again) == hash(space)
    assert eval(repr(M2(5))) == M2(5) != M2(6) != Plane()
    with pytest.raises(AttributeError):
        space.orientations = 3


@EVERY
def test_the_point_itself_is_the_neutral_element(space):
    window = space.default_window(3)
    middle = tuple(n // 2 for n in window)
    elements = space.relative_elements(window)
    at = elements[(slice(None), *middle)] if space.kernels else elements[middle]
    assert at.abs().max() < 1e-15


@SLICED
def test_relative_elements_by_the_group_law(name):
    """q (q^-1 p) = p for every neighbour q that the grid has."""
    space, window = SPACES[name], (3, 5, 3)
    elements, t = space.relative_elements(window), space.points()[:, 0]
    for o in range(space.fibre):
        for i, j, m in [(0, 0, 0), (2, 4, 1), (1, 2, 2), (0, 3, 2)]:
            n = int(space.neighbours(window)[o, i])
            if n < 0:
                continue
            q = torch.tensor([m - 1.0, j - 2.0, t[n]], dtype=torch.float64)
            p = space.group.product(q, elements[o, i, j, m])
            expected = torch.tensor([0, 0, t[o]], dtype=torch.float64)
            difference = p - expected
            difference[2] = torch.remainder(difference[2] + 1, 2 * math.pi) - 1
            assert difference.abs().max() < 1e-13


@SLICED
def test_displacements_by_the_group_law(name):
    """p - p g0^-1 at points p over several positions."""
    space, g0 = SPACES[name], torch.randn(5, 3, dtype=torch.float64)
    found = space.displacement(g0)
    for o, t in enumerate(space.points()[:, 0]):
        p = torch.tensor([2.0, -3.0, t], dtype=torch.float64)
        q = space.group.product(p, space.group.inverse(g0))
        torch.testing.assert_close(found[:, o, :2], (p - q)[:, :2], atol=1e-12, rtol=0)
        torch.testing.assert_close(found[:, o, 2], g0[:, 2] / space.step)


@SLICED
def test_powers_multiply(name):
    space, g0 = SPACES[name], torch.randn(5, 3, dtype=torch.float64)
    half = space.power(g0, 0.5)
    torch.testing.assert_close(space.group.product(half, half), g0)
    assert space.power(g0, 1.0) is g0


def test_m2_is_the_circle_of_se2():
    """The analytic M2 and the group sampled by hand are one space, number by number."""
    circle, window = SPACES["circle"], (5, 3, 5)
    assert torch.equal(circle.neighbours(window), M2(8).neighbours(window))
    difference = circle.relative_elements(window) - M2(8).relative_elements(window)
    assert difference.abs().max() < 1e-15
    for turns in (1, 2, 3):
        f = torch.randn(1, 2, 8, 6, 6)
        assert torch.equal(circle.symmetries()[2 * turns](f), quarter_turn(f, turns))
        f = torch.randn(1, 2, 8, 7, 7)
        assert torch.equal(circle.symmetries()[2 * turns](f), quarter_turn(f, turns))
    assert set(circle.symmetries()) == {-6, -4, -2, 2, 4, 6}


def test_relative_elements_on_m2_are_those_of_the_kernels_module():
    for dtype in (torch.float32, torch.float64):
        found = M2(5).relative_elements((3, 5, 7), dtype=dtype)
        assert torch.equal(found, relative_elements((3, 5, 7), 5, dtype=dtype))


def test_relative_elements_without_a_fibre_are_vectors_to_the_point():
    assert Plane().relative_elements((3, 5))[0, 4].tolist() == [-2, 1]  # q = (2, -1)
    assert Volume().relative_elements((3, 5, 7))[2, 0, 6].tolist() == [-3, 2, -1]  # q = (3, -2, 1)
    g0 = torch.tensor([[1.0, 2.0]])
    assert Plane().displacement(g0).tolist() == [[1, 2, 0]]
    assert Plane().power(g0, 0.5).tolist() == [[0.5, 1]]


def test_whole_slopes_have_shears_and_others_have_none():
    shears = SPACES["Heisenberg"].symmetries()
    assert set(shears) == set(range(-6, 7)) - {0}
    f = torch.zeros(1, 1, 7, 9, 9)
    f[0, 0, 3, 4, 6] = 1  # two columns right of the middle, slope 0
    moved = shears[1](f)
    assert moved[0, 0, 4, 6, 6] == 1 and moved.sum() == 1  # y + 1 * 2, slope 1
    assert torch.equal(shears[-1](moved), f)
    assert SPACES["between"].symmetries() == {}


class Scalings(GroupsBetween):
    """Positions and scales, (x, t)(y, s) = (x + exp(t) y, t + s), whose M_t are not of determinant 1."""

    def matrix(self, t):
        return torch.exp(t)[..., None, None] * torch.eye(2, dtype=t.dtype)


def test_a_map_that_leaves_pixels_out_is_no_symmetry():
    """Twice the size maps pixels to pixels, and not onto them."""
    assert Sampled(Scalings(0.0), [math.log(2) * n for n in range(-2, 3)]).symmetries() == {}


def test_slices_that_end_see_fewer_neighbours():
    assert SPACES["Heisenberg"].neighbours((3, 1, 1))[[0, 3, 6]].tolist() == [
        [-1, 0, 1],
        [2, 3, 4],
        [5, 6, -1],
    ]
    assert M2(6).neighbours((3, 1, 1))[0].tolist() == [5, 0, 1]


def test_the_space_of_features_goes_by_their_rank():
    assert of_features(torch.zeros(1, 1, 3, 3)) == Plane()
    assert of_features(torch.zeros(1, 1, 6, 3, 3)) == M2(6)
    with pytest.raises(TypeError, match="f must be a torch.Tensor, got int"):
        of_features(3)


class Twisted(GroupsBetween):
    """A group law of another kind: t is not added."""

    def product(self, g, h):
        return super().product(g, h) + torch.tensor([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: M2(0), ValueError, "orientations must be at least 1, got 0"),
        (lambda: M2(8.0), TypeError, r"orientations must be an int, got 8\.0"),
        (lambda: M2(True), TypeError, "orientations must be an int, got True"),
        (lambda: M2().check_window((9, 3, 3)), ValueError, "circle of 8 orientations, got KOr = 9"),
        (lambda: M2().check_window((4, 3, 3)), ValueError, r"odd positive integers, got \(4, 3, 3\)"),
        (lambda: M2().check_window((3, 3)), ValueError, r"window must be \(KOr, KH, KW\), got \(3, 3\)"),
        (lambda: Plane().check_window((3, 2)), ValueError, r"\(KH, KW\) of odd .*got \(3, 2\)"),
        (
            lambda: SPACES["between"].check_window((7, 3, 3)),
            ValueError,
            "fibre of 5 points, got KT = 7",
        ),
        (lambda: Sampled(SE2, [0.0, 1.0, 3.0]), ValueError, r"equal steps, got \[0\.0, 1\.0, 3\.0\]"),
        (lambda: Sampled(SE2, [1.0, 0.0]), ValueError, "grow by equal steps"),
        (lambda: Sampled(SE2, []), ValueError, r"row of finite numbers, got \[\]"),
        (lambda: Sampled(SE2, [math.nan]), ValueError, "row of finite numbers"),
        (lambda: Sampled(R2, [0.0]), ValueError, r"three coordinates \(x, y, t\), got 2"),
        (lambda: Sampled("SE2", [0.0]), TypeError, "members of geometry.LieGroup, got 'SE2'"),
        (lambda: Sampled(Twisted(0.3), [0.0]), ValueError, r"multiply as \(x, t\)\(y, s\)"),
        (lambda: Sampled(SE2, [0.0, 1.0], periodic=True), ValueError, "not after t = 2"),
    ],
)
def test_bad_questions_are_answered_in_a_sentence(make, kind, says):
    with pytest.raises(kind, match=says):
        make()
