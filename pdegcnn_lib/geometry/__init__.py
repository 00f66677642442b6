"""Invariant geometry of R^2 and SE(2) = M2: groups, left-invariant metrics, distance estimates."""

from pdegcnn_lib.geometry.estimates import (
    SQUARED_ESTIMATES,
    rho_b,
    rho_b_com,
    rho_b_sr,
    rho_c,
    squared_estimate,
)
from pdegcnn_lib.geometry.groups import R2, SE2, LieGroup, RotoTranslationGroup, TranslationGroup, wrap_angle
from pdegcnn_lib.geometry.metrics import DiagonalMetric, FullMetric, Metric, as_metric

__all__ = [
    "R2",
    "SE2",
    "SQUARED_ESTIMATES",
    "DiagonalMetric",
    "FullMetric",
    "LieGroup",
    "Metric",
    "RotoTranslationGroup",
    "TranslationGroup",
    "as_metric",
    "rho_b",
    "rho_b_com",
    "rho_b_sr",
    "rho_c",
    "squared_estimate",
    "wrap_angle",
]
