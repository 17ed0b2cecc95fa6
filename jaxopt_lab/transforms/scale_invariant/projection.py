"""Removal of the radial part of a direction where the weight seems scale invariant."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import is_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.tree_paths import warn_of_idle_rules
from jaxopt_lab.core.typing import Params, Scalar

ChannelAxis: TypeAlias = int | Sequence[tuple[str, int]]


class Projected(NamedTuple):
    """A direction after the projection.

    Attributes:
      direction: shaped like the parameter, in the dtype of the direction given.
      ratio: factor of the weight decay, a scalar: ``wd_ratio`` where the direction was
        projected, else 1.
    """

    direction: jax.Array
    ratio: jax.Array


def channel_axes(params: Params, channel_axis: ChannelAxis) -> list[int]:
    """The channel axis of every leaf.

    Args:
      params: the parameters.
      channel_axis: one axis for all leaves, or pairs ``(regular expression, axis)``,
        the first of which that is found in the path ``"encoder/0/kernel"`` counts; the
        last axis where none is found.

    Returns:
      One axis for each leaf, in the order of ``jax.tree.leaves``; of leaves of less
      than two axes it has no meaning.

    Raises:
      InputError: the axis of a leaf with two axes or more does not exist, or a rule is
        no pair.

    Warns:
      UserWarning: no path matches a rule.

    >>> w = {"in": jnp.ones((2, 3)), "out": jnp.ones((3, 2))}
    >>> channel_axes(w, [("in", 0)])
    [0, -1]
    """
    paths = [
        (trees.path_name(path), leaf) for path, leaf in trees.leaves_with_path(params)
    ]
    if isinstance(channel_axis, int) and is_integer(channel_axis):
        found = [(name, leaf, channel_axis) for name, leaf in paths]
    else:
        rules = _rules(channel_axis, [name for name, _ in paths])
        found = [
            (name, leaf, next((a for rule, a in rules if re.search(rule, name)), -1))
            for name, leaf in paths
        ]
    for name, leaf, axis in found:
        if leaf.ndim >= 2 and not -leaf.ndim <= axis < leaf.ndim:
            raise InputError(
                f"channel_axis={axis} of {name} must be one of its {leaf.ndim} axes"
            )
    return [axis for _, _, axis in found]


def _rules(rules: ChannelAxis, names: list[str]) -> list[tuple[str, int]]:
    accepted = "channel_axis must be a whole number or pairs (regular expression, axis)"
    if isinstance(rules, str | int) or not isinstance(rules, Sequence):
        raise InputError(f"{accepted}; got {rules!r}")
    for rule in rules:
        pair = isinstance(rule, Sequence) and len(rule) == 2
        if not pair or not isinstance(rule[0], str) or not is_integer(rule[1]):
            raise InputError(f"{accepted}; got {rule!r}")
    warn_of_idle_rules("channel_axis", [rule for rule, _ in rules], names)
    return list(rules)


def finished(
    projected: Projected,
    state: Any,
    g: jax.Array,
    p: jax.Array,
    *,
    decays: jax.Array,
    weight_decay: jax.Array,
    writes: bool,
) -> tuple[Any, ...]:
    """The results of a ``LeafMethod`` from a projected direction.

    Args:
      projected: of ``project``.
      state: the new state of the leaf.
      g: the gradient, whose type the update has.
      p: the parameter.
      decays: whether this tensor decays, a boolean scalar.
      weight_decay: of a tensor that was not projected.
      writes: whether the new parameter is asked for, as by the fused apply.

    Returns:
      Update, state and, where asked for, the parameter after the update.

    >>> one = Projected(jnp.ones(2), jnp.array(0.5))
    >>> u, _ = finished(one, (), jnp.ones(2), jnp.array([2.0, 4.0]), writes=False,
    ...                 decays=jnp.array(True), weight_decay=jnp.array(1.0))
    >>> u.tolist()
    [2.0, 3.0]
    """
    u, ratio = projected
    decay = jnp.where(decays, weight_decay.astype(u.dtype) * ratio, 0)
    u = (u + decay * p.astype(u.dtype)).astype(g.dtype)
    return (u, state, trees.add_update(p, u)) if writes else (u, state)


def project(
    g: jax.Array,
    p: jax.Array,
    u: jax.Array,
    *,
    channel_axis: int,
    delta: Scalar,
    wd_ratio: Scalar,
    eps: Scalar,
) -> Projected:
    r"""The part of ``u`` at right angles to ``p``, if the gradient is so already.

    For each view of the tensor, first its channels r, then the whole as one:

    .. math::
        c_r = \frac{|\langle g_r, p_r \rangle|}
            {\max(\|g_r\|, \epsilon) \max(\|p_r\|, \epsilon)}, \qquad
        \max_r c_r < \delta / \sqrt{n} \;\Rightarrow\;
        u_r \leftarrow u_r - \hat p_r \langle \hat p_r, u_r \rangle, \quad
        \hat p_r = \frac{p_r}{\|p_r\| + \epsilon}

    with n the number of elements of a row of the view. The first view that passes the
    test counts.

    Args:
      g: the gradient as it came, not the direction made of it.
      p: the parameter.
      u: the direction.
      channel_axis: axis of the output channels.
      delta: bound of the cosines, times the root of n; at 0 nothing is projected.
      wd_ratio: factor of the decay of a projected tensor.
      eps: floor of the norms.

    Returns:
      The direction and the factor of the decay. Tensors of less than two axes, and
      empty ones, come back as they are. The test itself has no derivative.

    >>> p, g = jnp.array([[3.0], [4.0]]), jnp.array([[4.0], [-3.0]])
    >>> u = project(g, p, p, channel_axis=-1, delta=0.1, wd_ratio=0.1, eps=0.0)
    >>> [float(x) for x in u.direction[:, 0]], round(float(u.ratio), 2)
    ([0.0, 0.0], 0.1)
    """
    dtype = trees.scalar_dtype(g, p, u)
    if p.ndim < 2 or p.size == 0:
        return Projected(u, jnp.ones((), dtype))
    g, p, wide = g.astype(dtype), p.astype(dtype), u.astype(dtype)
    eps = jnp.asarray(eps, dtype)
    channel = channel_axis % p.ndim
    inside = tuple(axis for axis in range(p.ndim) if axis != channel)
    pairs = ((p, p), (g, g), (g, p), (p, wide))
    sums = [jnp.sum(x * y, inside, keepdims=True) for x, y in pairs]
    rows = p.size // p.shape[channel]
    passed, shares = [], []
    # Sums over the whole are those of the channels: the tensors are read once.
    for size, (pp, gg, gp, pu) in (
        (rows, sums),
        (p.size, [jnp.sum(x, channel, keepdims=True) for x in sums]),
    ):
        norm = trees.safe_sqrt(pp)
        floors = jnp.maximum(trees.safe_sqrt(gg), eps) * jnp.maximum(norm, eps)
        cosines = trees.safe_divide(jnp.abs(gp), floors)
        bound = jnp.asarray(delta, dtype) / math.sqrt(size)
        passed.append(jnp.max(cosines) < bound)
        length = norm + eps
        shares.append(trees.safe_divide(pu, length * length))
    # A share for each row: selecting among directions would store all three of them.
    whole = jnp.where(passed[1], shares[1], 0)
    direction = wide - jnp.where(passed[0], shares[0], whole) * p
    one = jnp.ones((), dtype)
    ratio = jnp.where(passed[0] | passed[1], jnp.asarray(wd_ratio, dtype), one)
    return Projected(direction.astype(u.dtype), ratio)
