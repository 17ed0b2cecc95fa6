"""Mixers as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from jaxopt_lab.layers.mixer.causal_mixer import causal_mixer
from jaxopt_lab.layers.mixer.hydra_mixer import hydra_mixer
from jaxopt_lab.layers.nnx_module import BatchedLayer


class HydraMixer(BatchedLayer):
    """Bidirectional mixer by a quasiseparable matrix, as an nnx module.

    >>> from flax import nnx
    >>> HydraMixer(4, head_dim=4, d_state=2, rngs=nnx.Rngs(0)).skip.shape
    (2,)
    """

    make = staticmethod(hydra_mixer)


class CausalMixer(BatchedLayer):
    """One-directional mixer by a quasiseparable matrix, as an nnx module.

    >>> from flax import nnx
    >>> CausalMixer(4, head_dim=4, d_state=2, rngs=nnx.Rngs(0)).skip.shape
    (2,)
    """

    make = staticmethod(causal_mixer)
