"""Figures: one function per kind of picture, so that the book speaks one visual language. Needs matplotlib."""

from pdegcnn_lib.companion.viz.costs import cost_by_parameters, cost_table, time_to_score_table
from pdegcnn_lib.companion.viz.distances import error_maps, estimate_handles, geodesic_fans, wavefronts
from pdegcnn_lib.companion.viz.fields import image_rows, orientation_montage, score_in_space
from pdegcnn_lib.companion.viz.kernels import kernel_montage, learned_metrics
from pdegcnn_lib.companion.viz.results import (
    accuracy_by_angle,
    change_plot,
    score_boxes,
    score_by_parameters,
    score_by_size,
    score_by_steps,
    training_curves,
)
from pdegcnn_lib.companion.viz.segmentations import grey, segmentations, verdicts
from pdegcnn_lib.companion.viz.shapes import association_fields, level_surfaces
from pdegcnn_lib.companion.viz.space import direction_sets, reach_on_m3, surfaces
from pdegcnn_lib.companion.viz.statements import convergence, labelled_curves, titled_images
from pdegcnn_lib.companion.viz.style import label, model_style, use_style
from pdegcnn_lib.companion.viz.tables import (
    change_table,
    claim_table,
    markdown_table,
    provenance_line,
    published_table,
    result_table,
)

__all__ = [
    "accuracy_by_angle",
    "association_fields",
    "change_plot",
    "change_table",
    "claim_table",
    "convergence",
    "cost_by_parameters",
    "cost_table",
    "direction_sets",
    "error_maps",
    "estimate_handles",
    "geodesic_fans",
    "grey",
    "image_rows",
    "kernel_montage",
    "label",
    "labelled_curves",
    "learned_metrics",
    "level_surfaces",
    "markdown_table",
    "model_style",
    "orientation_montage",
    "provenance_line",
    "published_table",
    "reach_on_m3",
    "result_table",
    "score_boxes",
    "score_by_parameters",
    "score_by_size",
    "score_by_steps",
    "score_in_space",
    "segmentations",
    "surfaces",
    "time_to_score_table",
    "titled_images",
    "training_curves",
    "use_style",
    "verdicts",
    "wavefronts",
]
