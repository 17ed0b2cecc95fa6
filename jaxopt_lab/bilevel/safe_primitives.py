"""Primitives with the values of jax's own and safe differentiation rules.

Why primitives and not ``jax.custom_jvp``: a reverse pass through ``scan`` splits its
body by partial evaluation, which replaces every ``custom_jvp`` call of a carry by the
plain function, as if it were linear. The jaxpr of a gradient then has no custom rule
left in its loop, and the next derivative differentiates the plain, unsafe operation:
NaN, where the same steps in a Python loop give numbers
(``test_scan_drops_custom_jvp``). A primitive passes through unchanged. It is also
lowered to exactly the operations of the original: no second evaluation, no ``where``,
and nothing for XLA to fuse differently in a forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


class Slopes(NamedTuple):
    """Options that change values and derivatives.

    Attributes:
      eps_root: added below every square root, in the value.
      max_slope: largest size of the partial derivatives of a division.
    """

    eps_root: float = 0.0
    max_slope: float | None = None


PLAIN = Slopes()


def like(
    original: Primitive, prepare: Callable[..., Any] = lambda slopes, *args: args
) -> Primitive:
    """A primitive with the values of another one and no derivatives yet.

    Args:
      original: the primitive to evaluate.
      prepare: ``prepare(slopes, *args) -> args`` of the original.

    Returns:
      The primitive, with the additional parameter ``slopes``.
    """
    safe = Primitive(f"safe_{original.name}")
    safe.multiple_results = original.multiple_results

    def evaluate(*args: Any, slopes: Slopes, **params: Any) -> Any:
        return original.bind(*prepare(slopes, *args), **params)

    def abstract(*avals: Any, slopes: Slopes, **params: Any) -> Any:
        return original.abstract_eval(*avals, **params)

    safe.def_impl(evaluate)
    safe.def_effectful_abstract_eval(abstract)
    lowering = mlir.lower_fun(evaluate, multiple_results=safe.multiple_results)
    mlir.register_lowering(safe, lowering)
    return safe


def elementwise(
    original: Primitive,
    *rules: Callable[..., Any],
    prepare: Callable[..., Any] = lambda slopes, *args: args,
) -> Primitive:
    """An elementwise primitive with the given partial derivatives.

    Args:
      original: the primitive to evaluate.
      *rules: for each argument ``rule(slopes, result, *args, **params)``, the partial
        derivative; it must be finite, and made of safe primitives itself.
      prepare: see ``like``.

    Returns:
      The primitive.
    """
    safe = like(original, prepare)

    def tangent(rule: Callable[..., Any]) -> Callable[..., Any]:
        def of(t: Any, result: Any, *args: Any, slopes: Slopes, **params: Any) -> Any:
            return lax.mul(t, rule(slopes, result, *args, **params))

        return of

    ad.defjvp2(safe, *(tangent(rule) for rule in rules))
    if len(rules) == 1:
        batching.defvectorized(safe)
    else:
        batching.defbroadcasting(safe)
    return safe


def matrixwise(original: Primitive, rule: Callable[..., Any]) -> Primitive:
    """A primitive of the last two axes of one argument.

    Args:
      original: the primitive to evaluate; leading axes are batches.
      rule: ``rule(results, tangent, x, **params) -> tangents``.

    Returns:
      The primitive.
    """
    safe = like(original)

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        results = safe.bind(*primals, **params)
        (t,) = map(ad.instantiate_zeros, tangents)
        return results, rule(results, t, *primals, **params)

    def batch(args: Any, axes: Any, **params: Any) -> Any:
        x = jax.numpy.moveaxis(args[0], axes[0], 0)
        results = safe.bind(x, **params)
        return results, (0,) * len(results)

    ad.primitive_jvps[safe] = jvp
    batching.primitive_batchers[safe] = batch
    return safe


def zero_unless(condition: jax.Array, x: jax.Array) -> jax.Array:
    """``x`` where the condition holds, else 0.

    Args:
      condition: booleans of the shape of ``x``.
      x: floating array.

    Returns:
      The selection.
    """
    return lax.select(condition, x, lax.full_like(x, 0))


def finite(x: jax.Array) -> jax.Array:
    """``x`` where it is finite, else 0: undefined partial derivatives count as 0.

    Args:
      x: floating array.

    Returns:
      The same, without infinities and NaN.
    """
    return zero_unless(lax.is_finite(x), x)
