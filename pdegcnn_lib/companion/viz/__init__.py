"""Figures: one function per kind of picture, so that the book speaks one visual language. Needs matplotlib.

The pictures of results are in `companion.experiments.pictures`; nothing here reads a result.
"""

from pdegcnn_lib.companion.viz.distances import error_maps, estimate_handles, geodesic_fans, wavefronts
from pdegcnn_lib.companion.viz.fields import image_rows, orientation_montage, score_in_space
from pdegcnn_lib.companion.viz.kernels import kernel_montage, learned_metrics
from pdegcnn_lib.companion.viz.segmentations import components, grey, segmentations, verdicts
from pdegcnn_lib.companion.viz.shapes import association_fields, level_surfaces
from pdegcnn_lib.companion.viz.space import (
    direction_sets,
    reach_on_m3,
    screw_lines,
    surfaces,
    turning_reach_on_m3,
)
from pdegcnn_lib.companion.viz.statements import convergence, labelled_curves, titled_images
from pdegcnn_lib.companion.viz.style import use_style
from pdegcnn_lib.companion.viz.tables import markdown_table

__all__ = [
    "association_fields",
    "components",
    "convergence",
    "direction_sets",
    "error_maps",
    "estimate_handles",
    "geodesic_fans",
    "grey",
    "image_rows",
    "kernel_montage",
    "labelled_curves",
    "learned_metrics",
    "level_surfaces",
    "markdown_table",
    "orientation_montage",
    "reach_on_m3",
    "score_in_space",
    "screw_lines",
    "segmentations",
    "surfaces",
    "titled_images",
    "turning_reach_on_m3",
    "use_style",
    "verdicts",
    "wavefronts",
]
