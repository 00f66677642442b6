"""The table of a kernel is the kernel, whichever backend makes it."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import DiagonalMetric, FullMetric, squared_estimate
from pdegcnn_lib.geometry.m3 import AxialMetric
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.spaces import M3

TABLES = {
    "morphological": (ops.morphological_table, morphological_kernel),
    "diffusion": (ops.diffusion_table, diffusion_kernel),
}
WINDOW = {"window": (5, 3, 7), "orientations": 8}
W = torch.tensor([[0.4, 1.3, 0.9], [1.0, 0.2, 2.0]], dtype=torch.float64)
METRICS = {
    "tensor": W,
    "diagonal": DiagonalMetric(W),
    "full": FullMetric(
        torch.tensor([[[0.9, 0.3, 0.1], [0.0, 1.1, -0.2], [0.4, 0.0, 0.8]]], dtype=torch.float64)
    ),
}


@pytest.mark.parametrize("backend", [None, "reference"])
@pytest.mark.parametrize("alpha", [0.5, 0.65, 1.0, torch.tensor(0.75)])
@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("law", TABLES)
def test_a_table_is_the_kernel(law, kind, alpha, backend):
    table, kernel = TABLES[law]
    options = {"alpha": alpha, "t": 0.8, "estimate": "rho_b", **WINDOW}
    # A power or an exponential of numbers of order ten, in float64.
    torch.testing.assert_close(
        table(METRICS[kind], backend=backend, **options),
        kernel(METRICS[kind], **options),
        rtol=1e-12,
        atol=1e-14 if law == "diffusion" else 0,
    )


@pytest.mark.parametrize(
    ("alpha", "t"), [(0.501, 0.8), (0.501, 1e-4), (0.51, 10.0), (0.55, 1e-4), (0.65, 1 / 64), (0.75, 1e-20)]
)
def test_a_table_holds_where_a_power_of_the_time_is_out_of_range(alpha, t, backend):
    """t^(-1/(2 alpha - 1)) is infinite or 0, and t (rho/t)^(2 alpha/(2 alpha - 1)) is not."""
    options = {"alpha": alpha, "t": t, "window": (5, 3, 7), "orientations": 8}
    found = ops.morphological_table(DiagonalMetric(W.float()), backend=backend, **options)
    assert (found[:, :, 2, 1, 3] == 0).all()  # at rest
    known = morphological_kernel(DiagonalMetric(W), **options)
    small = known < 1e28  # above, a factor may be beyond the range
    # The power multiplies the error of the square, some units, by an exponent of up to 250.
    torch.testing.assert_close(found[small].double(), known[small], rtol=2e-3, atol=1e-37)
    assert (found[~small] > 9e27).all()


@pytest.mark.parametrize("law", TABLES)
def test_an_estimate_may_be_a_function(law, backend):
    metric, options = METRICS["diagonal"], {"alpha": 1.0, **WINDOW}
    found = TABLES[law][0](metric, estimate=squared_estimate("rho_b_sr"), backend=backend, **options)
    torch.testing.assert_close(
        found, TABLES[law][1](metric, estimate="rho_b_sr", **options), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("law", TABLES)
def test_a_metric_in_16_bits_is_computed_in_single_precision(law, backend):
    w = torch.tensor([[0.4, 1.3, 0.9]], dtype=torch.bfloat16)
    found = TABLES[law][0](DiagonalMetric(w), alpha=1.0, backend=backend, **WINDOW)
    expected = TABLES[law][1](w.double(), alpha=1.0, **WINDOW)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-7)


@pytest.mark.parametrize("law", TABLES)
@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"estimate": "rho_x"}, ValueError, "estimate must be one of .*, got 'rho_x'"),
        (
            {"alpha": torch.tensor([0.6, 0.7, 0.8])},
            ValueError,
            r"number or of shape \[C\] = \[2\], got \[3\]",
        ),
        (
            {"alpha": torch.tensor([0.6, 0.7]), "metric": DiagonalMetric(W[:1])},
            ValueError,
            r"number or of shape \[C\] = \[1\], got \[2\]",
        ),
        ({"alpha": 0.4}, ValueError, r"alpha must lie in \[1/2, 1\], got 0.4"),
        ({"t": 0.0}, ValueError, "t must be positive and finite, got 0"),
        ({"window": (5, 4, 5)}, ValueError, r"window must be .* odd positive integers, got \(5, 4, 5\)"),
        ({"window": (9, 3, 3)}, ValueError, "not be wider than the circle of 8 orientations, got KOr = 9"),
        (
            {"metric": DiagonalMetric(torch.ones(2, 2))},
            ValueError,
            r"must have shape \[..., 3\], got \[2, 2\]",
        ),
        ({"metric": DiagonalMetric(torch.ones(3))}, ValueError, r"must have shape \[C, 3\], got \[3\]"),
    ],
)
def test_bad_arguments_are_named_by_every_backend(law, change, kind, says, backend):
    arguments = {"metric": METRICS["diagonal"], "alpha": 1.0, "backend": backend, **WINDOW, **change}
    with pytest.raises(kind, match=says):
        TABLES[law][0](arguments.pop("metric"), **arguments)


@pytest.mark.parametrize("law", TABLES)
def test_a_metric_that_a_space_does_not_know_is_refused_by_every_backend(law, backend):
    """Lines cannot tell n from -n, which an axial metric does."""
    axial = AxialMetric(torch.ones(1, 3), torch.tensor([0.4]), torch.tensor([0.2]))
    with pytest.raises(ValueError, match="on M3 is defined for diagonal metrics only, got an AxialMetric"):
        TABLES[law][0](axial, alpha=1.0, window=(5, 3, 3, 3), space=M3(13), backend=backend)
