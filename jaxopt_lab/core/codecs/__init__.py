"""Block-wise codecs: arrays as codes of a few bits and a scale for each block.

``codec.encode(x)`` gives an ``EncodedArray`` of codes and scales, ``codec.decode(coded,
shape, dtype)`` the array back, ``codec.rounded(x)`` both in one with the derivative of
the identity. Codecs are immutable and know nothing of optimizers.

For kernels that work on a part of an array at a time, both take ``block=``, the block
length of the whole array (``codec.block_for(shape)``); parts begin at a multiple of
it, and codes and scales of the parts, flattened, are those of the whole in the same
order. ``codec.cut(shape)`` is the cut, a ``Blocks``; an array that ends in its
``tile`` is used without any reshape, which is what makes a loop fast. ``packing`` has
the two codes in a byte.

>>> import jax.numpy as jnp
>>> from jaxopt_lab.core import codecs
>>> codec = codecs.dynamic(4, block=64)
>>> coded = codec.encode(jnp.linspace(-1.0, 1.0, 640).reshape(10, 64))
>>> coded.qvalue.shape, coded.qvalue.dtype, coded.scale.shape
((10, 32), dtype('uint8'), (10, 1))
"""
# Its examples wait for pytest --full.

from jaxopt_lab.core.codecs import packing
from jaxopt_lab.core.codecs.blocks import Blocks, Granularity
from jaxopt_lab.core.codecs.codec import Codec, EncodedArray, straight_through
from jaxopt_lab.core.codecs.dynamic_map import Dynamic4, Dynamic8, dynamic
from jaxopt_lab.core.codecs.float8 import Float8, FloatingPoint8
from jaxopt_lab.core.codecs.linear import Linear
from jaxopt_lab.core.codecs.narrow import Cast
from jaxopt_lab.core.codecs.square_root import SquareRoot

__all__ = [
    "Blocks",
    "Cast",
    "Codec",
    "Dynamic4",
    "Dynamic8",
    "EncodedArray",
    "Float8",
    "FloatingPoint8",
    "Granularity",
    "Linear",
    "SquareRoot",
    "dynamic",
    "packing",
    "straight_through",
]
