"""Genie's distilled data: inputs from a generator that is trained with its latents."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, POSITIVE, SHARE, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.batch_statistics import batch_statistics_loss
from jaxopt_lab.quantize.distilled_inputs import (
    DistilledInputs,
    Observe,
    check_layers,
    lowered_rate,
)
from jaxopt_lab.quantize.swinging import swinging

_EPS = 1e-5
_SLOPE = 0.2
_EVERY = 100


def init_generator(
    key: jax.Array,
    shape: tuple[int, ...],
    *,
    latent: Annotated[int, COUNT] = 256,
    width: Annotated[int, COUNT] = 128,
) -> dict[str, jax.Array]:
    """Parameters of ``generate_images``.

    Args:
      key: of the draws.
      shape: ``(examples, height, width, channels)``, sides divisible by 4.
      latent: numbers of a latent vector.
      width: channels of the first map, an even number.

    Returns:
      Kernels and biases, uniform within the root of the inverse number of inputs, and
      scales and offsets of two normalizations.

    Raises:
      InputError: the shape is none of such images, or ``width`` is odd.

    >>> params = init_generator(jax.random.key(0), (2, 8, 8, 3), latent=5, width=4)
    >>> params["dense"].shape, params["conv1"].shape, params["conv2"].shape
    ((5, 16), (3, 3, 4, 2), (3, 3, 2, 3))
    """
    check_arguments(init_generator, locals())
    if len(shape) != 4 or shape[1] % 4 or shape[2] % 4 or not all(shape) or width % 2:
        raise InputError(
            "the generator makes images (examples, height, width, channels) with sides "
            f"divisible by 4, by an even width; got {tuple(shape)}, width={width}"
        )
    places = shape[1] // 4 * (shape[2] // 4)
    sizes = {
        "dense": (latent, width * places),
        "conv1": (3, 3, width, width // 2),
        "conv2": (3, 3, width // 2, shape[3]),
    }
    params: dict[str, jax.Array] = {}
    for name, size in sizes.items():
        key, one, two = jax.random.split(key, 3)
        bound = 1 / math.sqrt(math.prod(size[:-1]))
        draw = functools.partial(jax.random.uniform, minval=-bound, maxval=bound)
        params[name] = draw(one, size)
        params[f"{name}_bias"] = draw(two, size[-1:])
    for name, channels in (("norm0", width), ("norm1", width // 2)):
        params[f"{name}_scale"] = jnp.ones(channels)
        params[f"{name}_bias"] = jnp.zeros(channels)
    return params


def generate_images(
    params: dict[str, jax.Array], latents: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """The images of a batch of latent vectors.

    A dense layer, normalization, twice the size; convolution, normalization, leaky
    ReLU, twice the size; convolution, tanh, normalization without scale and offset. The
    normalizations take the statistics of the batch.

    Args:
      params: of ``init_generator``.
      latents: ``(examples, latent)``.
      shape: of the images.

    Returns:
      The images; mean 0 and deviation 1 in each channel.

    >>> shape = (3, 4, 4, 1)
    >>> params = init_generator(jax.random.key(0), shape, latent=2, width=2)
    >>> x = generate_images(params, jnp.eye(3, 2), shape)
    >>> x.shape, bool(jnp.abs(jnp.mean(x)) < 1e-5)
    ((3, 4, 4, 1), True)
    """
    height, width = shape[1] // 4, shape[2] // 4
    y = latents @ params["dense"] + params["dense_bias"][None]
    y = y.reshape(len(latents), height, width, -1)
    y = _twice(_affine(params, "norm0", _normalized(y)))
    y = _affine(params, "norm1", _normalized(_conv(params, "conv1", y)))
    y = _twice(jnp.where(y >= 0, y, jnp.asarray(_SLOPE, y.dtype) * y))
    return _normalized(jnp.tanh(_conv(params, "conv2", y)))


def image_generator(
    shape: tuple[int, ...],
    *,
    latent: Annotated[int, COUNT] = 256,
    width: Annotated[int, COUNT] = 128,
) -> Functional:
    """Genie's generator as a model without state.

    Args:
      shape: of the images.
      latent: as of ``init_generator``.
      width: as of ``init_generator``.

    Returns:
      ``init(key)`` is ``init_generator``, ``apply(params, state, latents, *, train)``
      is ``generate_images``, in both modes by the statistics of the batch.

    >>> model = image_generator((2, 8, 8, 3), latent=5, width=4)
    >>> run = lambda z: model.apply(*model.init(jax.random.key(0)), z, train=True)[0]
    >>> jax.eval_shape(run, jnp.ones((2, 5))).shape
    (2, 8, 8, 3)
    """
    check_arguments(image_generator, locals())

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], dict[str, Any]]:
        return init_generator(key, shape, latent=latent, width=width), {}

    def apply(
        params: dict[str, jax.Array],
        state: dict[str, Any],
        x: jax.Array,
        **mode: Any,
    ) -> tuple[jax.Array, dict[str, Any]]:
        del mode
        return generate_images(params, x, (len(x), *shape[1:])), state

    return Functional(init, apply)


def distill_with_generator(
    key: jax.Array,
    observe: Observe,
    params: Params,
    shape: tuple[int, ...],
    *,
    steps: Annotated[int, COUNT] = 4000,
    latent: Annotated[int, COUNT] = 256,
    width: Annotated[int, COUNT] = 128,
    latent_rate: Annotated[float, POSITIVE] = 0.1,
    generator_rate: Annotated[float, POSITIVE] = 0.01,
    decay: Annotated[float, SHARE] = 0.95,
    patience: Annotated[int, COUNT] = 100,
    swing: bool = True,
    generator: Functional | None = None,
) -> DistilledInputs:
    r"""Minimize ``batch_statistics_loss`` over a generator and its latent vectors.

    Both move by Adam: the rate of the latents falls to a tenth, not below 1e-4, after
    more than ``patience`` steps without progress, that of the generator by ``decay``
    every 100 steps. Statistics are those of the batch; strided convolutions swing. Each
    batch has a generator of its own.

    Args:
      key: of the start and the offsets.
      observe: ``observe(params, inputs) -> layers``, as of ``distill_inputs``.
      params: parameters and running statistics.
      shape: of the images, ``(examples, height, width, channels)``; 128 examples in the
        paper.
      steps: number of steps.
      latent: as of ``init_generator``.
      width: as of ``init_generator``.
      latent_rate: of the latents at the start.
      generator_rate: of the generator at the start.
      decay: of the generator's rate.
      patience: steps without progress that do not lower the latents' rate.
      swing: random offsets at strided convolutions; there must be one.
      generator: of the images, from ``(examples, latent)``, such as
        ``training.from_nnx`` of a module of one's own or of
        ``quantize.modules.ImageGenerator``; ``None``: the paper's, of ``width``.

    Returns:
      The images after the last step, losses and rates of the latents.

    Raises:
      InputError: as of ``distill_inputs`` and ``init_generator``; no strided
        convolution to swing.

    The rates follow the code, which gives each the one that it names for the other. It
    runs a step at a time outside of ``jit``, since a scan of convolutions is slow on
    CPUs, and as one scan inside. Memory: that of the network's gradient.

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780. Code followed: SamsungLabs/Genie.

    >>> from jaxopt_lab.quantize import Normalized
    >>> def observe(params, x):
    ...     return [Normalized(x @ params, jnp.full(1, 2.0), jnp.full(1, 4.0))]
    >>> found = distill_with_generator(
    ...     jax.random.key(0), observe, jnp.ones((2, 1)), (4, 4, 4, 2), steps=30,
    ...     latent=4, width=4, swing=False,
    ... )
    >>> bool(found.losses[-1] < found.losses[0])
    True
    """
    given = dict(locals())
    given.pop("generator")
    check_arguments(distill_with_generator, given)
    whole = jax.ShapeDtypeStruct(tuple(shape), jnp.result_type(float))
    check_layers(jax.eval_shape(observe, params, whole))
    seed, start, own, offsets = jax.random.split(key, 4)
    del seed
    made = generator or image_generator(shape, latent=latent, width=width)
    weights, inner = made.init(own)
    latents = jax.random.normal(start, (shape[0], latent))
    adam = optax.scale_by_adam()
    swung = swinging(observe) if swing else lambda _, *given: observe(*given)

    def images(moved: Any, inner: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        return made.apply(moved[0], inner, moved[1], train=True, key=key)

    def loss(
        moved: Any, inner: Any, key: jax.Array, params: Params
    ) -> tuple[jax.Array, Any]:
        x, inner = images(moved, inner, jax.random.fold_in(key, 1))
        layers = swung(key, params, x)
        return batch_statistics_loss(x, layers, statistics="batch"), inner

    def step(carry: tuple, number: jax.Array, params: Params) -> tuple[tuple, tuple]:
        moved, inner, state, plateau = carry
        own = jax.random.fold_in(offsets, number)
        slopes = jax.value_and_grad(loss, has_aux=True)
        (value, inner), slope = slopes(moved, inner, own, params)
        updated: Any = adam.update(slope, state, moved)
        direction, state = updated
        rate = plateau[0]
        falling = generator_rate * jnp.asarray(decay, rate.dtype) ** (number // _EVERY)
        rates = (jnp.asarray(falling, rate.dtype), rate)
        moved = tuple(
            jax.tree.map(lambda x, d, r=r: x - r.astype(x.dtype) * d, *pair)
            for r, *pair in zip(rates, moved, direction, strict=True)
        )
        plateau = lowered_rate(plateau, value, jnp.asarray(patience))
        return (moved, inner, state, plateau), (value, rate)

    moved = (weights, latents)
    got = jax.eval_shape(images, moved, inner, offsets)[0].shape
    if got != tuple(shape):
        raise InputError(f"generator must make images {tuple(shape)}; got {got}")
    kind = jax.eval_shape(loss, moved, inner, offsets, params)[0].dtype
    plateau = (
        jnp.asarray(latent_rate, kind),
        jnp.asarray(jnp.inf, kind),
        jnp.zeros((), jnp.int32),
    )
    carry = moved, inner, adam.init(moved), plateau
    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves((key, params)))
    if traced:
        one = lambda carry, number: step(carry, number, params)
        carry, (losses, rates) = jax.lax.scan(one, carry, jnp.arange(steps))
    else:
        jitted = jax.jit(step, donate_argnums=0)
        told = []
        for number in range(steps):
            carry, values = jitted(carry, jnp.asarray(number, jnp.int32), params)
            told.append(values)
        losses, rates = (jnp.stack(column) for column in zip(*told, strict=True))
    last = jax.jit(images)(*carry[:2], offsets)[0]
    found = DistilledInputs(last, losses, rates)
    values = known_values(losses)
    if values is not None and not np.isfinite(values).all():
        raise InputError(
            f"the loss is not finite before step {int(np.argmin(np.isfinite(values)))}"
            ": running statistics hold NaN, inf or a negative variance, or a rate is "
            "too high"
        )
    return found


def _normalized(y: jax.Array) -> jax.Array:
    axes = tuple(range(y.ndim - 1))
    mean = jnp.mean(y, axis=axes, keepdims=True)
    variance = jnp.mean((y - mean) ** 2, axis=axes, keepdims=True)
    return (y - mean) * jax.lax.rsqrt(variance + jnp.asarray(_EPS, y.dtype))


def _affine(params: dict[str, jax.Array], name: str, y: jax.Array) -> jax.Array:
    scale, offset = (params[f"{name}_{n}"][None, None, None] for n in ("scale", "bias"))
    return y * scale + offset


def _conv(params: dict[str, jax.Array], name: str, y: jax.Array) -> jax.Array:
    y = jax.lax.conv_general_dilated(
        y, params[name], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + params[f"{name}_bias"][None, None, None]


def _twice(y: jax.Array) -> jax.Array:
    """Twice the height and the width, each position repeated."""
    return jnp.repeat(jnp.repeat(y, 2, axis=1), 2, axis=2)
