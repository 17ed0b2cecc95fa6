"""MemSE: the error of a network on noisy crossbars, without sampling."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.diagnostics.hardware.crossbar import Crossbar
from jaxopt_lab.diagnostics.hardware.crossbar_conv import ConvCrossbar
from jaxopt_lab.diagnostics.hardware.moments import Moments, exact

Layer = Callable[[Moments], Moments]


class NoisyOutputs(NamedTuple):
    """The prediction for one example, or for many along a first axis.

    Attributes:
      error: expected squared error of every output, ``(outputs,)``.
      mean: mean of every output.
      covariance: of the outputs, ``(outputs, outputs)``.
      power: of all crossbars, a scalar.
    """

    error: jax.Array
    mean: jax.Array
    covariance: jax.Array
    power: jax.Array


def memse(layers: Sequence[Layer], x: jax.Array, target: jax.Array) -> NoisyOutputs:
    r"""Expected squared error of a network whose weights are noisy.

    .. math:: \mathrm{MSE}_i = (\mu_i - t_i)^2 + \Gamma_{ii}

    with the moments of the outputs, carried from layer to layer. Exact for linear
    networks; the activations take their inputs for Gaussian (ReLU) or for little noise
    (softplus).

    Args:
      layers: crossbars, ``relu_moments``, ``softplus_moments`` and other functions of
        moments, in their order.
      x: inputs, ``(examples, ...)``.
      target: outputs of the network without noise and rounding, ``(examples,
        outputs)``.

    Returns:
      The prediction, with a first axis of examples.

    Memory: the square of the widest layer for each example. Differentiable with respect
    to the conductances, so that an optax chain can lower the error.

    >>> from jaxopt_lab.diagnostics.hardware import crossbar, relu_moments
    >>> weight = jnp.array([[1.0, -0.5]])
    >>> x = jnp.array([[1.0, 1.0]])
    >>> found = memse([crossbar(weight, noise=0.1), relu_moments], x, x @ weight.T)
    >>> round(float(found.error[0, 0]), 3)
    0.04

    Source: as of ``crossbar``.
    """

    def one(x: jax.Array, target: jax.Array) -> NoisyOutputs:
        moments = exact(x)
        power = jnp.zeros((), moments.mean.dtype)
        for layer in layers:
            if isinstance(layer, Crossbar | ConvCrossbar):
                power = power + layer.power(moments)
            moments = layer(moments)
        error = (moments.mean - target.reshape(-1)) ** 2 + moments.variance
        return NoisyOutputs(error, *moments, power)

    return jax.vmap(one)(x, target)
