"""A network of the grammar einspace, made from the text of its architecture."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers.nnx_module import NnxLayer
from jaxopt_lab.search import einspace_network, from_text


class EinspaceNet(NnxLayer):
    """A classifier of an architecture of einspace, as an nnx module.

    Args:
      input_shape: of one example: ``(H, W, C)``, ``(S, D)``, or ``(D,)``, which is a
        column of one position.
      num_classes: number of outputs.
      architecture: text of ``search.as_text``.
      rngs: the module's random streams.

    Raises:
      InputError: the text is no architecture, or does not take the shape.

    >>> text = '["sequential",[],[["computation",["linear",16],[]],["computation",'
    >>> text += '["relu",0],[]]]]'
    >>> net = EinspaceNet((8, 8, 1), 10, text, rngs=nnx.Rngs(0))
    >>> jax.eval_shape(net, jnp.ones((2, 8, 8, 1))).shape
    (2, 10)
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        architecture: str,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        shape = grammar_shape(tuple(input_shape))
        net = einspace_network(from_text(architecture), shape, num_classes)

        def apply(params: Any, state: Any, x: jax.Array, **mode: Any) -> Any:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                raise InputError(f"einspace takes real numbers; got {x.dtype}")
            if mode.pop("mask") is not None:
                raise InputError("einspace takes no mask of its inputs")
            return net.apply(params, state, x.reshape(-1, *shape), **mode)

        super().__init__(Functional(net.init, apply), rngs=rngs)


def grammar_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an example as the grammar has it.

    Args:
      shape: ``(H, W, C)``, ``(S, D)`` or ``(D,)``.

    Returns:
      Two or three sizes.

    Raises:
      InputError: there are more axes, or one is empty.

    >>> grammar_shape((8,))
    (1, 8)
    """
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise InputError(
            f"einspace takes examples (H, W, C), (S, D) or (D,); got {shape}"
        )
    return (1, *shape) if len(shape) == 1 else shape
