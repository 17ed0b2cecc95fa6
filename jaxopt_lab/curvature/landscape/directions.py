"""Directions of a loss landscape: random ones, normalised, and eigenvectors."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import errors, loops, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import is_whole
from jaxopt_lab.core.typing import Params, PyTree, Scalar
from jaxopt_lab.curvature.landscape.direction_algebra import (
    check_like,
    rescaled,
    wide,
    wide_dtype,
)
from jaxopt_lab.curvature.operators import vector_trees
from jaxopt_lab.curvature.operators.operator import shapes_of

Normalization = Literal["filter", "layer", "model"]
Biases = Literal["zero", "scale"]
FilterAxis: TypeAlias = int | PyTree | Callable[[Params], PyTree]


def random_direction(key: Array, params: Params) -> Params:
    """A standard Gaussian direction, independent in every entry.

    Args:
      key: typed key.
      params: gives the structure and the shapes.

    Returns:
      A tree like ``params``, float32 or better. Leaves that are not floating (counts)
      get zeros of their own dtype, so that they do not move.

    Decisions: LLA draws from U[0, 1), which favours the direction of all ones; the
    original code and we draw Gaussians.

    >>> params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
    >>> direction = random_direction(jax.random.key(0), params)
    >>> jax.tree.map(jnp.shape, direction)
    {'bias': (2,), 'kernel': (3, 2)}
    """
    moved = jax.tree.map(lambda w: w if trees.is_floating(w) else None, params)
    like = jax.tree.map(_wide_shape, shapes_of(moved))
    drawn = iter(jax.tree.leaves(vector_trees.draw(key, like)))
    return jax.tree.map(
        lambda w: next(drawn) if trees.is_floating(w) else jnp.zeros_like(w), params
    )


def normalize_direction(
    direction: Params,
    params: Params,
    by: Normalization = "filter",
    *,
    biases: Biases = "zero",
    filter_axis: FilterAxis = -1,
) -> Params:
    r"""A direction rescaled to the weights, so that landscapes can be compared.

    With :math:`f` the filters, the layers (tensors), or the whole model,

    .. math:: d_f \leftarrow d_f \frac{\|w_f\|_2}{\|d_f\|_2}.

    A filter is everything that feeds one output unit: the slice of a tensor at one
    index of its filter axis.

    Args:
      direction: a tree like ``params``, for instance a ``random_direction``.
      params: the point through which the landscape goes.
      by: ``"filter"``, ``"layer"`` (each tensor by itself) or ``"model"`` (one factor
        for all).
      biases: tensors with at most one axis (biases, gains of normalisations):
        ``"zero"``, they do not move; or ``"scale"``, as one vector each (with
        ``"model"``: with all the rest).
      filter_axis: axis that counts the filters of tensors with two axes or more: a
        number, a tree of numbers beside ``params`` or a prefix of it, or a function
        of the parameters that gives one. Default: the last, that of flax kernels
        (in, out) and HWIO. PyTorch's layouts have it first, 0.

    Returns:
      A tree like ``direction``, float32 or better. Where the direction or the weights
      of a filter are zero, so is the result. Differentiable in both trees, also
      there.

    Raises:
      InputError: the direction does not fit the parameters, ``by`` or ``biases`` is
        unknown, or a filter axis is out of range.

    A perturbation on the scale of the weights is only comparable where scaling a
    layer changes the loss. Before a batch normalisation it does not; see
    ``landscape.plane`` for statistics re-estimated at each point.

    Decisions: the bare norm stands in the denominator; the original code adds 1e-10,
    a relative difference of at most that over the norm of the direction. Tensors with
    one axis: ``"zero"`` is the original code, ``"scale"`` LLA. loss-landscapes scales
    them twice (the second time entry by entry), and lets its factor for the model
    change while it is being applied; neither is followed.

    >>> params = {"kernel": jnp.array([[3.0, 0.0], [4.0, 1.0]]), "bias": jnp.ones(2)}
    >>> ones = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    >>> scaled = normalize_direction(ones, params)
    >>> jnp.linalg.norm(scaled["kernel"], axis=0).round(5).tolist()
    [5.0, 1.0]
    >>> scaled["bias"].tolist()
    [0.0, 0.0]

    Reference: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of
    Neural Nets", NeurIPS 2018, arXiv:1712.09913. Code followed:
    tomgoldstein/loss-landscape.
    """
    if by not in get_args(Normalization):
        raise errors.unknown("normalization", by, get_args(Normalization))
    if biases not in get_args(Biases):
        raise errors.unknown("biases", biases, get_args(Biases))
    check_like(direction, params, "direction")
    moves = jax.tree.map(
        lambda w: trees.is_floating(w) and (biases == "scale" or jnp.ndim(w) > 1),
        params,
    )
    start = jax.tree.map(
        lambda m, d: wide(d) if m else jnp.zeros_like(wide(d)), moves, direction
    )
    if by == "model":
        weights = jax.tree.map(
            lambda m, w: w if m else jnp.zeros_like(w), moves, params
        )
        return rescaled(start, trees.global_norm(weights), trees.global_norm(start))
    if by == "layer":
        axes = jax.tree.map(lambda _: None, params)
    else:
        axes = trees.resolve_mask(filter_axis, params, "filter_axis")
        axes = jax.tree_util.tree_map_with_path(_checked_axis, axes, params)

    def scaled(d: Array, w: Any, axis: int | None) -> Array:
        if not trees.is_floating(w):
            return d
        return d * trees.safe_divide(_norm(wide(w), axis), _norm(d, axis))

    is_none = lambda x: x is None
    leaves, structure = jax.tree.flatten(start)
    found = map(
        scaled, leaves, jax.tree.leaves(params), jax.tree.leaves(axes, is_leaf=is_none)
    )
    return jax.tree.unflatten(structure, list(found))


def hessian_directions(
    eigenvalues: Sequence[Scalar] | Array,
    eigenvectors: list[Params] | Params,
    loss_rise: Scalar = 1.0,
) -> list[Params]:
    r"""Eigenvectors, scaled so that each changes the loss by a given amount.

    .. math:: d_i = \sqrt{2 \Delta L / |\lambda_i|}\; v_i / \|v_i\|_2,

    so that on the plane :math:`w + a d_1 + b d_2` the quadratic model of the loss is
    :math:`L + (\pm a^2 \pm b^2) \Delta L`, with the signs of the eigenvalues: a
    landscape whose levels are circles is a quadratic one.

    Args:
      eigenvalues: one for each vector, in units of the loss over those of the
        parameters squared.
      eigenvectors: a list of trees like the parameters, of any length; or one tree with
        a leading axis of vectors, as ``top_eigenvalues`` gives them.
      loss_rise: Delta L, change of the loss at coordinate 1, in units of the loss.

    Returns:
      One direction for each vector, float32 or better. An eigenvalue of 0 gives the
      zero direction: no length reaches the change.

    Raises:
      InputError: there are not as many eigenvalues as vectors, or none.

    >>> (direction,) = hessian_directions([8.0], [{"w": jnp.array([0.0, 3.0])}])
    >>> direction["w"].tolist()
    [0.0, 0.5]
    """
    values = [jnp.asarray(v) for v in eigenvalues]
    if isinstance(eigenvectors, list):
        vectors = eigenvectors
    else:
        count = min(len(x) for x in jax.tree.leaves(eigenvectors))
        vectors = [loops.take(eigenvectors, i) for i in range(count)]
    if len(values) != len(vectors) or not values:
        raise InputError(
            f"eigenvalues and eigenvectors must be as many, at least one; got "
            f"{len(values)} and {len(vectors)}"
        )

    def one(value: Array, vector: Params) -> Params:
        vector = jax.tree.map(wide, vector)
        norm = trees.global_norm(vector)
        size = jnp.abs(value).astype(norm.dtype)
        rise = jnp.asarray(loss_rise, norm.dtype)
        length = trees.safe_sqrt(trees.safe_divide(2 * rise, size))
        return rescaled(vector, length, norm)

    return [one(*pair) for pair in zip(values, vectors, strict=True)]


def cosine(one: Params, two: Params) -> Array:
    """Cosine of the angle between two directions, over all leaves together.

    Args:
      one: a tree of arrays.
      two: a tree of the same structure and shapes.

    Returns:
      Scalar, float32 or better; 0 where one of the two is zero.

    >>> float(cosine({"w": jnp.array([1.0, 0.0])}, {"w": jnp.array([3.0, 4.0])}))
    0.6000000238418579
    """
    norms = trees.global_norm(one) * trees.global_norm(two)
    product = trees.dot(one, two).astype(norms.dtype)
    return trees.safe_divide(product, norms)


def _wide_shape(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, wide_dtype(x), sharding=x.sharding)


def _checked_axis(path: Any, axis: Any, w: Any) -> int | None:
    ndim = jnp.ndim(w)
    if ndim <= 1:
        return None
    if not is_whole(axis) or not -ndim <= axis < ndim:
        raise InputError(
            f"filter_axis of {trees.path_name(path)} must be a whole number in "
            f"[{-ndim}, {ndim}); got {axis!r}"
        )
    return int(axis) % ndim


def _norm(x: Array, axis: int | None) -> Array:
    # One norm for each index of the axis; None: one for the whole tensor.
    others = tuple(i for i in range(x.ndim) if i != axis)
    return trees.safe_sqrt(jnp.sum(x * x, axis=others, keepdims=True))
