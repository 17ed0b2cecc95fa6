"""Learning rates that follow the batch: its size, and its noise by modules."""

from jaxopt_lab.transforms.batching.agvm import AGVMState, agvm
from jaxopt_lab.transforms.batching.scaling import regime_adaptation, scale_lr

__all__ = ["AGVMState", "agvm", "regime_adaptation", "scale_lr"]
