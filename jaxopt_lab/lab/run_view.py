"""A trained run, as recipes and layers of test time see it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab.configuration import Configuration


class RunView(Protocol):
    """A trained run, as recipes and layers of test time see it; ``Run`` is one.

    Attributes:
      configuration: the options as the lab uses them.
      model: the model as pure functions.
      params: the parameters to evaluate.
      model_state: the model state that belongs to them.
      input_shape: shape of one input.
    """

    configuration: Configuration
    model: Functional
    params: Params
    model_state: ModelState
    input_shape: tuple[int, ...]

    @property
    def config(self) -> dict[str, Any]:
        """All options by their names on the command line."""
        ...

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of ``summary.json``."""
        ...

    @property
    def test_batches(self) -> Any:
        """The batches of the test set."""
        ...

    def seed(self, index: int) -> RunView:
        """The run of one seed alone."""
        ...

    def samples(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Examples of a generator."""
        ...
