"""The scales of a coded state, in its structure but without its names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxopt_lab.core.typing import Params


@jax.tree_util.register_pytree_with_keys_class
class Scales:
    """The numbers beside the codes of one container of a state.

    It has the attributes (or keys) of the ``NamedTuple`` or dictionary of the state and
    the same paths, but it is neither: a search by name, such as
    ``optax.tree_utils.tree_get(state, "mu")``, finds the state's own field alone.

    >>> import jaxopt_lab, optax
    >>> state = jaxopt_lab.quantize_state(optax.adam(1e-3)).init({"w": 1.0})
    >>> state.scales[0].mu["w"].shape
    ()
    >>> int(optax.tree_utils.tree_get(state, "count"))
    0
    """

    def __init__(self, keys: Sequence[Any], values: Sequence[Any]):
        self._keys = tuple(keys)
        self._values = tuple(values)

    def _named(self) -> dict[Any, Any]:
        names = (getattr(k, "name", getattr(k, "key", k)) for k in self._keys)
        return dict(zip(names, self._values, strict=True))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._named()[name]
        except KeyError:
            raise AttributeError(f"no scales called {name!r}") from None

    def __getitem__(self, name: Any) -> Any:
        return self._named()[name]

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Scales):
            return NotImplemented
        return (self._keys, self._values) == (other._keys, other._values)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        named = (f"{name}={value!r}" for name, value in self._named().items())
        return f"Scales({', '.join(named)})"

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Any]:
        """Children with their keys, for JAX."""
        return list(zip(self._keys, self._values, strict=True)), self._keys

    @classmethod
    def tree_unflatten(cls, keys: Any, values: Sequence[Any]) -> Scales:
        """The container of these children, for JAX."""
        return cls(keys, values)


def scales_of(state: Any, params: Params) -> Any:
    """A tree like a state, with ``Scales`` for its containers that have names.

    Args:
      state: a tree of the structure of a state.
      params: the parameters; subtrees of their structure stay as they are.

    Returns:
      The same leaves at the same paths.
    """
    kept = jax.tree.structure(params)

    def converted(node: Any) -> Any:
        children, structure = jax.tree_util.tree_flatten_with_path(
            node, is_leaf=lambda x: x is not node
        )
        if not children or not children[0][0] or jax.tree.structure(node) == kept:
            return node
        values = [converted(child) for _, child in children]
        if isinstance(node, Mapping) or hasattr(node, "_fields"):
            return Scales([path[0] for path, _ in children], values)
        return jax.tree.unflatten(structure, values)

    return converted(state)
