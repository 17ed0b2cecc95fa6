"""Train state, train step, and what a run needs around them."""

from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

__all__ = ["TrainState", "TrainStep", "init_state", "make_train_step"]
