"""Bad arguments of dilation, erosion, linear and logarithmic convolution are named."""

import math

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.ops import reference

EVERY = (ops.dilation, ops.erosion, ops.linear_convolution, ops.log_convolution)
F, K = torch.zeros(2, 3, 8, 6, 7), torch.zeros(3, 8, 5, 3, 3)


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize(
    ("f", "k", "kind", "says"),
    [
        (F[0], K, ValueError, r"f must have shape \[B, C, Or, H, W\], got \[3, 8, 6, 7\]"),
        (F, K[0], ValueError, r"k must have shape \[C, Or, KOr, KH, KW\], got \[8, 5, 3, 3\]"),
        (F.long(), K, TypeError, "f must be a floating point tensor, got dtype torch.int64"),
        (F.numpy(), K, TypeError, "f must be a torch.Tensor, got ndarray"),
        (F, K.double(), TypeError, "k must have the dtype of f, torch.float32, got torch.float64"),
        (F, K.to("meta"), ValueError, "k must be on the device of f, cpu, got meta"),
        (F, K[:2], ValueError, r"k must start with \[C, Or\] = \[3, 8\] as f does, got \[2, 8, 5, 3, 3\]"),
        (F, K[:, :4], ValueError, r"k must start with \[C, Or\] = \[3, 8\]"),
        (F, K[..., :2], ValueError, r"the window of k must be odd in every axis, got \[5, 3, 2\]"),
        (F, torch.zeros(3, 8, 9, 3, 3), ValueError, "at most Or = 8 orientations, got KOr = 9"),
    ],
)
def test_bad_arguments_are_named(op, f, k, kind, says):
    with pytest.raises(kind, match=says):
        op(f, k)


@pytest.mark.parametrize("op", [ops.dilation_r2, ops.erosion_r2, ops.linear_convolution_r2])
@pytest.mark.parametrize(
    ("f", "k", "kind", "says"),
    [
        (F, K[0, 0], ValueError, r"f must have shape \[B, C, H, W\], got \[2, 3, 8, 6, 7\]"),
        (F[:, :, 0], K[0], ValueError, r"k must have shape \[C, KH, KW\], got"),
        (F[:, :, 0], torch.zeros(2, 3, 3), ValueError, r"k must start with C = 3 as f does, got \[2, 3, 3\]"),
        (F[:, :, 0], torch.zeros(3, 3, 4), ValueError, r"odd in every axis, got \[3, 4\]"),
        (F[:, :, 0], torch.zeros(3, 3, 3).double(), TypeError, "k must have the dtype of f"),
    ],
)
def test_bad_arguments_on_the_plane_are_named(op, f, k, kind, says):
    with pytest.raises(kind, match=says):
        op(f, k)


@pytest.mark.parametrize("mu", [0.0, -1.0, math.nan, math.inf])
def test_mu_must_be_positive_and_finite(mu):
    with pytest.raises(ValueError, match=f"mu must be positive and finite, got {mu}"):
        ops.log_convolution(F, K, mu=mu)


def test_reference_names_its_semirings():
    with pytest.raises(
        ValueError, match="semiring must be one of max_plus, min_plus, linear, log, got 'mean'"
    ):
        reference.semiring_convolution(torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1), "mean")
