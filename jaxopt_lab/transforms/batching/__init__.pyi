# What the room exports; __init__.py reads it and loads each name on first use.
from .agvm import AGVMState, agvm
from .scaling import regime_adaptation, scale_lr

__all__ = ["AGVMState", "agvm", "regime_adaptation", "scale_lr"]
