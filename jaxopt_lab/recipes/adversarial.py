"""Adversarial training: every batch twice, plain and perturbed against the model."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

MODEL, AUXILIARY = "model", "auxiliary"
PERTURBATION = "perturbation"


def init_adversarial(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_adversarial_step``.

    Args:
      tx: the transformation that trains the model.
      params: initial parameters.
      key: typed PRNG key from which the steps draw.
      model_state: the model's own state, its batch statistics; ``None``: it has none.

    Returns:
      A ``TrainState`` whose parameters and optimizer state are dicts of the one role
      ``"model"``. Its model state has two entries that start alike: ``"model"``, which
      sees plain inputs, and ``"auxiliary"``, which sees perturbed ones.

    >>> state = init_adversarial(optax.sgd(0.1), {}, jax.random.key(0))
    >>> sorted(state.model_state), sorted(state.params)
    (['auxiliary', 'model'], ['model'])
    """
    alone = init_state(tx, params, key, model_state)
    return TrainState(
        step=alone.step,
        params={MODEL: alone.params},
        model_state=with_auxiliary(alone.model_state),
        opt_state={MODEL: alone.opt_state},
        key=alone.key,
    )


def with_auxiliary(
    model_state: ModelState, batch: Batch | None = None
) -> dict[str, ModelState]:
    """The model states of ``make_adversarial_step``.

    Args:
      model_state: of plain inputs.
      batch: not used.

    Returns:
      ``"model"`` and ``"auxiliary"``, which start alike.

    >>> sorted(with_auxiliary({"mean": jnp.zeros(2)}))
    ['auxiliary', 'model']
    """
    del batch
    # Copies: a donated state must not hold an array twice.
    return {MODEL: model_state, AUXILIARY: jax.tree.map(jnp.copy, model_state)}


def make_adversarial_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    epsilon: Annotated[Scalar, NON_NEGATIVE] = 4 / 255,
    alpha: Annotated[Scalar, NON_NEGATIVE] = 4 / 255,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` on plain and perturbed inputs.

    With the cross-entropy L of a batch,

    .. math::
        L(\theta; x, y) + w \, L(\theta; x + d, y), \qquad
        d = \mathrm{clip}(\alpha \, \mathrm{sign} \nabla_x L(\theta; x, y),
            -\epsilon, \epsilon),

    where the two losses have batch statistics of their own: those of perturbed inputs
    would spoil the ones that evaluation uses.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of its gradients.
      weight: w, at least 0. The Python number 0 leaves the perturbation out of the
        program.
      epsilon: largest change of an entry of the input, at least 0.
      alpha: step of the perturbation, in the same unit; inputs of integers are divided
        by 255 first.
      inputs: entry of the batch that the model takes.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_adversarial``. Metrics, means over the batch:
      ``loss``, the sum; ``plain_loss`` and ``adversarial_loss``, absent at weight 0.

    Raises:
      InputError: an argument is out of range; when traced, an entry of the batch is
        missing.

    Gradient evaluations: those of ``make_train_step``, each on both batches, and one of
    the inputs, of the whole batch whatever ``micro_batches`` is.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_adversarial(tx, jnp.eye(2), jax.random.key(0))
    >>> step = jax.jit(make_adversarial_step(network, tx, epsilon=0.1, alpha=0.1))
    >>> state, metrics = step(state, {"image": jnp.eye(2), "label": jnp.arange(2)})
    >>> bool(metrics["adversarial_loss"] > metrics["plain_loss"])
    True

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial
    Attacks", arXiv:1706.06083, with one step; two sets of statistics as Xie et al.,
    "Adversarial Examples Improve Image Recognition", arXiv:1911.09665.
    """
    check_arguments(make_adversarial_step, locals())
    alone = known_number(weight) == 0

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if not alone:
            noise = perturbation(
                network, state, batch, epsilon, alpha, inputs=inputs, label=label
            )
            batch = {**batch, PERTURBATION: noise}
        return train_on(
            network, tx, state, batch, weight, inputs=inputs, label=label, **options
        )

    return step


def perturbation(
    network: Functional,
    state: TrainState,
    batch: Batch,
    epsilon: Scalar,
    alpha: Scalar,
    *,
    inputs: str,
    label: str,
) -> jax.Array:
    """The change of the inputs against the model, at a state's parameters.

    Args:
      network: the model.
      state: of ``init_adversarial``.
      batch: the batch.
      epsilon: largest change.
      alpha: step.
      inputs: entry of the inputs.
      label: entry of the labels.

    Returns:
      Of the shape of the inputs, in their floating type; a constant to gradients.

    Raises:
      InputError: an entry is missing.
    """
    check_entries(batch, (inputs, label))
    x = to_float(batch[inputs])
    params, model_state = state.params[MODEL], state.model_state[MODEL]

    def loss(x: jax.Array) -> jax.Array:
        logits, _ = network.apply(params, model_state, x, train=True, key=state.key)
        return jnp.sum(cross_entropy(logits, batch[label]))

    slope = jax.grad(loss)(x)
    bound, size = jnp.asarray(epsilon, x.dtype), jnp.asarray(alpha, x.dtype)
    return jax.lax.stop_gradient(jnp.clip(size * jnp.sign(slope), -bound, bound))


def train_on(
    network: Functional,
    tx: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    weight: Scalar,
    *,
    inputs: str,
    label: str,
    **options: Any,
) -> tuple[TrainState, Metrics]:
    """A step on a batch and, where it has an entry of that name, its perturbation.

    Args:
      network: the model.
      tx: transformation of its gradients.
      state: of ``init_adversarial``.
      batch: the batch.
      weight: of the perturbed loss.
      inputs: entry of the inputs.
      label: entry of the labels.
      **options: those of ``make_train_step``.

    Returns:
      State and metrics.

    Raises:
      InputError: an entry is missing, or the state is none of ``init_adversarial``.
    """
    _check_state(state)

    def loss_fn(
        params: Params, model_state: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        check_entries(batch, (inputs, label))
        x, labels = to_float(batch[inputs]), batch[label]

        def mean_loss(kept: str, x: jax.Array) -> tuple[jax.Array, Any]:
            logits, after = network.apply(
                params, model_state[kept], x, train=True, key=key
            )
            return jnp.mean(cross_entropy(logits, labels)), after

        loss, plain = mean_loss(MODEL, x)
        states, metrics = {**model_state, MODEL: plain}, {}
        if PERTURBATION in batch:
            moved = x + batch[PERTURBATION].astype(x.dtype)
            against, states[AUXILIARY] = mean_loss(AUXILIARY, moved)
            metrics = {"plain_loss": loss, "adversarial_loss": against}
            loss = loss + jnp.asarray(weight, loss.dtype) * against
        return loss, (states, metrics)

    opt_state: Any = state.opt_state
    inner = make_train_step(loss_fn, tx, **options)
    before = state._replace(params=state.params[MODEL], opt_state=opt_state[MODEL])
    after, metrics = inner(before, batch)
    roles = {"params": {MODEL: after.params}, "opt_state": {MODEL: after.opt_state}}
    return after._replace(**roles), metrics


def _check_state(state: TrainState) -> None:
    states = state.model_state
    if not isinstance(states, dict) or not {MODEL, AUXILIARY} <= set(states):
        raise InputError(
            "state.model_state must have 'model' and 'auxiliary', as init_adversarial "
            "makes it"
        )
