"""Metrics by length scales and by factors."""

import numpy as np
import pytest
import torch

from pdegcnn_lib.geometry import DiagonalMetric, FullMetric, as_metric


def test_diagonal_metric_is_the_sum_of_scaled_squares(dtype):
    w, v = torch.tensor([1.0, 2.0, 0.5], dtype=dtype), torch.tensor([3.0, -1.0, 4.0], dtype=dtype)
    metric = DiagonalMetric(w)
    assert metric.squared(v).item() == 9 + 4 + 4
    torch.testing.assert_close(metric.squared(v), v @ metric.matrix @ v)


def test_full_metric_is_the_quadratic_form_of_its_matrix():
    factor, v = torch.randn(5, 3, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    metric = FullMetric(factor)
    torch.testing.assert_close(metric.squared(v), torch.einsum("ni,nij,nj->n", v, metric.matrix, v))
    assert (torch.linalg.eigvalsh(metric.matrix) > 0).all()


def test_full_metric_with_a_diagonal_factor_is_the_diagonal_metric():
    w, v = torch.rand(4, 3) + 0.1, torch.randn(7, 1, 3)
    torch.testing.assert_close(FullMetric(torch.diag_embed(w)).squared(v), DiagonalMetric(w).squared(v))
    torch.testing.assert_close(FullMetric(torch.diag_embed(w)).matrix, DiagonalMetric(w).matrix)


@pytest.mark.parametrize("make", [DiagonalMetric, lambda w: FullMetric(torch.diag_embed(w))])
def test_window_axes_broadcast_channels_against_a_window(make):
    w, window = torch.rand(2, 3) + 0.1, torch.randn(8, 5, 3, 3, 3)
    values = make(w).window_axes(4).squared(window)
    assert values.shape == (2, 8, 5, 3, 3)
    for channel in range(2):
        torch.testing.assert_close(values[channel], make(w[channel]).squared(window))


def test_as_metric():
    w = torch.ones(2, 3)
    assert as_metric(w).w is w
    for metric in (DiagonalMetric(w), FullMetric(torch.eye(3))):
        assert as_metric(metric) is metric


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: DiagonalMetric([1.0, 1.0]), TypeError, r"w must be a tensor of shape .*got \[1\.0, 1\.0\]"),
        (lambda: DiagonalMetric(torch.tensor(1.0)), TypeError, "w must be a tensor of shape"),
        (lambda: DiagonalMetric(torch.ones(3, dtype=torch.int64)), TypeError, "w must be a floating.*int64"),
        (
            lambda: DiagonalMetric(torch.tensor([1.0, 0.0])),
            ValueError,
            r"w must be positive.*got 0 at index \[1\]",
        ),
        (lambda: DiagonalMetric(torch.tensor([[1.0, 1], [-2, 1]])), ValueError, r"got -2 at index \[1, 0\]"),
        (lambda: DiagonalMetric(torch.tensor([1.0, torch.nan])), ValueError, "positive and finite, got nan"),
        (lambda: DiagonalMetric(torch.tensor([1.0, torch.inf])), ValueError, "positive and finite, got inf"),
        (lambda: FullMetric(1.0), TypeError, "factor must be a floating point tensor"),
        (
            lambda: FullMetric(torch.ones(3, 3, dtype=torch.int64)),
            TypeError,
            "factor must be a floating point tensor",
        ),
        (
            lambda: FullMetric(torch.ones(3)),
            ValueError,
            r"factor must have shape \[\.\.\., n, n\], got \[3\]",
        ),
        (lambda: FullMetric(torch.ones(2, 3)), ValueError, r"got \[2, 3\]"),
        (lambda: FullMetric(torch.ones(3, 3)), ValueError, "det factor.* must be positive and finite, got 0"),
        (lambda: FullMetric(torch.full((2, 2), torch.nan)), ValueError, "got nan"),
    ],
)
def test_bad_metrics_are_named(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_checks_can_be_left_out():
    assert DiagonalMetric(torch.zeros(3), checked=False).squared(torch.ones(3)) == 0
    assert FullMetric(torch.zeros(3, 3), checked=False).squared(torch.ones(3)) == 0


@pytest.mark.parametrize("make", [DiagonalMetric, lambda w: FullMetric(torch.diag_embed(w))])
def test_a_metric_answers_for_itself(make):
    """Picking, moving and asking are the metric's own: nobody asks for its type."""
    w = torch.rand(4, 3, dtype=torch.float64) + 0.5
    metric, v = make(w), torch.randn(4, 3, dtype=torch.float64)
    assert metric.dim == 3 and metric.over_channels(3) is metric.parameters
    torch.testing.assert_close(metric.lengths, w)
    torch.testing.assert_close(metric[1].squared(v[1]), metric.squared(v)[1], rtol=0, atol=0)
    torch.testing.assert_close(metric[1:3].squared(v[1:3]), metric.squared(v)[1:3], rtol=0, atol=0)
    assert metric.to(torch.float32).squared(v.float()).dtype == torch.float32
    with pytest.raises(ValueError, match=r"must have shape \[C, 3(, 3)?\], got \[3(, 3)?\]"):
        metric[0].over_channels(3)


@pytest.mark.parametrize("make", [DiagonalMetric, lambda w: FullMetric(torch.diag_embed(w))])
def test_metrics_are_picked_by_an_array(make):
    metric = make(torch.rand(4, 3) + 0.5)
    assert torch.equal(metric[np.array([0, 2])].parameters, metric[[0, 2]].parameters)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_factor_in_16_bits(dtype):
    """torch has no determinant of them, by which a factor is held to be invertible."""
    assert FullMetric(torch.eye(3, dtype=dtype)).parameters.dtype == dtype
    with pytest.raises(ValueError, match="det factor.* must be positive and finite, got 0"):
        FullMetric(torch.ones(3, 3, dtype=dtype))


def test_a_metric_is_diagonal_or_says_what_it_cannot_do():
    w = torch.ones(3)
    assert DiagonalMetric(w).is_diagonal and DiagonalMetric(w).diagonal("it") is w
    full = FullMetric(torch.eye(3))
    assert not full.is_diagonal
    with pytest.raises(
        ValueError, match="^it is defined for diagonal metrics only, got a FullMetric; use that$"
    ):
        full.diagonal("it", instead="that")
