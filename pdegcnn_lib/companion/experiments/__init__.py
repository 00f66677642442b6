"""The experiments of the paper: a grid of runs, each one JSON file."""

# The modules of the experiments enter them into the list.
from pdegcnn_lib.companion.experiments import digits, lines, tubes, vessels
from pdegcnn_lib.companion.experiments.config import PROFILES, Run, Training
from pdegcnn_lib.companion.experiments.grid import doublings, find, obtain
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS, Experiment, Variant, enter, experiment
from pdegcnn_lib.companion.experiments.run import (
    build_model,
    committed_results,
    learned_geometry,
    load_model,
    read_result,
    result_path,
    run,
    settled_results,
    weights_path,
)
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.training import train

__all__ = [
    "EXPERIMENTS",
    "PROFILES",
    "Experiment",
    "Run",
    "Task",
    "Training",
    "Variant",
    "build_model",
    "committed_results",
    "digits",
    "doublings",
    "enter",
    "experiment",
    "find",
    "learned_geometry",
    "lines",
    "load_model",
    "obtain",
    "read_result",
    "result_path",
    "run",
    "settled_results",
    "train",
    "tubes",
    "vessels",
    "weights_path",
]
