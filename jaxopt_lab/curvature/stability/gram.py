"""Gram matrix of the Gauss-Newton factors of single examples, block by block."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype, safe_sqrt
from jaxopt_lab.core.typing import Params
from jaxopt_lab.curvature.stability.sample_hessians import (
    HIGHEST,
    SampleHessians,
    from_gram,
)

ModelFn: TypeAlias = Callable[[Params, Any], jax.Array]
OutputLossName = Literal["softmax_cross_entropy", "squared_error"]
OutputLoss: TypeAlias = OutputLossName | Callable[[jax.Array, Any], jax.Array]


def output_factor(
    output_loss: OutputLoss, outputs: jax.Array, target: Any
) -> jax.Array:
    r"""A square root R of the output loss's Hessian, :math:`R^\top R = \ell''(z)`.

    Args:
      output_loss: ``"softmax_cross_entropy"``: :math:`R = \mathrm{diag}(\sqrt s)
        (I - 1 s^\top)` with the probabilities s; ``"squared_error"``,
        :math:`\tfrac12 \|z - y\|^2`, summed over the outputs: the identity; or a
        function ``loss(z, target)`` of one example, convex in z; negative eigenvalues
        of its Hessian, and those of the size of rounding errors, count as 0.
      outputs: z, shape ``(C,)``.
      target: target of the example; used by a function only.

    Returns:
      R, shape ``(C, C)``, float32 or float64.

    Raises:
      InputError: the name is unknown.

    >>> output_factor("squared_error", jnp.zeros(2), None).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    z = outputs.astype(accumulation_dtype(outputs.dtype))
    if callable(output_loss):
        values, vectors = jnp.linalg.eigh(jax.hessian(output_loss)(z, target))
        # The root of a rounding error would be far larger than the error.
        limit = z.shape[0] * jnp.finfo(z.dtype).eps * values[-1]
        kept = jnp.where(values > limit, values, 0)
        return safe_sqrt(kept)[:, None] * vectors.T
    if output_loss not in get_args(OutputLossName):
        raise errors.unknown("output_loss", output_loss, get_args(OutputLossName))
    identity = jnp.eye(z.shape[0], dtype=z.dtype)
    if output_loss == "squared_error":
        return identity
    s = jax.nn.softmax(z)
    return safe_sqrt(s)[:, None] * (identity - s[None])


def ggn_factors(
    model_fn: ModelFn,
    params: Params,
    inputs: Any,
    targets: Any = None,
    *,
    output_loss: OutputLoss = "softmax_cross_entropy",
) -> Params:
    r"""Rows of :math:`A_i = R_i J_i`, so that :math:`A_i^\top A_i` is the GGN of i.

    J is the Jacobian of the outputs; at zero residual, and for models that are linear
    in their parameters, the Gauss-Newton matrix is the Hessian.

    Args:
      model_fn: ``model_fn(params, inputs) -> outputs`` of shape ``(n, C)``, each
        example's outputs a function of this example alone: batch statistics frozen,
        no dropout.
      params: the parameters; those below float32 are cast up.
      inputs: tree of arrays with a leading axis of n examples.
      targets: likewise; only needed where ``output_loss`` is a function.
      output_loss: the loss of one example's outputs, see ``output_factor``.

    Returns:
      A tree like ``params``, each leaf with two axes more in front, ``(n, C)``:
      memory n C times that of the parameters.

    Raises:
      InputError: the outputs are not of shape ``(n, C)``, or a name is unknown.

    >>> rows = ggn_factors(lambda w, x: x @ w, jnp.ones((2, 1)),
    ...                    jnp.array([[1.0, 2.0]]), output_loss="squared_error")
    >>> rows.ravel().tolist()
    [1.0, 2.0]
    """
    wide = jax.tree.map(lambda x: x.astype(accumulation_dtype(x.dtype)), params)

    def one(x: Any, y: Any) -> Params:
        def outputs(p: Params) -> jax.Array:
            z = model_fn(p, jax.tree.map(lambda leaf: leaf[None], x))
            if z.ndim != 2 or z.shape[0] != 1:
                raise InputError(
                    "model_fn must give outputs of shape (n, C); got "
                    f"{tuple(z.shape)} for n = 1"
                )
            return z[0]

        z, pull = jax.vjp(outputs, wide)
        factor = output_factor(output_loss, z, y).astype(z.dtype)
        return jax.vmap(lambda row: pull(row)[0])(factor)

    return jax.vmap(one)(inputs, targets)


def gram_matrix(
    model_fn: ModelFn,
    params: Params,
    inputs: Any,
    targets: Any = None,
    *,
    output_loss: OutputLoss = "softmax_cross_entropy",
    chunk_size: int = 16,
) -> jax.Array:
    r"""All products of the rows of the factors, :math:`K = A A^\top`.

    :math:`\mathrm{tr}\,H_i H_j = \|A_i A_j^\top\|_F^2`, and K has the eigenvalues of
    :math:`\sum_i H_i`: nothing of size P x P is needed.

    Args:
      model_fn: see ``ggn_factors``.
      params: the parameters, in any sharding; they are never ravelled.
      inputs: tree of arrays with a leading axis of n examples; 64 to 256 are usual.
      targets: likewise; only needed where ``output_loss`` is a function.
      output_loss: the loss of one example's outputs, see ``output_factor``.
      chunk_size: k, number of examples whose rows are held at once, twice.

    Returns:
      K, shape ``(n C, n C)``, rows ordered by example, then by output; float32 or
      float64. Exactly symmetric.

    Raises:
      InputError: see ``ggn_factors``; or ``chunk_size`` is no whole number of at
        least 1, or the examples have no common leading axis.

    Memory: 2 k C times that of the parameters, besides K. Cost: with q = n/k chunks,
    about q/2 times the n C pull-backs of the whole, and n^2 C^2 P multiplications.
    Driven from the host: call it outside of ``jit``.

    >>> model = lambda w, x: x @ w
    >>> gram_matrix(model, jnp.ones((2, 1)), jnp.array([[1.0, 2.0], [3.0, 0.0]]),
    ...             output_loss="squared_error").tolist()
    [[5.0, 3.0], [3.0, 9.0]]
    """
    check_positive_count("chunk_size", chunk_size)
    n = _examples(inputs, targets)
    starts = range(0, n, chunk_size)
    chunk = lambda tree, i: jax.tree.map(lambda x: x[i : i + chunk_size], tree)

    def rows(i: int) -> Params:
        part, target = chunk(inputs, i), chunk(targets, i)
        return _rows(model_fn, params, part, target, output_loss)

    blocks: list[list[jax.Array]] = [[] for _ in starts]
    for i, start in enumerate(starts):
        here = rows(start)
        for j, other in enumerate(starts[: i + 1]):
            there = rows(other) if j < i else here
            blocks[i].append(_products(here, there))
    for i in range(len(blocks)):
        blocks[i] += [blocks[j][i].T for j in range(i + 1, len(blocks))]
    gram = jnp.block(blocks)
    # Inside a diagonal block the order of summation need not be symmetric, so
    # symmetrize.
    return (gram + gram.T) / 2


def ggn_hessians(
    model_fn: ModelFn,
    params: Params,
    inputs: Any,
    targets: Any = None,
    *,
    output_loss: OutputLoss = "softmax_cross_entropy",
    chunk_size: int = 16,
) -> SampleHessians:
    """Gauss-Newton matrices of single examples, in the eigenbasis of their mean.

    Args:
      model_fn: see ``ggn_factors``.
      params: the parameters.
      inputs: tree of arrays with a leading axis of n examples.
      targets: likewise; only needed where ``output_loss`` is a function.
      output_loss: the loss of one example's outputs, see ``output_factor``.
      chunk_size: see ``gram_matrix``.

    Returns:
      The Hessians, with ``r = n C``.

    Raises:
      InputError: see ``gram_matrix``.

    >>> h = ggn_hessians(lambda w, x: x @ w, jnp.ones((2, 1)),
    ...                  jnp.array([[1.0, 2.0]]), output_loss="squared_error")
    >>> h.eigenvalues.tolist()
    [5.0]
    """
    gram = gram_matrix(
        model_fn,
        params,
        inputs,
        targets,
        output_loss=output_loss,
        chunk_size=chunk_size,
    )
    return from_gram(gram, _examples(inputs, targets))


# Top-level functions instead of closures: closed-over parameters would become constants
# of the program, and every call would compile again.
@functools.partial(jax.jit, static_argnums=(0, 4))
def _rows(
    model_fn: ModelFn, params: Params, inputs: Any, targets: Any, output_loss: Any
) -> Params:
    return ggn_factors(model_fn, params, inputs, targets, output_loss=output_loss)


@jax.jit
def _products(one: Params, two: Params) -> jax.Array:
    """Inner products over all parameters, ``(n C, m C)``."""

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        axes = list(range(2, a.ndim))
        product = jnp.tensordot(a, b, (axes, axes), precision=HIGHEST)
        return product.reshape(a.shape[0] * a.shape[1], b.shape[0] * b.shape[1])

    parts = [
        leaf(*pair) for pair in zip(*map(jax.tree.leaves, (one, two)), strict=True)
    ]
    return jax.tree.reduce(jnp.add, parts)


def _examples(inputs: Any, targets: Any) -> int:
    lengths = {x.shape[0] if x.ndim else 0 for x in jax.tree.leaves((inputs, targets))}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            "inputs and targets need one common leading axis of examples; got lengths "
            f"{sorted(lengths)}"
        )
    return lengths.pop()
