"""Quantized training in one object: model and transformation in one call."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import optax

from jaxopt_lab.core import codecs
from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize import ProductGrids, product_grids, quantized_products
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.quant_dot_general import GradientTo
from jaxopt_lab.transforms.compressed import quantize_state
from jaxopt_lab.transforms.compressed.selection import moments

_MOMENTS = {"m": "first", "v": "second"}


@dataclasses.dataclass(frozen=True)
class QuantRecipe:
    """The grids of products and the codecs of moments in training.

    ``recipe(apply, tx)`` gives the model and the transformation of it. Products of
    kernels are those of ``quantized_products``, the state is that of
    ``quantize_state``.

    Attributes:
      weights: grid of the kernels in products; None: unrounded. Likewise the others.
      activations: of the other operands.
      gradients: of the gradients of the outputs.
      m: codec of the first moments of the optimizer's state.
      v: of the second moments; equal steps diverge, see ``quantize_state``.
      gradient_to: as of ``ProductGrids``.
      match: regular expression of the paths of the kernels.
      keep: of those that stay; empty: none.
      min_size: elements from which on a moment is coded.

    >>> import jax, jax.numpy as jnp, optax
    >>> model = lambda params, x: x @ params["kernel"]
    >>> coarse, tx = quant_recipe("w2m8")(model, optax.adam(1e-3))
    >>> kernel = jnp.ones((64, 64)).at[0].set(0.3)
    >>> float(coarse({"kernel": kernel}, jnp.ones((1, 64)))[0, 0])
    63.0
    >>> state = tx.init({"kernel": kernel})
    >>> state.inner[0].mu["kernel"].dtype, state.inner[0].nu["kernel"].dtype
    (dtype('uint8'), dtype('float32'))

    Source: Chitsaz, Fournier, Mordido and Chandar, arXiv:2407.11722.
    """

    weights: Grid | None = None
    activations: Grid | None = None
    gradients: Grid | None = None
    m: Codec | None = None
    v: Codec | None = None
    gradient_to: GradientTo = "weights"
    match: str = "kernel"
    keep: str = ""
    min_size: int = 4096

    def __post_init__(self) -> None:
        for kind, names in (
            (Grid, ("weights", "activations", "gradients")),
            (Codec, ("m", "v")),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not isinstance(value, kind):
                    accepted = f"a {kind.__name__.lower()} or None"
                    raise InputError(f"{name} must be {accepted}; got {value!r}")

    def __call__(
        self, apply: Callable[..., Any], tx: optax.GradientTransformation
    ) -> tuple[Callable[..., Any], optax.GradientTransformationExtraArgs]:
        """The model and the transformation, quantized.

        Args:
          apply: ``apply(params, *others, **keywords)``.
          tx: the transformation.

        Returns:
          ``(apply, tx)``, each as it was where the recipe rounds nothing of it.
        """
        return self.model(apply), self.transformation(tx)

    def model(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """The model alone."""
        grids = self.weights, self.activations, self.gradients
        if grids == (None, None, None):
            return apply
        products = ProductGrids(*grids, self.gradient_to)
        return quantized_products(apply, products, match=self.match, keep=self.keep)

    def transformation(
        self, tx: optax.GradientTransformation
    ) -> optax.GradientTransformationExtraArgs:
        """The transformation alone.

        Raises:
          InputError: from its ``init``, the state has no moment that a codec is for.
        """
        if self.m is None and self.v is None:
            return optax.with_extra_args_support(tx)
        chosen = moments(self.min_size)
        seen: set[str] = set()

        def select(path: str, leaf: Any) -> Any:
            role = chosen(path, leaf)
            seen.add(str(role))
            return role

        made = quantize_state(tx, m=self.m, v=self.v, select=select)

        def init(params: Params) -> Any:
            seen.clear()
            state = made.init(params)
            for name, words in _MOMENTS.items():
                if getattr(self, name) is not None and name not in seen:
                    raise InputError(
                        f"{name}: the optimizer keeps no {words} moment in floats of "
                        f"at least {self.min_size} elements"
                    )
            return state

        return optax.GradientTransformationExtraArgs(init, made.update)


def quant_recipe(text: str) -> QuantRecipe:
    """A recipe from bits: ``"w8a8"``, ``"w4a8g8m8v8"``.

    Args:
      text: w, a, g with the bits of weights, activations and gradients, 2 to 8, as of
        ``product_grids``; m and v with those of the moments, 4 or 8: m in equal steps
        by rows, v in the dynamic map of blocks of 256 (8) or 128 (4).

    Returns:
      The recipe; what is left out stays unrounded.

    Raises:
      InputError: the text is not of this form.

    >>> recipe = quant_recipe("w4v8")
    >>> recipe.weights.bits, recipe.m, recipe.v.signed
    (4, None, False)
    """
    found = re.fullmatch(r"([wag2-8]*?)(?:m([48]))?(?:v([48]))?", text)
    if not text or found is None:
        raise InputError(
            f"{text!r} names no bits; accepted: w8a8, w4a8g8, w8a8m8v8 and the like, "
            "bits from 2 to 8 of weights (w), activations (a) and gradients (g), 4 or "
            "8 of moments (m, v)"
        )
    products, m, v = found.groups()
    grids = product_grids(products) if products else ProductGrids()
    return QuantRecipe(
        grids.weights,
        grids.activations,
        grids.gradients,
        codecs.Linear(bits=4 if m == "4" else 8) if m else None,
        codecs.dynamic(4 if v == "4" else 8, signed=False) if v else None,
    )
