"""Weights of codebooks in the bits that they need."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.quantize.joint_codebook import CODE_BITS, JointCodebook, Shared


class PackedCodebook(NamedTuple):
    """A matrix as packed codes, its rows in the order of their groups.

    Attributes:
      codes: uint8, the codes' bits one after the other, lowest first.
      codebook: float16, ``(1 or groups, codewords)``.
      scale: float16, ``(groups,)``; ``None`` where it is in the codebook.
      sizes: rows of each group, in order.
      inputs: number of columns.
    """

    codes: np.ndarray
    codebook: np.ndarray
    scale: np.ndarray | None
    sizes: tuple[int, ...]
    inputs: int

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        scale = 0 if self.scale is None else self.scale.nbytes
        return self.codes.nbytes + self.codebook.nbytes + scale

    def dequantize(self) -> np.ndarray:
        """The weights in float32, ``(outputs, inputs)``, groups contiguous."""
        words = self.codebook.shape[1]
        width, count = words.bit_length() - 1, sum(self.sizes) * self.inputs
        bits = np.unpackbits(self.codes, count=count * width, bitorder="little")
        codes = bits.reshape(count, width) @ (1 << np.arange(width))
        group = np.repeat(np.arange(len(self.sizes)), self.sizes)
        rows = self.codebook.astype(np.float32)
        rows = rows[group if len(rows) > 1 else np.zeros_like(group)]
        if self.scale is not None:
            rows = rows * self.scale.astype(np.float32)[group][:, None]
        codes = codes.reshape(len(group), self.inputs)
        return np.take_along_axis(rows, codes, axis=1)


def codebook_bits(
    shape: tuple[int, int],
    *,
    bits: Annotated[int, CODE_BITS],
    groups: Annotated[int, COUNT],
    shared: Shared = "codebook",
) -> int:
    r"""Bits of a packed matrix; no weight has an index of its group.

    With K = ``2 ** bits`` codewords of 16 bits and n weights,
    :math:`n b + 16 K + 16 G` for a shared codebook and :math:`n b + 16 G K` for one
    codebook a group. A single group needs no scale.

    Args:
      shape: of the matrix.
      bits: of a code, b.
      groups: number of groups, G.
      shared: see ``joint_codebook``.

    Returns:
      The bits. ``PackedCodebook.nbytes`` are these in whole bytes.

    >>> codebook_bits((64, 32), bits=2, groups=4)
    4224
    """
    check_arguments(codebook_bits, locals())
    if groups == 1 or shared == "nothing":
        return math.prod(shape) * bits + 16 * groups * 2**bits
    return math.prod(shape) * bits + 16 * 2**bits + 16 * groups


def pack_codebook(coded: JointCodebook) -> PackedCodebook:
    """A matrix in the bits that it needs, on the host.

    Args:
      coded: codebook, scales, logits and groups, of one matrix.

    Returns:
      Its packed form, rows ordered by ``coded.order``: ``permute_layer_chain`` gives
      the next layer that order.

    Raises:
      InputError: a scale, or the largest codeword of a codebook, is outside of what
        float16 holds in full.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from jaxopt_lab.quantize import joint_codebook
    >>> weight = jnp.array([[1.0, -0.5], [8.0, -4.0]])
    >>> found = pack_codebook(joint_codebook(jax.random.key(0), weight, groups=1))
    >>> found.nbytes, found.dequantize().tolist()
    (9, [[1.0, -0.5], [8.0, -4.0]])
    """
    codebook, scale = np.asarray(coded.codebook), np.asarray(coded.scale)
    if len(codebook) == len(scale):
        codebook, kept = codebook * scale[:, None], None
    else:
        kept = _half("scale", scale)
    order = np.asarray(coded.order)
    codes = np.asarray(coded.codes)[order]
    width = codebook.shape[1].bit_length() - 1
    bits = (codes.reshape(-1, 1) >> np.arange(width)) & 1
    packed = np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little")
    sizes = np.bincount(np.asarray(coded.group), minlength=len(scale))
    return PackedCodebook(
        packed, _half("codeword", codebook), kept, tuple(sizes.tolist()), codes.shape[1]
    )


def _half(what: str, x: np.ndarray) -> np.ndarray:
    largest = np.max(np.abs(flattened(x)), axis=1)
    low, high = np.finfo(np.float16).tiny, np.finfo(np.float16).max
    fits = (largest == 0) | ((largest >= low) & (largest <= high))
    if not fits.all():
        raise InputError(
            f"the largest {what} of a group is {largest[~fits][0]:g}; float16 holds "
            f"{low:g} to {high:g}"
        )
    return x.astype(np.float16)
