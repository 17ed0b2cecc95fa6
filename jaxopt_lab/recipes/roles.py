"""A training step of one role among those of a recipe's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optax

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import make_train_step


def train_role(
    role: str,
    loss_fn: TrainLossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    **options: Any,
) -> tuple[TrainState, Metrics]:
    """A step of ``make_train_step`` on one role; the others stay as they are.

    Args:
      role: key of ``params`` and ``opt_state``.
      loss_fn: as of ``make_train_step``; it is given, and returns, the model states of
        all roles.
      tx: transformation of the role's gradients.
      state: dicts by role.
      batch: the batch.
      **options: those of ``make_train_step``.

    Returns:
      State and metrics.
    """
    opt_state: Any = state.opt_state
    before = state._replace(params=state.params[role], opt_state=opt_state[role])
    after, metrics = make_train_step(loss_fn, tx, **options)(before, batch)
    return (
        after._replace(
            params={**state.params, role: after.params},
            opt_state={**opt_state, role: after.opt_state},
        ),
        metrics,
    )


def gathered(
    states: Sequence[TrainState], gather: Callable[[list[Any]], Any]
) -> TrainState:
    """One state from several plain ones.

    Args:
      states: of ``init_state``; step and key are those of the first.
      gather: makes one tree of those of the states.

    Returns:
      The state, its parameters, model state and optimizer state gathered.
    """
    of = lambda name: gather([getattr(state, name) for state in states])
    return TrainState(
        step=states[0].step,
        params=of("params"),
        model_state=of("model_state"),
        opt_state=of("opt_state"),
        key=states[0].key,
    )


def in_role(
    role: str, state: TrainState, kept: Mapping[str, Any] | None = None
) -> TrainState:
    """A plain state as that of a recipe with one role.

    Args:
      role: its key in ``params``, ``model_state`` and ``opt_state``.
      state: of ``init_state``.
      kept: what the recipe keeps beside it in ``model_state``, by name.

    Returns:
      The state.
    """
    return state._replace(
        params={role: state.params},
        model_state={role: state.model_state, **(kept or {})},
        opt_state={role: state.opt_state},
    )


def check_roles(state: TrainState, roles: Sequence[str], made_by: str) -> None:
    """Refuse a state of other roles.

    Args:
      state: the state.
      roles: of its parameters and optimizer state.
      made_by: name of the function that makes such states.

    Raises:
      InputError: there are other roles.
    """
    for name in ("params", "opt_state"):
        tree = getattr(state, name)
        if not isinstance(tree, dict) or set(tree) != set(roles):
            wanted = " and ".join(repr(role) for role in roles)
            raise InputError(f"state.{name} must have {wanted}, as {made_by} makes it")


def logits_of(network: Functional) -> Functional:
    """A network whose logits are the first of several outputs, with these alone.

    Args:
      network: its ``apply`` gives a tuple.

    Returns:
      The classifier.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return (2 * x, x), state
    >>> model = logits_of(Functional(lambda key: ((), {}), apply))
    >>> model.apply((), {}, 3.0, train=False)[0]
    6.0
    """

    def apply(
        params: Params, state: ModelState, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        outputs, state = network.apply(params, state, x, train=train, key=key)
        return outputs[0], state

    return Functional(network.init, apply)


def entries(batch: Batch, *names: str) -> list[Any]:
    """Entries of a batch.

    Args:
      batch: a dict.
      *names: of the entries.

    Returns:
      They.

    Raises:
      InputError: there is none of a name.

    >>> entries({"image": 1, "label": 2}, "label")
    [2]
    """
    check_entries(batch, names)
    return [batch[name] for name in names]
