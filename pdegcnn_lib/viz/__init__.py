"""Figures: one function per kind of picture, so that the book speaks one visual language. Needs matplotlib."""

from pdegcnn_lib.viz.distances import error_maps, estimate_handles, geodesic_fan, wavefront
from pdegcnn_lib.viz.fields import image_rows, orientation_montage, score_in_space
from pdegcnn_lib.viz.kernels import kernel_montage, learned_metrics
from pdegcnn_lib.viz.results import accuracy_by_angle, accuracy_by_parameters, committed_table, result_table
from pdegcnn_lib.viz.shapes import association_fields, level_surfaces
from pdegcnn_lib.viz.statements import convergence, labelled_curves, titled_images
from pdegcnn_lib.viz.style import MODEL_COLORS, MODEL_LABELS, use_style

__all__ = [
    "association_fields",
    "level_surfaces",
    "MODEL_COLORS",
    "MODEL_LABELS",
    "accuracy_by_angle",
    "accuracy_by_parameters",
    "committed_table",
    "error_maps",
    "estimate_handles",
    "geodesic_fan",
    "convergence",
    "image_rows",
    "kernel_montage",
    "labelled_curves",
    "learned_metrics",
    "orientation_montage",
    "result_table",
    "score_in_space",
    "titled_images",
    "use_style",
    "wavefront",
]
