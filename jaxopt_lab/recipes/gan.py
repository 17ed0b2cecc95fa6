"""GAN step: a generator, and discriminators on a leading axis."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.recipes.gan_terms import (
    FORMS,
    TERMS,
    DiversityForm,
    GanLoss,
    as_logits,
    by_slice,
    draw_noise,
    kept_feedback,
    leading_size,
    outside_of,
)
from jaxopt_lab.recipes.roles import check_roles, entries, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

GENERATOR, DISCRIMINATORS = "generator", "discriminators"
_NOISE = "noise"


def init_gan(
    tx: optax.GradientTransformation,
    generator: Params,
    discriminators: Params,
    key: jax.Array,
    *,
    discriminator_tx: optax.GradientTransformation | None = None,
    generator_state: ModelState | None = None,
    discriminator_state: ModelState | None = None,
    diversity: float | None = None,
) -> TrainState:
    """A fresh state of ``make_gan_step``.

    Args:
      tx: the transformation that trains the generator.
      generator: its initial parameters.
      discriminators: those of the discriminators, each with a leading axis:
        ``jax.vmap(discriminator.init)(keys)`` gives them and the model states.
      key: typed PRNG key from which the steps draw.
      discriminator_tx: the transformation that trains each discriminator; ``None``:
        ``tx``.
      generator_state: the generator's own state; ``None``: it has none.
      discriminator_state: those of the discriminators, stacked.
      diversity: first value of the number that a learned diversity weight is a function
        of; ``None``: it is not learned.

    Returns:
      A ``TrainState`` with the roles ``"generator"`` and ``"discriminators"``. With a
      learned weight the generator's parameters are a dict of ``"network"`` and
      ``"diversity"``.

    Raises:
      InputError: the discriminators have no common leading axis.

    >>> state = init_gan(optax.sgd(0.1), {}, jnp.zeros((3, 2)), jax.random.key(0))
    >>> sorted(state.params)
    ['discriminators', 'generator']
    """
    leading_size(discriminators)
    if diversity is not None:
        wide = jax.tree.leaves(generator)[0].dtype
        start = jnp.asarray(diversity, wide)
        generator = {"network": generator, "diversity": start}
    own = init_state(tx, generator, key, generator_state)
    other_tx = tx if discriminator_tx is None else discriminator_tx
    other_state = {} if discriminator_state is None else discriminator_state
    return own._replace(
        params={GENERATOR: generator, DISCRIMINATORS: discriminators},
        model_state={GENERATOR: own.model_state, DISCRIMINATORS: other_state},
        opt_state={
            GENERATOR: own.opt_state,
            DISCRIMINATORS: jax.vmap(other_tx.init)(discriminators),
        },
    )


def make_gan_step(
    generator: Functional,
    discriminator: Functional,
    tx: optax.GradientTransformation,
    *,
    latent: Annotated[int, COUNT],
    discriminator_tx: optax.GradientTransformation | None = None,
    loss: GanLoss = "non_saturating",
    drop: Annotated[Scalar, UNIT] = 0.0,
    split: bool = False,
    diversity: Annotated[Scalar, NON_NEGATIVE] = 0.0,
    diversity_form: DiversityForm = "constant",
    reduce: Literal["sum", "mean"] = "sum",
    fresh_noise: bool = False,
    inputs: str = "image",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` of K discriminators.

    One update of each discriminator, the generator held constant, then one of the
    generator. With :math:`\sigma(D_k)` the probability that a discriminator gives,

    .. math::
        V_k = E_{x} \log \sigma(D_k(x)) + E_{z} \log(1 - \sigma(D_k(G(z))))
        + \alpha E_{z'} \log \sigma(D_k(G(z'))),

    :math:`D_k` goes up :math:`V_k`, and the generator down
    :math:`\sum_k \delta_k V_k`, or its form that does not saturate.

    * K = 1 is the plain GAN.
    * Dropout-GAN: ``drop`` above 0. The feedback :math:`\delta_k` of a discriminator is
      0 with this probability; if all are, one that is drawn is kept. Every
      discriminator is trained in every step.
    * microbatchGAN: ``split=True``. Of a batch in K slices the k-th belongs to
      :math:`D_k`, z' are the noises outside of it, and with the weight ``diversity``
      :math:`\alpha` it also tells the generated examples of its own slice from those of
      others: they cannot be told apart where each slice is diverse.

    Args:
      generator: its ``apply`` takes noise ``(B, latent)``, standard normal, and gives
        examples.
      discriminator: of all; its ``apply`` gives logits ``(B,)`` or ``(B, 1)``.
      tx: transformation of the generator's gradients.
      latent: features of the noise.
      discriminator_tx: of the gradients of each discriminator; ``None``: ``tx``.
      loss: ``"non_saturating"``: the generator goes up :math:`\log \sigma(D_k(G(z)))`;
        ``"saturating"``: down :math:`V_k` as written; ``"least_squares"``: halves of
        squared differences from 1 and 0 (LSGAN).
      drop: probability that the feedback of a discriminator is dropped; 1: that of one
        alone is kept. The Python number 0 leaves the draw out of the program.
      split: each discriminator has a slice of the batch of its own.
      diversity: :math:`\alpha`. The Python number 0 leaves the term out of the program.
      diversity_form: another than ``"constant"``: :math:`\alpha` is this function of a
        number that is trained with the generator, down :math:`V_k`; ``init_gan`` takes
        its first value, and ``diversity`` stays 0.
      reduce: the sum over the kept discriminators, or their mean.
      fresh_noise: the generator's update draws noise of its own; ``False``: that of the
        discriminators' update.
      inputs: entry of the batch with the real examples; integers are divided by 255.
      **options: those of ``make_train_step``, for both updates, but ``weights``.

    Returns:
      The step, for states of ``init_gan``; it counts one. Metrics: ``loss``, of the
      generator; ``discriminator_loss``, mean of :math:`-V_k`; ``kept``, the share of
      discriminators that the generator hears; with the term of diversity
      ``diversity_weight``.

    Raises:
      InputError: an option is out of range, ``diversity`` without ``split`` or
        ``weights`` are asked for; when traced, an entry is missing, the batch is not
        divisible by K, or a network gives another shape.

    Gradient evaluations: those of ``make_train_step`` for the generator and for each
    discriminator, and a forward pass of the generator. The noise of the whole batch is
    drawn at once and goes into micro-batches with their examples. Memory with
    ``diversity``: K - 1 copies of the generated batch.

    Deviations: no text or code of Dropout-GAN and microbatchGAN could be obtained; the
    constants are arguments. The term outside of a slice is the mean over its
    :math:`(K - 1) B / K` examples.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> pair = [Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)] * 2
    >>> tx, critics = optax.sgd(0.1), jnp.ones((3, 2, 1))
    >>> state = init_gan(tx, jnp.eye(2), critics, jax.random.key(0))
    >>> step = jax.jit(make_gan_step(*pair, tx, latent=2, drop=1.0))
    >>> state, metrics = step(state, {"image": jnp.ones((4, 2))})
    >>> state.params["discriminators"].shape, f"{metrics['kept']:.2f}"
    ((3, 2, 1), '0.33')

    Source: Goodfellow et al., "Generative Adversarial Networks", arXiv:1406.2661;
    Mordido, Yang and Meinel, "Dropout-GAN: Learning from a Dynamic Ensemble of
    Discriminators", arXiv:1807.11346, and "microbatchGAN: Stimulating Diversity with
    Multi-Adversarial Discrimination", arXiv:2001.03376.
    """
    check_arguments(make_gan_step, locals())
    terms, learned = TERMS[loss], diversity_form != "constant"
    fixed = known_number(diversity) != 0
    outside = fixed or learned
    if outside and not split:
        raise InputError("diversity compares slices of the batch; it takes split=True")
    if fixed and learned:
        raise InputError(
            f"diversity_form={diversity_form!r} is learned, diversity must be 0; got "
            f"{diversity}"
        )
    if options.get("weights") is not None:
        raise InputError("make_gan_step takes no weights: all examples count the same")
    other_tx = tx if discriminator_tx is None else discriminator_tx
    all_kept = known_number(drop) == 0

    def of_network(params: Params) -> tuple[Params, jax.Array | float]:
        """The generator's parameters, and the weight of the diversity."""
        if not learned:
            return params, diversity
        if not isinstance(params, dict) or set(params) != {"network", "diversity"}:
            raise InputError(
                f"diversity_form={diversity_form!r} is learned; init_gan takes "
                "diversity= for its first value"
            )
        return params["network"], FORMS[diversity_form](params["diversity"])

    def judge(
        params: Params, states: ModelState, x: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, ModelState]:
        out, kept = discriminator.apply(params, states, x, train=True, key=key)
        return as_logits(out, len(x)), kept

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (GENERATOR, DISCRIMINATORS), "init_gan")
        x = to_float(jnp.asarray(entries(batch, inputs)[0]))
        count = leading_size(state.params[DISCRIMINATORS])
        parts = count if split else 1
        # One discriminator has all: no slice is outside of its own.
        apart = outside and count > 1
        if len(x) % parts:
            raise InputError(
                f"a batch of {len(x)} examples cannot be divided among {parts} "
                "discriminators; accepted: a multiple"
            )
        key, noise_key, drop_key, own_key = jax.random.split(state.key, 4)
        if options.get("axis_name") is not None:
            device = jax.lax.axis_index(options["axis_name"])
            noise_key = jax.random.fold_in(noise_key, device)
        noise = draw_noise(noise_key, len(x), latent, x.dtype)
        network, weight = of_network(state.params[GENERATOR])
        states: Any = state.model_state
        fakes, _ = generator.apply(
            network, states[GENERATOR], noise, train=True, key=own_key
        )
        if fakes.shape != x.shape:
            raise InputError(
                f"the generator gives {fakes.shape} beside real examples {x.shape}"
            )
        given = by_slice(x, jax.lax.stop_gradient(fakes), parts, split, apart)

        def of_one(
            params: Params, states: ModelState, batch: Any, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            keys = jax.random.split(key, 3)
            real, kept = judge(params, states, batch["real"], keys[0])
            fake, kept = judge(params, kept, batch["fake"], keys[1])
            value = jnp.mean(terms.real(real)) + jnp.mean(terms.fake(fake))
            if apart:
                others = _merged(batch["outside"])
                logits, kept = judge(params, kept, others, keys[2])
                factor = jax.lax.stop_gradient(jnp.asarray(weight, value.dtype))
                value = value + factor * jnp.mean(terms.real(logits))
            return value, (kept, {})

        each = TrainState(None, 0, 0, 0, 0)  # type: ignore[arg-type]
        mapped = jax.vmap(
            make_train_step(of_one, other_tx, **options),
            in_axes=(each, 0 if split else None),
            out_axes=(each, 0),
        )
        numbers = jnp.arange(1, count, dtype=jnp.int32)
        others = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
        opt_state: Any = state.opt_state
        after, told = mapped(
            TrainState(
                state.step,
                state.params[DISCRIMINATORS],
                states[DISCRIMINATORS],
                opt_state[DISCRIMINATORS],
                jnp.concatenate([key[None], others]),
            ),
            given,
        )
        rivals, rival_states = after.params, after.model_state
        dtype = told["loss"].dtype
        kept_ones = (
            jnp.ones(count, dtype)
            if all_kept
            else kept_feedback(drop_key, count, drop, dtype)
        )

        def of_generator(
            params: Params, states: Any, batch: Any, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            own, *keys = jax.random.split(key, 3)
            network, weight = of_network(params)
            z = _merged(batch[_NOISE]) if split else batch[_NOISE]
            made, kept = generator.apply(
                network, states[GENERATOR], z, train=True, key=own
            )
            heard = lambda x, key: jax.vmap(
                lambda p, s, x: judge(p, s, x, key)[0],
                in_axes=(0, 0, 0 if split else None),
            )(rivals, rival_states, x)
            slices = made
            if split:
                shape = batch[_NOISE].shape[:2] + made.shape[1:]
                slices = made.reshape(shape).swapaxes(0, 1)
            values = jnp.mean(terms.fool(heard(slices, keys[0])), axis=1)
            if apart:
                others = jax.vmap(_merged)(outside_of(slices))
                logits = heard(others, keys[1])
                alpha = jnp.asarray(weight, dtype)
                fixed = jax.lax.stop_gradient(alpha)
                values = values + fixed * jnp.mean(terms.reveal(logits), axis=1)
                if learned:
                    # Down V, whatever the form of the generator's loss.
                    slope = -jnp.mean(terms.real(logits), axis=1)
                    values = values + (alpha - fixed) * jax.lax.stop_gradient(slope)
            value = jnp.sum(kept_ones * values)
            if reduce == "mean":
                value = value / jnp.sum(kept_ones)
            return value, ({**states, GENERATOR: kept}, {})

        if fresh_noise:
            noise = draw_noise(
                jax.random.fold_in(noise_key, 1), len(x), latent, x.dtype
            )
        if split:
            noise = noise.reshape(parts, -1, latent).swapaxes(0, 1)
        before = state._replace(key=after.key[0])
        last, metrics = train_role(
            GENERATOR, of_generator, tx, before, {_NOISE: noise}, **options
        )
        metrics = {
            **metrics,
            "discriminator_loss": jnp.mean(told["loss"]),
            "kept": jnp.mean(kept_ones),
        }
        if apart:
            metrics["diversity_weight"] = jnp.asarray(weight, dtype)
        if "skipped" in told:
            metrics["skipped"] = jnp.maximum(
                metrics["skipped"], jnp.max(told["skipped"])
            )
        last_states: Any = last.model_state
        last_opt: Any = last.opt_state
        return (
            last._replace(
                params={**last.params, DISCRIMINATORS: rivals},
                model_state={**last_states, DISCRIMINATORS: rival_states},
                opt_state={**last_opt, DISCRIMINATORS: after.opt_state},
            ),
            metrics,
        )

    return step


def _merged(x: jax.Array) -> jax.Array:
    """The first two axes as one."""
    return x.reshape(-1, *x.shape[2:])
