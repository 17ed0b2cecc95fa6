"""Small leaves of equal shape and method, updated as one tensor.

XLA compiles the kernels of a leaf for that leaf alone, and a network has more biases
and scales than matrices. A method whose update of a vector is that of one block of a
longer vector offers to take several at once: their arrays are laid end to end along the
first axis and cut again behind the update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.platforms import for_one_cpu


def groups(
    methods: Sequence[Any],
    grads: Sequence[jax.Array],
    weights: Sequence[jax.Array | None],
    decays: Sequence[Any],
) -> list[list[int]]:
    """The leaves that are updated together.

    In a program for one CPU alone: on several devices the leaves may be spread in
    several ways.

    Args:
      methods: a ``LeafMethod`` for each leaf; one that can be joined has a method
        ``joined(number)``, which gives that of ``number`` leaves laid end to end, or
        ``None`` where they are too many.
      grads: gradients.
      weights: parameters, or ``None`` each.
      decays: whether each decays; leaves for which only the program knows it are alone.

    Returns:
      Numbers of leaves, each in one group, in the order of the first of each.
    """
    if not for_one_cpu(grads):
        return [[i] for i in range(len(grads))]
    found: list[list[int]] = []
    open_groups: dict[Any, list[int]] = {}
    for i, (method, g, p, decay) in enumerate(
        zip(methods, grads, weights, decays, strict=True)
    ):
        known = decay is None or isinstance(decay, bool | np.bool_)
        same: Any = None
        if known and hasattr(method, "joined"):
            kind = None if p is None else p.dtype
            same = (type(method), method, g.shape, g.dtype, kind, bool(decay))
        group = open_groups.get(same) if same is not None else None
        if group is not None and method.joined(len(group) + 1) is not None:
            group.append(i)
            continue
        found.append([i])
        if same is not None:
            open_groups[same] = found[-1]
    return found


def end_to_end(trees: Sequence[Any]) -> Any:
    """Trees of equal shapes as one.

    Args:
      trees: one for each leaf, of arrays with at least one axis.

    Returns:
      A tree of their arrays, one behind the other along the first axis.
    """
    return jax.tree.map(lambda *x: jnp.concatenate(x), *trees)


def apart(tree: Any, number: int) -> list[Any]:
    """The trees that ``end_to_end`` has made one of, updated.

    Args:
      tree: of arrays.
      number: of trees.

    Returns:
      The trees.
    """
    starts: dict[int, list[jax.Array]] = {}
    for x in jax.tree.leaves(tree):
        length = x.shape[0] // number
        if length not in starts:
            starts[length] = _unknown([i * length for i in range(number)])

    def piece(i: int) -> Callable[[jax.Array], jax.Array]:
        def cut(x: jax.Array) -> jax.Array:
            length = x.shape[0] // number
            return jax.lax.dynamic_slice_in_dim(
                x, starts[length][i], length, allow_negative_indices=False
            )

        return cut

    return [jax.tree.map(piece(i), tree) for i in range(number)]


def _unknown(numbers: Sequence[int]) -> list[jax.Array]:
    """Numbers that the compiler does not know.

    It compiles a slice at a known place by itself, in some 15 ms, and all slices at
    places that it is told together. So they go round once, in a loop.
    """
    if len(numbers) < 2:
        return [jnp.asarray(x, jnp.int32) for x in numbers]
    shifted = [jnp.asarray(x, jnp.int32) for x in (*numbers[-2:], *numbers[:-2])]
    turn = lambda _, x: [*x[1:], x[0]]
    return jax.lax.fori_loop(0, 2, turn, shifted)
