"""HNeRV: a video as embeddings of its frames and a decoder; NeRV as the baseline."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.conv.pixel_shuffle import pixel_shuffle


@dataclasses.dataclass(frozen=True, kw_only=True)
class HNeRV:
    """The sizes of a network for a video.

    Attributes:
      height: of a frame.
      width: of a frame.
      encoder: strides of the encoder; empty for NeRV, which encodes the time instead.
      decoder: strides of the decoder.
      channels: behind the first convolution, C_0.
      embedding: channels of an embedding, d.
      hidden: channels of the encoder.
      kernels: least and largest kernel of the decoder; each stage adds 2.
      reduce: factor by which channels shrink from stage to stage.
      lower: least channels of a stage.
      frequencies: of NeRV's encoding of the time, a sine and a cosine of each.

    Raises:
      InputError: the strides do not fit the frames.
    """

    height: int
    width: int
    encoder: tuple[int, ...] = (4, 2, 2)
    decoder: tuple[int, ...] = (4, 2, 2)
    channels: int = 32
    embedding: int = 4
    hidden: int = 64
    kernels: tuple[int, int] = (1, 5)
    reduce: float = 1.2
    lower: int = 12
    frequencies: int = 80

    def __post_init__(self) -> None:
        strides = math.prod(self.encoder or self.decoder)
        upwards = math.prod(self.decoder)
        if self.height % strides or self.width % strides or strides % upwards:
            raise InputError(
                f"strides {self.encoder} and {self.decoder} must divide the frames, "
                f"{self.height} x {self.width}, and the first product the second"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of an embedding."""
        strides = math.prod(self.encoder or self.decoder)
        return self.height // strides, self.width // strides

    @property
    def upscale(self) -> int:
        """Factor of the first rearrangement, in height and width."""
        return math.prod(self.encoder or self.decoder) // math.prod(self.decoder)

    @property
    def stages(self) -> list[tuple[int, int, int, int]]:
        """Kernel, stride, channels before and behind of each stage of the decoder."""
        found, before = [], self.channels
        for i, stride in enumerate(self.decoder):
            kernel = min(self.kernels[0] + 2 * i, self.kernels[1])
            behind = max(round(before / self.reduce), self.lower)
            found.append((kernel, stride, before, behind))
            before = behind
        return found


def init_hnerv(key: jax.Array, sizes: HNeRV) -> dict[str, Any]:
    """Parameters of encoder and decoder.

    Args:
      key: of the draws.
      sizes: of the network.

    Returns:
      ``encoder`` and ``decoder``, lists of ``kernel`` and ``bias``, the
      first empty for NeRV.

    >>> run = lambda key: init_hnerv(key, HNeRV(height=16, width=16))
    >>> len(jax.eval_shape(run, jax.random.key(0))["decoder"])
    5
    """
    shapes: dict[str, list[tuple[int, ...]]] = {"encoder": [], "decoder": []}
    before = 3
    for i, stride in enumerate(sizes.encoder):
        last = i == len(sizes.encoder) - 1
        behind = sizes.embedding if last else sizes.hidden
        shapes["encoder"].append((stride, stride, before, behind))
        before = behind
    # The time's code, or the embedding; NeRV makes all positions of one.
    first = sizes.channels * sizes.upscale**2
    if not sizes.encoder:
        before, first = 2 * sizes.frequencies, sizes.channels * math.prod(sizes.grid)
    shapes["decoder"].append((1, 1, before, first))
    for kernel, stride, a, b in sizes.stages:
        shapes["decoder"].append((kernel, kernel, a, b * stride**2))
    shapes["decoder"].append((3, 3, sizes.stages[-1][3], 3))
    make = jax.nn.initializers.lecun_normal()

    def layer(name: str, i: int, shape: tuple[int, ...]) -> dict[str, jax.Array]:
        own = jax.random.fold_in(key, 100 * (name == "decoder") + i)
        return {"kernel": make(own, shape), "bias": jnp.zeros(shape[-1])}

    return {n: [layer(n, i, s) for i, s in enumerate(ss)] for n, ss in shapes.items()}


def encode(sizes: HNeRV, params: Params, frames: jax.Array) -> jax.Array:
    """Embeddings of frames.

    Args:
      sizes: of the network.
      params: of ``init_hnerv``.
      frames: ``(T, H, W, 3)``, from 0 to 1.

    Returns:
      ``(T, h, w, d)``.

    >>> sizes = HNeRV(height=16, width=32)
    >>> run = lambda key, x: encode(sizes, init_hnerv(key, sizes), x)
    >>> jax.eval_shape(run, jax.random.key(0), jnp.zeros((2, 16, 32, 3))).shape
    (2, 1, 2, 4)
    """
    x = frames
    for i, (stride, layer) in enumerate(
        zip(sizes.encoder, params["encoder"], strict=True)
    ):
        x = _conv(layer, x, stride)
        if i < len(sizes.encoder) - 1:
            x = jax.nn.gelu(x)
    return x


def time_codes(sizes: HNeRV, times: jax.Array) -> jax.Array:
    """NeRV's encoding of times.

    Args:
      sizes: of the network.
      times: ``(T,)``, from 0 to 1.

    Returns:
      ``(T, 1, 1, 2 frequencies)``.

    >>> sizes = HNeRV(height=8, width=8, encoder=(), decoder=(4, 2), frequencies=3)
    >>> time_codes(sizes, jnp.zeros(5)).shape
    (5, 1, 1, 6)
    """
    powers = 1.25 ** jnp.arange(sizes.frequencies, dtype=times.dtype)
    angles = times[:, None] * powers[None] * jnp.pi
    codes = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)
    return codes[:, None, None]


def decode(sizes: HNeRV, params: Params, embeddings: jax.Array) -> jax.Array:
    """Frames of embeddings, or of time codes.

    Args:
      sizes: of the network.
      params: of ``init_hnerv``; the encoder is not needed.
      embeddings: of ``encode`` or ``time_codes``.

    Returns:
      ``(T, H, W, 3)``, from 0 to 1.

    >>> sizes = HNeRV(height=16, width=32)
    >>> run = lambda key, x: decode(sizes, init_hnerv(key, sizes), x)
    >>> jax.eval_shape(run, jax.random.key(0), jnp.zeros((2, 1, 2, 4))).shape
    (2, 16, 32, 3)
    """
    first, *middle, head = params["decoder"]
    x = _conv(first, embeddings)
    if sizes.encoder:
        x = pixel_shuffle(x, sizes.upscale)
    else:
        x = x.reshape(len(x), *sizes.grid, sizes.channels)
    x = jax.nn.gelu(x)
    for (_, stride, _, _), layer in zip(sizes.stages, middle, strict=True):
        x = jax.nn.gelu(pixel_shuffle(_conv(layer, x), stride))
    return jnp.tanh(_conv(head, x)) / 2 + 0.5


def stored_numbers(sizes: HNeRV, frames: int) -> int:
    """Numbers that a reader needs: the decoder's, and those of the embeddings.

    Args:
      sizes: of the network.
      frames: T.

    Returns:
      Their exact count.

    >>> sizes = HNeRV(height=16, width=16)
    >>> one, two = stored_numbers(sizes, 1), stored_numbers(sizes, 2)
    >>> two - one
    4
    """
    shapes = jax.eval_shape(lambda k: init_hnerv(k, sizes), jax.random.key(0))
    own = frames * math.prod(sizes.grid) * sizes.embedding if sizes.encoder else 0
    return trees.count(shapes["decoder"]) + own


def solve_width(sizes: HNeRV, frames: int, budget: int) -> HNeRV:
    """The widest network within a budget of stored numbers.

    Args:
      sizes: all but ``channels`` is taken from it.
      frames: T.
      budget: most numbers.

    Returns:
      The sizes with the largest ``channels`` that fit, by bisection.

    Raises:
      InputError: not even one channel fits.

    >>> found = solve_width(HNeRV(height=16, width=16, lower=2), 8, 9_000)
    >>> stored_numbers(found, 8) <= 9_000
    True
    """
    of = lambda c: stored_numbers(dataclasses.replace(sizes, channels=c), frames)
    if of(1) > budget:
        raise InputError(f"one channel needs {of(1)} numbers; got budget={budget}")
    low, high = 1, 2
    while of(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if of(middle) <= budget else (low, middle)
    return dataclasses.replace(sizes, channels=low)


def _conv(layer: Params, x: jax.Array, stride: int = 1) -> jax.Array:
    y = jax.lax.conv_general_dilated(
        x,
        layer["kernel"].astype(x.dtype),
        (stride, stride),
        "VALID" if stride > 1 else "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + layer["bias"].astype(x.dtype)[None, None, None]
