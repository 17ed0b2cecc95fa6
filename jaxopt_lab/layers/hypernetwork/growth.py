"""New units of a recurrent hypernetwork, beside old ones that stay."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments


def grow_hypernetwork(
    key: jax.Array, params: dict[str, jax.Array], units: Annotated[int, COUNT]
) -> dict[str, jax.Array]:
    """More hidden units, the predicted parameters as they were.

    New units read the embeddings and all units through random weights; old units do not
    read new ones, and the head's rows of new ones are 0, so that every prediction stays
    as it was. (A new unit that old ones read would change them at once.)

    Args:
      key: of the random weights.
      params: of ``recurrent_hypernetwork``.
      units: how many.

    Returns:
      The parameters of the larger network.

    Raises:
      InputError: ``units`` is below 1.

    >>> from jaxopt_lab.layers import recurrent_hypernetwork
    >>> params, _ = recurrent_hypernetwork(2, hidden=3).init(jax.random.key(0))
    >>> grow_hypernetwork(jax.random.key(1), params, 2)["kernel"].shape  # 2 + 8 + 5
    (15, 20)
    """
    check_arguments(grow_hypernetwork, {"units": units})
    kernel, old = params["kernel"], params["head"].shape[0]
    inputs = kernel.shape[0] - old
    gates = kernel.reshape(-1, 4, old)
    gates = jnp.concatenate([gates, jnp.zeros((units, 4, old), kernel.dtype)])
    scale = (inputs + old + units) ** -0.5
    new = scale * jax.random.normal(key, (len(gates), 4, units), kernel.dtype)
    bias = params["bias"].reshape(4, old)
    more = jnp.zeros((4, units), bias.dtype).at[1].set(1)
    head = params["head"]
    return {
        **params,
        "kernel": jnp.concatenate([gates, new], axis=2).reshape(len(gates), -1),
        "bias": jnp.concatenate([bias, more], axis=1).reshape(-1),
        "head": jnp.concatenate([head, jnp.zeros((units, head.shape[1]), head.dtype)]),
    }


def new_entries(params: dict[str, jax.Array], old: int) -> dict[str, Any]:
    """Ones for the entries that belong to new units, zeros for all others.

    Updates that are multiplied by them leave the old units, their way to the head and
    the embeddings of chunks as they are. Rows of new units in the gates of old ones
    stay 0, so that old units never read new ones.

    Args:
      params: of ``grow_hypernetwork``.
      old: units before.

    Returns:
      A tree like ``params``.

    >>> params = {"head": jnp.ones((3, 1)), "kernel": jnp.ones((4, 12))}
    >>> new_entries(params, 2)["head"].ravel().tolist()
    [0.0, 0.0, 1.0]
    """
    units = params["head"].shape[0]
    new = jnp.arange(units) >= old
    of_gates = jnp.tile(new, 4)
    masks = {"bias": of_gates, "kernel": of_gates[None], "head": new[:, None]}

    def mask(name: str, p: jax.Array) -> jax.Array:
        if name not in masks:
            return jnp.zeros_like(p)
        return jnp.broadcast_to(masks[name], p.shape).astype(p.dtype)

    return {name: mask(name, p) for name, p in params.items()}
