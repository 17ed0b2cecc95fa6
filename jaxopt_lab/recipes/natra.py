"""Training on natural transformations: moves in a latent space against the model."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.latent_moves import (
    Decode,
    ascend,
    natural_transformation,
    principal_directions,
)
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, DIRECTIONS = "model", "directions"
_MOVED = "coefficients of the directions"
COUNT_OF_A_RUN = 4
"""Directions that a run of the lab takes from its first batch."""


def init_natra(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    directions: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_natra_step``.

    Args:
      tx: the transformation that trains the model.
      params: initial parameters.
      key: typed PRNG key from which the steps draw.
      directions: orthonormal columns in the latent space, ``(D, r)``, as
        ``principal_directions`` gives them.
      model_state: the model's own state; ``None``: it has none.

    Returns:
      A ``TrainState`` with the one role ``"model"``; its model state has the entries
      ``"model"`` and ``"directions"``.

    >>> state = init_natra(optax.sgd(0.1), {}, jax.random.key(0), jnp.eye(3)[:, :1])
    >>> state.model_state["directions"].shape
    (3, 1)
    """
    return in_role(
        MODEL, init_state(tx, params, key, model_state), {DIRECTIONS: directions}
    )


def with_directions(model_state: ModelState, batch: Batch) -> dict[str, Any]:
    """The model states of ``make_natra_step`` in a run of the lab.

    Args:
      model_state: of the model.
      batch: the first one, whose images give the directions.

    Returns:
      ``"model"`` and ``"directions"``.

    Raises:
      InputError: the batch has no images, or too few.

    >>> batch = {"image": jnp.eye(6)}
    >>> with_directions({}, batch)["directions"].shape
    (6, 4)
    """
    (x,) = entries(batch, "image")
    flat = flattened(to_float(x))
    directions = principal_directions(flat, min(COUNT_OF_A_RUN, flat.shape[1]))
    return {MODEL: model_state, DIRECTIONS: directions}


def make_natra_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, UNIT] = 0.5,
    radius: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    steps: Annotated[int, COUNT] = 3,
    step_size: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    encode: Decode | None = None,
    decode: Decode | None = None,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` on images that are moved.

    With latents e(x), a generator G and directions U, an image and its transformation
    have the loss

    .. math::
        (1 - w) \, \mathrm{CE}(y, f(x)) + w \, \mathrm{CE}(y, f(T_a(x))), \quad
        T_a(x) = x + G(e(x) + U a) - G(e(x)),

    where a goes up the second term, from 0 in K steps

    .. math:: a \leftarrow \Pi_{\|a\| \le \rho} (a + \eta \rho \, g / \|g\|), \quad
        g = \nabla_a \mathrm{CE}(y, f(T_a(x))).

    The difference keeps what the generator cannot rebuild. Without ``encode`` and
    ``decode`` the latents are the pixels, G is the identity, and U are directions in
    pixel space.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of its gradients.
      weight: w, in [0, 1]. The Python number 0 leaves the moves out of the program.
      radius: :math:`\rho`, largest length of a; 0 trains on the images twice.
      steps: K, at least 1.
      step_size: :math:`\eta`, as a part of the radius.
      encode: e, ``(B, ...) -> (B, D)``; frozen.
      decode: G, ``(B, D) -> (B, ...)``; frozen, and differentiated through.
      inputs: entry of the batch with the images; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_natra``. Metrics, means over the batch: ``loss``,
      and unless the weight is 0 ``plain_loss``, ``moved_loss`` and ``length`` of a.

    Raises:
      InputError: an option is out of range, or one of ``encode`` and ``decode`` is
        missing; when traced, an entry is missing or the directions do not fit.

    Gradient evaluations: those of ``make_train_step``, each on both batches, and K of
    the coefficients. A model's own state is that of the plain images.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_natra(tx, jnp.eye(2), jax.random.key(0), jnp.eye(2)[:, :1])
    >>> step = jax.jit(make_natra_step(network, tx))
    >>> state, metrics = step(state, {"image": jnp.eye(2), "label": jnp.arange(2)})
    >>> bool(metrics["moved_loss"] > metrics["plain_loss"]), float(metrics["length"])
    (True, 1.0)

    Source: "Natural transformations" (NaTra), from the abstract; the construction and
    the constants are ours.
    """
    check_arguments(make_natra_step, locals())
    if (encode is None) != (decode is None):
        missing = "encode" if encode is None else "decode"
        raise InputError(
            f"{missing} is missing; give encode and decode, or none of them"
        )
    alone = known_number(weight) == 0

    def moved(x: jax.Array, directions: jax.Array, a: jax.Array) -> jax.Array:
        if encode is None or decode is None:
            latent, back = flattened(x), lambda z: z.reshape(x.shape)
        else:
            latent, back = encode(x), decode
        return natural_transformation(x, back, latent, directions, a)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, [MODEL], "init_natra")
        states: Any = state.model_state
        if DIRECTIONS not in states:
            raise InputError("the state has no directions; make it with init_natra")
        directions = states[DIRECTIONS]

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x, labels = entries(batch, inputs, label)
            x = to_float(x)
            run = lambda kept, x: network.apply(params, kept, x, train=True, key=key)
            logits, kept = run(states[MODEL], x)
            plain = jnp.mean(cross_entropy(logits, labels))
            states = {**states, MODEL: kept}
            if alone:
                return plain, (states, {})
            a = batch[_MOVED]
            logits, _ = run(kept, moved(x, directions, a))
            second = jnp.mean(cross_entropy(logits, labels))
            part = jnp.asarray(weight, plain.dtype)
            length = jnp.mean(jnp.sqrt(jnp.sum(a.astype(plain.dtype) ** 2, axis=-1)))
            told = {"plain_loss": plain, "moved_loss": second, "length": length}
            return (1 - part) * plain + part * second, (states, told)

        if not alone:
            x, labels = entries(batch, inputs, label)
            x = to_float(jnp.asarray(x))
            params, kept = state.params[MODEL], states[MODEL]

            def losses(a: jax.Array) -> jax.Array:
                changed = moved(x, directions, a)
                logits, _ = network.apply(
                    params, kept, changed, train=True, key=state.key
                )
                return cross_entropy(logits, labels)

            start = jnp.zeros((len(x), directions.shape[-1]), x.dtype)
            a = ascend(losses, start, radius=radius, steps=steps, step_size=step_size)
            batch = {**batch, _MOVED: a}
        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step
