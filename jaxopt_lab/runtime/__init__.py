"""Runs: the training loop, checkpoints, metric files, signals, several processes.

Heavy packages (orbax, rich, tensorboardX) are imported on first use, so that
importing this package loads none of them.
"""

from jaxopt_lab.runtime.checkpoints import Checkpoints, Restored
from jaxopt_lab.runtime.fit import FitResult, fit
from jaxopt_lab.runtime.metrics import (
    WALL_CLOCK,
    JsonLines,
    Sink,
    TensorBoard,
    read_metrics,
)
from jaxopt_lab.runtime.nonfinite_loss import NonFiniteLossError
from jaxopt_lab.runtime.progress import Progress
from jaxopt_lab.runtime.run_folder import refuse_other_config
from jaxopt_lab.runtime.signals import EXIT_CODES, StopRequest

__all__ = [
    "EXIT_CODES",
    "WALL_CLOCK",
    "Checkpoints",
    "FitResult",
    "JsonLines",
    "NonFiniteLossError",
    "Progress",
    "Restored",
    "Sink",
    "StopRequest",
    "TensorBoard",
    "fit",
    "read_metrics",
    "refuse_other_config",
]
