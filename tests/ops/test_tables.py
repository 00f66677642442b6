"""The table of a kernel is the kernel, whichever backend makes it."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import DiagonalMetric, FullMetric
from pdegcnn_lib.kernels import morphological_kernel

WINDOW = {"window": (5, 3, 7), "orientations": 8}
METRICS = {
    "diagonal": DiagonalMetric(torch.tensor([[0.4, 1.3, 0.9], [1.0, 0.2, 2.0]], dtype=torch.float64)),
    "full": FullMetric(
        torch.tensor([[[0.9, 0.3, 0.1], [0.0, 1.1, -0.2], [0.4, 0.0, 0.8]]], dtype=torch.float64)
    ),
}


@pytest.mark.parametrize("backend", [None, "reference"])
@pytest.mark.parametrize(("alpha", "t"), [(0.5, 1.0), (0.65, 1.0), (0.65, 0.25), (1.0, 3.0)])
@pytest.mark.parametrize("kind", METRICS)
def test_a_table_is_the_kernel(kind, alpha, t, backend):
    options = {"alpha": alpha, "t": t, "estimate": "rho_b", **WINDOW}
    table = ops.morphological_table(METRICS[kind], backend=backend, **options)
    torch.testing.assert_close(table, morphological_kernel(METRICS[kind], **options), rtol=1e-12, atol=0)


def test_an_unknown_estimate_is_named_by_every_backend():
    for backend in (None, "reference"):
        with pytest.raises(ValueError, match="estimate must be one of .*, got 'rho_x'"):
            ops.morphological_table(
                METRICS["diagonal"], alpha=0.65, estimate="rho_x", backend=backend, **WINDOW
            )
