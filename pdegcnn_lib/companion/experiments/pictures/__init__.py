"""Pictures and tables of results: each takes records that `experiments.run` returned or that are committed."""

from pdegcnn_lib.companion.experiments.pictures.costs import (
    cost_by_parameters,
    cost_table,
    score_by_minutes,
    training_time_table,
)
from pdegcnn_lib.companion.experiments.pictures.names import change_label, label, model_style
from pdegcnn_lib.companion.experiments.pictures.results import (
    accuracy_by_angle,
    change_plot,
    score_boxes,
    score_by_parameters,
    score_by_size,
    score_by_steps,
    training_curves,
)
from pdegcnn_lib.companion.experiments.pictures.tables import (
    change_table,
    claim_table,
    lead,
    provenance_line,
    published_table,
    result_table,
    search_report,
    search_table,
)

__all__ = [
    "accuracy_by_angle",
    "change_label",
    "change_plot",
    "change_table",
    "claim_table",
    "cost_by_parameters",
    "cost_table",
    "label",
    "lead",
    "model_style",
    "provenance_line",
    "published_table",
    "result_table",
    "score_boxes",
    "score_by_minutes",
    "score_by_parameters",
    "score_by_size",
    "score_by_steps",
    "search_report",
    "search_table",
    "training_curves",
    "training_time_table",
]
