"""Scales of residual modules, and the sum that they enter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.layers.block.norm_placement import Placement

ResidualScale = Literal["1", "1/n", "1/sqrt_n", "1/sqrt_2n", "skipinit", "fixup"]
_FACTORS: Mapping[str, Callable[[int], float]] = {
    "1/n": lambda n: 1 / n,
    "1/sqrt_n": lambda n: 1 / math.sqrt(n),
    "1/sqrt_2n": lambda n: 1 / math.sqrt(2 * n),
}


def residual_scale(kind: ResidualScale = "1", *, depth: Annotated[int, COUNT]) -> float:
    r"""The constant that multiplies the output of every module of a residual network.

    In :math:`x_{i+1} = x_i + c\, h_i(x_i)`, :math:`i = 1 \ldots n`, modules with
    :math:`E|h(x)|^2 = |x|^2` and independent last weights of mean 0 give
    :math:`E|x_n|^2 = (1 + c^2)^n |x_0|^2`: :math:`2^n` for c = 1, towards e for
    :math:`1 / \sqrt n` and towards 1 for :math:`1 / n`, with which the Lipschitz
    constant of the network is at most the exponential of the mean one of its modules,
    whatever the depth.

    Args:
      kind: ``"1"``, ``"1/n"``, ``"1/sqrt_n"``, ``"1/sqrt_2n"``; ``"skipinit"`` and
        ``"fixup"`` learn the factor (``learned_scalars``), the constant is 1.
      depth: n, the number of modules. A block with attention and perceptron has two,
        so that GPT-2's rule, one over the root of twice its blocks, is ``"1/sqrt_n"``.

    Returns:
      The constant.

    Raises:
      InputError: an unknown kind, or a depth below 1.

    Source: "On residual network depth", 2025, from the abstract (the formulas are
    ours); De and Smith, 2020, for SkipInit; Zhang et al., 2019, for Fixup.

    >>> residual_scale("1/n", depth=4), residual_scale("1/sqrt_n", depth=4)
    (0.25, 0.5)
    """
    check_arguments(residual_scale, locals())
    return _FACTORS[kind](depth) if kind in _FACTORS else 1.0


def fixup_factors(depth: int, layers: int) -> tuple[float, ...]:
    r"""Factors of Fixup for the initial weights of the layers of a module.

    Args:
      depth: n, the number of modules of the network.
      layers: m, the number of layers of one module.

    Returns:
      :math:`n^{-1 / (2m - 2)}` for each layer but the last, whose weights are 0.

    Raises:
      InputError: one of them is below 1.

    Source: Zhang et al., "Fixup Initialization", 2019
    (https://arxiv.org/abs/1901.09321); from memory.

    >>> fixup_factors(16, 2)
    (0.25, 0.0)
    """
    check_arguments(residual_scale, {"depth": depth})
    check_arguments(residual_scale, {"depth": layers})
    return (depth ** (-0.5 / max(layers - 1, 1)),) * (layers - 1) + (0.0,)


def learned_scalars(kind: ResidualScale) -> dict[str, float]:
    """The scalars that a module learns beside its own parameters, at the start.

    Args:
      kind: of ``residual_scale``.

    Returns:
      ``{}``; of SkipInit a ``multiplier`` of 0; of Fixup one of 1 with a ``bias_in``
      and a ``bias_out`` of 0, added before and behind the module (biases between its
      layers are those of the layers).

    >>> learned_scalars("skipinit")
    {'multiplier': 0.0}
    """
    if kind == "skipinit":
        return {"multiplier": 0.0}
    if kind == "fixup":
        return {"multiplier": 1.0, "bias_in": 0.0, "bias_out": 0.0}
    return {}


def scaled_residual(
    block: Callable[[Any], jax.Array],
    x: jax.Array,
    *,
    skip: jax.Array | None = None,
    scale: float = 1.0,
    norm: Callable[[jax.Array], jax.Array] | None = None,
    placement: Placement = "pre",
    learned: Mapping[str, jax.Array] | None = None,
) -> jax.Array:
    r"""An input and the scaled output of a module, with its norm before or behind.

    .. math::
        \text{pre: } x + c\, f(\text{norm}(x)), \qquad
        \text{post: } \text{norm}(x + c\, f(x)).

    Args:
      block: :math:`f`, without its norm.
      x: any shape that the module keeps.
      skip: added in place of ``x``, as a shortcut makes it; ``None``: ``x``.
      scale: :math:`c`; it multiplies the output of the module, not its input.
      norm: the norm; ``None``: there is none.
      placement: of the norm.
      learned: values of ``learned_scalars``, factor and additions that are trained.

    Returns:
      The sum, of the shape and type of ``x``. With a scale of 1 and without learned
      scalars it is the plain sum, to the bit.

    Raises:
      InputError: ``placement`` is neither ``"pre"`` nor ``"post"``.

    >>> y = scaled_residual(lambda x: 2 * x, jnp.ones(1), scale=0.5)
    >>> y.tolist()
    [2.0]
    """
    if placement not in ("pre", "post"):
        raise InputError(f"placement must be 'pre' or 'post'; got {placement!r}")
    learned = {} if learned is None else learned
    cast = lambda name, like: learned[name].astype(like.dtype)
    h = norm(x) if norm is not None and placement == "pre" else x
    if "bias_in" in learned:
        h = h + cast("bias_in", h)
    y = block(h)
    if scale != 1:
        y = y * jnp.asarray(scale, y.dtype)
    if "multiplier" in learned:
        y = y * cast("multiplier", y)
    if "bias_out" in learned:
        y = y + cast("bias_out", y)
    y = (x if skip is None else skip) + y
    return norm(y) if norm is not None and placement == "post" else y
