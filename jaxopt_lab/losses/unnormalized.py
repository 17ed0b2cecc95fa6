"""Losses of densities known up to a constant: MECO and noise contrast."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import SHARE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, scalar_dtype
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.losses.targets import check_floats, check_shape, valid

FLOOR = 1e-3


class MecoState(NamedTuple):
    """The running estimate of the normalizer.

    Attributes:
      log_u: scalar, logarithm of the estimate; float32, float64 for float64; 4 bytes.
      count: int32 scalar, calls so far; before the first the estimate says nothing.
    """

    log_u: jax.Array
    count: jax.Array


def meco(*, averaging: Annotated[Scalar, SHARE] = 0.5) -> StatefulLoss:
    r"""Negative log-likelihood with a running normalizer (MECO).

    For a log-density f up to a constant, and samples of noise q, the normalizer
    :math:`g = \frac1n \sum_i e^{f(x_i)} / q(x_i)` is averaged over steps,

    .. math:: u \gets (1 - \beta) u + \beta g, \qquad u = g \text{ at first},

    and the loss of example x is :math:`-f(x) + \log u`. Its gradient is

    .. math:: -\nabla f(x) + \sum_i w_i \nabla f(x_i), \qquad
        w_i = e^{f(x_i)} / (n\, q(x_i)\, u),

    with the weights held constant: that of the exact likelihood where u is exact, and
    of small variance where g alone, of few samples, is not.

    Args:
      averaging: :math:`\beta`, the weight of the newest estimate, in (0, 1]; 1 is
        importance sampling with the samples of one step.

    Returns:
      ``init(f) -> MecoState`` and ``apply(state, f, *, noise, log_q, previous=None,
      where=None) -> (losses, state)``: ``f`` of the data, ``(B,)``; ``noise``, f of the
      noise samples, ``(n,)``; ``log_q``, their log-densities under q, ``(n,)``;
      ``previous``, f of the same samples at the parameters before the last step, with
      which the average corrects itself, :math:`u \gets g + (1 - \beta)(u - g')`, at
      least a thousandth of g (STORM); ``where`` of shape ``(B,)``: 0 drops an example.
      Gradients flow through ``f`` and ``noise``. Sums are in logarithms: a constant
      added to f changes nothing and overflows nowhere.

    Raises:
      InputError: the averaging is out of range; at the call, shapes that do not belong
        together.

    The noise must be wider than the model, or g has no variance; the published method
    also averages the gradient, which is the optimizer's momentum. Memory: one number.

    Source: "Unnormalized models by compositional optimization" (MECO), from the
    abstract; closed forms and constants are ours.

    >>> loss = meco()
    >>> f, zero = jnp.array([0.5, 1.0]), jnp.zeros(3)
    >>> values, state = loss.apply(loss.init(f), f, noise=zero, log_q=zero)
    >>> values.tolist(), int(state.count)
    ([-0.5, -1.0], 1)
    """
    check_arguments(meco, {"averaging": averaging})

    def init(example: jax.Array) -> MecoState:
        dtype = accumulation_dtype(example.dtype)
        return MecoState(jnp.zeros((), dtype), jnp.zeros((), jnp.int32))

    def apply(
        state: MecoState,
        f: jax.Array,
        *,
        noise: jax.Array,
        log_q: jax.Array,
        previous: jax.Array | None = None,
        where: jax.Array | None = None,
    ) -> tuple[jax.Array, MecoState]:
        data, noise, log_q = _checked(f, noise, log_q, where)
        ratio = jax.lax.stop_gradient(noise - log_q)
        log_g = _log_mean(ratio)
        rate = jnp.asarray(averaging, log_g.dtype)
        old = jax.lax.stop_gradient(state.log_u).astype(log_g.dtype)
        if previous is None:
            mixed = jnp.logaddexp(jnp.log1p(-rate) + old, jnp.log(rate) + log_g)
        else:
            check_shape("previous", previous, noise.shape)
            before = _log_mean(
                jax.lax.stop_gradient(previous).astype(log_q.dtype) - log_q
            )
            mixed = _corrected(log_g, old, before, rate)
        log_u = jnp.where(state.count == 0, log_g, mixed)
        weights = jnp.exp(ratio - log_u) / len(noise)
        total = jnp.sum(weights * noise)
        # 0, with the gradient of the weighted samples.
        slope = total - jax.lax.stop_gradient(total)
        losses = -data + (log_u + slope)
        return or_zero(losses, where), MecoState(log_u, state.count + 1)

    return StatefulLoss(init, apply)


def _corrected(
    log_g: jax.Array, old: jax.Array, before: jax.Array, rate: jax.Array
) -> jax.Array:
    """Logarithm of g + (1 - rate)(u - g'), at least that of a part of g."""
    largest = jnp.maximum(log_g, jnp.maximum(old, before))
    g, u, last = (jnp.exp(x - largest) for x in (log_g, old, before))
    found = jnp.maximum(g + (1 - rate) * (u - last), FLOOR * g)
    tiny = jnp.asarray(float(jnp.finfo(g.dtype).tiny), g.dtype)
    return largest + jnp.log(jnp.maximum(found, tiny))


def importance_sampled(
    f: jax.Array,
    *,
    noise: jax.Array,
    log_q: jax.Array,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Negative log-likelihood with the normalizer of the samples at hand.

    Args:
      f: log-densities of the data up to a constant, ``(B,)``.
      noise: those of the noise samples, ``(n,)``.
      log_q: their log-densities under q, ``(n,)``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, :math:`-f + \log \frac1n \sum_i e^{f(x_i)} / q(x_i)`.

    Raises:
      InputError: shapes that do not belong together.

    >>> zero = jnp.zeros(2)
    >>> importance_sampled(zero, noise=zero, log_q=zero).tolist()
    [0.0, 0.0]
    """
    data, noise, log_q = _checked(f, noise, log_q, where)
    losses = -data + _log_mean(noise - log_q)
    return or_zero(losses, where)


def noise_contrastive(
    f: jax.Array,
    *,
    log_q: jax.Array,
    noise: jax.Array,
    log_q_noise: jax.Array,
    log_z: jax.Array | float = 0.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Logistic loss of telling data from noise (NCE), as many of both.

    Args:
      f: log-densities of the data up to a constant, ``(B,)``.
      log_q: log-densities of the data under the noise q, ``(B,)``.
      noise: f of the noise samples, ``(n,)``.
      log_q_noise: their log-densities under q, ``(n,)``.
      log_z: logarithm of the normalizer, a trained scalar.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``: of each example the loss of its logit :math:`f - \log z - \log q`,
      and the mean loss of the noise.

    Raises:
      InputError: shapes that do not belong together.

    Source: Gutmann and Hyvarinen, "Noise-contrastive estimation", 2010.

    >>> zero = jnp.zeros(2)
    >>> given = {"log_q": zero, "noise": zero, "log_q_noise": zero}
    >>> noise_contrastive(zero, **given).round(3).tolist()
    [1.3860000371932983, 1.3860000371932983]
    """
    data, noise, log_q_noise = _checked(f, noise, log_q_noise, where)
    check_shape("log_q", log_q, data.shape)
    log_z = jnp.asarray(log_z, data.dtype)
    real = data - log_z - log_q.astype(data.dtype)
    fake = noise - log_z - log_q_noise
    losses = jax.nn.softplus(-real) + jnp.mean(jax.nn.softplus(fake))
    return or_zero(losses, where)


def _checked(
    f: jax.Array, noise: jax.Array, log_q: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    check_floats("f", f, 1)
    check_floats("noise", noise, 1)
    check_shape("log_q", log_q, jnp.shape(noise))
    valid(where, len(f), f)
    dtype = scalar_dtype(f, noise)
    return (
        or_zero(f, where).astype(dtype),
        noise.astype(dtype),
        jnp.asarray(log_q, dtype),
    )


def _log_mean(logs: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(logs) - jnp.log(jnp.asarray(len(logs), logs.dtype))
