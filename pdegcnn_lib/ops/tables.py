"""The kernel of a metric, made by the backend that will use it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.kernels.morphological import check_alpha, check_time
from pdegcnn_lib.ops.backends import implementation
from pdegcnn_lib.ops.compiled.laws import LAWS
from pdegcnn_lib.spaces import Space, chosen


def morphological_table(
    metric: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: tuple[int, ...],
    space: Space | None = None,
    orientations: int | None = None,
    t: float = 1.0,
    estimate: str | Squared | None = None,
    backend: str | None = None,
) -> Tensor:
    """`kernels.morphological_kernel`, in one launch where the backend has code for it.

    It has on every space of the library but the plane, for diagonal and axial metrics, named estimates and a number
    alpha > 1/2; everything else is composed of torch's own operators. Arguments, shapes and errors are those of
    `kernels.morphological_kernel`.
    """
    options = {"alpha": alpha, "window": window, "t": t, "estimate": estimate}
    return _table("morphological", as_metric(metric), chosen(space, orientations), backend, options)


def diffusion_table(
    metric: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: tuple[int, ...],
    space: Space | None = None,
    orientations: int | None = None,
    t: float = 1.0,
    estimate: str | Squared | None = None,
    backend: str | None = None,
) -> Tensor:
    """`kernels.diffusion_kernel`, in one launch where the backend has code for it.

    It has on every space of the library but the plane, for diagonal and axial metrics, named estimates and the closed
    forms, alpha = 1 and alpha = 1/2; everything else is composed of torch's own operators. Arguments, shapes and errors
    are those of `kernels.diffusion_kernel`.
    """
    options = {"alpha": alpha, "window": window, "t": t, "estimate": estimate}
    return _table("diffusion", as_metric(metric), chosen(space, orientations), backend, options)


def _table(law: str, metric: Metric, space: Space, backend: str | None, options: dict[str, Any]) -> Tensor:
    w = metric.over_channels(space.lengths)
    if w.element_size() < 4:  # in 16 bits not even the offsets of a window are exact
        wide = metric.with_parameters(w.float())
        return _table(law, wide, space, backend, options).to(w.dtype)
    alpha, estimate = options["alpha"], options["estimate"] or next(iter(space.estimates))
    # By name alone: a record that was pickled is another one, and must not go another way than before.
    named = isinstance(estimate, str) and estimate in space.estimates and metric.kind in space.metrics
    if named and not isinstance(alpha, Tensor) and space.estimates[estimate].coded(metric.kind):
        alpha, t, window = check_alpha(alpha), check_time(options["t"]), space.check_window(options["window"])
        run = implementation(backend, w)
        k = run.kernel_table(w, law, alpha, window, space, t, estimate, metric.kind)
        if k is not None:
            return k
    return LAWS[law](metric, space=space, **options)
