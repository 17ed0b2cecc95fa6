"""Norms, roots, masks, sizes and differences of parameter trees.

Every norm accumulates in float32 or better and is safe at zero in value and in
derivative: an optimizer that is differentiated through meets exact zeros (zero
initialised layers, padded rows), and the derivative of a square root there is
infinite, which turns into NaN as soon as it is multiplied by the zero beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params

MaskFn = Callable[[Params], PyTree]


def accumulation_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The real type in which values of ``dtype`` are summed.

    Args:
      dtype: any numeric type.

    Returns:
      float64 for float64 and complex128, float32 for everything else.

    >>> str(accumulation_dtype(jnp.bfloat16))
    'float32'
    """
    wide = jnp.dtype(dtype) in (jnp.dtype(np.float64), jnp.dtype(np.complex128))
    return jnp.dtype(np.float64 if wide else np.float32)


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
    dtype = accumulation_dtype(x.dtype)
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


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """The tree with its floating leaves in ``dtype``; others are left alone.

    Args:
      tree: tree of arrays.
      dtype: floating type to cast to.

    Returns:
      A tree of the same structure.
    """
    return jax.tree.map(lambda x: x.astype(dtype) if is_floating(x) else x, tree)


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


def path_name(path: Sequence[Any]) -> str:
    """A jax key path in readable form.

    Args:
      path: as the functions of ``jax.tree_util`` that end in ``_with_path`` give.

    Returns:
      The keys, indices and attribute names with slashes between them.

    >>> [path_name(p) for p, _ in jax.tree.leaves_with_path({"a": [1, {"b": 2}]})]
    ['a/0', 'a/1/b']
    """
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def label_by_path(
    rules: Sequence[tuple[str, str]], default: str
) -> Callable[[Params], PyTree]:
    """A function that labels every leaf by the first rule its path matches.

    Args:
      rules: pairs ``(regular expression, label)``, searched in the leaf's path
        (``"encoder/0/kernel"``) in this order.
      default: label of a leaf that no rule matches.

    Returns:
      ``labels(params)``, a tree of strings for ``partition``.

    >>> labels = label_by_path([("bias$", "plain")], "sharp")
    >>> labels({"dense": {"kernel": 1.0, "bias": 0.0}})
    {'dense': {'bias': 'plain', 'kernel': 'sharp'}}
    """
    compiled = [(re.compile(pattern), label) for pattern, label in rules]

    def label(path: Sequence[Any], _: Any) -> str:
        name = path_name(path)
        return next((lab for rx, lab in compiled if rx.search(name)), default)

    return lambda params: jax.tree_util.tree_map_with_path(label, params)


def everything_but(*names: str) -> MaskFn:
    """A mask that leaves out the leaves with one of these names.

    Args:
      *names: last keys of the paths to leave out (``"bias"``, ``"scale"``).

    Returns:
      ``mask(params)``: a tree of booleans.

    >>> everything_but("bias")({"kernel": 1.0, "bias": 0.0})
    {'bias': False, 'kernel': True}
    """
    return lambda params: jax.tree_util.tree_map_with_path(
        lambda path, _: path_name(path[-1:]) not in names, params
    )


def matching(pattern: str) -> MaskFn:
    """A mask of the leaves whose path contains a regular expression.

    Args:
      pattern: searched in paths such as ``"encoder/0/kernel"``.

    Returns:
      ``mask(params)``: a tree of booleans.

    >>> matching("^norm")({"norm": {"scale": 1.0}, "head": {"kernel": 1.0}})
    {'head': {'kernel': False}, 'norm': {'scale': True}}
    """
    compiled = re.compile(pattern)
    return lambda params: jax.tree_util.tree_map_with_path(
        lambda path, _: bool(compiled.search(path_name(path))), params
    )


def ndim_at_least(ndim: int) -> MaskFn:
    """A mask of the leaves with at least ``ndim`` axes (2: matrices and kernels).

    Args:
      ndim: smallest number of axes that is taken.

    Returns:
      ``mask(params)``: a tree of booleans.
    """
    return lambda params: jax.tree.map(lambda x: np.ndim(x) >= ndim, params)


def resolve_mask(mask: MaskOrFn | None, params: Params, name: str = "mask") -> PyTree:
    """The mask as a full tree of booleans beside ``params``.

    Args:
      mask: ``None`` (everything), a tree of booleans with the structure of
        ``params`` or a prefix of it, or a function of the parameters giving one.
      params: the parameters.
      name: what to call the argument in an error.

    Returns:
      A tree of the structure of ``params``; entries may be traced booleans.

    Raises:
      InputError: the mask does not fit the parameters.
    """
    if mask is None:
        return jax.tree.map(lambda _: True, params)
    tree = mask(params) if callable(mask) else mask
    try:
        return jax.tree.map(lambda m, sub: jax.tree.map(lambda _: m, sub), tree, params)
    except ValueError as error:
        lines = differences(params, tree, shapes=False)
        raise InputError(
            f"{name} does not fit the parameters: {summary(lines)}"
        ) from error


def _described(x: Any) -> str:
    if not hasattr(x, "dtype"):
        return repr(x)
    shape = ",".join(str(n) for n in np.shape(x))
    return f"{x.dtype}[{shape}]"


def differences(expected: PyTree, got: PyTree, *, shapes: bool = True) -> list[str]:
    """How two trees differ, one line for each path that does.

    Args:
      expected: the tree that is wanted; arrays or ``jax.ShapeDtypeStruct``.
      got: the tree that is there.
      shapes: also compare shapes and dtypes, not only which paths exist.

    Returns:
      Lines such as ``"dense/kernel: expected float32[8,4], got float32[8,5]"``,
      in the order of the paths; an empty list where nothing differs.

    >>> differences({"a": jnp.ones(2, jnp.float32)}, {"b": jnp.ones(2)})
    ['a: missing (expected float32[2])', 'b: not expected']
    """
    one = {path_name(p): x for p, x in jax.tree.leaves_with_path(expected)}
    two = {path_name(p): x for p, x in jax.tree.leaves_with_path(got)}
    lines = []
    for path in list(one) + [p for p in two if p not in one]:
        if path not in two:
            lines.append(f"{path}: missing (expected {_described(one[path])})")
        elif path not in one:
            lines.append(f"{path}: not expected")
        elif shapes and _described(one[path]) != _described(two[path]):
            wanted, found = _described(one[path]), _described(two[path])
            lines.append(f"{path}: expected {wanted}, got {found}")
    if not lines and jax.tree.structure(expected) != jax.tree.structure(got):
        lines.append(
            f"(containers): expected {jax.tree.structure(expected)}, "
            f"got {jax.tree.structure(got)}"
        )
    return lines


def summary(lines: Sequence[str], limit: int = 6) -> str:
    """A few lines of ``differences`` as one.

    Args:
      lines: what ``differences`` gave.
      limit: how many are written out.

    Returns:
      The first ``limit`` lines joined by semicolons, and how many more there are.
    """
    more = f"; and {len(lines) - limit} more" if len(lines) > limit else ""
    return "; ".join(lines[:limit]) + more
