"""Hidden Markov models: the most probable path, and the posterior of every frame."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype


class Path(NamedTuple):
    """The most probable path.

    Attributes:
      states: ``(..., T)``, int32.
      log_probability: ``(...)``, of path and observations together; float32, float64
        for float64.
    """

    states: jax.Array
    log_probability: jax.Array


class Posterior(NamedTuple):
    """Posteriors of the states; float32, float64 for float64.

    Attributes:
      filtered: ``(..., T, S)``, log-probabilities given the frames so far.
      smoothed: ``(..., T, S)``, given all frames.
      log_likelihood: ``(...)``, of the observations.
    """

    filtered: jax.Array
    smoothed: jax.Array
    log_likelihood: jax.Array


def viterbi(
    log_start: ArrayLike,
    log_transition: ArrayLike,
    log_emission: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Path:
    r"""The most probable path of hidden states.

    .. math:: \arg\max_{s_1 \dots s_T} \; \pi_{s_1} + \sum_{t > 1} A_{s_{t-1} s_t}
        + \sum_t b_{t, s_t}.

    Args:
      log_start: ``(S,)``, :math:`\pi`; ``-inf`` is probability 0, here and below.
      log_transition: ``(S, S)``, A; rows are the states before.
      log_emission: ``(..., T, S)``, b, the log-likelihood of each frame; real floating.
      where: ``(..., T)``, 0 for padding, at any place: the result is that without
        those frames, whatever they hold, and their states are those of the frame
        before (at the beginning, of the frame behind).

    Returns:
      The path, the first of several that are equally probable; where no path is
      possible, states without a meaning and ``-inf``. ``log_probability`` is
      differentiable: its gradient counts the starts, moves and frames of the path.

    Raises:
      InputError: shapes do not fit, or ``log_emission`` is no real floating array.

    Time: :math:`T S^2`; memory: T S integers a sequence.

    Source: Viterbi, 1967.

    >>> half = jnp.log(jnp.array([0.5, 0.5]))
    >>> stay = jnp.log(jnp.array([[0.9, 0.1], [0.1, 0.9]]))
    >>> seen = jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]))
    >>> viterbi(half, stay, seen).states.tolist()
    [0, 0, 0]
    """
    start, move, frames, valid, seen = _prepared(
        "viterbi", log_start, log_transition, log_emission, where
    )

    def forward(best: jax.Array, frame: Any) -> Any:
        b, here, before = frame
        reached = best[..., :, None] + move
        moved = jnp.where(before[..., None], jnp.max(reached, axis=-2), best)
        source = jnp.argmax(reached, axis=-2).astype(jnp.int32)
        return jnp.where(here[..., None], moved + b, best), source

    best, sources = jax.lax.scan(forward, start, (frames, valid, seen))

    def back(state: jax.Array, frame: Any) -> Any:
        source, moved = frame
        before = jnp.take_along_axis(source, state[..., None], axis=-1)[..., 0]
        return jnp.where(moved, before, state), state

    last = jnp.argmax(best, axis=-1).astype(jnp.int32)
    _, states = jax.lax.scan(back, last, (sources, valid & seen), reverse=True)
    return Path(jnp.moveaxis(states, 0, -1), jnp.max(best, axis=-1))


def forward_backward(
    log_start: ArrayLike,
    log_transition: ArrayLike,
    log_emission: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Posterior:
    r"""Posteriors of the hidden states, in the log domain.

    .. math:: \alpha_t \propto b_t \odot A^\top \alpha_{t-1}, \qquad
        \beta_t \propto A (b_{t+1} \odot \beta_{t+1}), \qquad
        p(s_t \mid \text{all}) \propto \alpha_t \odot \beta_t.

    The logarithms of the normalizers of :math:`\alpha_t` sum to the log-likelihood:
    nothing under- or overflows in long sequences.

    Args:
      log_start: ``(S,)``; ``-inf`` is probability 0, here and below.
      log_transition: ``(S, S)``; rows are the states before.
      log_emission: ``(..., T, S)``, the log-likelihood of each frame; real floating.
      where: ``(..., T)``, 0 for padding, at any place: the result is that without
        those frames, whatever they hold; their posteriors are those of the frame
        before (``filtered`` at the beginning: the start).

    Returns:
      The posteriors. Where the observations are impossible, ``log_likelihood`` is
      ``-inf``, and so are ``smoothed`` and, from the frame that is impossible on,
      ``filtered``. The gradient of ``log_likelihood`` with respect to ``log_emission``
      is the smoothed posterior, 0 where it is ``-inf``.

    Raises:
      InputError: shapes do not fit, or ``log_emission`` is no real floating array.

    Time: :math:`2 T S^2`; memory: 3 T S numbers a sequence, for the gradient T S^2.

    Source: Rabiner, "A Tutorial on Hidden Markov Models", 1989.

    >>> half = jnp.log(jnp.array([0.5, 0.5]))
    >>> still = jnp.log(jnp.eye(2))
    >>> seen = jnp.log(jnp.array([[0.5, 0.5], [0.2, 0.6]]))
    >>> found = forward_backward(half, still, seen)
    >>> jnp.exp(found.filtered).round(2).tolist()
    [[0.5, 0.5], [0.25, 0.75]]
    >>> jnp.exp(found.smoothed).round(2).tolist()
    [[0.25, 0.75], [0.25, 0.75]]
    """
    start, move, frames, valid, seen = _prepared(
        "forward_backward", log_start, log_transition, log_emission, where
    )

    def forward(alpha: jax.Array, frame: Any) -> Any:
        b, here, before = frame
        moved = _log_sum(alpha[..., :, None] + move, axis=-2)
        joint = jnp.where(before[..., None], moved, alpha) + b
        norm = _log_sum(joint, axis=-1)
        alpha = jnp.where(here[..., None], _normalized(joint), alpha)
        return alpha, (alpha, jnp.where(here, norm, 0))

    _, (alphas, norms) = jax.lax.scan(forward, start, (frames, valid, seen))

    def backward(beta: jax.Array, frame: Any) -> Any:
        b, here, before = frame
        behind = beta + b
        moved = _log_sum(behind[..., None, :] + move, axis=-1)
        new = jnp.where(before[..., None], moved, behind)
        # Divided by its own sum: with those of the forward pass roundings add up.
        return jnp.where(here[..., None], _normalized(new), beta), beta

    ends = jnp.zeros_like(start)
    _, betas = jax.lax.scan(backward, ends, (frames, valid, seen), reverse=True)
    likelihood = jnp.sum(norms, axis=0)
    impossible = (likelihood == -jnp.inf)[..., None]
    smoothed = jnp.where(impossible, -jnp.inf, _normalized(alphas + betas))
    filtered, smoothed = (jnp.moveaxis(x, 0, -2) for x in (alphas, smoothed))
    return Posterior(filtered, smoothed, likelihood)


def _prepared(
    name: str, start: Any, move: Any, emission: Any, where: Any
) -> tuple[jax.Array, ...]:
    """All arrays in one type, frames first: ``(start, move, frames, valid, seen)``.

    ``seen`` says whether a frame has one before it that counts; emissions of padding
    are 0.
    """
    start, move, emission = map(jnp.asarray, (start, move, emission))
    if emission.ndim < 2 or not jnp.issubdtype(emission.dtype, jnp.floating):
        raise InputError(
            f"{name}: log_emission must be real floating (..., T, S); got "
            f"{emission.dtype} {emission.shape}"
        )
    states = emission.shape[-1]
    if start.shape != (states,) or move.shape != (states, states):
        raise InputError(
            f"{name}: {states} states of log_emission need log_start ({states},) and "
            f"log_transition ({states}, {states}); got {start.shape} and {move.shape}"
        )
    leading = emission.shape[:-1]
    if where is not None and jnp.shape(where) != leading:
        raise InputError(
            f"{name}: where must have the shape {leading}; got {jnp.shape(where)}"
        )
    dtype = accumulation_dtype(emission.dtype)
    valid = jnp.ones(leading, bool)
    if where is not None:
        valid = jnp.asarray(where).astype(bool)
    frames = jnp.where(valid[..., None], emission.astype(dtype), 0)
    batch = leading[:-1]
    first = jnp.broadcast_to(start.astype(dtype), (*batch, states))
    move = jnp.expand_dims(move.astype(dtype), tuple(range(len(batch))))
    count = jnp.cumsum(valid.astype(jnp.int32), axis=-1)
    seen = count - valid.astype(jnp.int32) > 0
    turned = (jnp.moveaxis(x, len(leading) - 1, 0) for x in (frames, valid, seen))
    return first, move, *turned


def _log_sum(x: jax.Array, axis: int) -> jax.Array:
    """Logarithm of a sum of exponentials, with derivative 0 where all are ``-inf``."""
    top = jax.lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0)
    total = jnp.sum(jnp.exp(x - top), axis=axis)
    some = total != 0
    found = jnp.log(jnp.where(some, total, 1)) + jnp.squeeze(top, axis)
    return jnp.where(some, found, -jnp.inf)


def _normalized(x: jax.Array) -> jax.Array:
    norm = _log_sum(x, axis=-1)[..., None]
    return x - jnp.where(norm == -jnp.inf, 0, norm)
