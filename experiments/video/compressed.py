"""A fitted video in few bytes: quantized, Huffman coded, counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.video.hnerv import HNeRV, decode
from experiments.video.huffman import huffman_bits, huffman_lengths
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.minmax_axis import MinmaxCodes, entropy_bits, minmax_best_axis


class VideoSizes(NamedTuple):
    """Bits of a compressed video.

    Attributes:
      codes: of weights and embeddings in their Huffman codes.
      tables: lengths of the code words, a byte for each value that a code could have.
      ranges: of the quantization, 16 bits each.
      entropy: bound of ``codes``.
    """

    codes: int
    tables: int
    ranges: int
    entropy: float

    @property
    def total(self) -> int:
        """All bits."""
        return self.codes + self.tables + self.ranges


class Compressed(NamedTuple):
    """A video as codes.

    Attributes:
      decoder: ``MinmaxCodes`` in the places of the decoder's arrays.
      embeddings: likewise; ``None`` for NeRV.
      sizes: their bits.
    """

    decoder: Any
    embeddings: MinmaxCodes | None
    sizes: VideoSizes


def compress_video(
    params: Params,
    embeddings: jax.Array | None,
    *,
    weight_bits: int = 8,
    embedding_bits: int = 6,
) -> Compressed:
    """Quantize a decoder and its embeddings, and count their bits.

    Weights share one Huffman code, embeddings another.

    Args:
      params: of ``init_hnerv``.
      embeddings: of ``encode``; ``None`` for NeRV.
      weight_bits: of a code of the decoder.
      embedding_bits: of a code of the embeddings.

    Returns:
      The codes and the sizes.

    >>> params = {"decoder": [{"kernel": jnp.linspace(0.0, 1.0, 9)}]}
    >>> found = compress_video(params, None)
    >>> found.sizes.entropy <= found.sizes.codes, found.sizes.ranges
    (True, 32)
    """
    decoder = jax.tree.map(
        lambda x: minmax_best_axis(x, bits=weight_bits), params["decoder"]
    )
    is_codes = lambda x: isinstance(x, MinmaxCodes)
    groups = [(weight_bits, jax.tree.leaves(decoder, is_leaf=is_codes))]
    kept = None
    if embeddings is not None:
        kept = minmax_best_axis(embeddings, bits=embedding_bits)
        groups.append((embedding_bits, [kept]))
    codes = tables = ranges = 0
    entropy = 0.0
    for bits, parts in groups:
        every = np.concatenate([np.asarray(p.codes).ravel() for p in parts])
        codes += huffman_bits(every)
        tables += 8 << bits
        ranges += sum(16 * (p.low.size + p.scale.size) for p in parts)
        entropy += entropy_bits(every)
        assert max(huffman_lengths(every).values()) < 256
    return Compressed(decoder, kept, VideoSizes(codes, tables, ranges, entropy))


def decompress_video(
    sizes: HNeRV, compressed: Compressed, given: jax.Array | None = None
) -> jax.Array:
    """The frames of a compressed video.

    Args:
      sizes: of the network.
      compressed: of ``compress_video``.
      given: time codes, for NeRV.

    Returns:
      ``(T, H, W, 3)``.
    """
    is_codes = lambda x: isinstance(x, MinmaxCodes)

    @jax.jit
    def run(decoder: Any, embeddings: Any) -> jax.Array:
        both = decoder, embeddings
        values = lambda c: c.values() if is_codes(c) else c
        decoder, embeddings = jax.tree.map(values, both, is_leaf=is_codes)
        return decode(sizes, {"decoder": decoder}, embeddings)

    kept = given if compressed.embeddings is None else compressed.embeddings
    return run(compressed.decoder, kept)


def psnr(a: jax.Array, b: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio of images from 0 to 1, in decibels.

    Args:
      a: images.
      b: images of the same shape.

    Returns:
      A number; infinite for equal images.

    >>> float(psnr(jnp.zeros(4), jnp.full(4, 0.1)).round(3))
    20.0
    """
    return -10 * jnp.log10(jnp.mean((a - b) ** 2))
