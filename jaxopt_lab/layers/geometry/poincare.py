"""The Poincare ball of curvature -c; its maps keep their inputs for the gradient."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values

FORMULAS: dict[str, Callable[..., jax.Array]] = {}
"""The maps of this module without their rules, by name; for parts with one rule."""


def check_in_ball(name: str, x: jax.Array, c: jax.Array | float) -> None:
    """Refuse points outside of the ball, outside of ``jit``.

    Args:
      name: what takes them, for the message.
      x: ``(..., n)``; inside of ``jit`` and other transformations it is not looked at.
      c: curvature, above 0.

    Raises:
      InputError: a point has a norm of one over the root of c, or more.

    >>> check_in_ball("distance", jnp.array([0.5, 0.5]), 1.0)
    """
    known, curvature = known_values(x), known_values(c)
    if known is None or curvature is None:
        return
    norms = np.linalg.norm(known.astype(np.float64), axis=-1)
    most, radius = float(np.max(norms, initial=0.0)), 1 / math.sqrt(float(curvature))
    if most >= radius:
        raise InputError(
            f"{name} takes points inside of the ball, of norm below {radius:.6g}; got "
            f"{most:.6g}"
        )


def kept_inputs(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A function whose backward pass computes it again from its inputs.

    Args:
      f: a function of arrays.

    Returns:
      The same function; for the gradient its inputs are kept, and nothing else.
      First derivatives in reverse mode.

    >>> square = kept_inputs(lambda x: x * x)
    >>> float(jax.grad(square)(3.0))
    6.0
    """
    FORMULAS[f.__name__] = f
    custom = jax.custom_vjp(f)

    def forward(*inputs: jax.Array) -> tuple[jax.Array, Any]:
        return f(*inputs), inputs

    def backward(inputs: Any, cotangent: jax.Array) -> Any:
        return jax.vjp(f, *inputs)[1](cotangent)

    custom.defvjp(forward, backward)
    custom.__doc__ = f.__doc__
    return custom


def _over(ratio: Callable[[jax.Array], jax.Array], z: jax.Array) -> jax.Array:
    """``ratio(z) / z`` at ``z = sqrt(square)``; 1 at 0, with the derivative 0 there."""
    tiny = z == 0
    safe = jnp.where(tiny, 1, z)
    return jnp.where(tiny, 1, ratio(safe) / safe)


def _norm(x: jax.Array) -> jax.Array:
    """Euclidean norm over the last axis, kept; its derivative at 0 is 0."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    zero = square == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


def _artanh(z: jax.Array) -> jax.Array:
    """The inverse of tanh, finite at and beyond 1."""
    most = jnp.asarray(1 - float(jnp.finfo(z.dtype).eps), z.dtype)
    return jnp.arctanh(jnp.minimum(z, most))


def project(x: jax.Array, c: jax.Array) -> jax.Array:
    r"""Points at most a margin inside of the ball, by a shorter vector.

    Args:
      x: ``(..., n)``.
      c: curvature, above 0.

    Returns:
      Points of norm at most :math:`(1 - e) / \sqrt c`, e = 4e-3 in float32 and 1e-5 in
      float64.

    >>> x = project(jnp.array([3.0, 4.0]), jnp.array(1.0))
    >>> round(float(jnp.linalg.norm(x)), 3)
    0.996
    """
    margin = 1e-5 if x.dtype == jnp.float64 else 4e-3
    most = jnp.asarray(1 - margin, x.dtype) / jnp.sqrt(c)
    norm = _norm(x)
    outside = norm > most
    return jnp.where(outside, x * (most / jnp.where(outside, norm, 1)), x)


@kept_inputs
def expmap0(v: jax.Array, c: jax.Array) -> jax.Array:
    """The point that a tangent at 0 leads to, ``tanh(sqrt(c)|v|) v / (sqrt(c)|v|)``.

    >>> expmap0(jnp.array([0.0, 0.0]), jnp.array(1.0)).tolist()
    [0.0, 0.0]
    """
    return project(_over(jnp.tanh, jnp.sqrt(c) * _norm(v)) * v, c)


@kept_inputs
def logmap0(x: jax.Array, c: jax.Array) -> jax.Array:
    """The tangent at 0 that leads to a point, the inverse of ``expmap0``.

    >>> v, c = jnp.array([0.3, -0.4]), jnp.array(0.5)
    >>> logmap0(expmap0(v, c), c).round(3).tolist() == v.round(3).tolist()
    True
    """
    check_in_ball("logmap0", x, c)
    return _over(_artanh, jnp.sqrt(c) * _norm(x)) * x


def _sum(x: jax.Array, y: jax.Array, c: jax.Array) -> jax.Array:
    dot = lambda a, b: jnp.sum(a * b, axis=-1, keepdims=True)
    xx, yy, xy = dot(x, x), dot(y, y), dot(x, y)
    above = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    below = 1 + 2 * c * xy + c * c * xx * yy
    return above / jnp.maximum(below, jnp.asarray(1e-15, below.dtype))


@kept_inputs
def mobius_add(x: jax.Array, y: jax.Array, c: jax.Array) -> jax.Array:
    """The Mobius sum of two points; it does not commute.

    >>> x = jnp.array([0.5])
    >>> round(float(mobius_add(x, x, jnp.array(1.0))[0]), 4)
    0.8
    """
    check_in_ball("mobius_add", x, c)
    check_in_ball("mobius_add", y, c)
    return _sum(x, y, c)


def conformal_factor(x: jax.Array, c: jax.Array) -> jax.Array:
    """``2 / (1 - c |x|^2)``, of the last axis, which is kept.

    >>> conformal_factor(jnp.zeros(3), jnp.array(1.0)).tolist()
    [2.0]
    """
    below = 1 - c * jnp.sum(x * x, axis=-1, keepdims=True)
    return 2 / jnp.maximum(below, jnp.asarray(1e-15, below.dtype))


def distance(x: jax.Array, y: jax.Array, c: jax.Array) -> jax.Array:
    """The distance of two points, ``2 artanh(sqrt(c) |-x + y|) / sqrt(c)``.

    >>> float(distance(jnp.zeros(2), jnp.zeros(2), jnp.array(1.0))[0])
    0.0
    """
    check_in_ball("distance", x, c)
    check_in_ball("distance", y, c)
    root = jnp.sqrt(c)
    return 2 / root * _artanh(root * _norm(_sum(-x, y, c)))


@kept_inputs
def expmap(x: jax.Array, v: jax.Array, c: jax.Array) -> jax.Array:
    """The point that a tangent at x leads to.

    >>> expmap(jnp.zeros(1), jnp.zeros(1), jnp.array(1.0)).tolist()
    [0.0]
    """
    check_in_ball("expmap", x, c)
    half = conformal_factor(x, c) / 2
    reach = jnp.sqrt(c) * _norm(v)
    tiny = reach == 0
    safe = jnp.where(tiny, 1, reach)
    step = jnp.where(tiny, half, jnp.tanh(half * safe) / safe) * v
    return project(_sum(x, step, c), c)


@kept_inputs
def logmap(x: jax.Array, y: jax.Array, c: jax.Array) -> jax.Array:
    """The tangent at x that leads to y.

    >>> logmap(jnp.zeros(1), jnp.zeros(1), jnp.array(1.0)).tolist()
    [0.0]
    """
    check_in_ball("logmap", x, c)
    check_in_ball("logmap", y, c)
    z = _sum(-x, y, c)
    return 2 / conformal_factor(x, c) * _over(_artanh, jnp.sqrt(c) * _norm(z)) * z


@kept_inputs
def transport(x: jax.Array, y: jax.Array, v: jax.Array, c: jax.Array) -> jax.Array:
    """The transport of a tangent at x to y along the geodesic.

    >>> transport(jnp.zeros(1), jnp.zeros(1), jnp.ones(1), jnp.array(0.1)).tolist()
    [1.0]
    """
    check_in_ball("transport", x, c)
    check_in_ball("transport", y, c)
    inner = _sum(y, _sum(-x, v, c), c)
    turned = _sum(-_sum(y, -x, c), inner, c)
    return turned * conformal_factor(x, c) / conformal_factor(y, c)


@kept_inputs
def poincare_linear(
    x: jax.Array, kernel: jax.Array, offset: jax.Array, c: jax.Array
) -> jax.Array:
    r"""The fully connected layer of the ball, from points to points.

    With :math:`\lambda = 2 / (1 - c |x|^2)`, column :math:`z_k` and offset :math:`r_k`:

    .. math::
        v_k = \frac{2 |z_k|}{\sqrt c} \mathrm{asinh}\left(\sqrt c \lambda \langle x,
        z_k / |z_k| \rangle \cosh(2 \sqrt c r_k) - (\lambda - 1) \sinh(2 \sqrt c r_k)
        \right), \quad w = \frac{\sinh(\sqrt c v)}{\sqrt c}, \quad
        y = \frac{w}{1 + \sqrt{1 + c |w|^2}}.

    The released code has :math:`\lambda = 2 (1 - c |x|^2)`, which is not the conformal
    factor; with the right one the kernel I / 2 and the offset 0 are the identity. The
    result is kept a margin inside of the ball, as by ``project``.

    >>> x = jnp.array([[0.3, -0.2]])
    >>> y = poincare_linear(x, jnp.eye(2) / 2, jnp.zeros(2), jnp.array(0.7))
    >>> bool(jnp.allclose(x, y))
    True
    """
    check_in_ball("poincare_linear", x, c)
    root, factor = jnp.sqrt(c), conformal_factor(x, c)
    lengths = _norm(kernel.T)[:, 0]
    unit = kernel / jnp.where(lengths == 0, 1, lengths)[None]
    leading = (1,) * (x.ndim - 1) + (-1,)
    turn = (2 * root * offset).reshape(leading)
    inner = root * factor * (x @ unit) * jnp.cosh(turn) - (factor - 1) * jnp.sinh(turn)
    v = (2 * lengths / root).reshape(leading) * jnp.arcsinh(inner)
    w = jnp.sinh(root * v) / root
    y = w / (1 + jnp.sqrt(1 + c * jnp.sum(w * w, axis=-1, keepdims=True)))
    # A large w rounds to the border of the ball, or beyond it.
    return project(y, c)


def midpoint(x: jax.Array, c: jax.Array, mean: Callable[..., jax.Array]) -> jax.Array:
    r"""The gyromidpoint of points.

    .. math:: \frac 12 \otimes \frac{\sum_i \gamma_i^2 x_i}{\sum_i \gamma_i^2 - N / 2},
        \quad \gamma_i^2 = \frac{1}{1 - c |x_i|^2}.

    Args:
      x: ``(N, n)``.
      c: curvature.
      mean: the mean over the first axis, kept; weights and devices are its matter.

    Returns:
      ``(1, n)``.

    >>> over_points = lambda a: jnp.mean(a, axis=0, keepdims=True)
    >>> midpoint(jnp.array([[0.5], [-0.5]]), jnp.array(1.0), over_points).tolist()
    [[0.0]]
    """
    squares = conformal_factor(x, c) / 2
    m = mean(squares * x) / (mean(squares) - jnp.asarray(0.5, x.dtype))
    below = 1 - c * jnp.sum(m * m, axis=-1, keepdims=True)
    least = jnp.asarray(float(jnp.finfo(x.dtype).eps) ** 2, x.dtype)
    gamma = 1 / jnp.sqrt(jnp.maximum(below, least))
    return gamma / (1 + gamma) * m
