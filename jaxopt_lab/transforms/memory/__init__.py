"""Optimizers that remember past gradients and momenta."""

from jaxopt_lab.transforms.memory.adam_cg import adam_cg
from jaxopt_lab.transforms.memory.adam_cm import adam_cm
from jaxopt_lab.transforms.memory.adamw_cm import adamw_cm
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer, admit, empty
from jaxopt_lab.transforms.memory.critical_gradients import critical_gradients
from jaxopt_lab.transforms.memory.critical_momenta import scale_by_critical_momenta
from jaxopt_lab.transforms.memory.resizing import resize
from jaxopt_lab.transforms.memory.rmsprop_cg import rmsprop_cg
from jaxopt_lab.transforms.memory.rmsprop_cm import rmsprop_cm
from jaxopt_lab.transforms.memory.sgd_cg import sgd_cg
from jaxopt_lab.transforms.memory.sgd_cm import sgd_cm

__all__ = [
    "PriorityBuffer",
    "adam_cg",
    "adam_cm",
    "adamw_cm",
    "admit",
    "critical_gradients",
    "empty",
    "resize",
    "rmsprop_cg",
    "rmsprop_cm",
    "scale_by_critical_momenta",
    "sgd_cg",
    "sgd_cm",
]
