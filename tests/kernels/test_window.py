"""The relative elements of a window, recomputed one by one."""

import math

import pytest
import torch

from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.kernels import default_window, orientation_angles, relative_elements
from pdegcnn_lib.kernels.window import check_orientations, check_window, offsets


def test_orientation_angles():
    assert orientation_angles(4).tolist() == pytest.approx([0, math.pi / 2, math.pi, 3 * math.pi / 2])
    assert orientation_angles(3, dtype=torch.float32).dtype == torch.float32
    assert orientation_angles(1).tolist() == [0]


def test_the_default_window_is_odd_and_fits_the_circle():
    for orientations in range(1, 20):
        window = default_window(orientations)
        assert window[1:] == (5, 5) and window == check_window(window, orientations)
        assert window[0] == 5 or window[0] + 2 > orientations
    assert default_window(8, 7) == (7, 7, 7) and default_window(6, 7) == (5, 7, 7)


def test_offsets_are_centred():
    assert offsets(5).tolist() == [-2, -1, 0, 1, 2]
    assert offsets(1).tolist() == [0]


@pytest.mark.parametrize(
    ("window", "orientations"), [((5, 3, 7), 8), ((3, 5, 1), 3), ((1, 3, 3), 1), ((5, 1, 1), 6)]
)
def test_relative_elements_one_by_one(window, orientations):
    """q^-1 p = (-R_q^-1 (dx, dy), -steps) for p = (0, 0, theta_o), with numbers of the standard library."""
    table = relative_elements(window, orientations, dtype=torch.float64)
    k_or, k_h, k_w = window
    assert table.shape == (orientations, *window, 3)
    step = 2 * math.pi / orientations
    for o in range(orientations):
        for i in range(k_or):
            for j in range(k_h):
                for m in range(k_w):
                    dx, dy, turn = m - k_w // 2, j - k_h // 2, (i - k_or // 2) * step
                    c, s = math.cos(o * step + turn), math.sin(o * step + turn)
                    expected = [-(c * dx + s * dy), -(-s * dx + c * dy), -turn]
                    assert table[o, i, j, m].tolist() == pytest.approx(expected, abs=1e-13)


def test_moving_back_by_the_relative_element_gives_the_neighbour():
    """q (q^-1 p) = p: the definition, through the group law."""
    table = relative_elements((3, 3, 3), 8, dtype=torch.float64)
    p = SE2.product(
        torch.tensor([1.0, -1.0, 5 * math.pi / 4 + math.pi / 4], dtype=torch.float64), table[5, 2, 0, 2]
    )
    torch.testing.assert_close(p[:2], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)
    assert p[2].item() == pytest.approx(5 * math.pi / 4 - 2 * math.pi)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: check_window((4, 5, 5), 8), ValueError, r"odd positive integers, got \(4, 5, 5\)"),
        (lambda: check_window((5, 5, 0), 8), ValueError, r"odd positive integers, got \(5, 5, 0\)"),
        (lambda: check_window((5, -3, 5), 8), ValueError, r"odd positive integers, got \(5, -3, 5\)"),
        (lambda: check_window((5, 5.0, 5), 8), ValueError, r"odd positive integers"),
        (lambda: check_window((5, 5), 8), ValueError, r"window must be \(KOr, KH, KW\), got \(5, 5\)"),
        (lambda: check_window((5, 5, 5)), ValueError, r"window must be \(KH, KW\), got \(5, 5, 5\)"),
        (
            lambda: check_window((9, 5, 5), 8),
            ValueError,
            "wider than the circle of 8 orientations, got KOr = 9",
        ),
        (lambda: check_orientations(0), ValueError, "orientations must be at least 1, got 0"),
        (lambda: check_orientations(8.0), TypeError, r"orientations must be an int, got 8\.0"),
        (lambda: check_orientations(True), TypeError, "orientations must be an int, got True"),
    ],
)
def test_bad_windows_are_named(call, kind, says):
    with pytest.raises(kind, match=says):
        call()


def test_a_window_may_be_as_wide_as_the_circle():
    assert check_window([5, 3, 3], 5) == (5, 3, 3)
