"""The normalization layers as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxopt_lab.layers.nnx_module import BatchedLayer, NnxLayer
from jaxopt_lab.layers.norm.adab2n import adab2n
from jaxopt_lab.layers.norm.alpha_bn import alpha_bn
from jaxopt_lab.layers.norm.batch_channel_norm import batch_channel_norm
from jaxopt_lab.layers.norm.evonorm import evonorm_b0, evonorm_s0
from jaxopt_lab.layers.norm.ghost_batch_norm import ghost_batch_norm
from jaxopt_lab.layers.norm.integrated_batch_norm import integrated_batch_norm
from jaxopt_lab.layers.norm.layernorm_scaling import layernorm_scaling
from jaxopt_lab.layers.norm.plain_norms import group_norm, instance_norm, layer_norm
from jaxopt_lab.layers.norm.power_norm import power_norm
from jaxopt_lab.layers.norm.random_effects import random_effects, random_effects_kl
from jaxopt_lab.layers.norm.region_norm import region_norm
from jaxopt_lab.layers.norm.td_layernorm import td_layernorm
from jaxopt_lab.layers.norm.unified_norm import unified_norm
from jaxopt_lab.layers.norm.unmix_tns import unmix_tns


class LayerNormScaling(NnxLayer):
    """Layer normalization scaled by the depth of its block, as an nnx module.

    Args:
      features: size of the last axis.
      rngs: the module's random streams.
      **options: those of ``layernorm_scaling``: ``index``, ``statistics``, ``eps``,
        ``param_dtype``.

    >>> norm = LayerNormScaling(4, index=3, rngs=nnx.Rngs(0))
    >>> norm.scale.shape
    (4,)
    """

    def __init__(self, features: int, *, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(layernorm_scaling(features, **options), rngs=rngs)


class GhostBatchNorm(BatchedLayer):
    """Batch normalization of consecutive parts of a batch, as an nnx module.

    >>> norm = GhostBatchNorm(4, ghost_size=8, rngs=nnx.Rngs(0))
    >>> norm.mean.shape
    (4,)
    """

    make = staticmethod(ghost_batch_norm)


class IntegratedBatchNorm(BatchedLayer):
    """One batch normalization of all levels of a pyramid, as an nnx module.

    >>> IntegratedBatchNorm(4, rngs=nnx.Rngs(0)).var.shape
    (4,)
    """

    make = staticmethod(integrated_batch_norm)


class LayerNorm(BatchedLayer):
    """Layer normalization as an nnx module with this package's options.

    >>> LayerNorm(4, statistics="rms", rngs=nnx.Rngs(0)).names
    (('scale',), ())
    """

    make = staticmethod(layer_norm)


class GroupNorm(BatchedLayer):
    """Group normalization as an nnx module with this package's options.

    >>> GroupNorm(4, groups=2, rngs=nnx.Rngs(0)).scale.shape
    (4,)
    """

    make = staticmethod(group_norm)


class InstanceNorm(BatchedLayer):
    """Instance normalization as an nnx module with this package's options.

    >>> InstanceNorm(4, rngs=nnx.Rngs(0)).scale.shape
    (4,)
    """

    make = staticmethod(instance_norm)


class TimeDependentLayerNorm(BatchedLayer):
    """Layer normalization that depends on the time of a diffusion, as an nnx module.

    >>> TimeDependentLayerNorm(4, rngs=nnx.Rngs(0)).scale_time_weight.shape
    (4,)
    """

    make = staticmethod(td_layernorm)


class EvoNormB0(BatchedLayer):
    """EvoNorm of the batch series as an nnx module; no activation follows it.

    >>> EvoNormB0(4, rngs=nnx.Rngs(0)).v.shape
    (4,)
    """

    make = staticmethod(evonorm_b0)


class EvoNormS0(BatchedLayer):
    """EvoNorm of the sample series as an nnx module; no activation follows it.

    >>> EvoNormS0(4, groups=2, rngs=nnx.Rngs(0)).v.shape
    (4,)
    """

    make = staticmethod(evonorm_s0)


class BatchChannelNorm(BatchedLayer):
    """Batch-channel normalization as an nnx module.

    >>> BatchChannelNorm(4, groups=2, rngs=nnx.Rngs(0)).group_scale.shape
    (2,)
    """

    make = staticmethod(batch_channel_norm)


class PowerNorm(BatchedLayer):
    """PowerNorm as an nnx module; its state is made in the backward pass.

    >>> PowerNorm(4, rngs=nnx.Rngs(0)).running.get_value().value["phi"].shape
    (4,)
    """

    make = staticmethod(power_norm)


class UnifiedNorm(BatchedLayer):
    """Unified normalization as an nnx module; its state is made in the backward pass.

    >>> UnifiedNorm(4, rngs=nnx.Rngs(0)).running.get_value().value["squares"].shape
    (4, 4)
    """

    make = staticmethod(unified_norm)


class AlphaBatchNorm(BatchedLayer):
    """Batch normalization that mixes stored and test statistics, as an nnx module.

    >>> AlphaBatchNorm(4, alpha=0.2, rngs=nnx.Rngs(0)).mean.shape
    (4,)
    """

    make = staticmethod(alpha_bn)


class UnMixNorm(BatchedLayer):
    """Test-time normalization by un-mixed statistics, as an nnx module.

    >>> UnMixNorm(4, components=3, rngs=nnx.Rngs(0)).means.shape
    (3, 4)
    """

    make = staticmethod(unmix_tns)


class AdaB2N(BatchedLayer):
    """Batch normalization balanced over the tasks of a stream, as an nnx module.

    >>> AdaB2N(4, tasks=3, rngs=nnx.Rngs(0)).task_weight.shape
    (3,)
    """

    make = staticmethod(adab2n)


class RegionNorm(BatchedLayer):
    """Normalization of two regions of images, as an nnx module.

    >>> RegionNorm(4, regions="given", rngs=nnx.Rngs(0)).foreground_gamma.shape
    (4,)
    """

    make = staticmethod(region_norm)


class RandomEffectScaleBias(BatchedLayer):
    """Random effects of groups on scale and bias, as an nnx module.

    Args:
      rngs: the module's random streams; ``dropout`` draws the effects in training.
      axis_name: not used; devices with one key have one draw.

    >>> module = RandomEffectScaleBias(4, groups=3, rngs=nnx.Rngs(0))
    >>> module.scale_mean.shape, module.kl().shape
    ((3, 4), ())
    """

    make = staticmethod(random_effects)

    def __init__(
        self,
        features: int,
        *,
        rngs: nnx.Rngs,
        axis_name: str | None = None,
        prior_scale: float = 0.25,
        **options: Any,
    ) -> None:
        options["prior_scale"] = prior_scale
        super().__init__(features, rngs=rngs, axis_name=axis_name, **options)
        self.prior_scale = prior_scale

    def kl(self) -> jax.Array:
        """Divergence of the posteriors from the prior; see ``random_effects_kl``."""
        params = {name: getattr(self, name).get_value() for name in self.names[0]}
        return random_effects_kl(params, prior_scale=self.prior_scale)
