"""LightHGNN: distillation of a network of a hypergraph into one of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide
from jaxopt_lab.layers.graph.graphs import Hypergraph
from jaxopt_lab.layers.graph.segments import check_graph, rows

Order = Literal["mean_of_softmax", "softmax_of_mean"]


def hyperedge_means(values: jax.Array, hypergraph: Hypergraph) -> jax.Array:
    """The mean over the nodes of each hyperedge.

    Args:
      values: ``(N, ...)``.
      hypergraph: pairs ``(P,)``.

    Returns:
      ``(M, ...)`` in float32 or float64; 0 for a hyperedge without nodes.

    Raises:
      InputError: sizes do not fit, or a known pair names what does not exist. A traced
        one gives NaN.

    >>> pairs = Hypergraph(jnp.array([0, 1]), jnp.array([0, 0]), jnp.ones(1))
    >>> jax.jit(lambda x: hyperedge_means(x, pairs))(jnp.array([1.0, 3.0])).tolist()
    [2.0]
    """
    count, many = values.shape[0], hypergraph.weight.shape[-1]
    check_graph(hypergraph, (), count)
    nodes, edges = jnp.asarray(hypergraph.nodes), jnp.asarray(hypergraph.edges)
    exists = (nodes >= 0) & (nodes < count) & (edges >= 0) & (edges < many)
    counts = exists
    if hypergraph.mask is not None:
        mask = jnp.asarray(hypergraph.mask).astype(bool)
        counts, exists = exists & mask, exists | ~mask
    nodes, edges = jnp.where(counts, nodes, 0), jnp.where(counts, edges, 0)
    wide = values.astype(accumulation_dtype(values.dtype))
    column = (-1,) + (1,) * (values.ndim - 1)
    sent = jnp.where(counts.reshape(column), rows(wide, nodes), 0)
    nan = jnp.asarray(jnp.nan, wide.dtype)
    sent = jnp.where(exists.reshape(column), sent, nan)
    sizes = jax.ops.segment_sum(counts.astype(wide.dtype), edges, many)
    total = jax.ops.segment_sum(sent, edges, many)
    return safe_divide(total, jnp.broadcast_to(sizes.reshape(column), total.shape))


def node_distillation(
    student_logits: jax.Array, teacher_logits: jax.Array
) -> jax.Array:
    r"""Divergence of the student from the teacher at each node.

    .. math:: \operatorname{KL}(\text{softmax}(t) \| \text{softmax}(s))

    Args:
      student_logits: ``(N, C)``.
      teacher_logits: ``(N, C)``, constant.

    Returns:
      ``(N,)``, at least 0, and 0 where both distributions are the same.

    Raises:
      InputError: the shapes differ.

    >>> z = jnp.array([[0.0, 1.0]])
    >>> node_distillation(z, z + 5.0).tolist()
    [0.0]
    """
    _check(student_logits, teacher_logits)
    wide = accumulation_dtype(student_logits.dtype)
    teacher = jax.lax.stop_gradient(teacher_logits).astype(wide)
    log_q = jax.nn.log_softmax(student_logits.astype(wide))
    log_p = jax.nn.log_softmax(teacher)
    return _divergence(jnp.exp(log_p), log_p, log_q)


def hyperedge_reliability(
    key: jax.Array,
    predict: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    hypergraph: Hypergraph,
    *,
    noise_level: Annotated[float, NON_NEGATIVE] = 1.0,
) -> jax.Array:
    r"""Stability of the teacher's certainty about each hyperedge under noise.

    .. math:: p_e = 1 - \delta_e / \max_{e'} \delta_{e'}, \qquad \delta_e = |H'_e - H_e|

    with the mean entropy H of the teacher's softmax over the nodes of a hyperedge, on
    the features and on :math:`x (1 + \text{level}\, N(0, 1))`.

    Args:
      key: of the noise.
      predict: ``predict(x) -> logits (N, C)``, the teacher.
      x: ``(N, features)``.
      hypergraph: pairs ``(P,)``.
      noise_level: relative size of the noise.

    Returns:
      ``(M,)`` in [0, 1], constant: the probability with which a hyperedge is to be
      drawn for ``hyperedge_consistency``. 1 for all where no entropy changes.

    Raises:
      InputError: the level is negative.

    >>> pairs = Hypergraph(jnp.array([0, 1]), jnp.array([0, 1]), jnp.ones(2))
    >>> teacher, x = (lambda x: 2 * x), jnp.eye(2)
    >>> run = jax.jit(lambda k: hyperedge_reliability(k, teacher, x, pairs))
    >>> min(run(jax.random.key(0)).tolist())
    0.0
    """
    check_arguments(hyperedge_reliability, {"noise_level": noise_level})
    noise = jax.random.normal(key, x.shape, x.dtype)
    level = jnp.asarray(noise_level, x.dtype)
    clean, noisy = (
        hyperedge_means(_entropy(predict(z)), hypergraph)
        for z in (x, x * (1 + level * noise))
    )
    delta = jnp.abs(noisy - clean)
    largest = jnp.broadcast_to(jnp.max(delta), delta.shape)
    # Multiplied by a reciprocal, the quotient of the largest need not be 1.
    share = jnp.where(delta == largest, 1, safe_divide(delta, largest))
    return jax.lax.stop_gradient(1 - jnp.where(largest == 0, 0, share))


def hyperedge_consistency(
    student_logits: jax.Array,
    teacher_logits: jax.Array,
    hypergraph: Hypergraph,
    *,
    order: Order = "mean_of_softmax",
) -> jax.Array:
    r"""Divergence of the student from the teacher on the mean of each hyperedge.

    .. math:: \operatorname{KL}(\bar p_e \| \bar q_e)

    with the mean of the softmax over the nodes of a hyperedge, as in the code, or the
    softmax of the mean logits.

    Args:
      student_logits: ``(N, C)``.
      teacher_logits: ``(N, C)``, constant.
      hypergraph: pairs ``(P,)``.
      order: ``"mean_of_softmax"`` or ``"softmax_of_mean"``.

    Returns:
      ``(M,)``, at least 0, and 0 for a hyperedge without nodes. LightHGNN+ takes the
      mean over hyperedges that are drawn with ``hyperedge_reliability``, and adds that
      of ``node_distillation``; LightHGNN has the second alone.

    Raises:
      InputError: the shapes differ, or ``order`` is unknown.

    The published code gives probabilities where logarithms are asked for, and computes
    another number than the divergence; this is the divergence.

    Source: Feng et al., "LightHGNN: Distilling Hypergraph Neural Networks into MLPs",
    ICLR 2024.

    >>> pairs = Hypergraph(jnp.array([0, 1]), jnp.array([0, 0]), jnp.ones(1))
    >>> z = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> jax.jit(lambda z: hyperedge_consistency(z, z[::-1], pairs))(z).tolist()
    [0.0]
    """
    check_arguments(hyperedge_consistency, {"order": order})
    _check(student_logits, teacher_logits)
    wide = accumulation_dtype(student_logits.dtype)
    teacher = jax.lax.stop_gradient(teacher_logits).astype(wide)
    both = (student_logits.astype(wide), teacher)
    if order == "softmax_of_mean":
        log_q, log_p = (
            jax.nn.log_softmax(hyperedge_means(z, hypergraph)) for z in both
        )
        return _divergence(jnp.exp(log_p), log_p, log_q)
    q, p = (hyperedge_means(jax.nn.softmax(z), hypergraph) for z in both)
    # A hyperedge without nodes has no probabilities: 0 times a logarithm of 1.
    tiny = jnp.asarray(jnp.finfo(wide).tiny, wide)
    log_p, log_q = (jnp.log(jnp.where(m == 0, 1, jnp.maximum(m, tiny))) for m in (p, q))
    log_q = jnp.where((q == 0) & (p > 0), jnp.log(tiny), log_q)
    return _divergence(p, log_p, log_q)


def _divergence(p: jax.Array, log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    # Rounding alone would make it negative where both are the same.
    return jnp.maximum(jnp.sum(p * (log_p - log_q), axis=-1), 0)


def _entropy(logits: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(logits.astype(accumulation_dtype(logits.dtype)))
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)


def _check(student: jax.Array, teacher: jax.Array) -> None:
    if student.ndim != 2 or student.shape != teacher.shape:
        raise InputError(
            "student_logits and teacher_logits must both be (N, C); got "
            f"{student.shape} and {teacher.shape}"
        )
