"""WINNER: the noise that a sine network's first kernels begin with, by the target."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide

Spectrum = Literal["flat", "rows", "radial"]

# Of lines and of images; tuned for coordinates in [-1, 1] and a factor of 30.
_SCALES = {1: (3500.0, 7.0, 3.0), 2: (50.0, 5.0, 0.4)}


class WinnerScales(NamedTuple):
    """Deviations of WINNER's noise, times the factor of the sines.

    Attributes:
      first: S0, of the first kernel.
      second: S1, of the second.
    """

    first: jax.Array
    second: jax.Array


def spectral_centroid(y: jax.Array, *, spectrum: Spectrum = "flat") -> jax.Array:
    r"""Mean frequency of a signal, over the highest one.

    .. math:: \text{SC} = \frac{2 \sum_f f |\hat y_f|}{\sum_f |\hat y_f|}, \qquad
        0 \le f \le 1/2

    by the discrete Fourier transform of real signals, and the mean over the channels.

    Args:
      y: ``(N,)``, one channel, or ``(..., channels)``: samples of a line, image, ....
      spectrum: ``"flat"``, of the signal of a row-major scan, as in the authors' code;
        ``"rows"``, the mean over the lines of the last axis of positions; ``"radial"``,
        of the transform over all positions, by the length of the frequency over that of
        the highest one (ours).

    Returns:
      A number in [0, 1]; a channel that is 0 counts as 0. The value does not depend on
      the scale of ``y``. One transform.

    Raises:
      InputError: ``spectrum`` is unknown, ``y`` is complex or whole numbers, or empty.

    Source: Chandravamsi et al., "Spectral Bottleneck in Deep Neural Networks: Noise is
    All You Need", 2025 (https://arxiv.org/abs/2509.09719). Code read:
    hemanthgrylls/SIREN-square.

    >>> waves = jnp.cos(2 * jnp.pi * 3 * jnp.arange(24) / 24)
    >>> round(float(spectral_centroid(waves)), 5)
    0.25
    """
    check_arguments(spectral_centroid, {"spectrum": spectrum})
    if not jnp.issubdtype(y.dtype, jnp.floating):
        raise InputError(f"spectral_centroid takes real signals; got {y.dtype}")
    if y.ndim == 0 or y.size == 0:
        raise InputError(f"y must hold at least one sample; got shape {y.shape}")
    y = y.astype(accumulation_dtype(y.dtype))
    y = y[:, None] if y.ndim == 1 else y
    if spectrum == "flat":
        y = y.reshape(-1, y.shape[-1])
    elif spectrum == "rows":
        y = jnp.moveaxis(y, -2, 0)
        y = flattened(y)
    places = y.shape[:-1]
    sizes = jnp.abs(jnp.fft.rfftn(y, axes=tuple(range(len(places)))))
    last = jnp.fft.rfftfreq(places[-1], dtype=y.dtype)
    others = [jnp.fft.fftfreq(n, dtype=y.dtype) for n in places[:-1]]
    grid = jnp.meshgrid(*others, last, indexing="ij")
    root = math.sqrt(len(places))
    lengths = jnp.sqrt(sum((f * f for f in grid), jnp.zeros((), y.dtype))) * (2 / root)
    axes = tuple(range(sizes.ndim - 1))
    weighted = jnp.sum(lengths[..., None] * sizes, axis=axes)
    return jnp.mean(safe_divide(weighted, jnp.sum(sizes, axis=axes)))


def winner_scales(
    centroid: jax.Array | float,
    *,
    axes: Annotated[int, COUNT] = 2,
    divided_by: Annotated[int, COUNT] = 1,
) -> WinnerScales:
    r"""WINNER's deviations for a target of this spectral centroid.

    .. math:: S_0 = 3500 (1 - e^{-7 \text{SC}}), \quad S_1 = 3\, \text{SC}
        \qquad \text{or} \qquad
        S_0 = 50 (1 - e^{-5 \text{SC}}), \quad S_1 = 0.4\, \text{SC}

    for targets along one axis (sound) or two (images).

    Args:
      centroid: of ``spectral_centroid``.
      axes: of positions, 1 or 2.
      divided_by: the authors' code divides the centroid, a mean over the channels, by
        the number of channels again; give this number for theirs.

    Returns:
      The ``WinnerScales``; both are 0 for a constant target.

    Raises:
      InputError: another number of axes, for which the paper sets them by hand.

    >>> [round(float(s), 3) for s in winner_scales(1.0)]
    [49.663, 0.4]
    """
    check_arguments(winner_scales, {"axes": axes, "divided_by": divided_by})
    if axes not in _SCALES:
        raise InputError(f"axes must be 1 or 2; got {axes}")
    top, rate, slope = _SCALES[axes]
    part = jnp.asarray(centroid) / divided_by
    return WinnerScales(-top * jnp.expm1(-rate * part), slope * part)


def winner(
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: DTypeLike = jnp.float32,
    *,
    omega: Annotated[float, POSITIVE, STATIC] = 30.0,
    first: bool = False,
    noise: Annotated[float, NON_NEGATIVE] = 0.0,
) -> jax.Array:
    r"""Kernel of a sine network: SIREN's uniform numbers, and WINNER's noise.

    .. math:: w \sim U(-b, b) + \frac{S}{\omega} \mathcal N(0, 1), \qquad
        b = \frac{\sqrt{6 / n}}{\omega} \; \text{ or } \; \frac 1n

    for n inputs, the second b for the first layer. With S = 0 it is SIREN's, bit for
    bit; then sines of uniform phases have sums of variance about 1 before the next
    sine.

    Args:
      key: a typed or raw PRNG key.
      shape: of a kernel, ``(..., inputs, outputs)``.
      dtype: a floating type; narrower ones than float32 are rounded once.
      omega: factor within the sines.
      first: whether it is the first layer's, on coordinates.
      noise: S, of ``winner_scales``, may be traced.

    Returns:
      An array of this shape and dtype.

    Raises:
      InputError: fewer than two axes, no inputs, ``dtype`` is no real floating type, or
        an option is out of range.

    Cost: one uniform array of the shape, with noise a normal one.

    Source: Sitzmann et al., "Implicit Neural Representations with Periodic Activation
    Functions", 2020 (https://arxiv.org/abs/2006.09661), and Chandravamsi et al.,
    "Spectral Bottleneck in Deep Neural Networks: Noise is All You Need", 2025
    (https://arxiv.org/abs/2509.09719).

    >>> w = winner(jax.random.key(0), (3, 64), first=True)
    >>> bool(jnp.max(jnp.abs(w)) < 1 / 3)
    True
    """
    check_arguments(winner, {"omega": omega, "noise": noise})
    if len(shape) < 2 or math.prod(shape[:-1]) == 0:
        raise InputError(f"shape must be (..., inputs, outputs); got {shape}")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"dtype must be a real floating type; got {dtype}")
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    wide = accumulation_dtype(dtype)
    inputs = math.prod(shape[:-1])
    bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega
    uniform = jax.random.uniform(key, shape, wide, -1.0)
    w = uniform * jnp.asarray(bound, wide)
    if not isinstance(noise, (int, float)) or noise:
        normal = jax.random.normal(jax.random.fold_in(key, 1), shape, wide)
        w = w + normal * (jnp.asarray(noise, wide) / omega)
    return w.astype(dtype)


def winner_init(
    params: Mapping[str, jax.Array],
    key: jax.Array,
    *,
    scales: WinnerScales,
    omega_first: Annotated[float, POSITIVE] = 30.0,
    omega: Annotated[float, POSITIVE] = 30.0,
) -> dict[str, jax.Array]:
    r"""The parameters of a sine network with noise on its first two kernels.

    .. math:: W_i \leftarrow W_i + \frac{S_i}{\omega_i} \mathcal N(0, 1), \quad i < 2

    Args:
      params: of ``siren``.
      key: of the noise.
      scales: :math:`S_0, S_1`, of ``winner_scales``; 0 changes nothing.
      omega_first: factor within the sines of the first layer.
      omega: that of the second.

    Returns:
      Parameters of the same shapes and types.

    Raises:
      InputError: the network has fewer than two kernels, or a factor is not positive.

    >>> from jaxopt_lab.layers import siren
    >>> net = siren(1, hidden=3, depth=1, kernel_init=jax.nn.initializers.zeros)
    >>> params = net.init(jax.random.key(0))[0]
    >>> scales = WinnerScales(jnp.array(9.0), jnp.array(0.0))
    >>> noisy = winner_init(params, jax.random.key(1), scales=scales)
    >>> [n for n in params if bool(jnp.any(noisy[n] != params[n]))]
    ['kernel_0']
    """
    check_arguments(winner_init, {"omega_first": omega_first, "omega": omega})
    names = ("kernel_0", "kernel_1")
    if not all(name in params for name in names):
        raise InputError(f"params must hold {' and '.join(names)}; got {list(params)}")
    new = dict(params)
    factors = (omega_first, omega)
    for i, (name, s, by) in enumerate(zip(names, scales, factors, strict=True)):
        w = new[name]
        wide = accumulation_dtype(w.dtype)
        normal = jax.random.normal(jax.random.fold_in(key, i), w.shape, wide)
        moved = w.astype(wide) + normal * (jnp.asarray(s, wide) / by)
        new[name] = moved.astype(w.dtype)
    return new
