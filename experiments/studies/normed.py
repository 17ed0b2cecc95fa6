"""Small networks around a normalization, for digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional

_SIDE = 8
_STRIDES = (1, 2)


def patches(x: jax.Array, stride: int = 1) -> jax.Array:
    """The 3 x 3 neighbourhoods of positions, with zeros beyond the edges.

    A product with them is a convolution, which a loop on a CPU runs far more slowly.

    Args:
      x: ``(B, H, W, C)``.
      stride: of the positions; divides both sides.

    Returns:
      ``(B, H / stride, W / stride, 9 C)``, channels last within a neighbourhood.
    """
    height, width = x.shape[1:3]
    wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [
        wide[:, i : i + height : stride, j : j + width : stride]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(parts, axis=-1)


def network(
    norm: Functional,
    units: int,
    *,
    image: bool,
    inputs: int = _SIDE**2,
    transform: Callable[[jax.Array], jax.Array] | None = None,
    activation: Callable[[jax.Array], jax.Array] | None = jax.nn.relu,
) -> Functional:
    """Two layers of the same units, each with a normalization, and a linear one.

    Args:
      norm: the normalization of ``units`` features.
      units: of a layer.
      image: 3 x 3 convolutions of images of 8 x 8, the second at every other position;
        else dense layers of flat inputs.
      inputs: numbers of a flat input.
      transform: of the kernels ``(inputs, units)`` of the two layers.
      activation: behind each normalization; ``None``: the normalization has its own.

    Returns:
      A model; its inputs are ``(B, inputs)``, or a pair of that and what the
      normalization takes beside its input. States are a list.
    """
    fans = (9, 9 * units) if image else (inputs, units)
    last = units * (_SIDE // 2) ** 2 if image else units

    def init(key: jax.Array) -> tuple[Any, Any]:
        def draw(i: int, a: int, b: int, gain: float = 2.0) -> jax.Array:
            # Uniform, not normal: XLA takes seconds to compile normal numbers.
            end = (3 * gain / a) ** 0.5
            own = jax.random.fold_in(key, i)
            return jax.random.uniform(own, (a, b), minval=-end, maxval=end)

        layers, states = [], []
        for i, fan in enumerate(fans):
            own, state = norm.init(jax.random.fold_in(key, 10 + i))
            layers.append({"kernel": draw(i, fan, units), "norm": own})
            states.append(state)
        head = {"kernel": draw(2, last, 10, 1.0), "bias": jnp.zeros(10)}
        return {"layers": layers, "head": head}, states

    def apply(
        params: Any, states: Any, x: Any, *, train: bool, key: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        del key
        x, *beside = x if isinstance(x, tuple) else (x,)
        x = x.reshape(-1, _SIDE, _SIDE, 1) if image else x
        new = []
        layers = zip(params["layers"], states, _STRIDES, strict=True)
        for layer, state, stride in layers:
            kernel = layer["kernel"]
            kernel = kernel if transform is None else transform(kernel)
            x = (patches(x, stride) if image else x) @ kernel
            given = (x, *beside) if beside else x
            x, state = norm.apply(layer["norm"], state, given, train=train)
            x = x if activation is None else activation(x)
            new.append(state)
        x = x.reshape(x.shape[0], -1)
        return x @ params["head"]["kernel"] + params["head"]["bias"], new

    return Functional(init, apply)
