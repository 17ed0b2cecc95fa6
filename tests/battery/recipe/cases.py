"""How each recipe is set up on its row's example, and its plain counterpart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.catalog.examples.batches import one_classifier
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.training import TrainState, init_state

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


def _tx() -> Any:
    return optax.sgd(0.1, momentum=0.9)


def _supervised(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    losses = cross_entropy(batch["image"] @ params, batch["label"])
    return jnp.mean(losses), (model_state, {})


def _trains_one_role(step: Any, state: Any, role: str) -> Case:
    """A recipe whose neutral setting is plain training of one of its roles."""
    return Case(
        step=step,
        state=state,
        plain=lambda make: make(_supervised, _tx()),
        plain_state=lambda params, key: init_state(_tx(), params[role], key),
        plain_part=lambda state: (state.params[role], state.opt_state[role]),
    )


def _distillation_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, MODEL, _tx(), **options, **more)


def _distillation_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_distillation

    return init_distillation(_tx(), params["student"], params["teacher"], key)


DISTILLATION = _trains_one_role(_distillation_step, _distillation_state, "student")


def _one_model_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, _tx(), **options, **more)


def _adversarial_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_adversarial

    return init_adversarial(_tx(), params["model"], key)


def _conadv_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_conadv

    batch = one_classifier()["batch"]
    image = 0.5 * batch["image"]
    batch = {**batch, "image": image.astype(params["model"].dtype)}
    return init_conadv(_tx(), params["model"], key, batch)


ADVERSARIAL = _trains_one_role(_one_model_step, _adversarial_state, "model")
_STRENGTH = {n: one_classifier()[n] for n in ("weight", "epsilon", "alpha")}
CONADV = Case(
    step=_one_model_step,
    state=_conadv_state,
    plain=lambda make: make(MODEL, _tx(), **_STRENGTH),
    plain_state=_adversarial_state,
    plain_part=ADVERSARIAL.plain_part,
)


def _ensemble_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_ensemble

    return init_ensemble(_tx(), params["members"], key)


def _one_by_one(make: Any) -> Any:
    """Plain steps of two members, whose states are stacked."""
    step = make(_supervised, _tx())

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
    step=_one_model_step,
    state=_ensemble_state,
    plain=_one_by_one,
    plain_state=lambda params, key: TrainState(
        jnp.zeros((), jnp.int32),
        params["members"],
        {},
        jax.vmap(_tx().init)(params["members"]),
        key,
    ),
    plain_part=lambda state: (state.params["members"], state.opt_state["members"]),
)


def _co_teaching_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_co_teaching

    return init_co_teaching(_tx(), params["first"], params["second"], key)


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

    return init_fixmatch(_tx(), params["model"], key)


def _hybrid(params: Any, state: Any, x: Any, *, train: bool, key: Any = None) -> Any:
    from jaxopt_lab.recipes import HybridOutputs

    del train, key
    logits = x @ params
    return HybridOutputs(logits, 0.1 * (logits @ params.T), 0.2 * x), state


def _hybrid_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _hybrid), _tx(), **options, **more)


def _hybrid_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_hybridnet

    return init_hybridnet(_tx(), params["student"], key)


HYBRIDNET = DISTILLATION._replace(step=_hybrid_step, state=_hybrid_state)


def _represented(params: Any, state: Any, x: Any, **_: Any) -> Any:
    logits = x @ params
    return (logits, jnp.tanh(logits)), state


def _guided_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    network = Functional(MODEL.init, _represented)
    return build(network, network, _tx(), **options, **more)


def _guided_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_guided

    return init_guided(_tx(), params["target"], params["guide"], key)


GUIDED = _trains_one_role(_guided_step, _guided_state, "target")


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
    return build(*pair, _tx(), **options, **more)


def _dualdis_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_dualdis

    return init_dualdis(_tx(), params["network"], params["adversaries"], key)


DUALDIS = _trains_one_role(_dualdis_step, _dualdis_state, "network")


def _natra_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_natra

    weights = params["model"]
    directions = jnp.eye(4, dtype=weights.dtype)[:, :2]
    return init_natra(_tx(), weights, key, directions)


def _sortednet_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    # The inputs of its one matrix are cut, so that no logit is.
    return build(MODEL, _tx(), axes={"": ("width", None)}, **options, **more)


def _sortednet_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_sortednet

    return init_sortednet(_tx(), params["model"], key)


def _federated_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_federated

    return init_federated(_tx(), params["model"], key)


FEDERATED = _trains_one_role(_one_model_step, _federated_state, "model")
SORTEDNET = _trains_one_role(_sortednet_step, _sortednet_state, "model")


def _half_full(dtype: Any) -> Any:
    """A memory with room, examples of the batch in its first places."""
    from jaxopt_lab.recipes.replay_memory import empty_memory, remember

    batch = one_classifier()["batch"]
    batch = {**batch, "image": (0.5 * batch["image"]).astype(dtype)}
    return remember(jax.random.key(3), empty_memory(batch, 12), batch)


def _replay_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_replay

    weights = params["model"]
    return init_replay(_tx(), weights, key, _half_full(weights.dtype))


def _pod(params: Any, state: Any, x: Any, **_: Any) -> Any:
    from jaxopt_lab.recipes import PodOutputs

    logits = x @ params
    return PodOutputs(logits, 2 * logits, [logits.reshape(-1, 1, 3, 1)]), state


POD = Functional(MODEL.init, _pod)


def _pod_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(POD, _tx(), **options, **more)


def _pod_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_podnet

    weights, old = params["model"], params["old"]
    return init_podnet(_tx(), weights, old, key, _half_full(weights.dtype))


def _ghost_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import Ghosts, init_ghost

    weights, ghosts = params["model"], Ghosts(**params["ghosts"])
    memory = _half_full(weights.dtype)
    return init_ghost(_tx(), weights, params["old"], ghosts, key, memory)


PODNET = Case(
    step=_pod_step,
    state=_pod_state,
    plain=lambda make: make(MODEL, _tx(), weight=1.0),
    plain_state=_replay_state,
    plain_part=ADVERSARIAL.plain_part,
)
GHOST = PODNET._replace(
    state=_ghost_state,
    plain=lambda make: make(POD, _tx()),
    plain_state=_pod_state,
)


def _matching_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_oracle_matching

    return init_oracle_matching(_tx(), params["model"], key)


def _matched(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    part = batch["forget"]
    gap = part["image"] @ params - part["target"]
    return jnp.mean(jnp.sum(gap**2, axis=1)), (model_state, {})


MATCHING = ADVERSARIAL._replace(
    state=_matching_state, plain=lambda make: make(_matched, _tx())
)


def _decoupled_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build([MODEL, MODEL], [MODEL], _tx(), **options, **more)


def _decoupled_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_decoupled

    return init_decoupled(_tx(), params["modules"], params["predictors"], key)


def _in_a_row(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    losses = cross_entropy(batch["image"] @ params[0] @ params[1], batch["label"])
    return jnp.mean(losses), (model_state, {})


DECOUPLED = Case(
    step=_decoupled_step,
    state=_decoupled_state,
    plain=lambda make: make(_in_a_row, _tx()),
    plain_state=lambda params, key: init_state(_tx(), tuple(params["modules"]), key),
    plain_part=lambda state: (state.params["modules"], state.opt_state["modules"]),
)


def _predicting(params: Any, state: Any, e: Any, **_: Any) -> Any:
    return (e @ params).reshape(-1, 4, 3), state


def _hypernetwork_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _predicting), MODEL, _tx(), **options, **more)


def _hypernetwork_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import OldTasks, init_continual_hypernetwork

    model, old = params["model"], OldTasks(**params["old"])
    pair = model["hypernetwork"], model["embedding"]
    return init_continual_hypernetwork(_tx(), *pair, old, key)


def _predicted(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    e = params["embedding"][None]
    weights = _predicting(params["hypernetwork"], {}, e)[0][0]
    return _supervised(weights, model_state, batch, key)


HYPERNETWORK = ADVERSARIAL._replace(
    step=_hypernetwork_step,
    state=_hypernetwork_state,
    plain=lambda make: make(_predicted, _tx()),
)


def _gan_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, MODEL, _tx(), latent=2, **options, **more)


def _gan_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_gan

    return init_gan(_tx(), params["generator"], params["discriminators"], key)


def _one_after_the_other(make: Any) -> Any:
    """A plain step of each discriminator, then one of the generator."""
    from jaxopt_lab.recipes.gan import draw_noise

    def step(state: Any, batch: Any) -> Any:
        key, noise_key, *_ = jax.random.split(state.key, 4)
        x = batch["image"]
        z = draw_noise(noise_key, len(x), 2, x.dtype)
        maker, judges = (state.params[r] for r in ("generator", "discriminators"))

        def of_judge(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
            real, fake = (jax.nn.softplus(s @ params) for s in (-batch, z @ maker))
            return jnp.mean(real) + jnp.mean(fake), (model_state, {})

        moved, key_after = [], key
        for k in range(2):
            own = jax.tree.map(
                lambda x, k=k: x[k], (judges, state.opt_state["discriminators"])
            )
            before = TrainState(state.step, own[0], {}, own[1], key)
            after, _ = make(of_judge, _tx())(before, x)
            moved.append((after.params, after.opt_state))
            key_after = after.key
        judges, opt_state = jax.tree.map(lambda *x: jnp.stack(x), *moved)

        def of_generator(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
            scores = jnp.einsum("bi,kio->kb", batch @ params, judges)
            return jnp.sum(jnp.mean(jax.nn.softplus(-scores), 1)), (model_state, {})

        opt_before = state.opt_state["generator"]
        before = TrainState(state.step, maker, {}, opt_before, key_after)
        after, metrics = make(of_generator, _tx())(before, z)
        roles = lambda a, b: {"generator": a, "discriminators": b}
        return (
            after._replace(
                params=roles(after.params, judges),
                opt_state=roles(after.opt_state, opt_state),
            ),
            metrics,
        )

    return step


GAN = Case(
    step=_gan_step,
    state=_gan_state,
    plain=_one_after_the_other,
    plain_state=_gan_state,
    plain_part=lambda state: (state.params, state.opt_state),
)


def _velocity(params: Any, state: Any, given: Any, **_: Any) -> Any:
    x, t = given
    return (x @ params) * (1 + t)[:, None], state


def _flow_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _velocity), _tx(), **options, **more)


def _flow_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_flow_matching

    return init_flow_matching(_tx(), params["model"], key)


def _plain_flow(make: Any) -> Any:
    from jaxopt_lab.recipes.flow_matching import draw_pairs

    def loss(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
        v, _ = _velocity(params, {}, (batch["x"], batch["t"]))
        errors = jnp.sum((v - batch["displacement"]) ** 2, axis=1)
        return jnp.mean(errors), (model_state, {})

    def step(state: Any, batch: Any) -> Any:
        key, own = jax.random.split(state.key)
        pairs = draw_pairs(own, batch["image"], None, 0.0)
        return make(loss, _tx())(state._replace(key=key), pairs)

    return step


FLOW = _trains_one_role(_flow_step, _flow_state, "model")._replace(plain=_plain_flow)
NATRA = ADVERSARIAL._replace(state=_natra_state)
FIXMATCH = ADVERSARIAL._replace(state=_fixmatch_state)

CASES: dict[str, Case] = {
    "fixmatch": FIXMATCH,
    "dualdis": DUALDIS,
    "gan": GAN,
    "flow_matching": FLOW,
    "guided": GUIDED,
    "hybridnet": HYBRIDNET,
    "natra": NATRA,
    "sortednet": SORTEDNET,
    "podnet": PODNET,
    "continual_hypernetwork": HYPERNETWORK,
    "decoupled": DECOUPLED,
    "oracle_matching": MATCHING,
    "ghost": GHOST,
    "replay": ADVERSARIAL._replace(state=_replay_state),
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
