"""Place of a transformation among its neighbours, as the running update shows it.

optax tells a transformation nothing about what stands around it. Some places are
silently wrong: a link inside ``optax.MultiSteps`` sees the gradient function of the
last micro-batch only, and a transform behind perturbed parameters changes the
perturbation. The frames of the call show the place, in any loop: those of
``optax.chain``, ``optax.named_chain`` and ``optax.MultiSteps``. Where optax names its
locals otherwise the place is unknown and nothing is said.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params


def _code(fn: Any) -> types.CodeType:
    return fn.__code__


_CHAIN = _code(optax.chain(optax.identity()).update)
_NAMED_CHAIN = _code(optax.named_chain(("", optax.identity())).update)
_MULTI_STEPS = _code(optax.MultiSteps.update)
_IDENTITY = _code(optax.identity().update)

# A loss may run a training of its own; its links stand in no chain outside of it.
_BOUNDARIES: set[types.CodeType] = set()

F = TypeVar("F", bound=Callable[..., Any])


def evaluates_loss(fn: F) -> F:
    """Mark a function that calls a user's loss: no place is looked for beyond it.

    Args:
      fn: a plain function or method.

    Returns:
      The same function.
    """
    _BOUNDARIES.add(_code(fn))
    return fn


def _frames() -> Iterator[types.FrameType]:
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code not in _BOUNDARIES:
        yield frame
        frame = frame.f_back


def _does_nothing(update: Callable[..., Any]) -> bool:
    """Whether ``update`` is that of ``optax.identity``, extra arguments or none."""
    inner = [cell.cell_contents for cell in getattr(update, "__closure__", None) or ()]
    found = [update, *(getattr(x, "update", None) for x in inner)]
    return any(getattr(fn, "__code__", None) is _IDENTITY for fn in found)


def _neighbours(frame: types.FrameType) -> tuple[bool, bool]:
    """Whether a transform stands in front of and behind the one now called."""
    known = frame.f_locals
    if frame.f_code is _CHAIN:
        updates = list(known.get("update_fns", ()))
    elif frame.f_code is _NAMED_CHAIN:
        updates = [tx.update for _, tx in known.get("transforms", ())]
    else:
        return False, False
    at = len(known.get("new_state", ()))
    acts = [not _does_nothing(update) for update in updates]
    return any(acts[:at]), any(acts[at + 1 :])


def in_front() -> bool:
    """Whether a transform stands in front of the one that asks.

    Returns:
      True where a chain has called another one before; ``optax.identity`` is none.
    """
    return any(_neighbours(frame)[0] for frame in _frames())


def refuse_accumulation(link: str) -> None:
    """Refuse ``optax.MultiSteps`` around a link that evaluates gradients.

    Args:
      link: its name.

    Raises:
      InputError: it stands there.
    """
    if any(frame.f_code is _MULTI_STEPS for frame in _frames()):
        raise InputError(
            f"optax.MultiSteps around {link} is silently wrong: the gradient function "
            "that it sees is that of the last micro-batch only. Use "
            "make_train_step(..., micro_batches=k) or "
            "jaxopt_lab.batch_grad(loss_fn, batch, micro_batches=k) instead"
        )


def refuse_holes(link: str, params: Params) -> None:
    """Refuse optax's masks around a link that evaluates gradients.

    Args:
      link: its name.
      params: the parameters that it is given.

    Raises:
      InputError: some of them are masked.
    """

    def hole(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode)

    if any(map(hole, jax.tree.leaves(params, is_leaf=hole))):
        raise InputError(
            f"optax.masked or optax.partition around {link} hides parameters that the "
            "loss needs: use jaxopt_lab.masked or jaxopt_lab.partition"
        )


def refuse_behind(transform: str, contents: str, remedy: str) -> None:
    """Refuse a transform behind one whose updates must be applied as they are.

    Args:
      transform: name of the one in front, which asks.
      contents: part of its updates that no transform may change.
      remedy: the place where the other one belongs.

    Raises:
      InputError: another transform than ``optax.identity`` stands behind it.
    """
    if any(_neighbours(frame)[1] for frame in _frames()):
        raise InputError(
            f"a transform stands behind {transform}: the updates of {transform} "
            f"contain {contents}, which must reach the parameters unchanged. {remedy}"
        )


def warn_in_front(link: str, given: str | None, *, gives_gradient: bool = True) -> None:
    """Warn that a transform stands in front of a link.

    Args:
      link: its name.
      given: use that the link makes of the gradient it is given, the object of
        "it changes only"; ``None``: none.
      gives_gradient: whether it is no whole optimizer, so that something must follow.

    Warns:
      UserWarning: always.
    """
    effect = f"it changes only {given}, not the gradients that {link} computes itself"
    if given is None:
        effect = f"it has no effect, since {link} computes all its gradients itself"
    text = f"a transform stands in front of {link}: {effect}."
    places = [_neighbours(frame) for frame in _frames()]
    last = any(front for front, _ in places) and not any(after for _, after in places)
    if gives_gradient and last:
        text += f" What {link} gives, a gradient, is then the update itself."
    warnings.warn(f"{text} Put {link} first in the chain", stacklevel=4)
