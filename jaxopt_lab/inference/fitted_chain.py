"""Hidden Markov models of labelled sequences: counts, and smoothing with them."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.inference.hidden_markov import forward_backward


class Chain(NamedTuple):
    """A Markov chain; float32, float64 for float64 weights.

    Attributes:
      log_start: ``(S,)``, log-probabilities of the first state.
      log_transition: ``(S, S)``, rows are the states before.
      log_prior: ``(S,)``, log-shares of the states over all frames.
    """

    log_start: jax.Array
    log_transition: jax.Array
    log_prior: jax.Array


def transition_counts(
    labels: ArrayLike,
    *,
    states: Annotated[int, COUNT],
    smoothing: Annotated[float, NON_NEGATIVE] = 1.0,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Chain:
    r"""The Markov chain of labelled sequences, from counts.

    .. math:: A_{ij} = \frac{n_{ij} + c}{\sum_j n_{ij} + S c}, \qquad
        n_{ij} = \sum_n w_n \sum_t m_{n t} m_{n, t+1} [l_{n t} = i, l_{n, t+1} = j],

    and likewise from the first states and from all frames.

    Args:
      labels: ``(..., T)``, integers below ``states``.
      states: number of states, S.
      smoothing: :math:`c`, added to every count.
      where: ``(..., T)``, weight m of each frame; 0 is padding, whatever its label:
        it ends a pair, and the first frame is the first that counts. ``None``: ones.
      weights: ``(...)``, weight w of each sequence; 0 drops one, even with NaN in
        ``where``. ``None``: ones.

    Returns:
      The chain. Without any count and with ``smoothing=0`` a row is uniform. A traced
      label that is no state gives NaN.

    Raises:
      InputError: labels are no integers or no states, or shapes do not fit.

    Memory: two arrays of S numbers a frame.

    Source: Cadene et al., "M2CAI Workflow Challenge", 2016
    (https://arxiv.org/abs/1610.05541), from the abstract; the smoothing is ours.

    >>> chain = transition_counts(jnp.array([[0, 0, 1]]), states=2)
    >>> jnp.exp(chain.log_transition).round(3).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    check_arguments(transition_counts, locals())
    labels = jnp.asarray(labels)
    if labels.ndim < 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(
            f"labels must be integers (..., T); got {labels.dtype} {labels.shape}"
        )
    for name, x, shape in (
        ("where", where, labels.shape),
        ("weights", weights, labels.shape[:-1]),
    ):
        if x is not None and jnp.shape(x) != shape:
            raise InputError(f"{name} must have the shape {shape}; got {jnp.shape(x)}")
        if x is not None and jnp.iscomplexobj(x):
            raise InputError(f"{name} must be real; got {jnp.result_type(x)}")
    _check_labels(labels, states, where)
    given = [jnp.asarray(x) for x in (where, weights) if x is not None]
    wide = [x for x in given if jnp.issubdtype(x.dtype, jnp.floating)]
    dtype = accumulation_dtype(jnp.result_type(*wide) if wide else jnp.dtype("float32"))
    frame = jnp.ones(labels.shape) if where is None else jnp.asarray(where)
    frame = frame.astype(dtype)
    if weights is not None:
        own = jnp.asarray(weights).astype(dtype)[..., None]
        frame = jnp.where(own != 0, frame, 0)
    else:
        own = jnp.ones((), dtype)
    each = jax.nn.one_hot(labels, states, dtype=dtype)
    outside = (labels < 0) | (labels >= states)
    each = jnp.where((outside & (frame != 0))[..., None], jnp.nan, each)
    each = each * frame[..., None]
    valid = (frame != 0).astype(jnp.int32)
    first = (valid == 1) & (jnp.cumsum(valid, axis=-1) == 1)
    weighed = each * own[..., None] if weights is not None else each
    pairs = each[..., :-1, :], weighed[..., 1:, :]
    moves = jnp.einsum("...ti,...tj->ij", *pairs, precision=jax.lax.Precision.HIGHEST)
    axes = tuple(range(each.ndim - 1))
    starts = jnp.sum(jnp.where(first[..., None], weighed, 0), axis=axes)
    shares = jnp.sum(weighed, axis=axes)
    extra = jnp.asarray(smoothing, dtype)
    return Chain(*(_log_shares(n + extra) for n in (starts, moves, shares)))


def fit_hidden_markov(
    data: Mapping[str, ArrayLike],
    *,
    where: ArrayLike | None = None,
    key: jax.Array | None = None,
    states: Annotated[int, COUNT] = 2,
    smoothing: Annotated[float, NON_NEGATIVE] = 1.0,
    emission: Literal["scaled", "posterior"] = "scaled",
) -> Chain:
    r"""A hidden Markov model for the outputs of a classifier of frames.

    Args:
      data: ``{"targets": (N, T)`` integers``}``, and ``"frames": (N, T)`` where some
        are padding, 0 there.
      where: ``(N,)``, weight of each sequence; 0 drops one, whatever it holds. None:
        ones.
      key: not used; every estimator takes one.
      states: number of classes, S.
      smoothing: added to every count of ``transition_counts``.
      emission: ``"scaled"``, likelihoods up to a factor: posteriors of the classifier
        over the shares of the classes; ``"posterior"``, the posteriors themselves,
        simpler and biased to frequent classes.

    Returns:
      The chain; with ``"posterior"`` its ``log_prior`` is uniform. Differentiable with
      respect to ``frames`` and ``where``.

    Raises:
      InputError: as ``transition_counts``.

    Cost: one pass over the targets; memory for ``states ** 2`` counts.

    Source: Bourlard and Morgan, 1994, for ``"scaled"``.

    >>> chain = fit_hidden_markov({"targets": jnp.array([[0, 0, 0, 1, 1, 1]])})
    >>> unsure = jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]))
    >>> [f"{p:.2f}" for p in jnp.exp(apply_hidden_markov(chain, unsure))[1].tolist()]
    ['0.64', '0.36']
    """
    del key
    check_arguments(fit_hidden_markov, locals())
    chain = transition_counts(
        data["targets"],
        states=states,
        smoothing=smoothing,
        where=data.get("frames"),
        weights=where,
    )
    if emission == "posterior":
        even = jnp.full_like(chain.log_prior, -math.log(states))
        chain = chain._replace(log_prior=even)
    return chain


def apply_hidden_markov(
    fitted: Chain, log_probabilities: ArrayLike, *, where: ArrayLike | None = None
) -> jax.Array:
    """Log-probabilities of frames, given all frames of their sequence.

    Args:
      fitted: of ``fit_hidden_markov``.
      log_probabilities: ``(..., T, S)``, of a classifier of single frames; logits do.
      where: ``(..., T)``, 0 for padding.

    Returns:
      As ``log_probabilities``; each frame's probabilities sum to 1.

    Raises:
      InputError: shapes do not fit, or the type is not real floating.

    >>> chain = transition_counts(jnp.array([[0, 1]]), states=2)
    >>> apply_hidden_markov(chain, jnp.zeros((1, 3, 2))).shape
    (1, 3, 2)
    """
    scores = scaled_likelihoods(fitted, log_probabilities)
    found = forward_backward(
        fitted.log_start, fitted.log_transition, scores, where=where
    )
    return found.smoothed.astype(jnp.asarray(log_probabilities).dtype)


def scaled_likelihoods(fitted: Chain, log_probabilities: ArrayLike) -> jax.Array:
    """Log-likelihoods of frames up to a term of each, for ``viterbi`` and the like.

    Args:
      fitted: of ``fit_hidden_markov``.
      log_probabilities: ``(..., S)``, of a classifier.

    Returns:
      ``log_probabilities - log_prior``; ``-inf`` for a state of prior 0. The type is
      the wider of float32 and that of ``log_probabilities``.

    >>> chain = Chain(jnp.zeros(1), jnp.zeros((1, 1)), jnp.array([-1.0]))
    >>> scaled_likelihoods(chain, jnp.zeros((2, 1))).tolist()
    [[1.0], [1.0]]
    """
    given = jnp.asarray(log_probabilities)
    if not jnp.issubdtype(given.dtype, jnp.floating):
        raise InputError(f"log_probabilities must be real floating; got {given.dtype}")
    if given.ndim < 1 or given.shape[-1] != fitted.log_prior.shape[0]:
        raise InputError(
            f"log_probabilities must be (..., {fitted.log_prior.shape[0]}); got "
            f"{given.shape}"
        )
    scores = given.astype(accumulation_dtype(given.dtype))
    prior = fitted.log_prior.astype(scores.dtype)
    prior = jnp.expand_dims(prior, tuple(range(given.ndim - 1)))
    none = prior == -jnp.inf
    return jnp.where(none, -jnp.inf, scores - jnp.where(none, 0, prior))


def _check_labels(labels: Any, states: int, where: Any) -> None:
    known = known_values(labels)
    counts = None if where is None else known_values(where)
    if known is None or (where is not None and counts is None):
        return
    wrong = out_of_range(known, states, counts)
    if wrong.size:
        raise InputError(f"labels must be below states={states}; got {int(wrong[0])}")


def _log_shares(counts: jax.Array) -> jax.Array:
    """Logarithms of the shares of the last axis; uniform where all counts are 0."""
    total = jnp.sum(counts, axis=-1, keepdims=True)
    share = jnp.where(total == 0, 1, counts) / jnp.where(
        total == 0, counts.shape[-1], total
    )
    some = share != 0
    return jnp.where(some, jnp.log(jnp.where(some, share, 1)), -jnp.inf)
