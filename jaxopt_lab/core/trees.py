"""Norms, products, roots and sizes of parameter trees; names and masks beside them.

Every norm accumulates in float32 or better and is safe at zero in value and in
derivative: an optimizer that is differentiated through meets exact zeros (zero
initialised layers, padded rows), and the derivative of a square root there is
infinite, which turns into NaN as soon as it is multiplied by the zero beside it.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxopt_lab.core.boxes import leaves_with_path as leaves_with_path
from jaxopt_lab.core.boxes import map_with_path as map_with_path
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.tree_paths import MaskFn as MaskFn
from jaxopt_lab.core.tree_paths import differences as differences
from jaxopt_lab.core.tree_paths import everything_but as everything_but
from jaxopt_lab.core.tree_paths import label_by_path as label_by_path
from jaxopt_lab.core.tree_paths import matching as matching
from jaxopt_lab.core.tree_paths import ndim_at_least as ndim_at_least
from jaxopt_lab.core.tree_paths import path_name as path_name
from jaxopt_lab.core.tree_paths import resolve_mask as resolve_mask
from jaxopt_lab.core.tree_paths import summary as summary
from jaxopt_lab.core.typing import PyTree


def magnitude_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The real type in which absolute values of ``dtype`` are summed.

    Args:
      dtype: any numeric type.

    Returns:
      float64 for float64 and complex128, float32 for everything else.

    >>> str(magnitude_dtype(jnp.complex64))
    'float32'
    """
    wide = jnp.dtype(dtype) in (jnp.dtype(np.float64), jnp.dtype(np.complex128))
    return jnp.dtype(np.float64 if wide else np.float32)


def accumulation_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The real type in which real values of ``dtype`` are summed.

    Args:
      dtype: any real type.

    Returns:
      float64 for float64, float32 for everything else.

    Raises:
      InputError: the type is complex: a cast would drop the imaginary parts without a
        word. ``wide_dtype`` keeps them, ``magnitude_dtype`` is for absolute values.

    >>> str(accumulation_dtype(jnp.bfloat16))
    'float32'
    """
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputError(
            f"real numbers are taken here; got {jnp.dtype(dtype)}: pass the real and "
            "imaginary parts as real arrays"
        )
    return magnitude_dtype(dtype)


def wide_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The type in which values of ``dtype`` are combined element by element.

    Args:
      dtype: any numeric type.

    Returns:
      ``magnitude_dtype(dtype)``, or the complex type of that precision where
      ``dtype`` is complex: a cast to the real one would drop the imaginary parts.

    >>> str(wide_dtype(jnp.bfloat16)), str(wide_dtype(jnp.complex64))
    ('float32', 'complex64')
    """
    real = magnitude_dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        return real
    return jnp.dtype(np.complex128 if real == np.float64 else np.complex64)


def ascent_gradient(grads: PyTree) -> PyTree:
    """The direction of steepest ascent from what ``jax.grad`` gives.

    Args:
      grads: derivatives of a real loss. Of a complex leaf ``x + i y``, ``jax.grad``
        gives ``dL/dx - i dL/dy``.

    Returns:
      The same leaves, complex ones conjugated: ``dL/dx + i dL/dy``, as optax and every
      transformation here take them.

    >>> loss = lambda z: jnp.abs(z - 2j) ** 2
    >>> float(jnp.imag(ascent_gradient(jax.grad(loss)(0j))))
    -4.0
    """
    return jax.tree.map(lambda g: jnp.conj(g) if jnp.iscomplexobj(g) else g, grads)


def safe_sqrt(x: Array) -> Array:
    """Square root whose derivative at zero is zero instead of infinite.

    Args:
      x: real array. NaN and negative values give NaN, as ``jnp.sqrt`` does: a
        fault must stay visible.

    Returns:
      ``sqrt(x)``, same shape and dtype.

    >>> float(jax.grad(safe_sqrt)(0.0))
    0.0
    """
    # Both branches of a `where` are differentiated, so the root must not see the
    # zero at all: hence the second `where`, inside.
    zero = x == 0
    return jnp.where(zero, jnp.zeros_like(x), jnp.sqrt(jnp.where(zero, 1, x)))


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """Quotient that is zero, with zero derivatives, where the denominator is zero.

    Args:
      numerator: real array.
      denominator: real array of the same dtype, broadcastable.

    Returns:
      ``numerator / denominator``, or 0 where the denominator is exactly 0.

    >>> float(safe_divide(jnp.float32(3.0), jnp.float32(0.0)))
    0.0
    """
    zero = denominator == 0
    quotient = numerator / jnp.where(zero, 1, denominator)
    return jnp.where(zero, jnp.zeros_like(quotient), quotient)


def _sum_of_squares(x: Array) -> Array:
    dtype = magnitude_dtype(x.dtype)
    if jnp.iscomplexobj(x):
        real, imag = jnp.real(x).astype(dtype), jnp.imag(x).astype(dtype)
        return jnp.sum(real * real) + jnp.sum(imag * imag)
    wide = x.astype(dtype)
    return jnp.sum(wide * wide)


def global_norm(tree: PyTree) -> Array:
    """Euclidean norm over all leaves together.

    Args:
      tree: arrays of any floating dtypes; ``None`` and empty leaves count nothing.

    Returns:
      Scalar, float64 if any leaf is, else float32. Its derivative is the unit
      vector ``tree / norm``, and 0 where the norm is 0. The squares are not scaled:
      entries below about 1e-19 (1e-154 in float64) count as zeros.

    >>> float(global_norm({"w": jnp.array([3.0]), "b": jnp.array(4.0)}))
    5.0
    """
    squares = [_sum_of_squares(jnp.asarray(x)) for x in jax.tree.leaves(tree)]
    if not squares:
        return jnp.zeros((), jnp.float32)
    wide = any(s.dtype == np.float64 for s in squares)
    dtype = np.float64 if wide else np.float32
    return safe_sqrt(sum((s.astype(dtype) for s in squares), jnp.zeros((), dtype)))


def scalar_dtype(*operands: PyTree) -> jnp.dtype:
    """The type in which sums over whole trees are accumulated.

    Args:
      *operands: trees of arrays or ``jax.ShapeDtypeStruct``.

    Returns:
      float64 if any leaf is, else float32.
    """
    wide = np.dtype(np.float64)
    found = (magnitude_dtype(x.dtype) for x in jax.tree.leaves(operands))
    return wide if any(dtype == wide for dtype in found) else np.dtype(np.float32)


def dot(a: PyTree, b: PyTree) -> Array:
    """Inner product over all leaves together.

    Args:
      a: tree of floating arrays, real or complex.
      b: tree of the same structure and shapes; the dtypes may differ.

    Returns:
      Real scalar of ``scalar_dtype(a, b)``; 0 for empty trees. Of complex leaves
      ``Re(conj(a) b)``, the inner product of real and imaginary parts. A sum of
      products, not a contraction: matrix units round their operands, and the
      contraction of sharded axes is refused on meshes of explicit axes.

    >>> float(dot({"a": jnp.ones(2)}, {"a": jnp.array([1.0, 2.0])}))
    3.0
    """
    dtype = scalar_dtype(a, b)

    def one(x: Array, y: Array) -> Array:
        if jnp.iscomplexobj(x) or jnp.iscomplexobj(y):
            return one(jnp.real(x), jnp.real(y)) + one(jnp.imag(x), jnp.imag(y))
        return jnp.sum(x.astype(dtype) * y.astype(dtype))

    return sum(jax.tree.leaves(jax.tree.map(one, a, b)), jnp.zeros((), dtype))


def add_update(p: Array, u: Array) -> Array:
    """``p + u`` in the type of ``p``, summed in the wider of the two.

    Args:
      p: a parameter, or a part of one.
      u: its update, of the same shape; the dtypes may differ.

    Returns:
      The sum, in the dtype of ``p``; for equal dtypes that of ``optax.apply_updates``.
    """
    if p.dtype == u.dtype:
        return p + u
    wide = jnp.promote_types(wide_dtype(p.dtype), wide_dtype(u.dtype))
    return (p.astype(wide) + u.astype(wide)).astype(p.dtype)


def leaf_norms(tree: PyTree) -> PyTree:
    """Euclidean norm of each leaf by itself.

    Args:
      tree: arrays of any floating dtypes.

    Returns:
      The same tree of scalars, float32 or better, safe at zero like
      ``global_norm``.
    """
    return jax.tree.map(lambda x: safe_sqrt(_sum_of_squares(jnp.asarray(x))), tree)


def select(pred: Array, on_true: PyTree, on_false: PyTree) -> PyTree:
    """Leaf by leaf ``on_true`` where ``pred`` holds, else ``on_false``.

    Args:
      pred: boolean scalar, possibly traced.
      on_true: tree of arrays; typed keys allowed.
      on_false: tree of the same structure, shapes and dtypes.

    Returns:
      The chosen tree.
    """
    return jax.tree.map(lambda a, b: jnp.where(pred, a, b), on_true, on_false)


def is_floating(x: Any) -> bool:
    """Whether ``x`` is an array of real or complex floating type.

    Args:
      x: anything with a ``dtype``, or a Python number.

    Returns:
      False for integers, booleans and typed keys.
    """
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def arrays(tree: PyTree) -> PyTree:
    """The tree with an array for each Python number and each abstract shape.

    Args:
      tree: parameters or gradients, as optax takes them.

    Returns:
      The same tree; of a ``jax.ShapeDtypeStruct`` zeros, in its sharding.

    Raises:
      InputError: a leaf is neither an array nor a number.

    >>> [x.shape for x in jax.tree.leaves(arrays({"a": 1.0, "b": jnp.ones(2)}))]
    [(), (2,)]
    """

    def one(path: Any, x: Any) -> Any:
        if isinstance(x, jax.ShapeDtypeStruct):
            return jnp.zeros(x.shape, x.dtype, device=x.sharding)
        if hasattr(x, "dtype") and hasattr(x, "shape"):
            return x
        if isinstance(x, bool | int | float | complex):
            return jnp.asarray(x)
        raise InputError(
            f"a leaf must be an array or a number; got {type(x).__name__} for "
            f"{path_name(path)!r}"
        )

    return jax.tree_util.tree_map_with_path(one, tree)


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """The tree with its floating leaves in ``dtype``; others are left alone.

    Args:
      tree: tree of arrays.
      dtype: floating type to cast to.

    Returns:
      A tree of the same structure; complex leaves in the complex type of that
      precision, at least complex64.
    """

    def one(x: Array) -> Array:
        if not is_floating(x):
            return x
        if jnp.iscomplexobj(x):
            return x.astype(jnp.promote_types(dtype, jnp.complex64))
        return x.astype(dtype)

    return jax.tree.map(one, tree)


def count(tree: PyTree) -> int:
    """Number of array elements in the tree.

    Args:
      tree: arrays or ``jax.ShapeDtypeStruct``.

    Returns:
      A Python integer, known at trace time.
    """
    return sum(int(np.prod(np.shape(x))) for x in jax.tree.leaves(tree))


def nbytes(tree: PyTree) -> int:
    """Bytes that the leaves occupy, as stored (an int4 takes a whole byte).

    Args:
      tree: arrays, typed keys or ``jax.ShapeDtypeStruct``.

    Returns:
      A Python integer, known at trace time.

    >>> nbytes({"w": jnp.ones((3, 2), jnp.bfloat16), "n": jnp.int32(0)})
    16
    """

    def size(x: Any) -> int:
        if jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key):
            return size(jax.eval_shape(jax.random.key_data, x))
        return int(np.prod(np.shape(x))) * jnp.result_type(x).itemsize

    return sum(size(x) for x in jax.tree.leaves(tree))
