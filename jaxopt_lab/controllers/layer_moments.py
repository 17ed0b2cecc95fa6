"""Four moments of the activations of a layer, and their means over tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Params

MOMENTS = ("m1", "m2", "m3", "m4")


def activation_moments(activations: jax.Array) -> jax.Array:
    r"""The four moments by which ABE describes the activations of a layer.

    With the features :math:`h_{ij}` of N examples, flattened to d numbers each,

    .. math::
        m_1 = \operatorname{mean}_{ij} h_{ij}, \quad
        m_2 = \operatorname{mean}_j (\operatorname{mean}_i h_{ij})^2, \quad
        m_3 = \operatorname{mean}_{ij} h_{ij}^2, \quad
        m_4 = \frac{\sum_i \left[(\sum_j h_{ij})^2 - \sum_j h_{ij}^2\right]}
            {N d (d - 1)}:

    mean, squared mean of a feature, mean square, and mean product of two different
    features. The authors' notebook adds up :math:`m_4` over blocks of 500 features on
    the diagonal alone, with the same divisor; here it is whole, at the same cost.

    Args:
      activations: ``(N, ...)``, real floating, at least one example.

    Returns:
      ``(4,)``, float32 or float64; :math:`m_4` is 0 for one feature.

    Raises:
      InputError: no examples, no features, or no real floating array.

    Cost: one pass over the activations; memory a few numbers a feature and an example.

    >>> activation_moments(jnp.array([[1.0, 3.0], [3.0, 1.0]])).tolist()
    [2.0, 4.0, 5.0, 3.0]

    Source: Guiroy et al., "Improving Meta-Learning Generalization with Activation-Based
    Early-Stopping", arXiv:2208.02377 and its notebook.
    """
    h = jnp.asarray(activations)
    if not jnp.issubdtype(h.dtype, jnp.floating) or h.ndim < 1 or not h.size:
        raise InputError(
            "activations must be real floating numbers (examples, ...), at least one; "
            f"got {h.dtype} of shape {h.shape}"
        )
    h = flattened(h).astype(accumulation_dtype(h.dtype))
    d = h.shape[1]
    squares = jnp.sum(h * h, axis=1)
    products = jnp.sum(h, axis=1) ** 2 - squares
    pairs = float(d * (d - 1))  # no int32
    return jnp.stack(
        [
            jnp.mean(h),
            jnp.mean(jnp.mean(h, axis=0) ** 2),
            jnp.mean(squares) / d,
            jnp.mean(products) / pairs if pairs else jnp.zeros((), h.dtype),
        ]
    )


def task_moments(
    activations: Callable[[Params, Batch], Sequence[jax.Array]],
    params: Params,
    supports: Batch,
) -> jax.Array:
    """Moments of all layers, their means over tasks.

    Args:
      activations: ``activations(params, support)``, those of each layer, ``(N, ...)``,
        before any adaptation.
      params: the parameters of a checkpoint.
      supports: support sets, trees of arrays with a leading axis of tasks; labels are
        not needed.

    Returns:
      ``(4, layers)``, float32 or float64.

    Raises:
      InputError: as of ``activation_moments``, or there is no layer.

    Memory: the activations of all tasks; ``jax.lax.map`` over parts of them needs less.

    >>> layers = lambda params, x: [params * x, x]
    >>> task_moments(layers, jnp.float32(2), jnp.ones((5, 3, 2))).tolist()[0]
    [2.0, 1.0]
    """

    def one(support: Batch) -> jax.Array:
        found = [activation_moments(layer) for layer in activations(params, support)]
        if not found:
            raise InputError("activations gives no layer; accepted: at least one")
        return jnp.stack(found, axis=1)

    return jnp.mean(jax.vmap(one)(supports), axis=0)


def stopping_statistics(
    accuracy: Any, source: jax.Array, target: jax.Array
) -> Mapping[str, Any]:
    """The statistics of one checkpoint, as ``activation_stopping`` reads them.

    Args:
      accuracy: of validation on source tasks; larger is better.
      source: ``(4, layers)`` moments of source tasks.
      target: those of the target, likewise.

    Returns:
      Numbers and lists of one number a layer, on the host.

    >>> stats = stopping_statistics(0.5, jnp.ones((4, 2)), jnp.zeros((4, 2)))
    >>> stats["source_m4"], len(stats)
    ([1.0, 1.0], 9)
    """
    accuracy, source, target = jax.device_get((accuracy, source, target))
    stats: dict[str, Any] = {"source_accuracy": float(accuracy)}
    for name, moments in (("source", source), ("target", target)):
        stats |= {
            f"{name}_{m}": row.tolist() for m, row in zip(MOMENTS, moments, strict=True)
        }
    return stats
