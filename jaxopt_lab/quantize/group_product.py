"""Products of whole numbers in groups, scaled after the sum of each group."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.qarray import QArray


def group_product(x: jax.Array, weight: QArray) -> jax.Array:
    r"""The product with a weight in groups, which is dequantized after the sum.

    .. math::
        y_{mn} = \sum_g s_{ng} \left(\sum_{k \in g} x_{mk} q_{nk}
                 - z_{ng} \sum_{k \in g} x_{mk}\right),

    one multiplication by a scale a group instead of one a weight.

    Args:
      x: ``(tokens, inputs)``, floating or whole numbers; the sums of whole numbers are
        int32 and exact.
      weight: codes ``(outputs, inputs)``, scale and zero point ``(outputs, groups)`` of
        a grid of granularity ``"group"`` or ``"row"``.

    Returns:
      ``(tokens, outputs)``, in the type of the scale.

    Raises:
      InputError: the shapes do not fit.

    Memory: tokens x groups x outputs partial sums.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> grid = LinearGrid(4, granularity="group", group_size=2)
    >>> coded = grid.encode(jnp.array([[7.0, 1.0, 0.7, 0.1]]))
    >>> round(float(group_product(jnp.ones((1, 4)), coded)[0, 0]), 3)
    8.8

    Source: Zhang, Wang, Zhu and others, "MixPE", arXiv:2411.16158; no public code,
    written from the abstract.
    """
    codes, scale, zero = weight
    if x.ndim != 2 or codes.ndim != 2 or x.shape[1] != codes.shape[1]:
        raise InputError(
            "group_product takes x of shape (tokens, inputs) and codes of shape "
            f"(outputs, inputs); got {x.shape} and {codes.shape}"
        )
    outputs, inputs = codes.shape
    groups = scale.shape[-1]
    if scale.ndim != 2 or scale.shape[0] not in (1, outputs) or inputs % groups:
        raise InputError(
            "the scale of group_product must be (outputs, groups) with whole groups of "
            f"the inputs; got {scale.shape} for codes of shape {codes.shape}"
        )
    whole = jnp.issubdtype(x.dtype, jnp.integer)
    kind = jnp.int32 if whole else scale.dtype
    x = x.reshape(len(x), groups, -1).astype(kind)
    q = codes.reshape(outputs, groups, -1).astype(kind)
    sums = jnp.einsum("mgk,ngk->mgn", x, q)
    if zero is not None:
        zeros = jnp.broadcast_to(zero, (outputs, groups)).astype(kind)
        sums = sums - jnp.sum(x, axis=2)[:, :, None] * zeros.T[None]
    steps = jnp.broadcast_to(scale, (outputs, groups))
    return jnp.einsum("mgn,ng->mn", sums.astype(scale.dtype), steps)


def shift_product(x: jax.Array, weight: QArray, *, bits: int) -> jax.Array:
    r"""The sums of whole numbers of ``group_product`` by shifts and additions.

    A code is taken bit by bit, :math:`q = \sum_b 2^b q_b`, the highest bit of a signed
    code with the weight :math:`-2^{bits-1}`, so that every product is a shift of x.

    Args:
      x: ``(tokens, inputs)``, whole numbers.
      weight: as of ``group_product``.
      bits: bits of a code.

    Returns:
      ``sum_k x_mk q_nk`` of every group, int32, ``(tokens, groups, outputs)``; equal to
      the multiplied sums.

    Raises:
      InputError: ``x`` holds no whole numbers.

    >>> from jaxopt_lab.core.qarray import QArray
    >>> coded = QArray(jnp.array([[-3, 2]], jnp.int8), jnp.ones((1, 1)), None)
    >>> shift_product(jnp.array([[5, 7]]), coded, bits=3).tolist()
    [[[-1]]]
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise InputError(f"shift_product takes whole numbers; got {x.dtype}")
    outputs = weight.qvalue.shape[0]
    groups = weight.scale.shape[-1]
    x = x.astype(jnp.int32).reshape(len(x), groups, -1)[:, :, None]
    q = weight.qvalue.astype(jnp.int32).reshape(outputs, groups, -1)
    q = q.transpose(1, 0, 2)[None]
    signed = weight.qvalue.dtype == jnp.int8
    total = jnp.zeros((), jnp.int32)
    for bit in range(bits):
        shifted = jnp.where((q >> bit) & 1 == 1, x << bit, 0)
        total = total - shifted if signed and bit == bits - 1 else total + shifted
    return jnp.sum(total, axis=-1)
