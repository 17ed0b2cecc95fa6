"""Rounding in the forward pass that the backward pass does not see."""

from __future__ import annotations

import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.kernel_matrix import from_matrix, to_matrix


def fake_quant(x: jax.Array, grid: Grid) -> jax.Array:
    r"""Values on a grid, with the derivative of the identity.

    .. math:: y = Q(x), \quad \partial y / \partial x := 1,

    the straight-through estimator. Values that the grid clips have the derivative 1,
    too: of the grids here only the symmetric ``GPTQGrid`` and the searched ones clip.

    Args:
      x: real floating array of at least one axis.
      grid: fitted to ``x`` on every call; over a sharded axis under ``jit`` to all of
        it.

    Returns:
      The nearest values, of the shape and type of ``x``.

    Raises:
      InputError: ``x`` is not floating, or cannot have the grid's granularity.

    Memory: no residual.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> f = lambda x: jnp.sum(fake_quant(x, LinearGrid(2)) ** 2)
    >>> x = jnp.array([0.6, 1.0])
    >>> float(f(x)), jax.grad(f)(x).tolist()
    (2.0, [2.0, 2.0])

    Source: Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through
    Stochastic Neurons", arXiv:1308.3432.
    """
    rounded = grid.encode(x).dequantize(x.dtype)
    # x - stop_gradient(x) is 0, but NaN where x is not finite.
    return rounded + (x - jax.lax.stop_gradient(x))


def fake_quant_tree(params: Params, rules: Sequence[tuple[str, Grid | None]]) -> Params:
    """Parameters with the leaves that rules find on grids, straight through.

    As in ``quantize_params``: a leaf belongs to the first rule whose pattern its path
    contains; its last axis is the outputs, all others together the inputs, so that a
    grid by rows has one step an output. Leaves of fewer than two axes stay.

    Args:
      params: the parameters.
      rules: ``(pattern, grid)``; a regular expression searched in the path
        (``"layer/kernel"``), and a grid or ``None`` for leaves that stay.

    Returns:
      Parameters of the same shapes and types.

    Raises:
      InputError: a rule matches no leaf.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> params = {"kernel": jnp.array([[1.0], [0.3]]), "bias": jnp.array([0.3])}
    >>> coarse = fake_quant_tree(params, [("kernel", LinearGrid(2))])
    >>> coarse["kernel"].ravel().tolist(), round(float(coarse["bias"][0]), 2)
    ([1.0, 0.0], 0.3)
    """
    flat = [
        (trees.path_name(path), leaf) for path, leaf in trees.leaves_with_path(params)
    ]
    chosen = first_matches(
        [pattern for pattern, _ in rules], [name for name, _ in flat]
    )
    leaves = []
    for name, leaf in flat:
        rule = chosen.get(name)
        grid = None if rule is None else rules[rule][1]
        if grid is not None and jnp.ndim(leaf) >= 2:
            leaf = from_matrix(fake_quant(to_matrix(leaf), grid), leaf)
        leaves.append(leaf)
    return jax.tree.unflatten(jax.tree.structure(params), leaves)


def first_matches(patterns: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """The first pattern that each name contains.

    Args:
      patterns: regular expressions.
      names: paths of leaves.

    Returns:
      ``{name: index of the pattern}``; names without one are left out.

    Raises:
      InputError: a pattern is the first of no name.

    >>> first_matches(["b", ""], ["a", "ab"])
    {'a': 1, 'ab': 0}
    """
    chosen: dict[str, int] = {}
    for name in names:
        for i, pattern in enumerate(patterns):
            if re.search(pattern, name):
                chosen[name] = i
                break
    for i, pattern in enumerate(patterns):
        if i not in chosen.values():
            raise InputError(
                f"rule {pattern!r} matches no leaf that an earlier rule has left; "
                f"the leaves are {', '.join(names)}"
            )
    return chosen
