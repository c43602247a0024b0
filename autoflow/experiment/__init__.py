"""A published experiment as one file: the generator x interpreter table under several seeds."""

from autoflow.experiment.config import Experiment, Published, PublishedRow, load, matrix_config
from autoflow.experiment.report import ExperimentReport, Pooled, pooled
from autoflow.experiment.run import run, run_path

__all__ = [
    "Experiment",
    "ExperimentReport",
    "Pooled",
    "Published",
    "PublishedRow",
    "load",
    "matrix_config",
    "pooled",
    "run",
    "run_path",
]
