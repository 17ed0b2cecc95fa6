"""Consensus of classifiers and clusterings by Bregman divergences."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype

Divergence = Literal["squared", "kl", "itakura_saito"]


class C3EResult(NamedTuple):
    """Result of ``c3e``.

    Attributes:
      probs: ``(n, C)``, mean of the left and the right copies.
      objective: ``(iterations + 1,)``, before and after each sweep; never rises.
    """

    probs: jax.Array
    objective: jax.Array


def co_association(cluster_labels: Any) -> np.ndarray:
    """Share of clusterings in which two items are in one cluster.

    Args:
      cluster_labels: ``(clusterings, n)`` integers.

    Returns:
      ``(n, n)`` float64 on the host, symmetric, zeros on the diagonal.

    Raises:
      InputError: the shape does not fit.

    >>> co_association([[0, 0, 1], [5, 5, 5]])[0].tolist()
    [0.0, 1.0, 0.5]
    """
    labels = np.asarray(cluster_labels)
    if labels.ndim != 2 or labels.size == 0:
        raise InputError(
            f"cluster_labels must have shape (clusterings, n); got {labels.shape}"
        )
    shares = np.mean(labels[:, :, None] == labels[:, None, :], axis=0)
    np.fill_diagonal(shares, 0.0)
    return shares


def c3e(
    class_probs: jax.Array,
    similarity: jax.Array,
    *,
    alpha: Annotated[float, NON_NEGATIVE] = 0.01,
    coupling: Annotated[float, NON_NEGATIVE] = 0.1,
    divergence: Divergence = "kl",
    iterations: Annotated[int, COUNT] = 100,
) -> C3EResult:
    r"""Class probabilities that agree where clusterings put items together (C3E, OAC3).

    Of left and right copies :math:`l, r` of the probabilities, with a Bregman
    divergence :math:`d(p, q)`, exact minimization over one copy and then the other of

    .. math:: \sum_i d(\pi_i, r_i) + \alpha \sum_{i \ne j} s_{ij} d(l_i, r_j)
        + \lambda \sum_i d(l_i, r_i) :

    .. math:: r_j = \frac{\pi_j + \alpha \sum_i s_{ij} l_i + \lambda l_j}{1 + \alpha
        \sum_i s_{ij} + \lambda}, \quad \nabla \phi (l_i) = \frac{\alpha \sum_j s_{ij}
        \nabla \phi(r_j) + \lambda \nabla \phi(r_i)}{\alpha \sum_j s_{ij} + \lambda}.

    Args:
      class_probs: :math:`\pi`, ``(n, C)``; rows that sum to 1 for ``"kl"``, above 0 for
        ``"itakura_saito"``.
      similarity: :math:`s`, ``(n, n)``, symmetric, at least 0; its diagonal does not
        count. ``co_association`` of clusterings.
      alpha: weight of an agreement; it multiplies a sum over all items, so that it is
        to fall as there are more.
      coupling: :math:`\lambda`.
      divergence: ``"squared"`` takes arithmetic means on the left, ``"kl"`` normalized
        geometric means, ``"itakura_saito"`` harmonic means, whose rows need not sum
        to 1.
      iterations: sweeps.

    Returns:
      The consensus and the objective. An item without similar ones and without coupling
      keeps :math:`\pi`. ``alpha=0`` gives :math:`\pi` in the limit. Time: ``n * n * C``
      a sweep. Differentiable; the gradient keeps all sweeps.

    Raises:
      InputError: shapes do not fit, values are out of range where they are known, or an
        option is.

    Deviations: from the abstract; the updates follow from the objective.

    Source: Acharya et al., "C3E: A Framework for Combining Ensembles of Classifiers and
    Clusterers", 2011, and "An Optimization Framework for Combining Ensembles of
    Classifiers and Clusterers with Applications to Nontransductive Semisupervised
    Learning and Transfer Learning", 2014.

    >>> probs = jnp.array([[0.9, 0.1], [0.45, 0.55]])
    >>> near = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> c3e(probs, near, alpha=1.0).probs.argmax(axis=1).tolist()
    [0, 0]
    """
    check_arguments(c3e, locals())
    probs, similar = jnp.asarray(class_probs), jnp.asarray(similarity)
    n = probs.shape[0] if probs.ndim == 2 else -1
    if probs.ndim != 2 or similar.shape != (n, n):
        raise InputError(
            "class_probs and similarity must have shapes (n, C) and (n, n); got "
            f"{probs.shape} and {similar.shape}"
        )
    _check_values(class_probs, similarity, divergence)
    dtype = accumulation_dtype(jnp.promote_types(probs.dtype, jnp.float32))
    probs, similar = probs.astype(dtype), similar.astype(dtype)
    similar = jnp.where(jnp.eye(n, dtype=bool), 0, similar)
    return _sweeps(
        probs,
        similar,
        jnp.asarray(alpha, dtype),
        jnp.asarray(coupling, dtype),
        divergence,
        iterations,
    )


def _check_values(probs: Any, similar: Any, divergence: Divergence) -> None:
    p, s = known_values(probs), known_values(similar)
    if p is not None:
        if not np.isfinite(p).all() or (p < 0).any():
            raise InputError("class_probs must be finite and at least 0")
        if divergence == "itakura_saito" and (p == 0).any():
            raise InputError("class_probs must be above 0 for 'itakura_saito'")
        sums = np.asarray(p, np.float64).sum(axis=1)
        wrong = np.abs(sums - 1) > 1e-3
        if divergence == "kl" and wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"rows of class_probs must sum to 1; row {row} sums to {sums[row]:g}"
            )
    if s is not None and (not np.isfinite(s).all() or (s < 0).any()):
        raise InputError("similarity must be finite and at least 0")
    if s is not None and not np.allclose(s, s.T):
        raise InputError("similarity must be symmetric")


def _logs(p: jax.Array) -> jax.Array:
    """Logarithms, finite at 0, where the derivative is 0."""
    tiny = jnp.finfo(p.dtype).tiny
    return jnp.log(jnp.maximum(p, tiny))


def _pairs(p: jax.Array, q: jax.Array, kind: Divergence) -> jax.Array:
    """Divergences ``d(p_i, q_j)`` of all rows, ``(n, n)``."""
    if kind == "squared":
        return jnp.sum((p[:, None] - q[None]) ** 2, axis=-1)
    if kind == "kl":
        own = jnp.sum(p * _logs(p), axis=-1)[:, None] - p @ _logs(q).T
        return own - jnp.sum(p, axis=-1)[:, None] + jnp.sum(q, axis=-1)[None]
    logs = jnp.sum(_logs(p), axis=-1)[:, None] - jnp.sum(_logs(q), axis=-1)[None]
    return p @ (1 / q).T - logs - p.shape[-1]


def _sweeps(
    probs: jax.Array,
    similar: jax.Array,
    alpha: jax.Array,
    coupling: jax.Array,
    kind: Divergence,
    iterations: int,
) -> C3EResult:
    degree = jnp.sum(similar, axis=1, keepdims=True)
    weight = alpha * degree + coupling
    tied = weight > 0
    forth = {"squared": lambda x: x, "kl": _logs, "itakura_saito": lambda x: 1 / x}
    back = {
        "squared": lambda x: x,
        "kl": lambda x: jax.nn.softmax(x, axis=-1),
        "itakura_saito": lambda x: 1 / x,
    }

    def objective(left: jax.Array, right: jax.Array) -> jax.Array:
        every = _pairs(left, right, kind)
        first = jnp.trace(_pairs(probs, right, kind))
        return first + alpha * jnp.sum(similar * every) + coupling * jnp.trace(every)

    def sweep(left: jax.Array, _: None) -> tuple[jax.Array, Any]:
        total = probs + alpha * (similar @ left) + coupling * left
        right = total / (1 + weight)
        at = forth[kind](right)
        mean = (alpha * (similar @ at) + coupling * at) / jnp.where(tied, weight, 1)
        left = jnp.where(tied, back[kind](jnp.where(tied, mean, 1)), right)
        return left, (right, objective(left, right))

    left, (rights, values) = jax.lax.scan(sweep, probs, length=iterations)
    first = objective(probs, probs)
    return C3EResult((left + rights[-1]) / 2, jnp.concatenate([first[None], values]))
