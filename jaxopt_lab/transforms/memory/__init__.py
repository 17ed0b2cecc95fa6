"""Optimizers that remember past gradients and momenta."""

from jaxopt_lab.transforms.memory.buffer import (
    PriorityBuffer,
    admit,
    empty,
    offer,
    resize,
    store,
)
from jaxopt_lab.transforms.memory.critical_gradients import (
    adam_cg,
    critical_gradients,
    rmsprop_cg,
    sgd_cg,
)
from jaxopt_lab.transforms.memory.critical_momenta import (
    adam_cm,
    adamw_cm,
    scale_by_critical_momenta,
)
from jaxopt_lab.transforms.memory.critical_trace import rmsprop_cm, sgd_cm
from jaxopt_lab.transforms.memory.options import BufferOptions

__all__ = [
    "BufferOptions",
    "PriorityBuffer",
    "adam_cg",
    "adam_cm",
    "adamw_cm",
    "admit",
    "critical_gradients",
    "empty",
    "offer",
    "resize",
    "rmsprop_cg",
    "rmsprop_cm",
    "scale_by_critical_momenta",
    "sgd_cg",
    "sgd_cm",
    "store",
]
