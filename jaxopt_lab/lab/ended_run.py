"""The run that has just ended."""

from __future__ import annotations

import numpy as np

from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_files import CHECKPOINTS
from jaxopt_lab.lab.runs import Outcome
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.runtime import Checkpoints


def of_outcome(configuration: Configuration, outcome: Outcome) -> Run:
    """The run that has just ended.

    Args:
      configuration: the run.
      outcome: what ``runs.train`` gave; the state of a run that took no step is read
        from its newest checkpoint.

    Returns:
      The run at its last step.
    """
    program = outcome.program
    if outcome.fitted is not None:
        state = outcome.fitted.state
    else:
        saved = Checkpoints(outcome.folder / CHECKPOINTS, read_only=True)
        state = saved.restore(program.state).state
    step = int(np.ravel(state.step)[0])
    return Run(outcome.folder, configuration, program, state, step)
