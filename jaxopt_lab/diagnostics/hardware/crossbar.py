"""A weight matrix on a crossbar of memristors: its moments and its power."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.diagnostics.hardware.moments import Moments, with_diagonal

Scaling = Literal["layer", "output"]


class Crossbar(NamedTuple):
    """A matrix in pairs of devices, one for each sign.

    Attributes:
      weight: as programmed, ``(outputs, inputs)``.
      conductance: c, conductance of one unit of weight, ``(outputs,)``.
      noise: sigma, standard deviation of a device, in units of conductance.
      resistance: r of the amplifiers.
    """

    weight: jax.Array
    conductance: jax.Array
    noise: jax.Array
    resistance: jax.Array

    def __call__(self, moments: Moments) -> Moments:
        """Moments of the outputs; see ``crossbar``."""
        w, r = self.weight, self.resistance
        mean, covariance = moments
        through = r**2 * (w @ covariance @ w.T)
        pair = 2 * (self.noise / self.conductance) ** 2
        added = r**2 * pair * self._energy(moments)
        diagonal = jnp.diagonal(through) + added
        return Moments(r * (w @ mean), with_diagonal(through, diagonal))

    def power(self, moments: Moments) -> jax.Array:
        """Power of the devices and of the amplifiers, a scalar; see ``crossbar``."""
        mean, covariance = moments
        c, r = self.conductance, self.resistance
        squares = mean**2 + jnp.diagonal(covariance)
        devices = jnp.sum(c * (jnp.abs(self.weight) @ squares))
        amplifiers = jnp.zeros((), mean.dtype)
        for sign in (1, -1):
            part = jnp.maximum(sign * self.weight, 0)
            current = r * (part @ mean)
            spread = jnp.sum((part @ covariance) * part, axis=1)
            spread = spread + (self.noise / c) ** 2 * self._energy(moments)
            amplifiers += jnp.sum(c**2 * (r**2 * spread + current**2)) / r
        return devices + amplifiers

    def _energy(self, moments: Moments) -> jax.Array:
        return jnp.sum(moments.mean**2) + jnp.trace(moments.covariance)


def crossbar(
    weight: jax.Array,
    *,
    noise: Annotated[float, NON_NEGATIVE] = 0.01,
    levels: Annotated[int, COUNT] = 128,
    max_conductance: Annotated[float, POSITIVE] = 1.0,
    resistance: Annotated[float, POSITIVE] = 1.0,
    scaling: Scaling = "layer",
) -> Crossbar:
    r"""Program a weight matrix into a crossbar.

    The weights are rounded down to N levels of each sign,
    :math:`W_q = \lfloor W N / W_{max} \rfloor W_{max} / N`, and one unit of weight is
    :math:`c = G_{max} / W_{max}` of conductance. Called with the moments of its inputs,
    the crossbar gives

    .. math::
        \mu' = r W_q \mu, \quad
        \Gamma' = r^2 W_q \Gamma W_q^\top
            + r^2 \tfrac{2 \sigma^2}{c^2} (\|\mu\|^2 + \operatorname{tr} \Gamma) I,

    and ``power`` is the sum over its outputs of

    .. math::
        c \sum_j |W_{ij}| (\mu_j^2 + \Gamma_{jj})
        + \frac{c^2}{r} \sum_\pm (\gamma^\pm_i + (m^\pm_i)^2)

    with the moments of the positive and the negative half, each of noise
    :math:`\sigma / c`. A bias is one more input that is always 1.

    Args:
      weight: W, ``(outputs, inputs)``.
      noise: :math:`\sigma`, in units of conductance. Conductances are not clipped at 0,
        which would change the error by -33 to +9 % on small networks.
      levels: N.
      max_conductance: :math:`G_{max}`; a number, traced or not, or one an output.
      resistance: r.
      scaling: :math:`W_{max}` of the whole ``"layer"`` or of each ``"output"``.

    Returns:
      The crossbar; differentiable with respect to ``max_conductance``.

    Raises:
      InputError: the weight is no matrix, or an option is out of range.

    The published power of a dense layer has :math:`\mu` for :math:`\mu^2`; that of a
    convolution, followed here, has not.

    >>> one = crossbar(jnp.array([[1.0, -0.5]]), levels=2, noise=0.5)
    >>> from jaxopt_lab.diagnostics.hardware.moments import exact
    >>> after = one(exact(jnp.array([1.0, 1.0])))
    >>> after.mean.tolist(), after.variance.tolist()
    ([0.5], [1.0])

    Source: Kern, Henwood, Mordido, Dupraz, Aissa-El-Bey, Savaria and Leduc-Primeau,
    "MemSE", IEEE AICAS 2022. Code followed: sebastienwood/MemSE.
    """
    check_arguments(crossbar, locals())
    if scaling not in get_args(Scaling):
        raise unknown("scaling", scaling, get_args(Scaling))
    weight = jnp.asarray(weight)
    if weight.ndim != 2 or not jnp.issubdtype(weight.dtype, jnp.floating):
        raise InputError(
            "crossbar takes a real floating matrix, (outputs, inputs); got "
            f"{weight.dtype} of shape {weight.shape}"
        )
    dtype = trees.accumulation_dtype(weight.dtype)
    wide = weight.astype(dtype)
    size = jnp.abs(wide)
    largest = jnp.max(size, axis=None if scaling == "layer" else 1, keepdims=True)
    largest = jnp.where(largest > 0, largest, 1)
    steps = jnp.floor(quotient(wide * levels, largest))
    outputs = len(weight)
    conductance = jnp.asarray(max_conductance, dtype) / jnp.broadcast_to(
        largest[:, 0], (outputs,)
    )
    return Crossbar(
        steps * largest / levels,
        conductance,
        jnp.asarray(noise, dtype),
        jnp.asarray(resistance, dtype),
    )
