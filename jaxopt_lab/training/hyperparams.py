"""Hyper-parameters injected in an optimizer state, for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import optax

from jaxopt_lab.core import trees


def hyperparams(opt_state: optax.OptState) -> dict[str, jax.Array]:
    """Every injected hyper-parameter in an optimizer state.

    Any node with a dictionary ``hyperparams`` counts, as the states of
    ``inject_hyperparams`` (ours and optax's) are; nodes inside nodes are found too.
    The values are those that the last update used, so the learning rate of a schedule
    is that of the step just taken.

    Args:
      opt_state: the state, of one seed or stacked for several.

    Returns:
      ``{name: value}``; an array has a leading axis of seeds where the state has one.
      A name that occurs once stands alone (``"learning_rate"``). One that occurs
      several times gets a prefix that distinguishes the nodes: the index in a
      chain, the label of a partition (``"0/rho"``, ``"bias/rho"``).

    >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)
    >>> {k: float(v) for k, v in hyperparams(tx.init(0.0)).items()}
    {'learning_rate': 0.5}
    """
    found: list[tuple[tuple[Any, ...], str, jax.Array]] = []
    _collect((), opt_state, found)
    short = [name for _, name, _ in found]
    placed = [_join(_place(path), name) for path, name, _ in found]
    full = [_join(trees.path_name(path), name) for path, name, _ in found]
    once, once_placed = Counter(short), Counter(placed)
    out = {}
    for i, (_, name, value) in enumerate(found):
        if once[name] > 1:
            name = placed[i] if once_placed[placed[i]] == 1 else full[i]
        out[name] = value
    return out


def _collect(path: tuple[Any, ...], node: Any, found: list[Any]) -> None:
    def injected(x: Any) -> bool:
        return isinstance(getattr(x, "hyperparams", None), Mapping)

    for inner, leaf in jax.tree.leaves_with_path(node, is_leaf=injected):
        if injected(leaf):
            here = (*path, *inner)
            for name, value in leaf.hyperparams.items():
                found.append((here, name, value))
            _collect(
                (*here, jax.tree_util.GetAttrKey("inner_state")),
                getattr(leaf, "inner_state", None),
                found,
            )


def _place(path: tuple[Any, ...]) -> str:
    # Field names are the same in every state and distinguish nothing.
    told = [k for k in path if not isinstance(k, jax.tree_util.GetAttrKey)]
    return trees.path_name(tuple(told))


def _join(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
