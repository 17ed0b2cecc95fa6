"""ABE: early stopping by the activations of a few examples of the target."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from jaxopt_lab.controllers.batch_growth import statistic
from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.controllers.layer_moments import MOMENTS
from jaxopt_lab.controllers.trajectory_scores import (
    THRESHOLD,
    Select,
    critical_checkpoint,
    validation_limit,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, STATIC, check_arguments

_SIDES = ("source", "target")


def validation_stopping(
    *,
    smooth: Annotated[int, COUNT] = 3,
    patience: Annotated[int, COUNT] = 10,
) -> Controller:
    """Early stopping at the best validation on source tasks.

    Args:
      smooth: checkpoints of a centred moving mean of the accuracies, odd; 1 is none.
      patience: checkpoints without a better one after which training stops.

    Returns:
      A controller of one decision a checkpoint, ``{"checkpoint": c, "stop": s}``: the
      number of the one to keep, from 0, and 1 once training may end. It reads
      ``stats["source_accuracy"]``; its state is the list of them.

    Raises:
      InputError: an argument is out of range; at the call, the statistic is missing.

    >>> control = validation_stopping(smooth=1, patience=1)
    >>> first, state = control.decide({"source_accuracy": 0.5}, control.init())
    >>> first, control.decide({"source_accuracy": 0.4}, state)[0]
    ({'checkpoint': 0, 'stop': 0}, {'checkpoint': 0, 'stop': 1})
    """
    check_arguments(validation_stopping, locals())
    validation_limit([0.0], smooth=smooth)  # refuses even numbers

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        accuracy = statistic("validation_stopping", stats, "source_accuracy")
        accuracies = [*state["accuracies"], accuracy]
        limit = validation_limit(accuracies, smooth=smooth)
        stop = int(len(accuracies) - limit >= patience)
        decision = {"checkpoint": limit - 1, "stop": stop}
        return decision, {"accuracies": accuracies}

    return Controller(lambda: {"accuracies": []}, decide)


def activation_stopping(
    threshold: Annotated[float, THRESHOLD, STATIC] = 0.0,
    *,
    select: Select = "joint",
    smooth: Annotated[int, COUNT] = 3,
    patience: Annotated[int, COUNT] = 10,
) -> Controller:
    r"""Early stopping where activations on the target part from those on the source.

    The best validation on source tasks says how long to look, T checkpoints. Within
    them the trajectories x of the target and y of the source, of four moments of each
    layer (``activation_moments``), are compared from each checkpoint t on,

    .. math:: s(l, m, t) = -\mathrm{corr}(x_{t:T}, y_{t:T}) \cdot (T - t),

    and the checkpoint of the highest score is kept: from there on they go opposite
    ways for longest. Where none is above 0 it is the best in validation. The target
    needs no labels, and a few examples of one task do.

    Args:
      threshold: least score to leave the best in validation for; infinity never does,
        which is ``validation_stopping``.
      select: ``"joint"`` or ``"stepwise"``, as of ``critical_checkpoint``.
      smooth: checkpoints of a centred moving mean of the accuracies, odd; 1 is none.
      patience: checkpoints without a better validation after which training stops.

    Returns:
      A controller of one decision a checkpoint, from all of them so far:
      ``{"checkpoint": c, "stop": s}``, the number of the one to keep, from 0, and 1
      once training may end. It reads ``source_accuracy``, where larger is better (minus
      a loss), and ``source_m1`` to ``source_m4`` and ``target_m1`` to ``target_m4``,
      each a number or one a layer (``stopping_statistics``). A trajectory that is not
      finite or constant is never critical. After the fact ``critical_checkpoint``
      takes whole trajectories.

    Raises:
      InputError: an argument is out of range; at the call, a statistic is missing or
        has another number of layers.

    Cost: one forward pass of the source's and the target's support sets a checkpoint,
    all checkpoints to be kept until the end. State: 8 numbers a layer and checkpoint.

    Deviations: the notebook's helper returns after the first moment, and another one
    multiplies the score by one point more; the rule is the published one.

    >>> control = activation_stopping(smooth=1)
    >>> state = control.init()
    >>> for t, x in enumerate([0.0, 1.0, 2.0, 1.0]):  # the target turns back
    ...     moments = {f"source_m{i}": t for i in (1, 2, 3, 4)}
    ...     moments |= {f"target_m{i}": x for i in (1, 2, 3, 4)}
    ...     stats = {"source_accuracy": t, **moments}
    ...     decision, state = control.decide(stats, state)
    >>> decision
    {'checkpoint': 2, 'stop': 0}

    Source: Guiroy et al., "Improving Meta-Learning Generalization with Activation-Based
    Early-Stopping", arXiv:2208.02377 and its notebook.
    """
    check_arguments(activation_stopping, locals())
    plain = validation_stopping(smooth=smooth, patience=patience)

    def init() -> State:
        return {**plain.init(), **{side: [] for side in _SIDES}}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        decision, after = plain.decide(stats, state)
        for side in _SIDES:
            after[side] = [
                *state[side],
                [_layers(stats, f"{side}_{m}") for m in MOMENTS],
            ]
        widths = {len(row) for side in _SIDES for rows in after[side] for row in rows}
        if len(widths) > 1:
            raise InputError(
                "every moment of every checkpoint must have the same number of layers; "
                f"got {sorted(widths)}"
            )
        source, target = (np.swapaxes(np.asarray(after[side]), 0, 1) for side in _SIDES)
        found = critical_checkpoint(
            target,
            source,
            limit=decision["checkpoint"] + 1,
            select=select,
            threshold=threshold,
        )
        return {**decision, "checkpoint": found.checkpoint}, after

    return Controller(init, decide)


def _layers(stats: Statistics, name: str) -> list[float]:
    """A statistic as numbers of Python, one a layer."""
    if name not in stats:
        raise InputError(
            f"activation_stopping reads stats[{name!r}]; got {', '.join(stats)}"
        )
    values: Any = np.asarray(stats[name], np.float64)
    if values.ndim > 1 or not values.size:
        raise InputError(
            f"{name} must be a number or one a layer; got shape {values.shape}"
        )
    return np.atleast_1d(values).tolist()
