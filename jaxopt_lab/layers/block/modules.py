"""Residual blocks as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxopt_lab.layers.block.batch_former import batch_former, with_originals
from jaxopt_lab.layers.block.hourglass import hourglass
from jaxopt_lab.layers.block.norm_placement import Placement
from jaxopt_lab.layers.block.residual_scale import (
    ResidualScale,
    learned_scalars,
    residual_scale,
    scaled_residual,
)
from jaxopt_lab.layers.block.transformer_block import transformer_block
from jaxopt_lab.layers.nnx_module import BatchedLayer


class ResidualSum(nnx.Module):
    """The sum of an input and a module of a residual network, by a residual scale.

    Args:
      kind: of ``residual_scale``; it has variables for SkipInit and Fixup only.
      depth: number of modules of the network.
      param_dtype: type of the learned scalars.

    >>> total = ResidualSum("1/n", depth=4)
    >>> total(lambda x: x, jnp.ones(2)).tolist()
    [1.25, 1.25]
    """

    def __init__(
        self,
        kind: ResidualScale = "1",
        *,
        depth: int,
        param_dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.scale = residual_scale(kind, depth=depth)
        scalars = learned_scalars(kind)
        self.names = tuple(scalars)
        for name, value in scalars.items():
            setattr(self, name, nnx.Param(jnp.asarray(value, param_dtype)))

    def learned(self) -> Mapping[str, jax.Array]:
        """The learned scalars by name."""
        return {name: getattr(self, name).get_value() for name in self.names}

    def __call__(
        self,
        block: Callable[[jax.Array], jax.Array],
        x: jax.Array,
        *,
        skip: jax.Array | None = None,
        norm: Callable[[jax.Array], jax.Array] | None = None,
        placement: Placement = "pre",
    ) -> jax.Array:
        """The sum, as ``scaled_residual``."""
        return scaled_residual(
            block,
            x,
            skip=skip,
            scale=self.scale,
            norm=norm,
            placement=placement,
            learned=self.learned(),
        )


class ScaledResidual(nnx.Module):
    """A module and the sum with its input, by a residual scale.

    Args:
      block: the module, ``block(x) -> y`` of the shape of ``x``.
      kind: of ``residual_scale``.
      depth: number of such modules in the network.
      norm: its norm; ``None``: there is none.
      placement: of the norm.
      param_dtype: type of the learned scalars.

    >>> double = ScaledResidual(lambda x: 2 * x, "skipinit", depth=8)
    >>> double(jnp.ones(1)).tolist(), double.total.multiplier.shape
    ([1.0], ())
    """

    def __init__(
        self,
        block: Callable[..., jax.Array],
        kind: ResidualScale = "1",
        *,
        depth: int,
        norm: Callable[[jax.Array], jax.Array] | None = None,
        placement: Placement = "pre",
        param_dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.block, self.norm = block, norm
        self.placement: Placement = placement
        self.total = ResidualSum(kind, depth=depth, param_dtype=param_dtype)

    def __call__(self, x: jax.Array, *args: Any, **options: Any) -> jax.Array:
        """The sum; further arguments go to the module."""
        run = lambda h: self.block(h, *args, **options)
        return self.total(run, x, norm=self.norm, placement=self.placement)


class TransformerBlock(BatchedLayer):
    """Attention and a perceptron with their norms, pre or post, as an nnx module.

    >>> TransformerBlock(4, heads=2, placement="post", rngs=nnx.Rngs(0)).qkv.shape
    (4, 12)
    """

    make = staticmethod(transformer_block)


class BatchFormer(BatchedLayer):
    """Attention of the examples of a batch to one another, as an nnx module.

    >>> layer = BatchFormer(4, heads=2, rngs=nnx.Rngs(0))
    >>> x, y = jnp.eye(3, 4), jnp.arange(3)
    >>> both, labels = layer.doubled(x, y, rngs=nnx.Rngs(1))
    >>> layer.eval()
    >>> both.shape, labels.shape, layer.doubled(x, y)[0].shape
    ((6, 4), (6,), (3, 4))
    """

    make = staticmethod(batch_former)

    def doubled(
        self, x: jax.Array, labels: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Features before and after with their labels in training, else as given.

        Args:
          x: ``(B, ..., features)``.
          labels: ``(B, ...)``.
          rngs: random streams, for ``dropout``.

        Returns:
          ``(features, labels)``, for a head and a loss that both halves share.
        """
        if self.use_running_average:
            return x, labels
        return with_originals(x, self(x, rngs=rngs), labels)


class Hourglass(BatchedLayer):
    """Perceptron of wide skips and narrow bottlenecks, as an nnx module.

    >>> from flax import nnx
    >>> sizes = {"bottleneck": 2, "depth": 3}
    >>> kernels = nnx.initializers.zeros_init()
    >>> Hourglass(4, **sizes, kernel_init=kernels, rngs=nnx.Rngs(0)).down.shape
    (3, 16, 2)
    """

    make = staticmethod(hourglass)
