"""Random features of inputs and of weights: relu, and the universal ones."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, Interval, check_arguments

Kernel = Literal["relu", "cosine", "linear"]
FINITE = Interval(-math.inf, open_low=True)
WORD = Interval(0, 2**32 - 1)


def gaussian_projection(
    seed: Annotated[int, WORD],
    num_features: Annotated[int, COUNT],
    features: Annotated[int, COUNT],
    *,
    layer: Annotated[int, WORD] = 0,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    r"""A matrix of independent standard normal numbers from a seed.

    .. math:: g = \sqrt{-2 \log u}\, \cos(2 \pi v)

    (Box and Muller) of numbers u and v of 53 bits of the counter-based generator Philox
    with the key (seed, layer), made on the host in float64 and rounded once: the same
    on every device and in every type, so that a checkpoint keeps the seed alone.

    Args:
      seed: a whole number of 32 bits.
      num_features: rows.
      features: columns.
      layer: a number that tells the layers of one seed apart.
      dtype: of the result, floating.

    Returns:
      ``(num_features, features)``; under ``jit`` a constant of the program.

    Raises:
      InputError: an argument is out of range.

    >>> gaussian_projection(0, 2, 3).shape
    (2, 3)
    """
    check_arguments(gaussian_projection, locals())
    return jnp.asarray(host_normal(seed, (num_features, features), layer), dtype)


def host_normal(seed: int, shape: tuple[int, ...], layer: int = 0) -> np.ndarray:
    """The numbers of ``gaussian_projection`` as an array of NumPy.

    Args:
      seed: a whole number of 32 bits.
      shape: of the result.
      layer: a number that tells the layers of one seed apart.

    Returns:
      Independent standard normal numbers, float64.

    >>> host_normal(0, (2, 3)).dtype
    dtype('float64')
    """
    generator = np.random.Philox(key=np.array([seed, layer], np.uint64))
    bits = generator.random_raw((2, *shape)) >> np.uint64(11)
    u, v = (bits.astype(np.float64) + 0.5) * 2.0**-53
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v)


def relu_features(
    v: jax.Array,
    projection: jax.Array,
    *,
    threshold: Annotated[float, FINITE, STATIC] = 0.0,
    radius: Annotated[float | None, POSITIVE] = None,
) -> jax.Array:
    r"""Features of the arc-cosine kernel of order 1.

    .. math:: \phi(v) = \max(G v, c) / \sqrt m

    For c = 0 the mean of :math:`\phi(x) \cdot \phi(w)` over G is half the kernel,
    :math:`|x| |w| (\sin t + (\pi - t) \cos t) / 2\pi` at the angle t.

    Args:
      v: inputs or weights, ``(..., d)``.
      projection: G, ``(m, d)``.
      threshold: c.
      radius: every ``v`` is scaled to this norm first, 0 stays 0; ``None``: it is not.

    Returns:
      ``(..., m)``. Differentiable once but where a product is c; at ``v = 0`` scaling
      has derivative 0.

    Raises:
      InputError: an argument is out of range, or the projection does not fit.

    >>> relu_features(jnp.array([6.0, -4.0, 0.0, 2.0]), jnp.eye(4)).tolist()
    [3.0, 0.0, 0.0, 1.0]
    """
    options = {"threshold": threshold, "radius": radius}
    check_arguments(relu_features, options)
    _check("relu_features", v, projection)
    if radius is not None:
        v = _of_norm(v, radius)
    products = v @ projection.astype(v.dtype).T
    low = jnp.asarray(threshold, v.dtype)
    return jnp.maximum(products, low) * _over_root(projection, v)


def universal_features(
    v: jax.Array, projection: jax.Array, exponents: jax.Array
) -> jax.Array:
    r"""Universal random features: products of exponentials, real or complex.

    .. math:: \phi_a(v) = \exp(a\, G v - a^2 |v|^2 / 2) / \sqrt m, \qquad
        \mathrm{E}_G\, \phi_a(x) \cdot \phi_b(w) = \exp(a b\, x \cdot w)

    With :math:`a = 2 \pi i \xi` and b = 1, frequencies drawn from the Fourier transform
    of f give f itself: for :math:`\xi = \pm 1 / 2\pi` the real part is the cosine. The
    variance grows with :math:`|x|^2 + |w|^2`: keep both near 1.

    Args:
      v: inputs or weights, ``(..., d)``.
      projection: G, ``(m, d)``.
      exponents: a for each feature, ``(m,)``, real or complex.

    Returns:
      ``(..., m)``, of the type of ``v`` or its complex one.

    Raises:
      InputError: the projection or the exponents do not fit.

    >>> universal_features(jnp.zeros(3), jnp.ones((4, 3)), jnp.ones(4)).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    _check("universal_features", v, projection)
    if exponents.shape != projection.shape[:1]:
        raise InputError(
            f"exponents must be {projection.shape[:1]}, one for each row of the "
            f"projection; got {exponents.shape}"
        )
    is_complex = jnp.issubdtype(exponents.dtype, jnp.complexfloating)
    dtype = jnp.result_type(v.dtype, jnp.complex64) if is_complex else v.dtype
    a = exponents.astype(dtype).reshape((1,) * (v.ndim - 1) + exponents.shape)
    products = (v @ projection.astype(v.dtype).T).astype(dtype)
    half = jnp.sum(v * v, axis=-1, keepdims=True).astype(dtype) * jnp.asarray(
        0.5, dtype
    )
    return jnp.exp(a * products - a * a * half) * _over_root(projection, v).astype(
        dtype
    )


def kernel_features(
    v: jax.Array,
    projection: jax.Array,
    *,
    kernel: Kernel = "relu",
    of: Literal["inputs", "weights"] = "inputs",
    threshold: Annotated[float, FINITE, STATIC] = 0.0,
    radius: Annotated[float | None, POSITIVE] = None,
) -> jax.Array:
    r"""Real features whose products estimate a function of inputs and weights.

    ``"relu"``: those of ``relu_features``; ``"cosine"``: :math:`\cos(x \cdot w)`, from
    :math:`e^{|x|^2 / 2} \cos(G x)` and :math:`e^{G w - |w|^2 / 2}`; ``"linear"``:
    :math:`x \cdot w`, from :math:`G x` and :math:`G w`; all over :math:`\sqrt m`.

    Args:
      v: ``(..., d)``.
      projection: G, ``(m, d)``.
      kernel: the function.
      of: the side that ``v`` is on.
      threshold: of relu.
      radius: norm that ``v`` is scaled to first; ``None``: it is not.

    Returns:
      ``(..., m)``.

    Raises:
      InputError: an argument is out of range, or the projection does not fit.

    >>> x = jnp.array([[2.0, 0.0, 4.0, 0.0]])
    >>> kernel_features(x, jnp.eye(4), kernel="linear").tolist()
    [[1.0, 0.0, 2.0, 0.0]]
    """
    options = {"kernel": kernel, "of": of, "threshold": threshold, "radius": radius}
    check_arguments(kernel_features, options)
    if kernel == "relu":
        return relu_features(v, projection, threshold=threshold, radius=radius)
    _check("kernel_features", v, projection)
    if radius is not None:
        v = _of_norm(v, radius)
    products = v @ projection.astype(v.dtype).T
    root = _over_root(projection, v)
    if kernel == "linear":
        return products * root
    half = jnp.sum(v * v, axis=-1, keepdims=True) * jnp.asarray(0.5, v.dtype)
    if of == "inputs":
        return jnp.exp(half) * jnp.cos(products) * root
    return jnp.exp(products - half) * root


def _check(name: str, v: jax.Array, projection: jax.Array) -> None:
    if not jnp.issubdtype(v.dtype, jnp.floating):
        raise InputError(f"{name} takes real floating inputs; got {v.dtype}")
    if projection.ndim != 2 or v.ndim < 1 or v.shape[-1] != projection.shape[1]:
        raise InputError(
            f"projection must be (m, d) for inputs (..., d); got {projection.shape} "
            f"for {v.shape}"
        )


def _over_root(projection: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.asarray(1 / math.sqrt(projection.shape[0]), v.dtype)


def _of_norm(v: jax.Array, radius: float) -> jax.Array:
    """Scaled to a norm; the largest entry first, so that no square underflows."""
    one, zero = jnp.ones((), v.dtype), jnp.zeros((), v.dtype)
    most = jax.lax.stop_gradient(jnp.max(jnp.abs(v), axis=-1, keepdims=True))
    v = v / jnp.where(most > 0, most, one)
    square = jnp.sum(v * v, axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.where(square > 0, square, one))
    return v * jnp.where(square > 0, jnp.asarray(radius, v.dtype) * inverse, zero)
