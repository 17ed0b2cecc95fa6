"""Curvature of one batch times a vector.

Each class is a description that hashes by its functions: the programs compiled for it
are reused when the same functions are used at the next point of a training run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, PyTree
from jaxopt_lab.curvature.operators.blocks import Point

Weights = Callable[[Batch], Array] | None
Likelihood = Literal["categorical", "normal"]


class Product(Protocol):
    """Curvature of a batch at a point."""

    def __call__(self, point: Point, batch: Batch, v: PyTree) -> PyTree:
        """The mean over the batch's examples of their curvature, times ``v``."""
        ...

    def weight(self, batch: Batch) -> Array:
        """Weight of the batch in the mean over batches: a scalar."""
        ...


def weights_of(example_weights: Weights, batch: Batch) -> Array:
    """The weight of every example of a batch.

    Args:
      example_weights: function of the batch, or None for ones.
      batch: tree of arrays with a common leading axis.

    Returns:
      A floating array with one entry for each example.

    Raises:
      InputError: without ``example_weights``, the leaves share no leading axis.
    """
    if example_weights is not None:
        weights = jnp.asarray(example_weights(batch))
        return weights.astype(trees.accumulation_dtype(weights.dtype))
    sizes = {jnp.shape(x)[:1] for x in jax.tree.leaves(batch)}
    if len(sizes) != 1 or () in sizes:
        raise InputError(
            "the leaves of a batch must share their leading axis, the examples, or "
            f"give example_weights=; got leading axes {sorted(sizes)}"
        )
    return jnp.ones(sizes.pop(), jnp.float32)


@dataclasses.dataclass(frozen=True)
class _Weighted:
    example_weights: Weights

    def weight(self, batch: Batch) -> Array:
        """Sum of the examples' weights."""
        return jnp.sum(weights_of(self.example_weights, batch))


@dataclasses.dataclass(frozen=True)
class HessianProduct(_Weighted):
    """Forward-over-reverse: ``jvp(grad L, w, v)``."""

    loss_fn: Callable[[Any, Batch], Array]

    def _grad(self, point: Point, batch: Batch) -> Callable[[PyTree], PyTree]:
        def loss(free: PyTree) -> Array:
            value = self.loss_fn(point.merge(free), batch)
            if jnp.shape(value) != ():
                raise InputError(
                    "the loss must be a scalar, a mean over the examples; got shape "
                    f"{jnp.shape(value)}"
                )
            return value

        return jax.grad(loss)

    def __call__(self, point: Point, batch: Batch, v: PyTree) -> PyTree:
        """Hessian of the batch's loss, times ``v``."""
        return jax.jvp(self._grad(point, batch), (point.free,), (v,))[1]

    def linear(self, point: Point, batch: Batch) -> Callable[[PyTree], PyTree]:
        """The same product with everything independent of ``v`` computed in advance."""
        return jax.linearize(self._grad(point, batch), point.free)[1]


@dataclasses.dataclass(frozen=True)
class GgnProduct(_Weighted):
    """``J^T (d2 loss / d outputs2) J v``."""

    model_fn: Callable[[Any, Batch], PyTree]
    output_loss_fn: Callable[[PyTree, Batch], Array]

    def __call__(self, point: Point, batch: Batch, v: PyTree) -> PyTree:
        """Gauss-Newton matrix of the batch, times ``v``."""

        def model(free: PyTree) -> PyTree:
            return self.model_fn(point.merge(free), batch)

        def output_gradient(outputs: PyTree) -> PyTree:
            return jax.grad(self.output_loss_fn)(outputs, batch)

        outputs, tangent = jax.jvp(model, (point.free,), (v,))
        curved = jax.jvp(output_gradient, (outputs,), (tangent,))[1]
        # The forward pass of the vjp is the primal of the jvp: XLA merges the two
        # (CSE).
        return jax.vjp(model, point.free)[1](curved)[0]


@dataclasses.dataclass(frozen=True)
class EmpiricalFisherProduct(_Weighted):
    """``mean_i g_i <g_i, v>`` with the gradients of the examples' own losses."""

    example_losses: Callable[[Any, Batch], Array]

    def __call__(self, point: Point, batch: Batch, v: PyTree) -> PyTree:
        """Second moment of the examples' gradients, times ``v``."""

        def losses(free: PyTree) -> Array:
            return self.example_losses(point.merge(free), batch)

        values, slopes = jax.jvp(losses, (point.free,), (v,))
        weights = weights_of(self.example_weights, batch)
        if values.shape != weights.shape or not values.shape:
            raise InputError(
                "example_losses must give one loss for each example, "
                f"{weights.shape}; got shape {values.shape}"
            )
        share = _shares(weights, values.dtype)
        return jax.vjp(losses, point.free)[1](share * slopes)[0]


@dataclasses.dataclass(frozen=True)
class FisherProduct(_Weighted):
    """The same with labels drawn from the model; a batch is ``(batch, key)``."""

    model_fn: Callable[[Any, Batch], Array]
    likelihood: Likelihood
    num_samples: int

    def weight(self, batch: tuple[Batch, Array]) -> Array:
        """Sum of the examples' weights."""
        return super().weight(batch[0])

    def __call__(self, point: Point, batch: tuple[Batch, Array], v: PyTree) -> PyTree:
        """Fisher information of the batch, estimated, times ``v``."""
        examples, key = batch

        def model(free: PyTree) -> Array:
            return self.model_fn(point.merge(free), examples)

        outputs, tangent = jax.jvp(model, (point.free,), (v,))
        weights = weights_of(self.example_weights, examples)
        if outputs.shape[:-1] != weights.shape:
            raise InputError(
                "model_fn must give outputs of shape (examples, outputs) with "
                f"examples = {weights.shape}; got {outputs.shape}"
            )
        scores = self._scores(outputs, key)
        along = jnp.sum(scores * tangent[None], axis=-1, keepdims=True)
        share = _shares(weights, outputs.dtype)[..., None]
        curved = share * jnp.mean(scores * along, axis=0)
        return jax.vjp(model, point.free)[1](curved)[0]

    def _scores(self, outputs: Array, key: Array) -> Array:
        """Gradients of -log p(label | outputs) for drawn labels, one a sample."""
        shape = (self.num_samples, *outputs.shape)
        if self.likelihood == "normal":
            return jax.random.normal(key, shape, outputs.dtype)
        labels = jax.random.categorical(key, outputs, shape=shape[:-1])
        drawn = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
        return jax.nn.softmax(outputs)[None] - drawn


def _shares(weights: Array, dtype: Any) -> Array:
    # Computed in the dtype of the values: a weight rounded to float32 would be the
    # largest error of a product in float64.
    wide = weights.astype(trees.accumulation_dtype(dtype))
    return trees.safe_divide(wide, jnp.sum(wide)).astype(dtype)
