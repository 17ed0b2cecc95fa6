"""Perturbed parameters: ascent step of a given radius, scaled by a diagonal T."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Params, PyTree, Scalar, Updates

ScalingName: TypeAlias = Literal["identity", "abs", "abs_over_range"]
NormOver: TypeAlias = Literal["perturbed", "all"]
# An alias: ``inject_hyperparams`` traces every argument annotated as a number, but the
# order must stay static since it selects the program.
NormOrder: TypeAlias = float


def check_scaling(name: str) -> ScalingName:
    """``name`` itself, if it is a scaling.

    Args:
      name: the name given.

    Returns:
      The same name.

    Raises:
      InputError: it is none of ``"identity"``, ``"abs"``, ``"abs_over_range"``.
    """
    if name not in get_args(ScalingName):
        raise errors.unknown("scaling", name, get_args(ScalingName))
    return name  # type: ignore[return-value]


def check_order(p: NormOrder) -> NormOrder:
    """``p`` itself, if it is the order of a norm.

    Args:
      p: the order given.

    Returns:
      The same number.

    Raises:
      InputError: it is no Python number of at least 1.
    """
    number = known_number(p)
    if number is None or isinstance(number, bool) or not number >= 1:
        raise InputError(f"p must be a number of at least 1, or inf; got {p!r}")
    return number


def magnitude(x: jax.Array) -> jax.Array:
    """``|x|`` with the derivative 0 at zero, between its two one-sided ones.

    ``jnp.abs`` takes the right one, 1, there, so that zero-initialised weights would
    get a derivative that central differences do not confirm.

    Args:
      x: array, real or complex.

    Returns:
      ``|x|``, real, float32 or better.

    >>> float(jax.grad(magnitude)(0.0)), float(jax.grad(magnitude)(-2.0))
    (0.0, -1.0)
    """
    wide = x.astype(trees.wide_dtype(x.dtype))
    if jnp.iscomplexobj(wide):
        return jnp.abs(wide)  # its derivative at zero is zero already
    return wide * jax.lax.stop_gradient(jnp.sign(wide))


def order_norm(x: jax.Array, p: NormOrder) -> jax.Array:
    """The p-norm of a whole tensor, safe at zero in value and in derivative.

    Args:
      x: array of any shape, real or complex, possibly empty.
      p: order, at least 1; ``inf`` for the largest magnitude.

    Returns:
      Scalar, float32 or better. Where it is 0, so are its derivatives; where several
      entries are largest, they share the derivative of ``p = inf``.

    >>> float(order_norm(jnp.array([3.0, -4.0]), 2)), float(
    ...     order_norm(jnp.array([3.0, -4.0]), math.inf)
    ... )
    (5.0, 4.0)
    """
    size = magnitude(x)
    if x.size == 0:
        return jnp.zeros((), size.dtype)
    largest = jnp.max(size)
    if p == math.inf:
        return largest
    # Divide by the largest magnitude, since powers of small weights underflow in
    # float32. The norm does not depend on this divisor, so its derivative is stopped.
    unit = jax.lax.stop_gradient(largest)
    ratio = trees.safe_divide(size, unit)
    zero = ratio == 0
    powers = jnp.where(zero, 0, jnp.where(zero, 1, ratio) ** p)
    total = jnp.sum(powers)
    return unit * jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / p))


def scaling_tree(
    name: ScalingName, params: Params, mask: PyTree, eta: Scalar, p: NormOrder
) -> PyTree | None:
    """The diagonal T at a point.

    Args:
      name: ``"identity"``: 1; ``"abs"``: ``|w| + eta``, as in ASAM;
        ``"abs_over_range"``: ``(|w| + eta) / ||W||_p`` with the norm of the whole
        tensor, as in SAMSON.
      params: the point.
      mask: tree of booleans, the leaves that are scaled; 1 elsewhere.
      eta: added to the magnitudes, in the units of the parameters.
      p: order of SAMSON's norm.

    Returns:
      A tree like ``params``, float32 or better; ``None`` stands for 1 everywhere.
    """
    if name == "identity":
        return None

    def one(scaled: bool | jax.Array, w: jax.Array) -> jax.Array:
        size = magnitude(w)
        t = size + jnp.asarray(eta, size.dtype)
        if name == "abs_over_range":
            t = trees.safe_divide(t, order_norm(w, p))
        return jnp.where(scaled, t, jnp.ones_like(t))

    return jax.tree.map(one, mask, params)


def _kept(m: bool | jax.Array, d: jax.Array) -> jax.Array:
    # No selection for what is static: in a branch that closes over d, as those of
    # optax.apply_if_finite do, zeros lack the sharding of an explicit mesh.
    return d if m is True else jnp.where(m, d, jnp.zeros_like(d))


def _times(t: jax.Array, d: jax.Array) -> jax.Array:
    """``t * d`` of a real factor t, in the precision of t."""
    if not jnp.iscomplexobj(d):
        return t * d.astype(t.dtype)
    wide = jnp.promote_types(t.dtype, d.dtype)
    return t.astype(wide) * d.astype(wide)


def perturb(
    params: Params,
    direction: Updates,
    rho: Scalar,
    mask: PyTree,
    norm_over: NormOver,
    *,
    scaling: PyTree | None = None,
    damping: Scalar | None = None,
) -> Params:
    r"""``params + rho * T^2 d / ||T d||`` on the leaves under the mask.

    The norm is the Euclidean one over all tensors together, accumulated in float32
    or better. Where it is zero the perturbation is zero, and so is its derivative:
    dividing by ``norm + tiny`` gives the same values but a derivative of
    ``rho / tiny``, which destroys a gradient taken through the training run.

    Args:
      params: the point to start from.
      direction: ascent direction ``d``, a tree like ``params``; of complex leaves
        ``trees.ascent_gradient``, not what ``jax.grad`` gives.
      rho: radius, in the units of the parameters' norm.
      mask: tree of booleans, which leaves (or which of their entries) move.
      norm_over: ``"perturbed"``: the norm over the leaves that move, so that the
        perturbation has length ``rho`` where T is 1; ``"all"``: over every leaf.
      scaling: the diagonal T, a tree like ``params``; ``None`` for 1.
      damping: added to the norm where the norm is not zero.

    Returns:
      The perturbed parameters, in their own dtypes.
    """
    scaled = direction
    if scaling is not None:
        scaled = jax.tree.map(_times, scaling, direction)
    moved = jax.tree.map(_kept, mask, scaled)
    norm = trees.global_norm(moved if norm_over == "perturbed" else scaled)
    if damping is not None:
        norm = jnp.where(norm == 0, norm, norm + jnp.asarray(damping, norm.dtype))
    scale = trees.safe_divide(jnp.asarray(rho, norm.dtype), norm)

    def step(p: jax.Array, d: jax.Array, t: jax.Array | None = None) -> jax.Array:
        wide = trees.wide_dtype(d.dtype)
        length = scale.astype(wide) * d.astype(wide)
        return p + (length if t is None else _times(t, length)).astype(p.dtype)

    if scaling is None:
        return jax.tree.map(step, params, moved)
    return jax.tree.map(step, params, moved, scaling)
