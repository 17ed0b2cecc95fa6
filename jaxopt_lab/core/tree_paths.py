"""Names of leaves, masks and labels by name, and differences between trees."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxopt_lab.core import boxes
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, PyTree

MaskFn = Callable[[Params], PyTree]


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
        (``"encoder/0/kernel"``, whether or not flax has it in a box) in this order.
      default: label of a leaf that no rule matches.

    Returns:
      ``labels(params)``, a tree of strings for ``partition``. It warns of a rule that
      matches nothing.

    >>> labels = label_by_path([("bias$", "plain")], "sharp")
    >>> labels({"dense": {"kernel": 1.0, "bias": 0.0}})
    {'dense': {'bias': 'plain', 'kernel': 'sharp'}}
    """
    compiled = [(re.compile(pattern), label) for pattern, label in rules]

    def label(path: Sequence[Any], _: Any) -> str:
        name = path_name(path)
        return next((lab for rx, lab in compiled if rx.search(name)), default)

    def labels(params: Params) -> PyTree:
        names = [path_name(path) for path, _ in boxes.leaves_with_path(params)]
        warn_of_idle_rules("rules", [pattern for pattern, _ in rules], names)
        return boxes.map_with_path(label, params)

    return labels


def warn_of_idle_rules(
    argument: str, patterns: Sequence[str], names: Sequence[str]
) -> None:
    """Tell of regular expressions that no path of the parameters contains.

    Args:
      argument: name of the argument that holds them, for the message.
      patterns: the regular expressions.
      names: paths of the parameters.
    """
    for pattern in patterns:
        if names and not any(re.search(pattern, name) for name in names):
            warnings.warn(
                f"{argument}: {pattern!r} matches none of the parameters; the paths "
                f"must contain it, got {summary(list(names))}",
                UserWarning,
                stacklevel=3,
            )


def warn_of_idle_mask(argument: str, mask: PyTree) -> None:
    """Tell of a mask that selects no leaf.

    Args:
      argument: its name, for the message.
      mask: tree of booleans, arrays of them, or traced ones.
    """
    chosen = jax.tree.leaves(mask)
    if chosen and all(isinstance(m, bool | np.bool_) and not m for m in chosen):
        warnings.warn(
            f"{argument} selects none of the parameters, so that it turns the method "
            "off; pass None to select all",
            UserWarning,
            stacklevel=3,
        )


def everything_but(*names: str) -> MaskFn:
    """A mask that leaves out the leaves with one of these names.

    Args:
      *names: last keys of the paths to leave out (``"bias"``, ``"scale"``).

    Returns:
      ``mask(params)``: a tree of booleans.

    >>> everything_but("bias")({"kernel": 1.0, "bias": 0.0})
    {'bias': False, 'kernel': True}
    """
    return lambda params: boxes.map_with_path(
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
    return lambda params: boxes.map_with_path(
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
    for entry in jax.tree.leaves(tree):
        kind = getattr(entry, "dtype", type(entry))
        if kind not in (bool, int, np.dtype(bool)):
            raise InputError(
                f"{name} must hold booleans; got {entry!r}: a tree like the "
                "parameters, a prefix of it, or a function that gives one"
            )
    try:
        return jax.tree.map(lambda m, sub: jax.tree.map(lambda _: m, sub), tree, params)
    except ValueError as error:
        lines = differences(params, tree, shapes=False)
        raise InputError(
            f"{name} does not fit the parameters: {summary(lines)}; accepted: a tree "
            "of booleans like them, a prefix of it, or a function that gives one"
        ) from error


def _described(x: Any) -> str:
    if not hasattr(x, "dtype"):
        return repr(x)
    shape = ",".join(str(n) for n in np.shape(x))
    return f"{x.dtype}[{shape}]"


def differences(expected: PyTree, got: PyTree, *, shapes: bool = True) -> list[str]:
    """The differences of two trees, one line for each path.

    Args:
      expected: the tree that is wanted; arrays or ``jax.ShapeDtypeStruct``.
      got: the tree that is there.
      shapes: also compare shapes and dtypes, not only which paths exist.

    Returns:
      Lines such as ``"dense/kernel: expected float32[8,4], got float32[8,5]"``,
      in the order of the paths; an empty list where nothing differs.

    >>> import jax.numpy as jnp
    >>> differences({"a": jnp.ones(2, jnp.float32)}, {"b": jnp.ones(2)})
    ['a: missing (expected float32[2])', 'b: not expected']
    """
    one = {path_name(p): x for p, x in boxes.leaves_with_path(expected)}
    two = {path_name(p): x for p, x in boxes.leaves_with_path(got)}
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
      lines: from ``differences``.
      limit: number of lines that are written out.

    Returns:
      The first ``limit`` lines joined by semicolons, and how many more there are.
    """
    more = f"; and {len(lines) - limit} more" if len(lines) > limit else ""
    return "; ".join(lines[:limit]) + more
