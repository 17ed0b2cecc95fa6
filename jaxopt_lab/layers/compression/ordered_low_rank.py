"""Dense layer of two factors whose components are ordered by dropout."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, UNIT, check_arguments
from jaxopt_lab.core.typing import ModelState, Params, Scalar
from jaxopt_lab.layers.masks import over_features, without_padding


def ordered_low_rank(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    rank: Annotated[int | None, COUNT] = None,
    share: Annotated[Scalar, UNIT] = 1.0,
    kernel_init: Callable[..., jax.Array] | None = None,
) -> Functional:
    r"""Product with a matrix of two factors, under ordered dropout of their rank.

    .. math:: y = \sum_{c \le b} (x \cdot U_c) V_c, \qquad b \sim \mathrm{U}\{1..r\}

    In training the layer keeps its first b components, so that each is of more use
    than those behind it, and the trained layer can be cut at any rank. Linear, on white
    inputs, its first b components become the best approximation of rank b.

    Args:
      features: size of the last axis of the input, n.
      out: size of the last axis of the output, m; ``None``: as the input.
      rank: r, at most the smaller of n and m; ``None``: that.
      share: probability of a training call to draw b; all components count in the
        others. Where each of L layers draws by itself, with 1 / L one of them does in
        the mean. A number or a traced scalar.
      kernel_init: of the matrix that is taken apart, ``init(key, (n, m), dtype)``;
        ``None``: LeCun's normal one.

    Returns:
      ``init(key) -> (params, {})`` with ``u`` of shape (n, r) and ``v`` of shape
      (r, m), the singular vectors times the roots of the singular values; and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``. ``x`` is ``(..., n)``, or a pair of it and b, whole numbers that count
      in place of a draw: one for all, or one for each of the first axes. Without a pair
      all components count in evaluation and without a key. ``mask``, of the leading
      axes of ``x``, is 0 for padding, which gives 0.

    Raises:
      InputError: an argument is out of range, or a rank is not there.

    A component whose singular value is 0 in the beginning, to the rounding of its type,
    begins and stays at 0. The mask saves no operation in training; ``slice_rank`` does
    afterwards. For the gradient the input, r numbers a position and the factors, in the
    type of the input, are kept.

    Paper and code draw one pair of a layer and its rank a step: ``sample_layer_rank``.
    There is no bias: it is not cut.

    >>> layer = ordered_low_rank(3, out=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> whole, _ = layer.apply(params, state, jnp.eye(3), train=False)
    >>> first, _ = layer.apply(params, state, (jnp.eye(3), 1), train=True)
    >>> [int(jnp.linalg.matrix_rank(w)) for w in (whole, first)]
    [2, 1]

    Source: Horvath et al., "Maestro: Uncovering Low-Rank Structures via Trainable
    Decomposition", 2024, arXiv:2308.14929.
    """
    check_arguments(ordered_low_rank, locals())
    outputs = features if out is None else out
    size = full_rank("rank", rank, features, outputs)

    def init(key: jax.Array) -> tuple[Any, Any]:
        make = kernel_init or jax.nn.initializers.lecun_normal()
        kernel = make(key, (features, outputs), jnp.result_type(float))
        u, v = factors(kernel, size)
        return {"u": u, "v": v}, {}

    def drawn(key: jax.Array) -> jax.Array:
        t = jax.random.uniform(key, (), jnp.float32)
        chance = jnp.asarray(share, jnp.float32)
        partial = t < chance
        place = t / jnp.where(partial, chance, 1) * size
        b = 1 + jnp.floor(place).astype(jnp.int32)
        return jnp.where(partial, jnp.minimum(b, size), size)

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        chosen = None
        if isinstance(x, tuple):
            x, chosen = x
        elif call.train and call.key is not None:
            chosen = drawn(call.key)
        valid = over_features("ordered_low_rank", x, features, call.mask)
        u, v = (params[name].astype(x.dtype) for name in ("u", "v"))
        h = without_padding(x, valid) @ u
        if chosen is not None:
            kept = ordered_rank_mask(chosen, size)
            if kept.shape[:-1] != x.shape[: kept.ndim - 1] or kept.ndim > x.ndim:
                raise InputError(
                    f"the ranks of inputs of shape {x.shape} must be one number or of "
                    f"its first axes; got {described(chosen)}"
                )
            # A product keeps less for the gradient than a selection.
            kept = kept.astype(x.dtype)
            if kept.ndim == 1:
                v = v * kept[:, None]
            else:
                middle = (1,) * (x.ndim - kept.ndim)
                h = h * kept.reshape(*kept.shape[:-1], *middle, size)
        y = h @ v
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def full_rank(name: str, rank: int | None, rows: int, columns: int) -> int:
    """A rank that a matrix can have.

    Args:
      name: of the argument, for the message.
      rank: the rank, or ``None`` for the largest.
      rows: of the matrix.
      columns: of the matrix.

    Returns:
      The rank.

    Raises:
      InputError: the matrix has none as large.

    >>> full_rank("rank", None, 3, 2)
    2
    """
    largest = min(rows, columns)
    if rank is not None and rank > largest:
        raise InputError(
            f"{name} must be at most {largest}, that of a matrix of {rows} x {columns}"
            f"; got {rank}"
        )
    return largest if rank is None else rank


def factors(kernel: jax.Array, rank: int) -> tuple[jax.Array, jax.Array]:
    """The best approximation of a matrix by two factors that share its scale.

    Args:
      kernel: ``(n, m)``.
      rank: r, columns of the first factor.

    Returns:
      ``(n, r)`` and ``(r, m)``: singular vectors times roots of singular values in
      falling order, exact zeros where those are rounding; the largest entry of each
      left one is positive.

    >>> u, v = factors(jnp.array([[0.0, 2.0], [1.0, 0.0]]), 2)
    >>> bool(jnp.allclose(u @ v, jnp.array([[0.0, 2.0], [1.0, 0.0]])))
    True
    """
    left, values, right = jnp.linalg.svd(kernel, full_matrices=False)
    place = jnp.argmax(jnp.abs(left), axis=0, keepdims=True)
    sign = jnp.sign(jnp.take_along_axis(left, place, axis=0))
    noise = values[0] * max(kernel.shape) * jnp.finfo(kernel.dtype).eps
    root = jnp.sqrt(jnp.where(values > noise, values, 0))
    u = left * (sign * root[None])
    v = right * (sign.T * root[:, None])
    return u[:, :rank], v[:rank]


def ordered_rank_mask(rank: Any, max_rank: int) -> jax.Array:
    """The first components, as booleans.

    Args:
      rank: how many, from 1 to ``max_rank``: a whole number, or an array of them;
        traced ones may be any, those outside are taken for the nearest.
      max_rank: how many there are.

    Returns:
      Booleans, ``(*rank.shape, max_rank)``.

    Raises:
      InputError: it is no whole number, or there is no such rank.

    >>> ordered_rank_mask(2, 3).tolist()
    [True, True, False]
    """
    b = jnp.asarray(rank)
    if not jnp.issubdtype(b.dtype, jnp.integer):
        raise InputError(f"rank must be whole numbers; got {described(rank)}")
    known = known_values(rank)
    if known is not None and np.any((known < 1) | (known > max_rank)):
        worst = known.min() if known.min() < 1 else known.max()
        raise InputError(f"there is no rank {worst}; accepted: 1 to {max_rank}")
    b = jnp.clip(b, 1, max_rank)
    places = jnp.arange(max_rank, dtype=b.dtype)
    return jnp.expand_dims(places, range(b.ndim)) < b[..., None]


def full_product(params: Any, x: jax.Array) -> jax.Array:
    """A dense layer, the product with both factors: what is left without dropout.

    Args:
      params: ``{"u": (n, r), "v": (r, m)}``.
      x: ``(..., n)``.

    Returns:
      ``(..., m)``.
    """
    return x @ (params["u"] @ params["v"])
