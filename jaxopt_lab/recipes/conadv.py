"""Concurrent adversarial training: the perturbation of the next batch, one step old."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import NON_NEGATIVE, Interval, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.recipes.adversarial import (
    MODEL,
    PERTURBATION,
    init_adversarial,
    make_adversarial_step,
    perturbation,
    train_on,
    with_auxiliary,
)
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

CARRIED = "carried"


def init_conadv(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    batch: Batch,
    *,
    model_state: ModelState | None = None,
    inputs: str = "image",
) -> TrainState:
    """A fresh state of ``make_conadv_step``, which carries the first batch.

    Args:
      tx: the transformation that trains the model.
      params: initial parameters.
      key: typed PRNG key from which the steps draw.
      batch: the first batch, on which the first step trains, not perturbed; those that
        the steps are given have its shapes.
      model_state: the model's own state, its batch statistics; ``None``: it has none.
      inputs: entry of the batch that the model takes.

    Returns:
      The state of ``init_adversarial`` with a third entry of the model state,
      ``"carried"``: the batch and its perturbation.

    Raises:
      InputError: the batch has no such entry.

    >>> batch = {"image": jnp.ones((2, 3)), "label": jnp.zeros(2, jnp.int32)}
    >>> state = init_conadv(optax.sgd(0.1), {}, jax.random.key(0), batch)
    >>> sorted(state.model_state["carried"])
    ['image', 'label', 'perturbation']
    """
    state = init_adversarial(tx, params, key, model_state=model_state)
    states: Any = state.model_state
    own = states[MODEL]
    return state._replace(model_state=with_carried(own, batch, inputs=inputs))


def with_carried(
    model_state: ModelState, batch: Batch, *, inputs: str = "image"
) -> dict[str, Any]:
    """The model states of ``make_conadv_step``.

    Args:
      model_state: of plain inputs.
      batch: the first batch.
      inputs: entry of the batch that the model takes.

    Returns:
      ``"model"``, ``"auxiliary"``, and ``"carried"``, the batch with a perturbation of
      zeros.

    Raises:
      InputError: the batch has no such entry.

    >>> batch = {"image": jnp.ones((2, 3)), "label": jnp.zeros(2, jnp.int32)}
    >>> with_carried({}, batch)["carried"]["perturbation"].shape
    (2, 3)
    """
    check_entries(batch, (inputs,))
    batch = jax.tree.map(jnp.copy, dict(batch))
    carried = {**batch, PERTURBATION: jnp.zeros_like(to_float(batch[inputs]))}
    return {**with_auxiliary(model_state), CARRIED: carried}


def make_conadv_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    tau: Annotated[int, Interval(0, 1)] = 1,
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    epsilon: Annotated[Scalar, NON_NEGATIVE] = 4 / 255,
    alpha: Annotated[Scalar, NON_NEGATIVE] = 4 / 255,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` with stale perturbations.

    With the present batch t that the state carries and the next one, that the step is
    given,

    .. math::
        L(\theta_t; x_t) + w \, L(\theta_t; x_t + d_t), \qquad
        d_{t+1} = \mathrm{clip}(\alpha \, \mathrm{sign} \nabla_x
            L(\theta_t; x_{t+1}), -\epsilon, \epsilon).

    Neither gradient needs the other: on many devices both are computed at once, where
    ``make_adversarial_step`` has to wait for the perturbation.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of its gradients.
      tau: steps by which the perturbation is old: 1; or 0, ``make_adversarial_step`` on
        the given batch, the carried one left as it is.
      weight: w, at least 0.
      epsilon: largest change of an entry of the input.
      alpha: step of the perturbation, in the same unit.
      inputs: entry of the batch that the model takes; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_conadv``. Metrics as ``make_adversarial_step``, of
      the batch that was carried.

    Raises:
      InputError: an argument is out of range; when traced, the state carries no batch
        or another one, or an entry is missing.

    Gradient evaluations: as ``make_adversarial_step``. Memory: one batch and its
    perturbation, in the state.

    Deviations: from the paper as remembered; there is no public code. Constants are
    ours.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx, batch = optax.sgd(0.1), {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> state = init_conadv(tx, jnp.eye(2), jax.random.key(0), batch)
    >>> step = jax.jit(make_conadv_step(network, tx, epsilon=0.5, alpha=0.5))
    >>> state, _ = step(state, batch)
    >>> jnp.abs(state.model_state["carried"]["perturbation"]).tolist()
    [[0.5, 0.5], [0.5, 0.5]]

    Source: Liu et al., "Concurrent Adversarial Learning for Large-Batch Training",
    arXiv:2106.00221.
    """
    check_arguments(make_conadv_step, locals())
    if tau == 0:
        return make_adversarial_step(
            network,
            tx,
            weight=weight,
            epsilon=epsilon,
            alpha=alpha,
            inputs=inputs,
            label=label,
            **options,
        )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        states: Any = state.model_state
        if CARRIED not in states:
            raise InputError("the state carries no batch: make it with init_conadv")
        following = perturbation(
            network, state, batch, epsilon, alpha, inputs=inputs, label=label
        )
        carried = states[CARRIED]
        next_batch = {**batch, PERTURBATION: following}
        shapes = [jax.tree.map(jnp.shape, b) for b in (carried, next_batch)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"the state carries a batch of shapes {shapes[0]}; got {shapes[1]}"
            )
        own = {name: kept for name, kept in states.items() if name != CARRIED}
        after, metrics = train_on(
            network,
            tx,
            state._replace(model_state=own),
            carried,
            weight,
            inputs=inputs,
            label=label,
            **options,
        )
        kept: Any = {**after.model_state, CARRIED: next_batch}
        return after._replace(model_state=kept), metrics

    return step
