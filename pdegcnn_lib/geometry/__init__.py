"""Invariant geometry of R^2, SE(2) = M2 and M3: groups, invariant metrics, distance estimates, the exact distance."""

from pdegcnn_lib.geometry import m3, octahedral
from pdegcnn_lib.geometry.distance import distance, minimising_momentum, sub_riemannian_distance
from pdegcnn_lib.geometry.estimates import (
    ESTIMATES,
    SQUARED_ESTIMATES,
    Estimate,
    rho_b,
    rho_b_com,
    rho_b_sr,
    rho_c,
    squared_estimate,
)
from pdegcnn_lib.geometry.geodesics import Geodesic, exponential_curve, geodesic
from pdegcnn_lib.geometry.groups import R2, SE2, LieGroup, RotoTranslationGroup, TranslationGroup, wrap_angle
from pdegcnn_lib.geometry.metrics import DiagonalMetric, FinslerMetric, FullMetric, Metric, as_metric

__all__ = [
    "ESTIMATES",
    "R2",
    "SE2",
    "SQUARED_ESTIMATES",
    "DiagonalMetric",
    "Estimate",
    "FinslerMetric",
    "FullMetric",
    "Geodesic",
    "LieGroup",
    "Metric",
    "RotoTranslationGroup",
    "TranslationGroup",
    "as_metric",
    "distance",
    "exponential_curve",
    "geodesic",
    "m3",
    "minimising_momentum",
    "octahedral",
    "rho_b",
    "rho_b_com",
    "rho_b_sr",
    "rho_c",
    "squared_estimate",
    "sub_riemannian_distance",
    "wrap_angle",
]
