"""Weight standardization: kernels of mean zero and variance one for each output."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.statistics import batch_statistics
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.conv.transformed_conv import (
    ConvShape,
    KernelInit,
    KernelTransform,
    transformed_conv,
)

EpsPlace = Literal["variance", "deviation"]


def weight_standardization(
    *,
    ddof: Annotated[int, COUNT_OR_ZERO] = 1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    eps_place: EpsPlace = "variance",
    gain: bool = False,
    gamma: Annotated[float, POSITIVE, STATIC] = 1.0,
) -> KernelTransform:
    r"""The transform of a kernel to mean zero and variance one for each output.

    .. math:: \hat w = \frac{w - \mu}{D}, \quad D = \sqrt{\sigma^2 + \epsilon}
        \; \text{ or } \; \sigma + \epsilon,

    over the inputs and positions of the kernel, and with a gain :math:`a` for each
    output :math:`\hat w = a \gamma (w - \mu) / (D \sqrt n)`, n the number of weights.

    Args:
      ddof: of the variance, 1 as in the authors' code or 0 as in timm and NF-ResNet.
      eps: :math:`\epsilon`, above 0.
      eps_place: ``"variance"``, under the root; ``"deviation"``, behind it. A constant
        filter gives 0 at both, and gradients ``eps ** -0.5`` or ``1 / eps`` times as
        large as those of the output: 316 or 100000 times at 1e-5.
      gain: scaled weight standardization: a parameter ``"gain"`` of each output, 1 at
        first, and the division by the root of n.
      gamma: :math:`\gamma`, with a gain: the inverse of the deviation behind the
        activation, 1.7 for ReLU.

    Returns:
      The transform. Statistics in two passes, float32 (float64 for float64); the
      gradient flows through them, differentiable to any order at constant filters too.
      Four arrays of the size of the kernel are kept.

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and
    Weight Standardization", 2019 (https://arxiv.org/abs/1903.10520).

    >>> transform = weight_standardization()
    >>> kernel = jnp.array([[[[1.0], [3.0]]]])
    >>> [round(float(w), 3) for w in transform.apply({}, kernel).ravel()]
    [-0.707, 0.707]
    """
    check_arguments(weight_standardization, locals())

    def init(shape: tuple[int, ...], dtype: DTypeLike) -> dict[str, jax.Array]:
        return {"gain": jnp.ones(shape[-1], dtype)} if gain else {}

    def apply(params: dict[str, jax.Array], kernel: jax.Array) -> jax.Array:
        wide = accumulation_dtype(kernel.dtype)
        inputs = tuple(range(kernel.ndim - 1))
        w = kernel.astype(wide)
        found = batch_statistics(w, inputs, ddof=ddof)
        small = jnp.asarray(eps, wide)
        if eps_place == "variance":
            by = jax.lax.rsqrt(found.var + small)
        else:
            constant = found.var <= 0  # where the root has no derivative
            deviation = jnp.sqrt(jnp.where(constant, 1, found.var))
            by = 1 / (jnp.where(constant, 0, deviation) + small)
        if gain:
            count = math.prod(kernel.shape[:-1])
            scale = params["gain"].astype(wide) * jnp.asarray(gamma / count**0.5, wide)
            by = by * scale.reshape((1,) * (kernel.ndim - 1) + scale.shape)
        return ((w - found.mean) * by).astype(kernel.dtype)

    return KernelTransform(init, apply)


def ws_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    size: Annotated[int, COUNT] = 3,
    stride: Annotated[int, COUNT] = 1,
    padding: Annotated[int | None, COUNT_OR_ZERO] = None,
    groups: Annotated[int, COUNT] = 1,
    standardize: bool = True,
    ddof: Annotated[int, COUNT_OR_ZERO] = 1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    eps_place: EpsPlace = "variance",
    gain: bool = False,
    gamma: Annotated[float, POSITIVE, STATIC] = 1.0,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Convolution with weight standardization.

    The kernel has mean zero and variance one for each output,

    .. math:: y = x * \hat w + b, \quad \hat w = \frac{w - \mu}{\sqrt{\sigma^2 +
        \epsilon}},

    which loses nothing where a normalization follows. The loss depends neither on the
    scale nor on the mean of a filter: an optimizer that knows scale-invariant
    parameters (AdamP, SGDP, NaP) fits, and no weight decay on a gain.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      size: sides of the kernel.
      stride: of the positions of the output.
      padding: zeros at each edge; ``None``: the size is kept, divided by the stride
        (for a stride of 2 torch's ``padding=1`` differs by one position).
      groups: of channels that do not see each other; divides both numbers.
      standardize: False: a plain convolution.
      ddof: as of ``weight_standardization``.
      eps: as of ``weight_standardization``.
      eps_place: as of ``weight_standardization``.
      gain: as of ``weight_standardization``.
      gamma: as of ``weight_standardization``.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters, in which the kernel is standardized.

    Returns:
      ``init(key) -> ({"kernel"[, "bias"][, "gain"]}, {})`` and ``apply(params, state,
      x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is
      ``(B, height, width, features)`` of any floating type, ``y`` has its type.
      ``mask``, of the first axes of ``x``, is 0 for padding, which is seen as 0 and
      gives 0. No state; training and evaluation are the same. Kept for the gradient:
      the input, and four arrays of the size of the kernel.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide the channels;
        at the call, ``x`` does not fit.

    Forms in circulation: the authors' last code (default); their first one
    (``eps_place="deviation"``; there a constant filter has no defined gradient, here it
    is that of torch); timm (``ddof=0, eps=1e-6``); NF-ResNet (also ``gain=True``).

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and
    Weight Standardization", 2019 (https://arxiv.org/abs/1903.10520). Code read:
    joe-siyuan-qiao/Batch-Channel-Normalization, huggingface/pytorch-image-models.

    >>> layer = ws_conv(1, size=1, out=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> y, _ = layer.apply(params, state, jnp.ones((1, 2, 2, 1)), train=True)
    >>> y.shape, float(jnp.max(jnp.abs(y)))  # one weight a filter: it is its own mean
    ((1, 2, 2, 2), 0.0)
    """
    check_arguments(ws_conv, locals())
    options: dict[str, Any] = {"ddof": ddof, "eps": eps, "eps_place": eps_place}
    transform = weight_standardization(**options, gain=gain, gamma=gamma)
    return transformed_conv(
        "ws_conv",
        features,
        ConvShape(features if out is None else out, size, stride, padding, groups),
        transform if standardize else None,
        use_bias=use_bias,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )
