"""The train state: all arrays carried from step to step."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import ModelState, Params


class TrainState(NamedTuple):
    """The arrays carried from one training step to the next.

    Attributes:
      step: int32 scalar, number of steps taken (skipped ones included).
      params: the parameters, the tree given to the optimizer.
      model_state: other state of the model (batch statistics, counts); an empty dict
        where there is none.
      opt_state: state of the transformation.
      key: typed PRNG key; each step splits it.
    """

    step: jax.Array
    params: Params
    model_state: ModelState
    opt_state: optax.OptState
    key: jax.Array


def init_state(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh ``TrainState`` at step 0.

    Args:
      tx: the transformation that will be given to ``make_train_step``.
      params: initial parameters.
      key: typed PRNG key (``jax.random.key``) from which the steps draw.
      model_state: the model's own state; ``None`` means that it has none.

    Returns:
      The state. Works under ``jit``, ``vmap`` (several seeds) and
      ``jax.eval_shape``.

    Raises:
      InputError: ``key`` is an old-style ``uint32`` key, ``tx`` no transformation.

    >>> state = init_state(optax.sgd(0.1), {"w": jnp.ones(3)}, jax.random.key(0))
    >>> int(state.step)
    0
    """
    check_transformation("tx", tx)
    if not jnp.issubdtype(jnp.asarray(key).dtype, jax.dtypes.prng_key):
        raise InputError(
            "init_state needs a typed key from jax.random.key(seed); got an array "
            f"of dtype {jnp.asarray(key).dtype} (jax.random.PRNGKey makes those)"
        )
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state={} if model_state is None else model_state,
        opt_state=tx.init(params),
        key=key,
    )
