"""Inputs and outputs of the layers of any network, found in its program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.quantize.kernel_products import run_watched

_PRODUCTS = ("dot_general", "conv_general_dilated")


def with_layers(
    network: Functional,
    at: Literal["inputs", "outputs"],
    layers: str = "",
) -> Functional:
    """A network that gives values inside of it beside its outputs.

    Its program is run operation by operation. A layer is a product with a parameter of
    two axes or more, its kernel; a bias that is added to the product belongs to it.

    Args:
      network: the model; its parameters stay as they are.
      at: ``"inputs"``, what the layers take; ``"outputs"``, what they give, before any
        normalization or activation.
      layers: regular expression of the paths of kernels, searched in them; empty: the
        inputs of the last layer, or the outputs of all layers but the last.

    Returns:
      The network; its outputs are ``(outputs, values)``, a list of arrays in the order
      of the layers' first use.

    Raises:
      InputError: from ``apply``, no such layer is found; layers in loops and in
        ``jax.checkpoint`` are not.

    >>> import jax.numpy as jnp
    >>> def apply(params, state, x, *, train, key=None):
    ...     return jax.nn.relu(x @ params["in"] + 1.0) @ params["out"], state
    >>> network = with_layers(Functional(lambda key: ({}, {}), apply), "inputs")
    >>> params = {"in": jnp.array([[1.0, -3.0]]), "out": jnp.ones((2, 1))}
    >>> (y, values), _ = network.apply(params, {}, jnp.ones((1, 1)), train=False)
    >>> y.tolist(), [v.tolist() for v in values]
    ([[2.0]], [[[2.0, 0.0]]])
    """

    def apply(
        params: Params, state: ModelState, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        named = trees.leaves_with_path(params)
        kernels = {trees.path_name(path) for path, p in named if np.ndim(p) >= 2}
        watch = _Watch()

        def called(params: Params, *others: Any) -> Any:
            state, x, *rest = others
            given = dict(zip(("key",), rest, strict=False))
            return network.apply(params, state, x, train=train, **given)

        others = (state, x) if key is None else (state, x, key)
        out, state = run_watched(called, kernels, params, others, watch)
        found = watch.inputs if at == "inputs" else watch.outputs
        return (out, _chosen(found, at, layers)), state

    return Functional(network.init, apply)


class _Watch:
    """Inputs and outputs of the layers of a program, in the order of their use."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        # By identity, with the values themselves, so that none is freed before.
        self._products: dict[int, tuple[str, Any]] = {}
        self._spread: dict[int, Any] = {}

    def __call__(
        self, eqn: Any, values: Sequence[Any], names: Sequence[str | None]
    ) -> Any:
        kind = eqn.primitive.name
        if kind in _PRODUCTS:
            return self._product(eqn, values, names)
        if kind in ("broadcast_in_dim", "reshape"):
            result = eqn.primitive.bind(*values, **eqn.params)
            self._spread[id(result)] = result
            return result
        if kind == "add":
            return self._sum(eqn, values)
        return None

    def _product(self, eqn: Any, values: Any, names: Any) -> Any:
        for place in (1, 0):
            name = names[place]
            if name is None or name in self.inputs:
                continue
            result = eqn.primitive.bind(*values, **eqn.params)
            self.inputs[name], self.outputs[name] = values[1 - place], result
            self._products[id(result)] = name, result
            return result
        return None

    def _sum(self, eqn: Any, values: Any) -> Any:
        """A product with its bias, a few numbers that were repeated."""
        for place in (0, 1):
            name, _ = self._products.pop(id(values[place]), ("", None))
            other = values[1 - place]
            if name and (np.ndim(other) == 0 or id(other) in self._spread):
                result = eqn.primitive.bind(*values, **eqn.params)
                self.outputs[name] = result
                return result
        return None


def _chosen(found: dict[str, Any], at: str, layers: str) -> list[jax.Array]:
    names = list(found)
    if layers:
        chosen = [name for name in names if re.search(layers, name)]
    else:
        chosen = names[-1:] if at == "inputs" else names[:-1]
    if not chosen:
        searched = (
            f"{layers!r} finds no layer" if layers else "there are too few layers"
        )
        raise InputError(f"{searched}; the network has {', '.join(names) or 'none'}")
    return [found[name] for name in chosen]
