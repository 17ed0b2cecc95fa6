"""The lab's residual networks as planned models."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import TrainLossFn
from jaxopt_lab.lab.models import resnet
from jaxopt_lab.lab.models.configs import ResNetConfig
from jaxopt_lab.lab.models.sharding import RESIDUAL
from jaxopt_lab.lab.plan import transformer_layer
from jaxopt_lab.lab.plan.planned_model import Layer, image_batch
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import from_nnx
from jaxopt_lab.training.sharding_rules import Rules


@dataclasses.dataclass(frozen=True)
class ResidualNetwork:
    """A classifier of images; see ``PlannedModel`` for its methods.

    Attributes:
      name: its name in ``jaxopt_lab.lab.models``.
      config: its configuration.
      side: side of an image in pixels, at least that of a 7x7 stem (64).
      classes: number of classes.
    """

    name: str
    config: ResNetConfig
    side: int
    classes: int

    @property
    def example(self) -> str:
        """See ``PlannedModel``."""
        return f"{self.side} x {self.side} pixels"

    def _functional(self, dtype: Any) -> Any:
        config = dataclasses.replace(self.config, dtype=jnp.dtype(dtype).name)
        return from_nnx(resnet.build(config, (self.side, self.side, 3), self.classes))

    def init(self) -> tuple[Any, Any]:
        """See ``PlannedModel``."""
        return jax.eval_shape(self._functional(jnp.float32).init, jax.random.key(0))

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """See ``PlannedModel``."""
        return image_batch(size, self.side)

    def rules(self) -> Rules:
        """See ``PlannedModel``."""
        return RESIDUAL

    def loss_fn(self, dtype: Any = jnp.bfloat16, gathered: Any = None) -> TrainLossFn:
        """Mean cross-entropy of the classes, in float32, statistics of the batch."""
        loss = losses.classification_loss(self._functional(dtype))

        def placed(params: Any, *rest: Any) -> Any:
            return loss(transformer_layer.held(params, gathered), *rest)

        return placed

    def logits(self, size: int) -> int:
        """See ``PlannedModel``."""
        return size * self.classes

    def layer_of(self, size: int) -> tuple[Layer, jax.ShapeDtypeStruct] | None:
        """See ``PlannedModel``: all is kept."""
        return None

    def hand_flops(self, size: int) -> float:
        """See ``PlannedModel``.

        The three products of a convolution (forward, gradients of its input and of its
        kernel) pair the same pixels and taps of the kernel, those in the padding left
        out; nobody needs the gradient of the image.
        """
        config, channels = self.config, 3
        side = self.side // 2
        stem = _taps(self.side, 7, 2) ** 2 * channels * config.width
        total, channels = 2 * 2 * stem, config.width
        side = -(-side // 2)
        for stage, count in enumerate(config.blocks):
            for index in range(count):
                stride = 2 if stage and not index else 1
                out = config.width * 2**stage
                plan = (
                    [(out, 1, 1), (out, 3, stride), (4 * out, 1, 1)]
                    if config.bottleneck
                    else [(out, 3, stride), (out, 3, 1)]
                )
                last, at = channels, side
                for features, size_, step in plan:
                    total += 6 * _taps(at, size_, step) ** 2 * last * features
                    last, at = features, -(-at // step)
                if stride != 1 or channels != last:
                    total += 6 * _taps(side, 1, stride) ** 2 * channels * last
                channels, side = last, at
        return float(size * (total + 6 * channels * self.classes))


def _taps(side: int, size: int, stride: int) -> int:
    """Pairs of output and tap along an axis whose input is not in the padding."""
    out = -(-side // stride)
    before = max((out - 1) * stride + size - side, 0) // 2
    return sum(
        0 <= i * stride + tap - before < side for i in range(out) for tap in range(size)
    )
