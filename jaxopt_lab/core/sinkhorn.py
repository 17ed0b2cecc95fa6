"""Sinkhorn's scaling of a square array to row and column sums 1."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE_OR_INFINITE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype


def sinkhorn(
    scores: jax.Array,
    *,
    eta: Annotated[float, POSITIVE_OR_INFINITE] = 0.15,
    iterations: Annotated[int, COUNT] = 50,
    symmetric: bool = False,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""The array :math:`e^{s_{ij} / \eta}`, scaled to row and column sums 1.

    .. math::
        \Gamma_{ij} = e^{s_{ij} / \eta + u_i + v_j}, \qquad
        u_i \leftarrow -\log \sum_j e^{s_{ij} / \eta + v_j}, \quad
        v_j \leftarrow -\log \sum_i e^{s_{ij} / \eta + u_i},

    in turn, from v = 0. The columns come last: their sums are 1 after any number of
    iterations, those of the rows in the limit. A constant added to a row or a column
    of the scores changes nothing there.

    Symmetric scores have one u = v, to which

    .. math:: u_i \leftarrow \tfrac12 \left(u_i - \log \sum_j
        e^{s_{ij} / \eta + u_j}\right)

    goes, each iteration halving the error or better if the scores are a Gram matrix,
    however slow the two in turn are; the array is symmetric after any number.

    Args:
      scores: ``(n, n)``.
      eta: :math:`\eta`; infinity gives 1 / n everywhere.
      iterations: pairs of a row and a column step, or steps of u.
      symmetric: the second form; the scores must be symmetric, which is not checked.
      where: ``(n,)``; 0 drops a row and its column: 1 on the diagonal, 0 elsewhere.

    Returns:
      Shape ``(n, n)``, float32 or float64, differentiable: the derivative is that of
      the iterations. Kept for it: u and v of every iteration, and the scores; the
      arrays between are computed again.

    Raises:
      InputError: scores that are not square and real, or an option out of range.

    Source: Sinkhorn and Knopp 1967; in the logarithms, Peyré and Cuturi,
    "Computational Optimal Transport", 2019 (https://arxiv.org/abs/1803.00567); the
    symmetric form, Feydy et al. 2019 (https://arxiv.org/abs/1810.08278).

    >>> sinkhorn(jnp.zeros((2, 2))).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    check_arguments(sinkhorn, {"eta": eta, "iterations": iterations})
    square = jnp.ndim(scores) == 2 and scores.shape[0] == scores.shape[1]
    if not (square and jnp.issubdtype(scores.dtype, jnp.floating)):
        raise InputError(
            "scores must be real floating numbers of shape (n, n); got "
            f"{jnp.result_type(scores)} of shape {jnp.shape(scores)}"
        )
    wide = accumulation_dtype(scores.dtype)
    logits = scores.astype(wide) / jnp.asarray(eta, wide)
    if where is not None:
        if where.shape != scores.shape[:1]:
            raise InputError(
                f"where must have shape {scores.shape[:1]}; got {where.shape}"
            )
        here = where.astype(bool)
        # A dropped row keeps itself: of a row of nothing the logarithm is infinite.
        itself = jnp.where(jnp.eye(len(here), dtype=bool), 0, -jnp.inf).astype(wide)
        logits = jnp.where(here[:, None] & here[None], logits, itself)

    def over(axis: int, side: jax.Array) -> jax.Array:
        shifted = logits + jnp.expand_dims(side, 1 - axis)
        return jax.nn.logsumexp(shifted, axis=axis)

    @jax.checkpoint
    def step(
        sides: tuple[jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        u, v = sides
        if symmetric:
            u = (u - over(1, u)) / 2
            return (u, u), None
        u = -over(1, v)
        return (u, -over(0, u)), None

    start = jnp.zeros(scores.shape[0], wide)
    (u, v), _ = jax.lax.scan(step, (start, start), None, length=iterations)
    return jnp.exp(logits + u[:, None] + v[None])
