"""Genie's generator as a flax nnx module; importing this loads flax."""

from __future__ import annotations

import jax
from flax import nnx

from jaxopt_lab.quantize.generated_inputs import generate_images, init_generator


class ImageGenerator(nnx.Module):
    """Images from latent vectors, as an nnx module.

    Its parameters are those of ``init_generator``, as attributes of the same names.
    ``training.from_nnx`` makes it a ``generator=`` of ``distill_with_generator``.

    Args:
      shape: ``(height, width, channels)`` of an image, sides divisible by 4.
      latent: numbers of a latent vector.
      width: channels of the first map, an even number.
      rngs: the module's random streams.

    Raises:
      InputError: the shape is none of such images, or ``width`` is odd.

    >>> module = ImageGenerator((8, 8, 3), latent=5, width=4, rngs=nnx.Rngs(0))
    >>> jax.eval_shape(module, jax.numpy.ones((2, 5))).shape
    (2, 8, 8, 3)

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 256,
        width: int = 128,
        rngs: nnx.Rngs,
    ) -> None:
        self.shape = tuple(shape)
        whole = (1, *self.shape)
        params = init_generator(rngs.params(), whole, latent=latent, width=width)
        for name, value in params.items():
            setattr(self, name, nnx.Param(value))
        self.names = tuple(params)

    def __call__(self, latents: jax.Array) -> jax.Array:
        """The images of a batch.

        Args:
          latents: ``(examples, latent)``.

        Returns:
          ``(examples, height, width, channels)``, mean 0 and deviation 1 in each
          channel over the batch.
        """
        params = {name: getattr(self, name).get_value() for name in self.names}
        return generate_images(params, latents, (len(latents), *self.shape))
