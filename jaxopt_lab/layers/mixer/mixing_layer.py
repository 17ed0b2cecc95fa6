"""The layer around a matrix that mixes a sequence: projections, gate and norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.mixer.matrix_mixers import MIXERS, MixerName, Mixing
from jaxopt_lab.layers.mixer.quasiseparable import Direction
from jaxopt_lab.layers.mixer.token_conv import token_conv
from jaxopt_lab.layers.norm.last_axis import along, normalized


def mixing_layer(
    layer: str,
    mixer: MixerName,
    features: int,
    *,
    d_state: int,
    expand: int,
    head_dim: int,
    conv_size: int,
    chunk: int,
    length: int,
    eps: float,
    kernel_init: Callable[..., jax.Array],
    param_dtype: DTypeLike,
) -> Functional:
    """The layer of a kind of matrix.

    Args:
      layer: its name, for messages.
      mixer: the kind, of ``MIXERS``.
      features: of ``hydra_mixer``.
      d_state: of ``hydra_mixer``.
      expand: of ``hydra_mixer``.
      head_dim: of ``hydra_mixer``.
      conv_size: of ``hydra_mixer``; even widths only where tokens see no later ones.
      chunk: of ``hydra_mixer``.
      length: of ``hydra_mixer``.
      eps: of ``hydra_mixer``.
      kernel_init: of ``hydra_mixer``.
      param_dtype: of ``hydra_mixer``.

    Returns:
      As ``hydra_mixer``.

    Raises:
      InputError: ``head_dim`` does not divide, or ``conv_size`` is even.
    """
    kind = MIXERS[mixer]
    inner = expand * features
    if inner % head_dim:
        raise InputError(
            f"head_dim must divide the inner features, {inner}; got head_dim={head_dim}"
        )
    if conv_size % 2 == 0 and not kind.causal:
        raise InputError(f"conv_size must be odd; got {conv_size}")
    heads = inner // head_dim
    mixed = inner + kind.rows(heads, d_state)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        draw = lambda i, shape: kernel_init(keys[i], shape, param_dtype)
        params = {
            "inner": draw(0, (features, inner + mixed + kind.steps * heads)),
            "conv": draw(1, (conv_size, 1, mixed)),
            "conv_bias": jnp.zeros(mixed, param_dtype),
            "norm_scale": jnp.ones(inner, param_dtype),
            "outer": draw(3, (inner, features)),
        }
        if kind.steps:
            low, high = math.log(1e-3), math.log(1e-1)
            step = jax.random.uniform(keys[4], (heads,), jnp.float32, low, high)
            step = jnp.exp(step)
            params["a_log"] = jnp.zeros(heads, param_dtype)
            # The inverse of softplus.
            inverse = step + jnp.log(-jnp.expm1(-step))
            params["dt_bias"] = inverse.astype(param_dtype)
        if kind.diagonal != "none":
            params["skip"] = jnp.ones(heads, param_dtype)
        if kind.diagonal == "free":
            params["diagonal"] = draw(2, (inner, heads))
        if kind.taps:
            taps = draw(2, (2 * length - 1, heads)).T
            params["taps"] = taps
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features(layer, x, features, mask)
        if x.ndim != 3:
            raise InputError(
                f"{layer} takes sequences (B, T, {features}); got {x.shape}"
            )
        sizes = (mixer, heads, d_state)
        v, mixing, z = mixing_parts(params, without_padding(x, valid), valid, sizes)
        y = kind.mix(v, mixing, chunk)
        y = mixed_out(params, y, z, eps).astype(x.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def mixing_parts(
    params: dict[str, jax.Array],
    x: jax.Array,
    valid: jax.Array | None,
    sizes: tuple[str, int, int],
) -> tuple[jax.Array, Mixing, jax.Array]:
    """Values, the parameters of their matrices, and the gate.

    Args:
      params: of the layer.
      x: ``(B, T, features)``, 0 at padding.
      valid: where it is none, ``(B, T, 1)``; or None.
      sizes: kind of the matrix, heads, and numbers of a token's row.

    Returns:
      Values ``(B, T, heads, P)``, ``Mixing``, and the gate ``(B, T, inner)``.
    """
    mixer, heads, d_state = sizes
    kind, wide = MIXERS[mixer], accumulation_dtype(x.dtype)
    inner = params["norm_scale"].size
    mixed = params["conv_bias"].size
    h = (x @ params["inner"].astype(x.dtype)).astype(wide)
    z, v, dt = jnp.split(h, [inner, inner + mixed], axis=-1)
    v = token_conv(v, params["conv"].astype(wide), kind.causal)
    v = jax.nn.silu(v + along(params["conv_bias"], v))
    if kind.steps:
        dt = dt.reshape(*dt.shape[:2], kind.steps, heads)
        dt = jax.nn.softplus(dt + along(params["dt_bias"], dt))
    if valid is not None:
        v = without_padding(v, valid)
        dt = jnp.where(valid[..., None], dt, 0) if kind.steps else dt
    v, rows = jnp.split(v, [inner], axis=-1)
    lead = v.shape[:2]
    each = jnp.split(rows, 2 * kind.steps, axis=-1) if kind.steps else []
    ways = tuple(
        Direction(dt[:, :, i], *each[2 * i : 2 * i + 2]) for i in range(kind.steps)
    )
    pair = taps = diagonal = None
    if mixer == "attention":
        both = rows.reshape(*lead, 2, heads, d_state)
        pair = both[:, :, 0], both[:, :, 1]
    if kind.taps:
        taps = params["taps"].astype(wide)
    if kind.diagonal == "free":
        diagonal = v @ params["diagonal"].astype(wide)
        diagonal = diagonal + along(params["skip"], diagonal)
    elif kind.diagonal == "skip":
        skip = params["skip"].astype(wide).reshape(1, 1, heads)
        diagonal = jnp.broadcast_to(skip, (*lead, heads))
    a = jnp.zeros(heads, wide)
    if kind.steps:
        a = -jnp.exp(params["a_log"].astype(wide))
    values = v.reshape(*lead, heads, v.shape[-1] // heads)
    return values, Mixing(ways, pair, taps, diagonal, a, valid), z


def mixed_out(
    params: dict[str, jax.Array], y: jax.Array, z: jax.Array, eps: float
) -> Any:
    """Norm, gate and projection of what a matrix has mixed.

    Args:
      params: of the layer.
      y: ``(B, T, heads, P)``.
      z: the gate, ``(B, T, inner)``.
      eps: added to the mean square.

    Returns:
      ``(B, T, features)``.
    """
    y = normalized(y.reshape(z.shape), eps, centred=False)
    y = y * along(params["norm_scale"], y) * jax.nn.silu(z)
    return y @ params["outer"].astype(y.dtype)
