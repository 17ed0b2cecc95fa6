"""Isometric embedding: distances of embeddings as those in the graph."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide, safe_sqrt
from jaxopt_lab.core.where import counted
from jaxopt_lab.losses.targets import check_floats, check_shape


def isometric_loss(
    outputs: jax.Array,
    targets: jax.Array,
    *,
    scale: jax.Array | float = 1.0,
    relative: bool = True,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Squared error of the distances of embeddings, relative to those in the graph.

    .. math:: \left(\frac{s\, |h_u - h_v| - d(u, v)}{d(u, v)}\right)^2

    It does not change when the embeddings are turned and shifted.

    Args:
      outputs: ``(P, 2, d)``, the embeddings of two nodes a pair: ``h[pairs]``.
      targets: ``(P,)`` distances in the graph, such as those of
        ``layers.sample_distance_pairs``; constant. Pairs at an infinite distance, which
        no path joins, or at distance 0 give 0.
      scale: s, such as the softplus of a parameter; scaling all embeddings by c and s
        by 1 / c changes nothing.
      relative: divide by the distance; else far pairs count most.
      where: ``(P,)``; 0 drops a pair.

    Returns:
      ``(P,)``, float32 or float64. The derivative at equal embeddings is 0.

    Raises:
      InputError: shapes do not belong together.

    Kept for the gradient: the outputs and a few numbers a pair.

    Source: Isometric graph neural networks (IGNN), 2020
    (https://arxiv.org/abs/2006.09554): from the abstract; the formula is ours.

    >>> h = jnp.array([[[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [2.0, 0.0]]])
    >>> isometric_loss(h, jnp.array([5.0, 4.0])).tolist()
    [0.0, 0.25]
    """
    check_arguments(isometric_loss, {"relative": relative, "scale": scale})
    check_floats("outputs", outputs, 3)
    check_shape("targets", targets, outputs.shape[:1])
    if outputs.shape[1] != 2:
        raise InputError(f"outputs must be (P, 2, d); got {outputs.shape}")
    wide = accumulation_dtype(outputs.dtype)
    d = jax.lax.stop_gradient(jnp.asarray(targets)).astype(wide)
    here = ~jnp.isposinf(d) & (d != 0)
    if where is not None:
        check_shape("where", where, outputs.shape[:1])
        here &= counted(where)
    d = jnp.where(here, d, 0)
    h = jnp.where(here[:, None, None], outputs, 0).astype(wide)
    apart = h[:, 0] - h[:, 1]
    apart = safe_sqrt(jnp.sum(apart * apart, axis=-1))
    gap = jnp.asarray(scale).astype(wide) * apart - d
    return jnp.square(safe_divide(gap, d) if relative else gap)


def distance_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared error of distances, what is left without the division.

    Args:
      outputs: ``(P, 2, d)``, different rows.
      targets: ``(P,)``.

    Returns:
      ``(P,)``.
    """
    apart = outputs[:, 0] - outputs[:, 1]
    return (jnp.sqrt(jnp.sum(apart * apart, axis=-1)) - targets) ** 2
