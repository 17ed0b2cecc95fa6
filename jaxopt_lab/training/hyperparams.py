"""Hyper-parameters injected in an optimizer state, for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError


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


def with_hyperparams(
    opt_state: optax.OptState, values: Mapping[str, float]
) -> optax.OptState:
    """An optimizer state with other values of injected hyper-parameters.

    Only of those that were injected as numbers: a schedule would be evaluated again at
    the next update.

    Args:
      opt_state: the state; of one seed.
      values: by name. Every node that has the name gets the value, in its own type and
        on its own devices, so that no program is compiled again.

    Returns:
      The state.

    Raises:
      InputError: no node has a name.

    >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)
    >>> state = with_hyperparams(tx.init(0.0), {"learning_rate": 0.25})
    >>> float(hyperparams(state)["learning_rate"])
    0.25
    """
    seen: set[str] = set()

    def one(node: Any) -> Any:
        if not _injected(node):
            return node
        named = {n: x for n, x in values.items() if n in node.hyperparams}
        seen.update(named)
        changed = {n: _like(x, node.hyperparams[n]) for n, x in named.items()}
        node = node._replace(hyperparams={**node.hyperparams, **changed})
        if hasattr(node, "inner_state"):
            node = node._replace(inner_state=changed_in(node.inner_state))
        return node

    def changed_in(tree: Any) -> Any:
        return jax.tree.map(one, tree, is_leaf=_injected)

    found = changed_in(opt_state)
    for name in values:
        if name not in seen:
            have = ", ".join(hyperparams(opt_state)) or "none"
            raise InputError(
                f"the optimizer's state has no hyper-parameter {name}; it has {have}"
            )
    return found


def _like(value: float, old: Any) -> Any:
    new = np.full(np.shape(old), value, np.asarray(old).dtype)
    return jax.device_put(new, old.sharding) if isinstance(old, jax.Array) else new


def _injected(x: Any) -> bool:
    return isinstance(getattr(x, "hyperparams", None), Mapping)


def _collect(path: tuple[Any, ...], node: Any, found: list[Any]) -> None:
    for inner, leaf in jax.tree.leaves_with_path(node, is_leaf=_injected):
        if _injected(leaf):
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
