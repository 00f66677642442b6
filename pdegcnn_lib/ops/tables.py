"""The kernel of a metric, made by the backend that will use it."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.geometry import DiagonalMetric, Metric
from pdegcnn_lib.kernels import morphological_kernel
from pdegcnn_lib.kernels.window import Window
from pdegcnn_lib.ops.backends import choose


def morphological_table(
    metric: Metric,
    *,
    alpha: float | Tensor,
    window: Window,
    orientations: int,
    t: float = 1.0,
    estimate: str = "rho_c",
    backend: str | None = None,
) -> Tensor:
    """`kernels.morphological_kernel`, in one launch where the backend has code for it.

    It has for diagonal metrics and alpha > 1/2; everything else is composed of torch's own operators.

    Shapes: a metric over C channels -> `[C, Or, KOr, KH, KW]`. Errors as in `kernels.morphological_kernel`.
    """
    if isinstance(metric, DiagonalMetric) and not isinstance(alpha, Tensor) and alpha > 0.5:
        chosen = choose(backend, metric.w)
        if chosen != "reference":
            from pdegcnn_lib.ops import compiled

            return compiled.morphological_table(metric.w, alpha, window, orientations, t, estimate, chosen)
    return morphological_kernel(
        metric, alpha=alpha, window=window, orientations=orientations, t=t, estimate=estimate
    )
