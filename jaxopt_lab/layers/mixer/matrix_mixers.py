"""Matrices that mix a sequence, behind the projections of ``hydra_mixer``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.mixer.quasiseparable import (
    Direction,
    quasiseparable_matrix,
    quasiseparable_mix,
    selective_scan,
    semiseparable_matrix,
)

MixerName = Literal[
    "quasiseparable", "causal", "forward", "sum", "toeplitz", "attention"
]


class Mixing(NamedTuple):
    """The parameters of the matrices of a batch.

    Attributes:
      ways: of each direction of a scan.
      pair: queries and keys, ``(B, T, heads, N)`` each; or None.
      taps: of a Toeplitz matrix, ``(heads, 2 * length - 1)``, from the last to the
        first; or None.
      diagonal: ``(B, T, heads)``; or None.
      a: of ``semiseparable_matrix``.
      valid: ``(B, T, 1)``, False where there is padding; or None.
    """

    ways: tuple[Direction, ...]
    pair: tuple[jax.Array, jax.Array] | None
    taps: jax.Array | None
    diagonal: jax.Array | None
    a: jax.Array
    valid: jax.Array | None = None


class MatrixMixer(NamedTuple):
    """A kind of matrix.

    Attributes:
      rows: numbers of a token beside the values, ``rows(heads, N)``.
      steps: directions that have steps.
      diagonal: whether it is ``"free"``, a number of each head (``"skip"``), or
        ``"none"`` of its own.
      taps: whether there are parameters for each distance.
      mix: ``mix(v, mixing, chunk)``, the product with values ``(B, T, heads, P)``.
      matrix: ``matrix(mixing, length)``, ``(B or 1, heads, T, T)``, the reference.
      causal: whether the convolution before it looks back alone: no token sees a later
        one.
    """

    rows: Callable[[int, int], int]
    steps: int
    diagonal: Literal["free", "skip", "none"]
    taps: bool
    mix: Callable[[jax.Array, Mixing, int], jax.Array]
    matrix: Callable[[Mixing, int], jax.Array]
    causal: bool = False


def _quasiseparable(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    assert m.diagonal is not None
    forward, backward = m.ways
    return quasiseparable_mix(v, forward, backward, m.diagonal, m.a, chunk=chunk)


def _quasiseparable_matrix(m: Mixing, length: int) -> jax.Array:
    assert m.diagonal is not None
    forward, backward = m.ways
    return quasiseparable_matrix(forward, backward, m.diagonal, m.a)


def _causal(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    assert m.diagonal is not None
    (way,) = m.ways
    y = selective_scan(v, way.dt, m.a, way.b, way.c, chunk=chunk)
    y = jnp.pad(y[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    return y + v * m.diagonal[..., None]


def _causal_matrix(m: Mixing, length: int) -> jax.Array:
    assert m.diagonal is not None
    (way,) = m.ways
    none = Direction(way.dt, way.b, jnp.zeros_like(way.c))
    return quasiseparable_matrix(way, none, m.diagonal, m.a)


def _forward(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    assert m.diagonal is not None
    (way,) = m.ways
    y = selective_scan(v, way.dt, m.a, way.b, way.c, chunk=chunk)
    return y + v * m.diagonal[..., None]


def _forward_matrix(m: Mixing, length: int) -> jax.Array:
    assert m.diagonal is not None
    (way,) = m.ways
    eye = jnp.eye(length, dtype=m.a.dtype)[None, None]
    free = m.diagonal.swapaxes(1, 2)[..., None] * eye
    return semiseparable_matrix(way.dt, m.a, way.b, way.c) + free


def _sum(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    forward, backward = m.ways
    turned = [jnp.flip(z, axis=1) for z in (v, *backward)]
    both = [jnp.concatenate(pair) for pair in zip((v, *forward), turned, strict=True)]
    y = selective_scan(both[0], both[1], m.a, *both[2:], chunk=chunk)
    ahead, behind = jnp.split(y, 2)
    return ahead + jnp.flip(behind, axis=1)


def _sum_matrix(m: Mixing, length: int) -> jax.Array:
    forward, backward = m.ways
    flipped = Direction(*(jnp.flip(z, axis=1) for z in backward))
    lower, upper = (
        semiseparable_matrix(w.dt, m.a, w.b, w.c) for w in (forward, flipped)
    )
    return lower + jnp.flip(upper, axis=(2, 3))


def _own_taps(m: Mixing, length: int) -> jax.Array:
    """The taps of distances up to the length, ``(heads, 2 * length - 1)``."""
    assert m.taps is not None
    most = (m.taps.shape[1] + 1) // 2
    if length > most:
        raise InputError(
            f"a Toeplitz matrix of length={most} mixes up to {most} tokens; got "
            f"{length}"
        )
    return m.taps[:, most - length : most + length - 1]


def _toeplitz(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    length = v.shape[1]
    taps = _own_taps(m, length)
    size = 1 << math.ceil(math.log2(max(3 * length - 2, 1)))
    kernel = jnp.fft.rfft(taps.T, size, axis=0)[None, :, :, None]
    y = jnp.fft.irfft(kernel * jnp.fft.rfft(v, size, axis=1), size, axis=1)
    return y[:, length - 1 : 2 * length - 1].astype(v.dtype)


def _toeplitz_matrix(m: Mixing, length: int) -> jax.Array:
    taps = _own_taps(m, length)
    gaps = np.subtract.outer(np.arange(length), np.arange(length))
    return taps[:, gaps + length - 1][None]


def _attention(v: jax.Array, m: Mixing, chunk: int) -> jax.Array:
    return jnp.einsum("bhts,bshp->bthp", _attention_matrix(m, v.shape[1]), v)


def _attention_matrix(m: Mixing, length: int) -> jax.Array:
    assert m.pair is not None
    q, k = m.pair
    logits = jnp.einsum("bthn,bshn->bhts", q, k) / math.sqrt(q.shape[-1])
    if m.valid is None:
        return jax.nn.softmax(logits, axis=-1)
    seen = m.valid[:, None, None, :, 0]
    lowest = jnp.finfo(logits.dtype).min
    weights = jax.nn.softmax(jnp.where(seen, logits, lowest), axis=-1)
    return jnp.where(seen, weights, 0)


MIXERS: Mapping[str, MatrixMixer] = {
    "quasiseparable": MatrixMixer(
        lambda heads, n: 4 * n,
        2,
        "free",
        False,
        _quasiseparable,
        _quasiseparable_matrix,
    ),
    "causal": MatrixMixer(
        lambda heads, n: 2 * n, 1, "free", False, _causal, _causal_matrix, causal=True
    ),
    "forward": MatrixMixer(
        lambda heads, n: 2 * n, 1, "skip", False, _forward, _forward_matrix
    ),
    "sum": MatrixMixer(lambda heads, n: 4 * n, 2, "none", False, _sum, _sum_matrix),
    "toeplitz": MatrixMixer(
        lambda heads, n: 0, 0, "none", True, _toeplitz, _toeplitz_matrix
    ),
    "attention": MatrixMixer(
        lambda heads, n: 2 * heads * n, 0, "none", False, _attention, _attention_matrix
    ),
}
"""Kinds of matrices by name.

``quasiseparable``: both directions beside a free diagonal (Hydra). ``causal``: the same
without the upper part, behind a convolution that looks back alone. ``forward``: a scan
in one direction and a number of each head on the diagonal; causal but for the
convolution before it. ``sum``: the sum of a scan in each direction, whose diagonal is
what they make of it. ``toeplitz``: a parameter for each distance, by fast Fourier
transform. ``attention``: softmax of products, with every pair of tokens.
"""
