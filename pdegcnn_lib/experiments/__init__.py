"""The experiments of the paper: a grid of runs, each one JSON file."""

from pdegcnn_lib.experiments.config import PROFILES, Training, Unit
from pdegcnn_lib.experiments.registry import EXPERIMENTS, Experiment, experiment
from pdegcnn_lib.experiments.run import (
    build_model,
    committed_results,
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
    "build_model",
    "committed_results",
    "experiment",
    "load_model",
    "result_path",
    "run",
    "train",
    "weights_path",
]
