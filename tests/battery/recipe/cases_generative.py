"""Recipes of generative models, and of statistics that adapt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from battery.recipe.case import MODEL, Case, trains_one_role, tx
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.training import TrainState


def _gan_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(MODEL, MODEL, tx(), latent=2, **options, **more)


def _gan_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_gan

    return init_gan(tx(), params["generator"], params["discriminators"], key)


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
            after, _ = make(of_judge, tx())(before, x)
            moved.append((after.params, after.opt_state))
            key_after = after.key
        judges, opt_state = jax.tree.map(lambda *x: jnp.stack(x), *moved)

        def of_generator(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
            scores = jnp.einsum("bi,kio->kb", batch @ params, judges)
            return jnp.sum(jnp.mean(jax.nn.softplus(-scores), 1)), (model_state, {})

        opt_before = state.opt_state["generator"]
        before = TrainState(state.step, maker, {}, opt_before, key_after)
        after, metrics = make(of_generator, tx())(before, z)
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


def _encode(params: Any, state: Any, given: Any, **_: Any) -> Any:
    from jaxopt_lab.recipes import VaeOutputs

    x, _noise, prior = given
    h = x @ params
    return VaeOutputs(h @ params.T, prior @ params.T, h, 0 * h), state


def _patches_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    vae = Functional(MODEL.init, _encode)
    return build(vae, MODEL, tx(), latent=2, **options, **more)


def _patches_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_discopatch

    return init_discopatch(tx(), params["vae"], params["discriminator"], key)


def _rebuilds(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    x = batch["image"]
    return jnp.mean((x @ params @ params.T - x) ** 2), (model_state, {})


DISCOPATCH = trains_one_role(_patches_step, _patches_state, "vae")._replace(
    plain=lambda make: make(_rebuilds, tx())
)


def _velocity(params: Any, state: Any, given: Any, **_: Any) -> Any:
    x, t = given
    return (x @ params) * (1 + t)[:, None], state


def _flow_step(build: Any, options: Mapping[str, Any], **more: Any) -> Any:
    return build(Functional(MODEL.init, _velocity), tx(), **options, **more)


def _flow_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_flow_matching

    return init_flow_matching(tx(), params["model"], key)


def _plain_flow(make: Any) -> Any:
    from jaxopt_lab.recipes.flow_matching import draw_pairs

    def loss(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
        v, _ = _velocity(params, {}, (batch["x"], batch["t"]))
        errors = jnp.sum((v - batch["displacement"]) ** 2, axis=1)
        return jnp.mean(errors), (model_state, {})

    def step(state: Any, batch: Any) -> Any:
        key, own = jax.random.split(state.key)
        pairs = draw_pairs(own, batch["image"], None, 0.0)
        return make(loss, tx())(state._replace(key=key), pairs)

    return step


FLOW = trains_one_role(_flow_step, _flow_state, "model")._replace(plain=_plain_flow)


def _normalized(alpha: Any) -> Any:
    from jaxopt_lab.layers import alpha_bn
    from jaxopt_lab.recipes import AdaptingNorms

    layer = alpha_bn(4, alpha=alpha)

    def apply(params: Any, state: Any, x: Any) -> Any:
        y, kept = layer.apply(params["norm"], state["norm"], x, train=True)
        return y @ params["head"], {"norm": kept}

    return AdaptingNorms(lambda state: state, apply, lambda p, s, x: apply(p, s, x)[1])


def _adapting_state(params: Any, key: Any) -> Any:
    from jaxopt_lab.recipes import init_osuda

    scale = params["model"]["norm"]["scale"]
    stats = {"mean": 0 * scale + 0.25, "var": 0 * scale + 1.5}
    return init_osuda(tx(), params["model"], key, {"norm": stats})


def _entropy(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    norm = params["norm"]
    z = (batch["image"] - 0.25) / jnp.sqrt(1.5 + 1e-5)
    scores = (z * norm["scale"][None] + norm["bias"][None]) @ params["head"]
    p = jax.nn.log_softmax(scores)
    return -jnp.mean(jnp.sum(jnp.exp(p) * p, axis=-1)), (model_state, {})


OSUDA = trains_one_role(
    lambda build, options, **more: build(_normalized, tx(), **options, **more),
    _adapting_state,
    "model",
)._replace(plain=lambda make: make(_entropy, tx()))
