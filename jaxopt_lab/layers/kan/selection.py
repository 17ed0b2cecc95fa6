"""Stages of a Kolmogorov-Arnold layer's choice of spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, SHARE, check_arguments
from jaxopt_lab.layers.kan.selectable_kan import Choice, Params, selection
from jaxopt_lab.layers.kan.spaces import WAVELET, known_spaces


class SelectionStage(NamedTuple):
    """Settings of a step.

    Attributes:
      temperature: of the shares.
      penalty: factor of the entropy.
    """

    temperature: jax.Array
    penalty: jax.Array


def selection_stage(
    step: jax.Array | int,
    steps: Annotated[int, COUNT],
    *,
    full: Annotated[float, SHARE] = 0.5,
    selective: Annotated[float, SHARE] = 0.25,
    coldest: Annotated[float, POSITIVE] = 0.1,
    penalty: Annotated[float, POSITIVE] = 1e-3,
) -> SelectionStage:
    """The temperature and penalty of a step of training.

    Args:
      step: number of the step, from 0, may be traced.
      steps: all steps, those behind ``select_spaces`` too.
      full: share of the steps with all spaces, at temperature 1 without penalty.
      selective: share of the steps behind these, whose temperature falls
        geometrically; the rest belongs to the chosen spaces alone.
      coldest: the last temperature.
      penalty: of the entropy, from the second stage on.

    Returns:
      The ``SelectionStage``.

    Raises:
      InputError: an argument is out of range.

    >>> [round(float(selection_stage(i, 100).temperature), 3) for i in (50, 75)]
    [1.0, 0.1]
    """
    check_arguments(selection_stage, {n: v for n, v in locals().items() if n != "step"})
    part = (jnp.asarray(step) / steps - full) / selective
    cooled = jnp.power(coldest, jnp.clip(part, 0, 1))
    return SelectionStage(cooled, jnp.where(part >= 0, penalty, 0.0))


def selection_entropy(
    params: Params, *, temperature: jax.Array | float = 1.0
) -> jax.Array:
    """The mean entropy of the shares of the spaces, in nats.

    Args:
      params: of ``selectable_kan`` with a choice.
      temperature: of the shares.

    Returns:
      A number from 0 to the logarithm of the number of spaces, differentiable where a
      share is 0.

    >>> round(float(selection_entropy({"logits": jnp.zeros((3, 1, 2))})), 4)
    0.6931
    """
    shares = selection(params, temperature)
    logs = jnp.log(jnp.where(shares > 0, shares, 1))
    return -jnp.mean(jnp.sum(shares * logs, axis=-1))


def select_spaces(
    params: Mapping[str, jax.Array], spaces: tuple[str, ...]
) -> tuple[Choice, dict[str, jax.Array]]:
    """The space of largest share of every edge, output or layer, and its coefficients.

    Args:
      params: of ``selectable_kan`` or ``selectable_kan_conv`` with a choice, known
        values.
      spaces: the layer's.

    Returns:
      ``(chosen, params)`` for a layer with ``chosen=chosen``: logits and coefficients
      of other spaces are gone. Where single edges choose, an output keeps the
      coefficients of all spaces of its edges, and those of others count 0.

    Raises:
      InputError: the parameters hold no choice, or other spaces.

    >>> from jaxopt_lab.layers import selectable_kan
    >>> spaces = ("plain", "chebyshev")
    >>> layer = selectable_kan(1, spaces=spaces, kernel_init=jax.nn.initializers.zeros)
    >>> params = layer.init(jax.random.key(0))[0]
    >>> chosen, kept = select_spaces(params, spaces)
    >>> chosen, sorted(kept)
    (((0,),), ['plain'])
    """
    names = known_spaces(spaces)
    logits = params.get("logits")
    if logits is None or logits.shape[-1] != len(names):
        raise InputError(
            f"params must hold logits of {len(names)} spaces; got {list(params)}"
        )
    picked = np.argmax(np.asarray(logits), axis=-1)
    kept: dict[str, jax.Array] = {}
    for s, name in enumerate(names):
        own = np.any(picked == s, axis=1)
        rows = np.flatnonzero(np.broadcast_to(own, params[name].shape[:1]))
        if len(rows):
            extra = (f"{name}_shift", f"{name}_rate") if name == WAVELET else ()
            kept |= {key: params[key][rows] for key in (name, *extra)}
    return tuple(tuple(int(s) for s in row) for row in picked), kept
