"""A convolution on a crossbar, whose devices every position shares."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware.crossbar import Crossbar, crossbar
from jaxopt_lab.diagnostics.hardware.moments import Moments


class ConvCrossbar(NamedTuple):
    """A convolution kernel in pairs of devices.

    Attributes:
      matrix: the kernel as a crossbar, ``(outputs, inputs of a patch)``.
      patches: place of every input of every patch in the flat image, ``(positions,
        inputs of a patch)``; the size of the image for padding.
    """

    matrix: Crossbar
    patches: jax.Array

    def __call__(self, moments: Moments) -> Moments:
        """Moments of the outputs, flat from ``(positions, channels)``."""
        w, r = self.matrix.weight, self.matrix.resistance
        positions, outputs = len(self.patches), len(w)
        size = moments.mean.size
        dense = jnp.zeros((positions, outputs, size + 1), w.dtype)
        rows = jnp.arange(positions)
        for k in range(w.shape[1]):
            dense = dense.at[rows, :, self.patches[:, k]].add(w[:, k][None])
        dense = dense[:, :, :size].reshape(-1, size)
        pair = 2 * (self.matrix.noise / self.matrix.conductance) ** 2
        shared = r**2 * self._second_moments(moments)
        same = jnp.diag(pair)[None, :, None, :] * shared[:, None, :, None]
        covariance = r**2 * (dense @ moments.covariance @ dense.T)
        return Moments(
            r * (dense @ moments.mean), covariance + same.reshape(covariance.shape)
        )

    def power(self, moments: Moments) -> jax.Array:
        """Power of all positions in turn, a scalar."""
        mean = jnp.pad(moments.mean, (0, 1))
        covariance = jnp.pad(moments.covariance, ((0, 1), (0, 1)))

        def one(places: jax.Array) -> jax.Array:
            patch = Moments(mean[places], covariance[places][:, places])
            return self.matrix.power(patch)

        return jnp.sum(jax.lax.map(one, self.patches))

    def _second_moments(self, moments: Moments) -> jax.Array:
        """Sum over the inputs of two patches of their products' means."""
        mean = moments.mean
        second = jnp.pad(
            mean[:, None] * mean[None] + moments.covariance, ((0, 1), (0, 1))
        )

        def add(total: jax.Array, places: jax.Array) -> tuple[jax.Array, None]:
            return total + second[places][:, places], None

        positions = len(self.patches)
        empty = jnp.zeros((positions, positions), mean.dtype)
        return jax.lax.scan(add, empty, self.patches.T)[0]


def crossbar_conv(
    kernel: jax.Array,
    image_shape: tuple[int, int, int],
    *,
    strides: Sequence[int] = (1, 1),
    padding: Any = "SAME",
    **options: Any,
) -> ConvCrossbar:
    r"""Program a convolution kernel into a crossbar that every position uses.

    The noise of a device is the same at all positions of an image, so that with the
    patches :math:`x_p`

    .. math::
        \Gamma'_{cp, c'p'} = (A \Gamma A^\top)_{cp, c'p'} + \delta_{cc'}
            \tfrac{2 \sigma^2}{c_c^2} \sum_k E[x_{pk} x_{p'k}].

    Args:
      kernel: ``(height, width, inputs, outputs)``, as Flax's.
      image_shape: of one input, ``(height, width, channels)``.
      strides: of the window.
      padding: ``"SAME"``, ``"VALID"`` or pairs, as of ``jax.lax``.
      **options: those of ``crossbar``.

    Returns:
      The convolution; called with the moments of a flat image it gives those of the
      flat outputs, ``(height, width, outputs)`` in this order.

    Raises:
      InputError: the shapes do not fit.

    Memory: outputs x inputs numbers of the dense form, and the covariance.

    >>> kernel = jnp.ones((1, 1, 1, 1))
    >>> from jaxopt_lab.diagnostics.hardware.moments import exact
    >>> conv = crossbar_conv(kernel, (1, 2, 1), noise=0.5)
    >>> conv(exact(jnp.array([1.0, 2.0]))).covariance.tolist()
    [[0.5, 1.0], [1.0, 2.0]]

    Source: as of ``crossbar``.
    """
    kernel = jnp.asarray(kernel)
    if kernel.ndim != 4 or kernel.shape[2] != image_shape[-1]:
        raise InputError(
            "crossbar_conv takes a kernel (height, width, inputs, outputs), an image "
            f"of as many channels as inputs; got {kernel.shape} and {image_shape}"
        )
    size = int(np.prod(image_shape))
    # Places of the image, from 1; a patch has 0 where it reaches into the padding.
    places = jnp.arange(1, size + 1, dtype=jnp.float32).reshape(1, *image_shape)
    found = jax.lax.conv_general_dilated_patches(
        places,
        kernel.shape[:2],
        tuple(strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    window = kernel.shape[0] * kernel.shape[1]
    found = jnp.round(found).astype(jnp.int32).reshape(-1, kernel.shape[2], window)
    patches = jnp.swapaxes(found, 1, 2).reshape(len(found), -1)
    patches = jnp.where(patches > 0, patches - 1, size)
    matrix = kernel.reshape(-1, kernel.shape[3]).T
    return ConvCrossbar(crossbar(matrix, **options), patches)
