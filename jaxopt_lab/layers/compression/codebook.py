"""Codebooks: activations replaced by the most similar vectors of a table."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype

Similarity = Literal["inner", "euclidean"]
CodebookLoss = Literal["base", "aeloss", "fullaeloss", "vqvae"]


def codebook_lookup(
    codes: jax.Array,
    h: jax.Array,
    *,
    num_codes: Annotated[int, COUNT] = 1,
    similarity: Similarity = "inner",
    loss: CodebookLoss = "base",
    beta: Annotated[float, NON_NEGATIVE, STATIC] = 0.25,
    disabled: ArrayLike | None = None,
    patch: tuple[ArrayLike, ArrayLike] | None = None,
    where: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Mean of the most similar codes of each position, and their numbers.

    .. math:: y = \frac1k \sum_{i \in \mathrm{top}_k s} c_i, \qquad
        s_i = \frac{\langle h, c_i \rangle}{|c_i|} \; \text{ or } \; -|h - c_i|.

    With cotangent g of y and T positions, the gradients are

    ============== ========================================= ======================
    loss           codes                                     h
    ============== ========================================= ======================
    ``base``       that of y                                 g
    ``aeloss``     that of y and of A                        g
    ``fullaeloss`` that of y and of A                        g + 2 beta (h - y)
    ``vqvae``      that of A                                 g + 2 beta (h - y)
    ============== ========================================= ======================

    with :math:`A = \frac1T \sum |y - h|^2`. What stands beside g is *added* by the
    backward pass, at its own scale: no loss shows it.

    Args:
      codes: ``(K, d)``, or ``(groups, K, d / groups)``: a table of its own for each of
        consecutive parts of the features.
      h: ``(..., d)``, real floating.
      num_codes: k, at most K.
      similarity: ``"inner"``, blind to the norms of the codes (a code of zeros scores
        0); ``"euclidean"``.
      loss: the gradients, as in the table.
      beta: of the table.
      disabled: ``(K,)`` or ``(groups, K)``, true for codes that are never chosen.
      patch: ``(positions, ids)``: at the true ``positions``, of the leading axes of
        ``h``, the numbers are ``ids``, which broadcast to those returned; -1 stands
        for zeros (the mean is still over k).
      where: true where a position counts in A, of the leading axes; ``None``: all.

    Returns:
      y of the shape and type of ``h``, and the numbers ``(..., k)``, with groups
      ``(..., groups, k)``, best first.

    Raises:
      InputError: k codes are not there (or not left), the features do not fit, or an
        argument is out of range.

    The abstract of the paper says the sum of the k codes; its code takes the mean, and
    so do we. Scores are float32 (float64 for float64): ``positions * K`` numbers. Kept
    for the gradient: the numbers alone; ``h`` as well where a loss adds to it.

    Source: Tamkin, Taufeeque and Goodman, "Codebook Features", 2023
    (https://arxiv.org/abs/2310.17230). Code read: taufeeque9/codebook-features.

    >>> codes = jnp.array([[1.0, 0.0], [0.0, 3.0]])
    >>> y, ids = codebook_lookup(codes, jnp.array([[2.0, 1.0], [0.0, 1.0]]))
    >>> y.tolist(), ids.tolist()
    ([[1.0, 0.0], [0.0, 3.0]], [[0], [1]])
    """
    check_arguments(codebook_lookup, locals())
    grouped = codes.ndim == 3
    tables = codes if grouped else codes[None]
    _check(codes, tables, h, num_codes)
    groups, size, width = tables.shape
    parts = h.reshape(*h.shape[:-1], groups, width)
    still = jax.lax.stop_gradient(parts)
    scores = code_scores(jax.lax.stop_gradient(tables), still, similarity)
    if disabled is not None:
        off = jnp.broadcast_to(_disabled(disabled, tables, num_codes), (groups, size))
        axes = tuple(range(scores.ndim - 2))
        scores = jnp.where(jnp.expand_dims(off, axes), -jnp.inf, scores)
    ids = jax.lax.top_k(scores, num_codes)[1]
    if patch is not None:
        ids = _patched(ids, patch, grouped)
    y = _mean(tables, ids, h.dtype)
    if loss in ("fullaeloss", "vqvae"):
        pull = jnp.sum((parts - jax.lax.stop_gradient(y)) ** 2) * _number(beta, y)
    else:
        pull = jnp.zeros((), y.dtype)
    if loss != "base":
        pull = pull + _error(y, still, where)
    kept = jax.lax.stop_gradient(y)
    through = kept if loss == "vqvae" else y
    out = with_added_gradient(straight_through(through, parts), pull)
    return out.reshape(h.shape), ids if grouped else ids[..., 0, :]


@jax.custom_vjp
def straight_through(y: jax.Array, h: jax.Array) -> jax.Array:
    """``y``, whose gradient goes to ``h`` as well; NaN where ``h`` is.

    Args:
      y: any floating array.
      h: of the same shape and type.

    Returns:
      As ``y``. ``y + h - stop_gradient(h)`` would differ from it by rounding once the
      two ``h`` are fused with different neighbours. Reverse mode only.

    >>> jax.grad(lambda h: 2 * straight_through(jnp.round(h), h))(0.7).item()
    2.0
    """
    return jnp.where(jnp.isnan(h), h, y)


straight_through.defvjp(
    lambda y, h: (straight_through(y, h), None), lambda kept, g: (g, g)
)


@jax.custom_vjp
def with_added_gradient(y: jax.Array, loss: jax.Array) -> jax.Array:
    """``y``, whose backward pass adds the gradient of ``loss`` at its own scale.

    Args:
      y: any array.
      loss: a scalar.

    Returns:
      ``y``. Reverse mode only.

    >>> f = lambda x: 5 * with_added_gradient(x, x**2)
    >>> float(jax.grad(f)(3.0))
    11.0
    """
    del loss
    return y


def _forward(y: jax.Array, loss: jax.Array) -> tuple[jax.Array, jax.Array]:
    return y, jnp.ones_like(loss)


with_added_gradient.defvjp(_forward, lambda one, g: (g, one))


def code_uses(ids: jax.Array, size: int, where: jax.Array | None = None) -> jax.Array:
    """Whether each code of a table was chosen in a batch.

    Args:
      ids: ``(..., k)``, numbers of ``codebook_lookup`` without groups.
      size: K.
      where: true where a position counts, of the leading axes; ``None``: all.

    Returns:
      ``(K,)``, 1 for a code that appears and 0 for the others, int32: a batch raises
      the counter of a code once, as the released code does.

    >>> code_uses(jnp.array([[0], [2], [2]]), 3).tolist()
    [1, 0, 1]
    """
    # -1, a patch by zeros, is no code; numbers of at least K are dropped.
    real = ids >= 0
    if where is not None:
        real = real & jnp.expand_dims(where.astype(bool), -1)
    kept = jnp.where(real, ids, size)
    return jnp.zeros(size, jnp.int32).at[kept.ravel()].set(1, mode="drop")


def replace_dead_codes(
    key: jax.Array,
    codes: jax.Array,
    uses: jax.Array,
    h: jax.Array,
    *,
    noise: Annotated[float, NON_NEGATIVE] = 0.0,
) -> jax.Array:
    r"""A table whose unused codes are recent inputs.

    Args:
      key: typed PRNG key.
      codes: ``(K, d)``.
      uses: ``(K,)`` counters; 0 is dead.
      h: ``(..., d)``, the inputs of the lookup, at least one.
      noise: :math:`\rho`; a new code is :math:`h_t + \rho |h_t| \, z` with normal z.

    Returns:
      ``(K, d)``; codes in use stay bit for bit.

    Raises:
      InputError: shapes do not fit, or ``noise`` is below 0.

    >>> codes, h = jnp.zeros((2, 1)), jnp.full((3, 1), 4.0)
    >>> replace_dead_codes(jax.random.key(0), codes, jnp.array([1, 0]), h).tolist()
    [[0.0], [4.0]]
    """
    check_arguments(replace_dead_codes, locals())
    if codes.ndim != 2 or uses.shape != codes.shape[:1] or not h.size:
        raise InputError(
            "replace_dead_codes takes codes (K, d), uses (K,) and inputs (..., d); "
            f"got {codes.shape}, {uses.shape} and {h.shape}"
        )
    rows = h.reshape(-1, codes.shape[1]).astype(codes.dtype)
    draw, shake = jax.random.split(key)
    chosen = rows[jax.random.randint(draw, codes.shape[:1], 0, rows.shape[0])]
    length = jnp.sqrt(jnp.sum(chosen * chosen, axis=1, keepdims=True))
    z = jax.random.normal(shake, codes.shape, codes.dtype)
    new = chosen + jnp.asarray(noise, codes.dtype) * length * z
    return jnp.where((uses == 0)[:, None], new, codes)


def _check(codes: jax.Array, tables: jax.Array, h: jax.Array, k: int) -> None:
    if codes.ndim not in (2, 3):
        raise InputError(
            f"codes must be (K, d) or (groups, K, d / groups); got {codes.shape}"
        )
    if not jnp.issubdtype(h.dtype, jnp.floating):
        raise InputError(f"codebook_lookup takes real floating inputs; got {h.dtype}")
    groups, size, width = tables.shape
    if h.ndim < 1 or h.shape[-1] != groups * width:
        raise InputError(
            f"the last axis of h must be {groups} * {width} for codes {codes.shape}; "
            f"got {h.shape}"
        )
    if k > size:
        raise InputError(f"num_codes={k} of a table of {size} codes; at most {size}")


def code_scores(tables: jax.Array, h: jax.Array, similarity: Similarity) -> jax.Array:
    """The similarity of every code, larger is nearer.

    Args:
      tables: ``(groups, K, d)``.
      h: ``(..., groups, d)``.
      similarity: as of ``codebook_lookup``; ``"euclidean"`` up to a term of ``h``.

    Returns:
      ``(..., groups, K)``, of the wider of float32 and the types.

    >>> table, h = jnp.array([[[0.0], [2.0]]]), jnp.array([[1.5]])
    >>> int(code_scores(table, h, "euclidean").argmax())
    1
    """
    dtype = jnp.promote_types(accumulation_dtype(h.dtype), tables.dtype)
    c, x = tables.astype(dtype), h.astype(dtype)
    if similarity == "euclidean":
        # About the middle of the codes: far from zero the squares would cancel.
        middle = jnp.mean(c, axis=1, keepdims=True)
        c, x = c - middle, x - jnp.expand_dims(middle[:, 0], range(x.ndim - 2))
    square = jnp.sum(c * c, axis=-1)
    product = jnp.einsum("...gd,gkd->...gk", x, c, precision=jax.lax.Precision.HIGHEST)
    square = jnp.expand_dims(square, range(product.ndim - 2))
    if similarity == "euclidean":
        return 2 * product - square
    return jnp.where(square == 0, 0, product) / jnp.sqrt(jnp.where(square, square, 1))


def _disabled(disabled: ArrayLike, tables: jax.Array, k: int) -> jax.Array:
    groups, size, _ = tables.shape
    off = jnp.asarray(disabled).astype(bool)
    if off.shape not in ((size,), (groups, size)):
        raise InputError(
            f"disabled must be {(size,)} or {(groups, size)}; got {off.shape}"
        )
    known = known_values(off)
    if known is not None:
        left = size - int(np.max(np.sum(known, axis=-1)))
        if left < k:
            raise InputError(f"num_codes={k}, but only {left} codes are not disabled")
    return off.reshape(-1, size)


def _patched(ids: jax.Array, patch: Any, grouped: bool) -> jax.Array:
    at, wanted = jnp.asarray(patch[0]), jnp.asarray(patch[1], ids.dtype)
    if at.shape != ids.shape[:-2]:
        raise InputError(
            f"patch[0] must have the leading axes {ids.shape[:-2]}; got {at.shape}"
        )
    shape = ids.shape if grouped else (*ids.shape[:-2], ids.shape[-1])
    return jnp.where(
        at.astype(bool)[..., None, None],
        jnp.broadcast_to(wanted, shape).reshape(ids.shape),
        ids,
    )


def _mean(tables: jax.Array, ids: jax.Array, dtype: Any) -> jax.Array:
    """``(..., groups, width)``, the mean of the chosen codes; zeros for -1."""
    group = jnp.arange(tables.shape[0]).reshape((1,) * (ids.ndim - 2) + (-1, 1))
    chosen = tables[group, ids]
    chosen = jnp.where((ids >= 0)[..., None], chosen, 0)
    wide = chosen.astype(accumulation_dtype(chosen.dtype))
    return jnp.mean(wide, axis=-2).astype(dtype)


def _number(value: float, like: jax.Array) -> jax.Array:
    return jnp.asarray(value, like.dtype)


def _error(y: jax.Array, still: jax.Array, where: jax.Array | None) -> jax.Array:
    squares = jnp.sum((y - still) ** 2, axis=(-2, -1))
    if where is None:
        return jnp.mean(squares)
    counts = jnp.broadcast_to(where.astype(bool), squares.shape)
    total = jnp.maximum(jnp.sum(counts.astype(y.dtype)), 1)
    return jnp.sum(jnp.where(counts, squares, 0)) / total
