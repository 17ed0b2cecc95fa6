"""The coded tensors of a state, and the parameters that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.transforms.compressed.selection import (
    Select,
    StatePath,
    exact_paths,
    own_paths,
)
from jaxopt_lab.transforms.compressed.storage import LeafStorage

Init = Callable[[Params], Any]


class Codecs(NamedTuple):
    """The codecs of the two kinds of moments, and the choice of the moments.

    Attributes:
      m: codec of first moments; ``None`` stores them as they are.
      v: codec of second moments.
      select: names the kind of a tensor.
      straight_through: keep rounded numbers instead of codes.
      round_to_zero: whether an element of a second moment may become zero.
    """

    m: Codec | None
    v: Codec | None
    select: Select
    straight_through: bool
    round_to_zero: bool = False

    def storages(self, template: Any, params: Params) -> list[LeafStorage]:
        """The storage of each leaf of a state.

        Args:
          template: the state, or its shapes and dtypes.
          params: the parameters, or a tree like them.

        Returns:
          A storage for each leaf.

        Raises:
          InputError: ``select`` gives something else than ``"m"``, ``"v"`` or
            ``None``, or chooses a leaf that is no real floating array, or one that
            must not be rounded.
        """
        found = []
        own, exact = own_paths(template, params), exact_paths(template)
        for i, (path, leaf) in enumerate(trees.leaves_with_path(template)):
            name = StatePath(path, own[i], path in exact)
            floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            shape = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if floating else leaf
            role = self.select(name, shape)
            if role not in ("m", "v", None):
                raise InputError(
                    f"select must give 'm', 'v' or None; got {role!r} for {name}"
                )
            if role is not None and not floating:
                raise InputError(
                    f"select chose {name}, of dtype {leaf.dtype}; only real floating "
                    "arrays can be coded"
                )
            if role is not None and name.exact:
                raise InputError(
                    f"select chose {name}, from which a perturbation is computed that "
                    "the next step takes back: rounded, it would not be the same; "
                    "leave it as it is"
                )
            codec = None if role is None else getattr(self, role)
            storage = LeafStorage(
                i,
                leaf.shape,
                leaf.dtype,
                codec,
                self.straight_through,
                positive=role == "v" and not self.round_to_zero,
            )
            found.append(storage)
        return found


def owners(inner_init: Init, template: Any, params: Params) -> list[int]:
    """For each leaf of a state, the number of the parameter that it belongs to.

    Args:
      inner_init: makes the state.
      template: the state, or its shapes and dtypes.
      params: the parameters, or a tree like them.

    Returns:
      Numbers in the order of the parameters' leaves, -1 for a leaf that belongs to
      none, such as a count.
    """
    numbers = jax.tree.unflatten(
        jax.tree.structure(params), range(len(jax.tree.leaves(params)))
    )
    labelled = optax.tree.map_params(
        inner_init,
        lambda _, number: number,
        template,
        numbers,
        transform_non_params=lambda _: -1,
    )
    return jax.tree.leaves(labelled)


def of_one(items: Sequence[Any], owned_by: Sequence[int], number: int) -> list[Any]:
    """The items of one parameter and of none, in order.

    Args:
      items: one for each leaf of a state.
      owned_by: as ``owners`` gives them.
      number: which parameter.

    Returns:
      The items.
    """
    return [x for x, o in zip(items, owned_by, strict=True) if o in (number, -1)]
