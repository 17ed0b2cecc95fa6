"""A whole model with the products of its kernels rounded."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.kernel_products import contracted_inputs, run_watched
from jaxopt_lab.quantize.linear_grid import LinearGrid
from jaxopt_lab.quantize.quant_convolution import quant_convolution
from jaxopt_lab.quantize.quant_dot_general import ProductGrids, quant_dot_general


def quantized_products(
    apply: Callable[..., Any],
    grids: ProductGrids,
    *,
    match: str = "kernel",
    keep: str = "",
) -> Callable[..., Any]:
    r"""Make a model whose products of activations and kernels are rounded.

    The model is a function, of flax or of anything else: its program is run operation
    by operation, and every product that contracts all axes of a kernel but its last is
    that of ``quant_dot_general``, every convolution that of ``quant_convolution``, with
    their backward passes.

    Args:
      apply: ``apply(params, *others, **keywords)``.
      grids: of the operands and of the gradient.
      match: regular expression of the paths of the kernels.
      keep: of those that stay; empty: none.

    Returns:
      The function, with the same arguments. Products inside of ``scan``,
      ``jax.checkpoint`` and functions with a derivative of their own are not reached.

    Raises:
      InputError: from the returned function, ``match`` finds no kernel, or one that is
        in no product that is reached, which ``keep`` would leave out; or ``keep`` finds
        none.

    Cost: the program is traced twice; no further residuals.

    >>> model = lambda params, x: x @ params["kernel"]
    >>> coarse = quantized_products(model, ProductGrids(weights=LinearGrid(2)))
    >>> coarse({"kernel": jnp.array([[1.0], [0.3]])}, jnp.ones((1, 2))).tolist()
    [[1.0]]
    """
    dot_general = quant_dot_general(grids)

    def quantized(params: Params, *others: Any, **keywords: Any) -> Any:
        paths = [trees.path_name(path) for path, _ in trees.leaves_with_path(params)]
        found = [name for name in paths if re.search(match, name)]
        names = {n for n in found if not (keep and re.search(keep, n))}
        if keep and found and len(names) == len(found):
            raise InputError(
                f"keep={keep} finds no kernel to leave out; there are "
                f"{', '.join(found)}"
            )
        if not names:
            raise InputError(
                f"no kernel to quantize: {match!r} without {keep!r} finds none of "
                f"{', '.join(paths)}"
            )
        seen = []

        def product(eqn: Any, values: Any, kernels: Any) -> Any:
            options = eqn.params
            if eqn.primitive.name == "conv_general_dilated":
                if kernels[1] is None:
                    return None
                seen.append(kernels[1])
                axes = options["dimension_numbers"]
                return quant_convolution(
                    functools.partial(eqn.primitive.bind, **options),
                    values[0],
                    values[1],
                    grids,
                    batch=(axes.lhs_spec[0], axes.out_spec[0]),
                    outputs=axes.rhs_spec[0],
                )
            if eqn.primitive.name != "dot_general":
                return None
            for place in (1, 0):
                name, weight = kernels[place], values[place]
                dimensions = options["dimension_numbers"]
                if name is None:
                    continue
                axes = contracted_inputs(dimensions, place, jnp.ndim(weight))
                if axes is None:
                    continue
                seen.append(name)
                inputs = tuple(range(jnp.ndim(weight) - 1))
                y = dot_general(
                    values[1 - place],
                    weight,
                    ((tuple(axes), inputs), ((), ())),
                    options["precision"],
                    options["preferred_element_type"],
                )
                # A kernel on the left has its outputs first.
                return y if place else jnp.moveaxis(y, -1, 0)
            return None

        def called(params: Params, *others: Any) -> Any:
            return apply(params, *others, **keywords)

        outputs = run_watched(called, names, params, others, product)
        missed = sorted(names - set(seen))
        if missed:
            raise InputError(
                f"no product of {', '.join(missed)} to quantize: none is reached, it "
                "may be inside of a loop or of jax.checkpoint; keep= leaves kernels out"
            )
        return outputs

    return quantized


def product_grids(text: str) -> ProductGrids:
    """Linear grids from bits: ``"w8a8"``, ``"w4a8g8"``.

    Args:
      text: w, a, g with the bits of weights (by outputs), activations and gradients
        (by tokens); one that is left out stays unrounded.

    Returns:
      The grids of the study of quantized pre-training.

    Raises:
      InputError: it is not of this form, or the bits are not 2 to 8.

    >>> grids = product_grids("w4a8")
    >>> grids.weights.bits, grids.activations.bits, grids.gradients
    (4, 8, None)
    """
    found = re.fullmatch(r"(?:w([2-8]))?(?:a([2-8]))?(?:g([2-8]))?", text)
    if not text or found is None:
        raise InputError(
            f"{text!r} names no bits; accepted: w8a8, w4a8g8 and the like, bits from 2 "
            "to 8 of weights (w), activations (a) and gradients (g)"
        )
    weights, activations, gradients = found.groups()

    def grid(bits: str | None, least: float) -> Grid | None:
        return None if bits is None else LinearGrid(int(bits), min_range=least)

    return ProductGrids(
        grid(weights, 1e-5), grid(activations, 1e-5), grid(gradients, 1e-9)
    )
