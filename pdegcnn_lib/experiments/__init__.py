"""The experiments of the paper: a grid of runs, each one JSON file."""

# The modules of the experiments enter them into the list.
from pdegcnn_lib.experiments import digits, lines, vessels
from pdegcnn_lib.experiments.config import PROFILES, Training, Unit
from pdegcnn_lib.experiments.grid import find, obtain
from pdegcnn_lib.experiments.registry import EXPERIMENTS, Experiment, Variant, enter, experiment
from pdegcnn_lib.experiments.run import (
    build_model,
    committed_results,
    learned_geometry,
    load_model,
    result_path,
    run,
    weights_path,
)
from pdegcnn_lib.experiments.task import Task
from pdegcnn_lib.experiments.training import train

__all__ = [
    "EXPERIMENTS",
    "PROFILES",
    "Experiment",
    "Task",
    "Training",
    "Unit",
    "Variant",
    "build_model",
    "committed_results",
    "digits",
    "enter",
    "experiment",
    "find",
    "learned_geometry",
    "lines",
    "load_model",
    "obtain",
    "result_path",
    "run",
    "train",
    "vessels",
    "weights_path",
]
