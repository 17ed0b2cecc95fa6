"""The operator: a symmetric matrix given by its products with vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxopt_lab.core import trees
from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees


@dataclasses.dataclass(frozen=True)
class Operator:
    """A symmetric matrix H over vectors that are trees.

    Attributes:
      matvec: ``matvec(v) -> H v``, called from the host and jitted inside. ``v`` has
        the structure, shapes and dtypes of ``like``.
      like: tree of ``jax.ShapeDtypeStruct``, float32 or wider; ``None`` where a mask
        leaves a parameter out.
      size: P, the number of entries of a vector.
      apply: ``apply(data, v) -> H v``, pure and traceable, for algorithms that run
        as one program; None where the data set is streamed from the host. Two
        operators with equal ``apply`` and data of the same shapes share their
        compiled programs.
      data: tree of arrays for ``apply``: the point, the batches.
    """

    matvec: Callable[[PyTree], PyTree]
    like: PyTree
    size: int
    apply: Callable[[PyTree, PyTree], PyTree] | None = None
    data: PyTree = ()


@partial(jax.jit, static_argnums=0)
def run(apply: Callable[[PyTree, PyTree], PyTree], data: PyTree, v: PyTree) -> PyTree:
    """``apply(data, v)`` as a compiled program.

    Args:
      apply: hashable; equal ones share a program.
      data: first argument.
      v: second argument.

    Returns:
      What ``apply`` returns.
    """
    return apply(data, v)


class Shapes(NamedTuple):
    """A tree of shapes as a static argument of a compiled program."""

    leaves: tuple[jax.ShapeDtypeStruct, ...]
    structure: Any

    @classmethod
    def of(cls, like: PyTree) -> Shapes:
        """The shapes of ``Operator.like``."""
        leaves, structure = jax.tree.flatten(like)
        return cls(tuple(leaves), structure)

    def tree(self) -> PyTree:
        """The tree of the shapes."""
        return jax.tree.unflatten(self.structure, self.leaves)


@partial(jax.jit, static_argnums=(1, 2))
def _draw(key: jax.Array, like: Shapes, probe: vector_trees.Probe) -> PyTree:
    return vector_trees.draw(key, like.tree(), probe)


def check_operator(operator: Any) -> None:
    """Refuse what is no operator, such as a matrix.

    Args:
      operator: what was given.

    Raises:
      InputError: it has no product.
    """
    if not hasattr(operator, "matvec") or not hasattr(operator, "like"):
        raise InputError(
            f"operator must be of type Operator; got {described(operator)}: pass what "
            "hessian(...) or linear_operator(product, like) gives"
        )


def draw(
    operator: Operator, key: jax.Array, probe: vector_trees.Probe = "normal"
) -> PyTree:
    """A random vector for an operator, entries independent and of variance 1.

    Args:
      operator: the operator.
      key: typed PRNG key.
      probe: ``"rademacher"`` or ``"normal"``.

    Returns:
      The vector.

    Raises:
      InputError: another object was given for the operator or the key.
    """
    check_operator(operator)
    check_key("key", key)
    return _draw(key, Shapes.of(operator.like), probe)


def shapes_of(tree: PyTree) -> PyTree:
    """Shapes, dtypes and shardings of the leaves of a tree.

    Args:
      tree: arrays, tracers or ``jax.ShapeDtypeStruct``.

    Returns:
      A tree of ``jax.ShapeDtypeStruct``.
    """

    def one(x: Any) -> jax.ShapeDtypeStruct:
        concrete = isinstance(x, jax.Array) and not isinstance(x, Tracer)
        sharding = getattr(x, "sharding", None)
        known = concrete or isinstance(x, jax.ShapeDtypeStruct)
        return jax.ShapeDtypeStruct(
            np.shape(x), jnp.result_type(x), sharding=sharding if known else None
        )

    return jax.tree.map(one, tree)


def check_vector(v: PyTree, like: PyTree, name: str = "the vector") -> None:
    """Refuse a vector of another space.

    Args:
      v: the vector.
      like: ``Operator.like``.
      name: its name in the error.

    Raises:
      InputError: structure, shapes or dtypes differ.
    """
    a, b = jax.tree.flatten(v), jax.tree.flatten(like)
    if a[1] == b[1] and all(
        np.shape(x) == y.shape and jnp.result_type(x) == y.dtype
        for x, y in zip(a[0], b[0], strict=True)
    ):
        return
    lines = trees.differences(like, jax.tree.map(jnp.asarray, v))
    raise InputError(f"{name} does not fit the operator: {trees.summary(lines)}")


def make_operator(
    apply: Callable[[PyTree, PyTree], PyTree], data: PyTree, like: PyTree
) -> Operator:
    """An operator from a pure product.

    Args:
      apply: ``apply(data, v) -> H v``, hashable and traceable.
      data: its first argument.
      like: tree of the vectors' shapes.

    Returns:
      The operator.
    """

    def matvec(v: PyTree) -> PyTree:
        check_vector(v, like)
        return run(apply, data, v)

    return Operator(matvec, like, trees.count(like), apply, data)


@dataclasses.dataclass(frozen=True)
class _Plain:
    fn: Callable[[PyTree], PyTree]

    def __call__(self, data: PyTree, v: PyTree) -> PyTree:
        return self.fn(v)


def linear_operator(fn: Callable[[PyTree], PyTree], like: PyTree) -> Operator:
    """Any symmetric linear map as an operator.

    Args:
      fn: ``fn(v) -> H v``, traceable, linear and symmetric; neither is checked.
      like: a vector, or a tree of ``jax.ShapeDtypeStruct``; float32 or wider.

    Returns:
      The operator.

    Raises:
      InputError: ``like`` has no entries, or an entry that is not of a real floating
        type of at least 32 bits.

    >>> import jax.numpy as jnp
    >>> h = linear_operator(lambda v: jnp.array([3.0, 1.0]) * v, jnp.zeros(2))
    >>> h.matvec(jnp.ones(2)).tolist(), h.size
    ([3.0, 1.0], 2)
    """
    like = shapes_of(like)
    for path, x in jax.tree.leaves_with_path(like):
        if not jnp.issubdtype(x.dtype, np.floating) or jnp.finfo(x.dtype).bits < 32:
            raise InputError(
                "vectors must be of float32 or float64; got "
                f"{x.dtype} at {trees.path_name(path) or 'the only leaf'}"
            )
    if trees.count(like) == 0:
        raise InputError("an operator needs at least one parameter; got none")
    return make_operator(_Plain(fn), (), like)
