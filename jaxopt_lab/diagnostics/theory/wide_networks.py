"""Simulated ensembles of random networks, to check the recursion through depth."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.theory.activations import Activation, moments_of


def simulate_kernels(
    key: Array,
    inputs: Array,
    activation: Activation,
    depth: int,
    *,
    width: int,
    networks: int,
    c_w: float,
    c_b: float = 0.0,
) -> Array:
    r"""Kernels of random fully connected networks, layer by layer.

    Args:
      key: typed key of the weights and biases.
      inputs: shape ``(m, n)``, one input a row, float32 or float64.
      activation: a name or a function; see ``activations.moments_of``.
      depth: number of layers, at least 1.
      width: units in every layer, at least 1.
      networks: number of draws, at least 1.
      c_w: weight variance times the fan-in, at least 0.
      c_b: bias variance, at least 0.

    Returns:
      Shape ``(networks, depth, m, m)``: means over the units of one network of
      :math:`z_a z_b`, z being the pre-activations of a layer. Networks are drawn one
      after the other; memory is that of one.

    Raises:
      InputError: ``inputs`` is no matrix, unknown activation, negative variance, or a
        whole number below 1.

    >>> x = jnp.ones((2, 8))
    >>> simulate_kernels(
    ...     jax.random.key(0), x, "relu", 3, width=16, networks=5, c_w=2.0
    ... ).shape
    (5, 3, 2, 2)
    """
    check_non_negative("c_w", c_w)
    check_non_negative("c_b", c_b)
    for name, value in (("depth", depth), ("width", width), ("networks", networks)):
        check_positive_count(name, value)
    if inputs.ndim != 2:
        raise InputError(f"inputs must have shape (m, n); got {inputs.shape}")
    function = moments_of(activation).function
    # Uses the library's initialisers, which are thereby checked too.
    kernel_init = jax.nn.initializers.variance_scaling(c_w, "fan_in", "normal")
    bias_init = jax.nn.initializers.normal(c_b**0.5)

    def layer(key: Array, x: Array) -> Array:
        kernel_key, bias_key = jax.random.split(key)
        kernel = kernel_init(kernel_key, (x.shape[1], width), x.dtype)
        bias = bias_init(bias_key, (1, width), x.dtype)
        return _product(x, kernel) + bias

    def one(key: Array) -> Array:
        keys = jax.random.split(key, depth)
        first = layer(keys[0], inputs)

        def step(z: Array, key: Array) -> tuple[Array, Array]:
            return layer(key, function(z)), _product(z, z.T) / width

        last, before = jax.lax.scan(step, first, keys[1:])
        final = _product(last, last.T) / width
        return jnp.concatenate([before, final[None]])

    return jax.lax.map(one, jax.random.split(key, networks))


def _product(a: Array, b: Array) -> Array:
    # The default matmul precision of accelerators rounds the factors to fewer bits.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
