"""How each recipe is set up on its row's example, and its plain counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from battery.recipe.case import (
    ADVERSARIAL,
    MODEL,
    Case,
    adversarial_state,
    one_model_step,
    supervised,
    trains_one_role,
    tx,
)
from battery.recipe.cases_continual import (
    DECOUPLED,
    GHOST,
    HYPERNETWORK,
    MATCHING,
    PODNET,
    replay_state,
)
from battery.recipe.cases_generative import DISCOPATCH, FLOW, GAN, OSUDA
from jaxopt_lab.catalog.examples.batches import one_classifier
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.training import TrainState


def _distillation_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, MODEL, tx(), **options, **more)


def _distillation_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_distillation

    return init_distillation(tx(), params["student"], params["teacher"], key)


DISTILLATION = trains_one_role(_distillation_step, _distillation_state, "student")


def _conadv_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_conadv

    batch = one_classifier()["batch"]
    image = 0.5 * batch["image"]
    batch = {**batch, "image": image.astype(params["model"].dtype)}
    return init_conadv(tx(), params["model"], key, batch)


_STRENGTH = {n: one_classifier()[n] for n in ("weight", "epsilon", "alpha")}
CONADV = Case(
    step=one_model_step,
    state=_conadv_state,
    plain=lambda make: make(MODEL, tx(), **_STRENGTH),
    plain_state=adversarial_state,
    plain_part=ADVERSARIAL.plain_part,
)


def _ensemble_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_ensemble

    return init_ensemble(tx(), params["members"], key)


def _one_by_one(make: Any) -> Any:
    """Plain steps of two members, whose states are stacked."""
    step = make(supervised, tx())

    def both(state: Any, batch: Any) -> Any:
        alone = []
        for m in range(2):
            params, opt_state = jax.tree.map(
                lambda x, m=m: x[m], (state.params, state.opt_state)
            )
            own = state._replace(params=params, opt_state=opt_state)
            alone.append(step(own, batch))
        stacked = jax.tree.map(
            lambda *x: jnp.stack(x), *((s.params, s.opt_state) for s, _ in alone)
        )
        loss = jnp.mean(jnp.stack([m["loss"] for _, m in alone]))
        first = alone[0][0]
        after = first._replace(params=stacked[0], opt_state=stacked[1])
        return after, {"loss": loss}

    return both


ENSEMBLE = Case(
    step=one_model_step,
    state=_ensemble_state,
    plain=_one_by_one,
    plain_state=lambda params, key: TrainState(
        jnp.zeros((), jnp.int32),
        params["members"],
        {},
        jax.vmap(tx().init)(params["members"]),
        key,
    ),
    plain_part=lambda state: (state.params["members"], state.opt_state["members"]),
)


def _co_teaching_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_co_teaching

    return init_co_teaching(tx(), params["first"], params["second"], key)


def _stacked(params: Any) -> Any:
    return jnp.stack([params["first"], params["second"]])


def _pair(state: Any) -> Any:
    roles = (state.params, state.opt_state)
    pairs = (tuple(x[role] for role in ("first", "second")) for x in roles)
    return tuple(jax.tree.map(lambda *x: jnp.stack(x), *pair) for pair in pairs)


CO_TEACHING = ENSEMBLE._replace(
    state=_co_teaching_state,
    plain_state=lambda params, key: ENSEMBLE.plain_state(
        {"members": _stacked(params)}, key
    ),
    plain_part=_pair,
)


def _fixmatch_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_fixmatch

    return init_fixmatch(tx(), params["model"], key)


def _hybrid(params: Any, state: Any, x: Any, *, train: bool, key: Any = None) -> Any:
    from jaxopt_lab.recipes import HybridOutputs

    del train, key
    logits = x @ params
    return HybridOutputs(logits, 0.1 * (logits @ params.T), 0.2 * x), state


def _hybrid_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _hybrid), tx(), **options, **more)


def _hybrid_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_hybridnet

    return init_hybridnet(tx(), params["student"], key)


HYBRIDNET = DISTILLATION._replace(step=_hybrid_step, state=_hybrid_state)


def _represented(params: Any, state: Any, x: Any, **_: Any) -> Any:
    logits = x @ params
    return (logits, jnp.tanh(logits)), state


def _guided_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    network = Functional(MODEL.init, _represented)
    return build(network, network, tx(), **options, **more)


def _guided_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_guided

    return init_guided(tx(), params["target"], params["guide"], key)


GUIDED = trains_one_role(_guided_step, _guided_state, "target")


def _dual(params: Any, state: Any, x: Any, **_: Any) -> Any:
    from jaxopt_lab.recipes import DualOutputs

    h = x @ params
    z = jnp.tanh(h)
    rebuilt = 0.1 * (h @ params.T)
    return DualOutputs(h, z, h, 0.5 * z[:, :2], rebuilt, [params.T]), state


def _rivals(params: Any, state: Any, features: Any, **_: Any) -> Any:
    h, z = features
    return (z @ params[:3], h @ params[1:, :2]), state


def _dualdis_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    pair = (Functional(MODEL.init, apply) for apply in (_dual, _rivals))
    return build(*pair, tx(), **options, **more)


def _dualdis_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_dualdis

    return init_dualdis(tx(), params["network"], params["adversaries"], key)


DUALDIS = trains_one_role(_dualdis_step, _dualdis_state, "network")


def _natra_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_natra

    weights = params["model"]
    directions = jnp.eye(4, dtype=weights.dtype)[:, :2]
    return init_natra(tx(), weights, key, directions)


def _sortednet_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    # The inputs of its one matrix are cut, so that no logit is.
    return build(MODEL, tx(), axes={"": ("width", None)}, **options, **more)


def _sortednet_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_sortednet

    return init_sortednet(tx(), params["model"], key)


def _federated_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_federated

    return init_federated(tx(), params["model"], key)


FEDERATED = trains_one_role(one_model_step, _federated_state, "model")
SORTEDNET = trains_one_role(_sortednet_step, _sortednet_state, "model")


NATRA = ADVERSARIAL._replace(state=_natra_state)
FIXMATCH = ADVERSARIAL._replace(state=_fixmatch_state)

CASES: dict[str, Case] = {
    "fixmatch": FIXMATCH,
    "dualdis": DUALDIS,
    "gan": GAN,
    "flow_matching": FLOW,
    "discopatch": DISCOPATCH,
    "osuda": OSUDA,
    "guided": GUIDED,
    "hybridnet": HYBRIDNET,
    "natra": NATRA,
    "sortednet": SORTEDNET,
    "podnet": PODNET,
    "continual_hypernetwork": HYPERNETWORK,
    "decoupled": DECOUPLED,
    "oracle_matching": MATCHING,
    "ghost": GHOST,
    "replay": ADVERSARIAL._replace(state=replay_state),
    "federated": FEDERATED,
    "co_teaching": CO_TEACHING,
    "ensemble": ENSEMBLE,
    "distillation": DISTILLATION,
    "adversarial": ADVERSARIAL,
    "conadv": CONADV,
}


def key_of(bits: Any) -> Any:
    """A key from its bits."""
    return jax.random.wrap_key_data(bits)
