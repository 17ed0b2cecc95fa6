"""Random offsets at the strided convolutions of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, STATIC, check_arguments
from jaxopt_lab.core.shifted_window import shifted_window
from jaxopt_lab.quantize.kernel_products import run_watched


def swinging(
    apply: Callable[..., Any], *, reach: Annotated[int, COUNT, STATIC] = 1
) -> Callable[..., Any]:
    """Make a network whose strided convolutions are swing convolutions.

    The network is a function, of flax or of anything else: its program is run operation
    by operation, and the input of every convolution with a stride is a window of its
    reflection, as of ``layers.swing_conv``.

    Args:
      apply: ``apply(params, *others)``.
      reach: positions by which a window moves at most.

    Returns:
      ``function(key, params, *others)``, with one offset for each convolution, drawn
      by the key. Convolutions inside of ``scan``, ``jax.checkpoint`` and functions with
      a derivative of their own stay as they are.

    Raises:
      InputError: from the returned function, there is no such convolution, or an image
        is too small.

    >>> import jax.numpy as jnp
    >>> def pool(params, x):
    ...     return jax.lax.conv_general_dilated(
    ...         x, params, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> swinging(pool)(jax.random.key(0), jnp.ones((1, 1, 1, 1)), x).shape
    (1, 2, 2, 1)
    """
    check_arguments(swinging, locals())

    def swung(key: jax.Array, params: Any, *others: Any) -> Any:
        count = 0

        def window(eqn: Any, values: Any, kernels: Any) -> Any:
            nonlocal count
            if eqn.primitive.name != "conv_general_dilated" or all(
                stride == 1 for stride in eqn.params["window_strides"]
            ):
                return None
            axes = eqn.params["dimension_numbers"].lhs_spec[2:]
            own = jax.random.fold_in(key, count)
            count += 1
            shift = jax.random.randint(own, (len(axes),), 0, 2 * reach + 1)
            images = shifted_window(values[0], shift, axes, reach)
            return eqn.primitive.bind(images, values[1], **eqn.params)

        outputs = run_watched(apply, (), params, others, window)
        if not count:
            raise InputError(
                "the network has no convolution with a stride that is reached: there "
                "is nothing to swing"
            )
        return outputs

    return swung
