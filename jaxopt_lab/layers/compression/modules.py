"""The layers with few weights as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from jaxopt_lab.layers.compression.codebook_bottleneck import codebook_bottleneck
from jaxopt_lab.layers.compression.mixture_of_experts import mixture_of_experts
from jaxopt_lab.layers.compression.ordered_low_rank import ordered_low_rank
from jaxopt_lab.layers.compression.residual_vector_quantizer import (
    residual_vector_quantizer,
)
from jaxopt_lab.layers.compression.sparse_ternary import sparse_ternary
from jaxopt_lab.layers.nnx_module import BatchedLayer


class CodebookBottleneck(BatchedLayer):
    """Codebook behind layer normalization, as an nnx module.

    >>> from flax import nnx
    >>> CodebookBottleneck(4, size=3, rngs=nnx.Rngs(0)).codes.shape
    (3, 4)
    """

    make = staticmethod(codebook_bottleneck)


class OrderedLowRank(BatchedLayer):
    """Product with a matrix of two factors of ordered components, as an nnx module.

    Args:
      rngs: the module's random streams; ``dropout`` draws the rank in training.

    >>> from flax import nnx
    >>> OrderedLowRank(4, out=3, rank=2, rngs=nnx.Rngs(0)).u.shape
    (4, 2)
    """

    make = staticmethod(ordered_low_rank)


class SparseTernary(BatchedLayer):
    """Product with a constant ternary matrix, as an nnx module without parameters.

    >>> from flax import nnx
    >>> module = SparseTernary(4, out=3, seed=1, rngs=nnx.Rngs(0))
    >>> len(nnx.state(module, nnx.Param))
    0
    """

    make = staticmethod(sparse_ternary)


class MixtureOfExperts(BatchedLayer):
    """Sparse mixture of experts, as an nnx module.

    >>> from flax import nnx
    >>> MixtureOfExperts(4, experts=3, hidden=2, rngs=nnx.Rngs(0)).wi.shape
    (3, 4, 2)
    """

    make = staticmethod(mixture_of_experts)


class ResidualVectorQuantizer(BatchedLayer):
    """Residual codes with trained tables, as an nnx module.

    >>> from flax import nnx
    >>> module = ResidualVectorQuantizer(4, size=3, rngs=nnx.Rngs(0))
    >>> module.codebooks.shape
    (2, 3, 4)
    """

    make = staticmethod(residual_vector_quantizer)
