"""JLCM: a codebook for groups of neurons, learned together with its mapping."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.k_means import line_start, lloyd
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, Interval, check_arguments
from jaxopt_lab.quantize.row_groups import check_matrix, group_rows

MappingGradient = Literal["proximal", "neighbour", "straight_through"]
Shared = Literal["codebook", "nothing"]
ScaleOf = Literal["max", "rms"]
CODE_BITS = Interval(1, 4)
_SWEEPS = 30


class JointCodebook(NamedTuple):
    r"""A weight as codewords: :math:`\hat w = s_g c_a`, a the largest logit.

    Attributes:
      codebook: c, ``(1, codewords)``, or one row for each group.
      scale: :math:`s_g`, ``(groups,)``.
      logits: m, ``(outputs, inputs, codewords)``.
      group: g of every row, int32, ``(outputs,)``.
    """

    codebook: jax.Array
    scale: jax.Array
    logits: jax.Array
    group: jax.Array

    @property
    def order(self) -> jax.Array:
        """The order of rows in which groups are contiguous."""
        return jnp.argsort(self.group, stable=True)

    @property
    def codes(self) -> jax.Array:
        """The codeword of every weight, int32, ``(outputs, inputs)``."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)


def joint_codebook(
    key: jax.Array,
    weight: jax.Array,
    *,
    groups: Annotated[int, COUNT] = 8,
    bits: Annotated[int, CODE_BITS] = 2,
    shared: Shared = "codebook",
    scale_of: ScaleOf = "max",
) -> JointCodebook:
    r"""Grouped rows, scales and a k-means codebook: where JLCM starts.

    Rows are grouped by ``group_rows``; the codebook is the k-means of w / s, started at
    the quantiles of the distinct values, so that codewords that suffice for all of them
    are exact; the logits are minus the distance to each codeword over the mean gap
    between codewords, so that each weight has its nearest one.

    Args:
      key: of the grouping.
      weight: ``(outputs, inputs)``, real floating.
      groups: number of groups of rows, G.
      bits: of a code; there are ``2 ** bits`` codewords.
      shared: ``"codebook"``: one codebook, a learned scale for each group;
        ``"nothing"``: a codebook for each group, whose scale is a power of two that
        stays and that ``pack_codebook`` multiplies in.
      scale_of: first scale of a group, its largest size or its root mean square; for a
        shared codebook.

    Returns:
      The start, in float32, or float64 for a float64 weight. Zero groups stay zero.

    Raises:
      InputError: no real floating matrix, more groups than rows, bits outside of 1
        to 4, or (outside of ``jit``) a weight that is not finite.

    The row among the quantizers is ``jlcm``, which fits one matrix to a gram matrix.
    Memory: ``2 ** bits`` logits a weight, while it is fitted.

    >>> weight = jnp.array([[1.0, -0.5, 1.0], [8.0, -4.0, 8.0]])
    >>> found = joint_codebook(jax.random.key(0), weight, groups=2, bits=1)
    >>> codebook_weights(found).tolist()
    [[1.0, -0.5, 1.0], [8.0, -4.0, 8.0]]

    Source: the abstract of JLCM (joint learning of codebook and mapping); there is no
    public code. Grouping, starts and the proximal weight are our reading of it.
    """
    check_arguments(joint_codebook, locals())
    weight = jnp.asarray(weight)
    check_matrix(weight)
    known = known_values(weight)
    if known is not None and not np.isfinite(known).all():
        raise InputError("weight of joint_codebook must be finite; it holds NaN or inf")
    return _started(key, weight, groups, bits, shared, scale_of)


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _started(
    key: jax.Array,
    weight: jax.Array,
    groups: int,
    bits: int,
    shared: Shared,
    scale_of: ScaleOf,
) -> JointCodebook:
    group = group_rows(key, weight, groups=groups)
    rows = weight.astype(trees.accumulation_dtype(weight.dtype))
    scale = _first_scale(rows, group, groups, shared, scale_of)
    rows = rows / scale[group][:, None]
    points = rows.reshape(-1)
    if shared == "codebook":
        chosen = jnp.full((1, points.size), True)
    else:
        member = group[None] == jnp.arange(groups)[:, None]
        chosen = jnp.repeat(member, rows.shape[1], axis=1)

    def line(where: jax.Array) -> jax.Array:
        start = line_start(points, where, 2**bits)
        return lloyd(points[:, None], start[:, None], where, _SWEEPS)[:, 0]

    codebook = jax.vmap(line)(chosen)
    words = _of_rows(codebook, group)[:, None]
    logits = -trees.safe_divide(jnp.abs(rows[..., None] - words), _mean_gap(words))
    return JointCodebook(codebook, scale, logits, group)


def codebook_weights(
    coded: JointCodebook, *, mapping_gradient: MappingGradient = "proximal"
) -> jax.Array:
    r"""The weights, with a gradient to the codebook, the scales and the mapping.

    With :math:`G = \partial L / \partial \hat w` and a the present codeword, codebook
    and scale have the exact derivative at fixed a, and

    .. math::
        \frac{\partial L}{\partial m_k} = G s\, \mathrm{sign}(c_k - c_a)
            \exp(-|c_k - c_a| / D)

    (D the mean gap between codewords): the further a codeword, the less it is pushed.
    Straight through the one-hot vector it would be :math:`G s c_k`, which pushes most
    towards the extreme codeword.

    Args:
      coded: codebook, scales, logits and groups.
      mapping_gradient: ``"proximal"``, as above; ``"neighbour"``: weight 1 for the next
        codeword on each side and 0 for the rest; ``"straight_through"``.

    Returns:
      :math:`\hat w`, rows in the order of the weight.

    Raises:
      InputError: an unknown choice.

    Gradient cost: one array of the logits' shape.

    >>> found = JointCodebook(
    ...     jnp.array([[-1.0, 0.0, 1.0]]), jnp.ones(1), jnp.array([[[0.0, 0.0, 1.0]]]),
    ...     jnp.zeros(1, jnp.int32),
    ... )
    >>> slope = jax.grad(lambda m: jnp.sum(codebook_weights(found._replace(logits=m))))
    >>> slope(found.logits).round(2).tolist()
    [[[-0.14000000059604645, -0.3700000047683716, 0.0]]]
    """
    check_arguments(codebook_weights, locals())
    return _values(mapping_gradient, *coded)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _values(
    choice: str,
    codebook: jax.Array,
    scale: jax.Array,
    logits: jax.Array,
    group: jax.Array,
) -> jax.Array:
    del choice
    code = jnp.argmax(logits, axis=-1)
    current = jnp.take_along_axis(_of_rows(codebook, group), code, axis=1)
    return scale[group][:, None] * current


def _forward(
    choice: str,
    codebook: jax.Array,
    scale: jax.Array,
    logits: jax.Array,
    group: jax.Array,
) -> tuple:
    code = jnp.argmax(logits, axis=-1)
    found = _values(choice, codebook, scale, logits, group)
    return found, (codebook, scale, code, group)


def _backward(choice: str, residuals: tuple, gradient: jax.Array) -> tuple:
    codebook, scale, code, group = residuals
    words = _of_rows(codebook, group)
    current = jnp.take_along_axis(words, code, axis=1)
    pull = gradient * scale[group][:, None]
    taken = jax.nn.one_hot(code, words.shape[1], dtype=pull.dtype)
    by_row = jnp.einsum("oi,oik->ok", pull, taken)
    owner = jnp.zeros_like(group) if len(codebook) == 1 else group
    to_codebook = jax.ops.segment_sum(by_row, owner, len(codebook))
    to_scale = jax.ops.segment_sum(
        jnp.sum(gradient * current, axis=1), group, len(scale)
    )
    words, current = words[:, None], current[..., None]
    apart = words - current
    if choice == "straight_through":
        push = jnp.broadcast_to(words, taken.shape)
    elif choice == "proximal":
        push = jnp.sign(apart) * jnp.exp(
            -trees.safe_divide(jnp.abs(apart), _mean_gap(words))
        )
    else:
        above = jnp.min(jnp.where(apart > 0, apart, jnp.inf), axis=-1, keepdims=True)
        below = jnp.max(jnp.where(apart < 0, apart, -jnp.inf), axis=-1, keepdims=True)
        next_to = (apart == above) | (apart == below)
        push = jnp.where(next_to, jnp.sign(apart), 0)
    return to_codebook, to_scale, pull[..., None] * push, None


_values.defvjp(_forward, _backward)


def _of_rows(codebook: jax.Array, group: jax.Array) -> jax.Array:
    """The codewords of every row, ``(outputs, codewords)``."""
    return codebook[jnp.zeros_like(group) if len(codebook) == 1 else group]


def _mean_gap(words: jax.Array) -> jax.Array:
    """Mean gap between codewords, the last axis, which stays as 1."""
    span = jnp.max(words, axis=-1, keepdims=True) - jnp.min(
        words, axis=-1, keepdims=True
    )
    return span / (words.shape[-1] - 1)


def _first_scale(
    rows: jax.Array, group: jax.Array, groups: int, shared: str, scale_of: str
) -> jax.Array:
    largest = jnp.max(jnp.abs(rows), axis=1)
    largest = jnp.maximum(jax.ops.segment_max(largest, group, groups), 0)
    usable = largest > jnp.finfo(rows.dtype).tiny
    if shared == "nothing":
        scale = jnp.ldexp(jnp.ones_like(largest), jnp.frexp(largest)[1] - 1)
    elif scale_of == "max":
        scale = largest
    else:
        # Over the largest, so that no square overflows.
        share = rows / jnp.where(usable, largest, 1)[group][:, None]
        sums = jax.ops.segment_sum(jnp.mean(share**2, axis=1), group, groups)
        count = jax.ops.segment_sum(jnp.ones_like(rows[:, 0]), group, groups)
        scale = largest * trees.safe_sqrt(trees.safe_divide(sums, count))
    return jnp.where(usable, scale, 1)
