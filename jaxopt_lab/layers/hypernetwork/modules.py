"""Hypernetworks as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from jaxopt_lab.layers.hypernetwork.hypernetwork import hypernetwork
from jaxopt_lab.layers.hypernetwork.low_rank_decoder import low_rank_decoder
from jaxopt_lab.layers.hypernetwork.recurrent import recurrent_hypernetwork
from jaxopt_lab.layers.nnx_module import BatchedLayer


class HyperNetwork(BatchedLayer):
    """Hypernetwork with magnitude invariant parametrization, as an nnx module.

    ``target=nnx.state(module, nnx.Param)`` predicts the parameters of a module, for
    ``nnx.merge``.

    >>> from flax import nnx
    >>> import jax.numpy as jnp
    >>> graph, state = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> net = HyperNetwork(1, target=state, hidden=(), rngs=nnx.Rngs(1))
    >>> predicted = net(jnp.array([[0.5]]))
    >>> nnx.merge(graph, predicted).kernel.shape
    (1, 2, 3)
    """

    make = staticmethod(hypernetwork)


class RecurrentHyperNetwork(BatchedLayer):
    """Hypernetwork whose chunks depend on each other, as an nnx module.

    >>> from flax import nnx
    >>> module = RecurrentHyperNetwork(2, hidden=3, chunk=1, rngs=nnx.Rngs(0))
    >>> module.chunks.shape
    (4, 8)
    """

    make = staticmethod(recurrent_hypernetwork)


class LowRankDecoder(BatchedLayer):
    """LoGAH's decoder of kernels of low rank, as an nnx module.

    >>> from flax import nnx
    >>> make = lambda: LowRankDecoder(2, rank=3, rngs=nnx.Rngs(0))
    >>> nnx.eval_shape(make).kernel_3.shape
    (3, 64)
    """

    make = staticmethod(low_rank_decoder)
