"""S-KAN: edges that choose the space of their function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.kan.spaces import (
    SPACES,
    WAVELET,
    Params,
    first_coefficients,
    known_spaces,
    sum_over_inputs,
)
from jaxopt_lab.layers.masks import over_features, without_padding

Granularity = Literal["edge", "node", "layer"]
Choice = tuple[tuple[int, ...], ...]
ALL = ("spline", "gaussian", "chebyshev", "fourier", WAVELET, "plain")


def selectable_kan(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    spaces: tuple[str, ...] = ALL,
    granularity: Granularity = "node",
    temperature: Annotated[float, POSITIVE] = 1.0,
    chosen: Choice | None = None,
    kernel_init: Callable[..., jax.Array] | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Kolmogorov-Arnold layer whose functions are mixtures over several spaces.

    .. math:: y_j = \sum_i \sum_s \pi_{jis}\, \psi_s(x_i; \theta_{jis}), \qquad
        \pi = \text{softmax}(\lambda / T)

    Training has three stages (``selection_stage``): all spaces; a falling T and a
    penalty of the entropy (``selection_entropy``); and, after ``select_spaces``, the
    chosen spaces alone.

    Args:
      features: n, size of the last axis, values best in [-1, 1].
      out: m; ``None``: as the input.
      spaces: some of ``"spline"``, ``"gaussian"``, ``"chebyshev"``, ``"fourier"``,
        ``"wavelet"`` and ``"plain"``; one alone is a plain KAN.
      granularity: whether each edge, each output (``"node"``) or the layer chooses.
      temperature: T, may be traced: make the layer inside of the training step.
      chosen: of ``select_spaces``: each entry uses one space.
      kernel_init: initializer of all coefficients; ``None``: normal numbers of
        deviation .1 over the size of the basis, and Xavier's for silu alone.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})``: coefficients by space, of ``(m, n, K)``, and
      ``logits`` ``(m or 1, n or 1, spaces)``, 0, where there is a choice; and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)`` for ``x`` of ``(..., n)``. ``mask``, of the leading axes, is 0 for
      padding, which gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, a space is unknown, or ``chosen`` does
        not fit; at the call, the input does not fit.

    Each space costs K dense layers, until it is removed; bases are float32 for narrower
    types, and kept for the gradient.

    Source: S-KAN, "Selectable Kolmogorov-Arnold networks", from the abstract and
    summaries; the definition and all constants are ours.

    >>> layer = selectable_kan(2, out=1, spaces=("plain", "chebyshev"))
    >>> start = layer.init(jax.random.key(0))
    >>> start[0]["chebyshev"].shape, start[0]["logits"].shape
    ((1, 2, 5), (1, 1, 2))
    """
    given = {n: v for n, v in locals().items() if n not in ("kernel_init", "chosen")}
    check_arguments(selectable_kan, given)
    names = known_spaces(spaces)
    outputs = features if out is None else out
    shape = {
        "edge": (outputs, features),
        "node": (outputs, 1),
        "layer": (1, 1),
    }[granularity]
    picked = None if chosen is None else np.asarray(chosen)
    if picked is not None and (
        picked.shape != shape or picked.min() < 0 or picked.max() >= len(names)
    ):
        raise InputError(
            f"chosen must be {shape} numbers of the {len(names)} spaces; got "
            f"{picked.shape}"
        )

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        plain = kernel_init or jax.nn.initializers.glorot_normal()
        other = kernel_init or jax.nn.initializers.normal(0.1)
        params: dict[str, jax.Array] = {}
        for s, name in enumerate(names):
            rows = _rows(picked, s, outputs)
            if len(rows):
                own = jax.random.fold_in(key, s)
                params |= first_coefficients(
                    name,
                    own,
                    len(rows),
                    features,
                    lambda k, d: other(k, d, param_dtype),
                    lambda k, d: plain(k, d, param_dtype),
                )
        if picked is None and len(names) > 1:
            params["logits"] = jnp.zeros((*shape, len(names)), param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("selectable_kan", x, features, mask)
        given, x = x, without_padding(x, valid)
        x = x.astype(accumulation_dtype(x.dtype))
        y = jnp.zeros((*x.shape[:-1], outputs), x.dtype)
        for s, name in enumerate(names):
            rows = _rows(picked, s, outputs)
            if not len(rows):
                continue
            if picked is not None:
                # The rows of others are gone; among edges, those of others count 0.
                weight = np.broadcast_to(picked == s, (outputs, shape[1]))[rows]
                part = sum_over_inputs(name, params, x, jnp.asarray(weight, x.dtype))
                y = y.at[..., rows].add(part)
            elif len(names) == 1:
                y = sum_over_inputs(name, params, x, jnp.ones((1, 1), x.dtype))
            else:
                share = selection(params, temperature)[..., s].astype(x.dtype)
                y = y + sum_over_inputs(name, params, x, share)
        y = y.astype(given.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def _rows(picked: np.ndarray | None, s: int, outputs: int) -> np.ndarray:
    """The outputs that have coefficients of a space."""
    if picked is None:
        return np.arange(outputs)
    own = np.broadcast_to(picked == s, (outputs, picked.shape[1]))
    return np.flatnonzero(np.any(own, axis=1))


def selection(params: Params, temperature: jax.Array | float = 1.0) -> jax.Array:
    """The shares of the spaces.

    Args:
      params: of ``selectable_kan`` with a choice.
      temperature: T.

    Returns:
      As ``logits``, float32 for narrower types; the sum over spaces is 1.

    >>> selection({"logits": jnp.zeros((1, 1, 2))}).tolist()
    [[[0.5, 0.5]]]
    """
    logits = params["logits"]
    wide = accumulation_dtype(logits.dtype)
    return jax.nn.softmax(logits.astype(wide) / jnp.asarray(temperature, wide))


def plain_kan(params: Params, x: jax.Array) -> jax.Array:
    """A Kolmogorov-Arnold layer of Chebyshev polynomials, of one space alone.

    Args:
      params: of ``selectable_kan``.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.
    """
    basis = SPACES["chebyshev"].basis(x)
    return jnp.einsum("...ik,jik->...j", basis, params["chebyshev"])
