"""Dense layer that keeps codes of its input for the backward pass."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, check_arguments, takes
from jaxopt_lab.layers.memory_saving.compressed_input import compressed_layer
from jaxopt_lab.layers.memory_saving.dense import KernelInit, dense, first_dense
from jaxopt_lab.layers.memory_saving.residual_codes import Compression


@takes(Compression)
def mesa_dense(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
    **options: Any,
) -> Functional:
    r"""Dense layer whose backward pass restores its input from 8-bit codes.

    Output and the gradients with respect to input and bias are exact; that of the
    kernel is :math:`\hat X^\top G` with the input that the codes stand for
    (``mesa_gelu``), without bias where the rounding is stochastic and no input leaves
    the running range.

    Args:
      features: size of the last axis of the input.
      out: size of the last axis of the output; ``None``: as the input.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.
      **options: of the compression.

    Returns:
      ``init(key) -> ({"kernel", "bias"}, {"range", "low", "started"})`` and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``, as ``mesa_gelu``. Kept for the gradient: 1 byte a number of the input
      (autodiff keeps 4). First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit,
        there is no key to round with, or a gradient is differentiated.

    Deviations: the released code clamps from below only (``mesa_gelu``).

    Source: Pan et al., "Mesa: A Memory-saving Training Framework for Transformers",
    2021 (https://arxiv.org/abs/2111.11124). Code read: ziplab/Mesa.

    >>> import jax
    >>> layer = mesa_dense(2, out=1, kernel_init=jax.nn.initializers.ones,
    ...                    rounding="nearest")
    >>> params, state = layer.init(jax.random.key(0))
    >>> x = jnp.array([[0.0, 51.0], [102.0, 255.0]])
    >>> run = lambda p: jnp.sum(layer.apply(p, state, x, train=True)[0])
    >>> jax.jit(jax.grad(run))(params)["kernel"].round().tolist()
    [[102.0], [306.0]]
    """
    compression = Compression(**options)
    given = {"features": features, "out": out, "use_bias": use_bias}
    check_arguments(mesa_dense, given)
    first = first_dense(
        "mesa_dense",
        features,
        features if out is None else out,
        use_bias=use_bias,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )
    return compressed_layer("mesa_dense", features, dense, first, compression)
