"""The kernel of a metric, made by the backend that will use it."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric, squared_estimate
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.kernels.morphological import check_alpha, check_time
from pdegcnn_lib.kernels.window import Window, check_window
from pdegcnn_lib.ops.backends import choose

LAWS = {"morphological": morphological_kernel, "diffusion": diffusion_kernel}


def morphological_table(
    metric: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: Window,
    orientations: int,
    t: float = 1.0,
    estimate: str | Squared = "rho_c",
    backend: str | None = None,
) -> Tensor:
    """`kernels.morphological_kernel`, in one launch where the backend has code for it.

    It has for diagonal metrics, named estimates and a number alpha > 1/2; everything else is composed of torch's own
    operators.

    Shapes: a metric over C channels, or `w [C, 3]` of a diagonal one -> `[C, Or, KOr, KH, KW]`.
    Errors as in `kernels.morphological_kernel`.
    """
    return _table("morphological", metric, alpha, window, orientations, t, estimate, backend)


def diffusion_table(
    metric: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: Window,
    orientations: int,
    t: float = 1.0,
    estimate: str | Squared = "rho_c",
    backend: str | None = None,
) -> Tensor:
    """`kernels.diffusion_kernel`, in one launch where the backend has code for it.

    It has for diagonal metrics, named estimates and the closed forms, alpha = 1 and alpha = 1/2; everything else is
    composed of torch's own operators.

    Shapes: a metric over C channels, or `w [C, 3]` of a diagonal one -> `[C, Or, KOr, KH, KW]`.
    Errors as in `kernels.diffusion_kernel`.
    """
    return _table("diffusion", metric, alpha, window, orientations, t, estimate, backend)


def _table(
    law: str,
    metric: Tensor | Metric,
    alpha: float | Tensor,
    window: Window,
    orientations: int,
    t: float,
    estimate: str | Squared,
    backend: str | None,
) -> Tensor:
    metric = as_metric(metric)
    w = metric.over_channels(3)
    if w.element_size() < 4:  # in 16 bits not even the offsets of a window are exact
        wide = metric.with_parameters(w.float())
        return _table(law, wide, alpha, window, orientations, t, estimate, backend).to(w.dtype)
    if metric.is_diagonal and isinstance(estimate, str) and not isinstance(alpha, Tensor):
        alpha, t = check_alpha(alpha), check_time(t)
        check_window(window, orientations)
        squared_estimate(estimate)
        chosen = choose(backend, w)
        if chosen != "reference":
            from pdegcnn_lib.ops import compiled

            assert not isinstance(alpha, Tensor)
            k = compiled.kernel_table(w, law, alpha, window, orientations, t, estimate, chosen)
            if k is not None:
                return k
    return LAWS[law](metric, alpha=alpha, window=window, orientations=orientations, t=t, estimate=estimate)
