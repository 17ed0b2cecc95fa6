"""Gram matrices of the inputs of a model's matrix products, found in its program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.quantize.kernel_products import (
    DIFFERENTIATED,
    INLINED,
    contracted_inputs,
    run_watched,
)

Grams = dict[str, jax.Array]


def gram_function(
    apply: Callable[[Params, Batch], Any], names: Collection[str]
) -> Callable[[Params, Batch], Grams]:
    r"""Make the function that gives :math:`X^\top X` for the kernels of a model.

    The program of the model is run operation by operation; in a product that contracts
    all axes of a kernel but its last, the other operand is X; in a convolution with a
    kernel of axes (..., in, out), X is the patches.

    Args:
      apply: ``apply(params, batch) -> outputs``.
      names: paths of the kernels (``"layer/kernel"``).

    Returns:
      ``(params, batch) -> {path: gram}``, jitted. Gram matrices are float32 or, for
      float64 inputs, float64, ``(inputs, inputs)``, and additive: over batches, and
      over the uses of a kernel. A kernel is left out where it is used in no such
      product (grouped convolutions, transposed kernels, products inside of ``scan`` and
      other loops). Memory: the patches of one batch.

    >>> model = lambda p, x: jax.nn.relu(x @ p["one"]) @ p["two"]
    >>> params = {"one": jnp.array([[1.0, -1.0]]), "two": jnp.ones((2, 1))}
    >>> grams = gram_function(model, ["two"])(params, jnp.array([[2.0], [-1.0]]))
    >>> grams["two"].tolist()
    [[4.0, 0.0], [0.0, 1.0]]
    """

    return jax.jit(functools.partial(_grams, apply, names))


def order_of_use(
    apply: Callable[[Params, Batch], Any],
    names: Collection[str],
    params: Params,
    batch: Batch,
) -> list[str]:
    """The kernels for which ``gram_function`` finds inputs, first used first.

    Args:
      apply: as of ``gram_function``; likewise ``names``.
      names: paths of the kernels.
      params: the parameters, or their shapes.
      batch: one batch, or its shapes.

    Returns:
      Their paths; nothing is computed.
    """
    found: list[str] = []

    def traced(params: Params, batch: Batch) -> None:
        found.extend(_grams(apply, names, params, batch))

    jax.eval_shape(traced, params, batch)
    return found


def _grams(
    apply: Callable[[Params, Batch], Any],
    names: Collection[str],
    params: Params,
    batch: Batch,
) -> Grams:
    found: Grams = {}

    def look(eqn: Any, values: Sequence[Any], kernels: Sequence[str | None]) -> None:
        if eqn.primitive.name == "dot_general":
            _look(eqn.params["dimension_numbers"], values, kernels, found)
        elif eqn.primitive.name == "conv_general_dilated":
            _look_at_patches(eqn.params, values, kernels, found)

    run_watched(apply, names, params, (batch,), look, inline=INLINED | DIFFERENTIATED)
    return found


def _look(
    dimensions: Any, values: Sequence[Any], names: Sequence[str | None], found: Grams
) -> None:
    """Add the gram matrix of one operand of a product if the other is a kernel."""
    for kernel, other in ((0, 1), (1, 0)):
        axes = contracted_inputs(dimensions, kernel, np.ndim(values[kernel]))
        name, weight = names[kernel], values[kernel]
        if name is None or axes is None:
            continue
        x = jnp.moveaxis(values[other], axes, range(-len(axes), 0))
        _add(found, name, x.reshape(-1, weight.size // weight.shape[-1]))


def _look_at_patches(
    options: Any, values: Sequence[Any], names: Sequence[str | None], found: Grams
) -> None:
    """Add the gram matrix of the patches of a convolution by a kernel."""
    (images, weight), name = values, names[1]
    axes, spatial = options["dimension_numbers"], np.ndim(weight) - 2
    usual = (spatial + 1, spatial, *range(spatial))
    groups = options["feature_group_count"], options["batch_group_count"]
    if name is None or tuple(axes.rhs_spec) != usual or groups != (1, 1):
        return
    patches = jax.lax.conv_general_dilated_patches(
        images.astype(trees.accumulation_dtype(images.dtype)),
        weight.shape[:spatial],
        *(options[n] for n in ("window_strides", "padding")),
        *(options[n] for n in ("lhs_dilation", "rhs_dilation")),
        dimension_numbers=axes,
        precision=jax.lax.Precision.HIGHEST,
    )
    # Channels come before the places of the window; in the kernel they come after.
    x = jnp.moveaxis(patches, axes.out_spec[1], -1)
    x = x.reshape(-1, weight.shape[spatial], int(np.prod(weight.shape[:spatial])))
    _add(found, name, jnp.swapaxes(x, 1, 2).reshape(len(x), -1))


def _add(found: Grams, name: str, x: jax.Array) -> None:
    x = x.astype(trees.accumulation_dtype(x.dtype))
    gram = x.T @ x
    found[name] = found[name] + gram if name in found else gram
