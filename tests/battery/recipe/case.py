"""Recipes on a tiny problem: a case, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.training import init_state

Tree = Any


class Case(NamedTuple):
    """A recipe on a tiny problem.

    Attributes:
      step: ``step(build, options, **step_options)``, the step that ``build`` makes.
      state: ``state(params, key)``, a fresh state.
      plain: ``plain(make_train_step)``, what the step is at its neutral setting.
      plain_state: ``plain_state(params, key)``, its state.
      plain_part: ``plain_part(state)``, the role of a recipe's state that it trains.
    """

    step: Callable[..., Any]
    state: Callable[..., Any]
    plain: Callable[..., Any]
    plain_state: Callable[..., Any]
    plain_part: Callable[..., Any]


def _apply(params: Any, state: Any, x: Any, *, train: bool, key: Any = None) -> Any:
    del train, key
    return x @ params, state


MODEL = Functional(lambda key: (jnp.zeros((4, 3)), {}), _apply)


def tx() -> Any:
    return optax.sgd(0.1, momentum=0.9)


def supervised(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    losses = cross_entropy(batch["image"] @ params, batch["label"])
    return jnp.mean(losses), (model_state, {})


def trains_one_role(step: Any, state: Any, role: str) -> Case:
    """A recipe whose neutral setting is plain training of one of its roles."""
    return Case(
        step=step,
        state=state,
        plain=lambda make: make(supervised, tx()),
        plain_state=lambda params, key: init_state(tx(), params[role], key),
        plain_part=lambda state: (state.params[role], state.opt_state[role]),
    )


def one_model_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, tx(), **options, **more)


def adversarial_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_adversarial

    return init_adversarial(tx(), params["model"], key)


ADVERSARIAL = trains_one_role(one_model_step, adversarial_state, "model")
