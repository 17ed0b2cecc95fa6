"""Recipes of continual learning, unlearning and decoupled modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from battery.recipe.case import ADVERSARIAL, MODEL, Case, supervised, tx
from jaxopt_lab.catalog.examples.batches import one_classifier
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.training import init_state


def _half_full(dtype: Any) -> Any:
    """A memory with room, examples of the batch in its first places."""
    from jaxopt_lab.recipes.replay_memory import empty_memory, remember

    batch = one_classifier()["batch"]
    batch = {**batch, "image": (0.5 * batch["image"]).astype(dtype)}
    return remember(jax.random.key(3), empty_memory(batch, 12), batch)


def replay_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_replay

    weights = params["model"]
    return init_replay(tx(), weights, key, _half_full(weights.dtype))


def _pod(params: Any, state: Any, x: Any, **_: Any) -> Any:
    from jaxopt_lab.recipes import PodOutputs

    logits = x @ params
    return PodOutputs(logits, 2 * logits, [logits.reshape(-1, 1, 3, 1)]), state


POD = Functional(MODEL.init, _pod)


def _pod_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(POD, tx(), **options, **more)


def _pod_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_podnet

    weights, old = params["model"], params["old"]
    return init_podnet(tx(), weights, old, key, _half_full(weights.dtype))


def _ghost_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import Ghosts, init_ghost

    weights, ghosts = params["model"], Ghosts(**params["ghosts"])
    memory = _half_full(weights.dtype)
    return init_ghost(tx(), weights, params["old"], ghosts, key, memory)


PODNET = Case(
    step=_pod_step,
    state=_pod_state,
    plain=lambda make: make(MODEL, tx(), weight=1.0),
    plain_state=replay_state,
    plain_part=ADVERSARIAL.plain_part,
)
GHOST = PODNET._replace(
    state=_ghost_state,
    plain=lambda make: make(POD, tx()),
    plain_state=_pod_state,
)


def _matching_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_oracle_matching

    return init_oracle_matching(tx(), params["model"], key)


def _matched(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    part = batch["forget"]
    gap = part["image"] @ params - part["target"]
    return jnp.mean(jnp.sum(gap**2, axis=1)), (model_state, {})


MATCHING = ADVERSARIAL._replace(
    state=_matching_state, plain=lambda make: make(_matched, tx())
)


def _decoupled_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build([MODEL, MODEL], [MODEL], tx(), **options, **more)


def _decoupled_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_decoupled

    return init_decoupled(tx(), params["modules"], params["predictors"], key)


def _in_a_row(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    losses = cross_entropy(batch["image"] @ params[0] @ params[1], batch["label"])
    return jnp.mean(losses), (model_state, {})


DECOUPLED = Case(
    step=_decoupled_step,
    state=_decoupled_state,
    plain=lambda make: make(_in_a_row, tx()),
    plain_state=lambda params, key: init_state(tx(), tuple(params["modules"]), key),
    plain_part=lambda state: (state.params["modules"], state.opt_state["modules"]),
)


def _predicting(params: Any, state: Any, e: Any, **_: Any) -> Any:
    return (e @ params).reshape(-1, 4, 3), state


def _hypernetwork_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _predicting), MODEL, tx(), **options, **more)


def _hypernetwork_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import OldTasks, init_continual_hypernetwork

    model, old = params["model"], OldTasks(**params["old"])
    pair = model["hypernetwork"], model["embedding"]
    return init_continual_hypernetwork(tx(), *pair, old, key)


def _predicted(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    e = params["embedding"][None]
    weights = _predicting(params["hypernetwork"], {}, e)[0][0]
    return supervised(weights, model_state, batch, key)


HYPERNETWORK = ADVERSARIAL._replace(
    step=_hypernetwork_step,
    state=_hypernetwork_state,
    plain=lambda make: make(_predicted, tx()),
)
