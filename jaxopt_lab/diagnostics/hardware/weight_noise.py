"""The score of a network whose weights are noisy, by draws."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import STATIC, Interval, check_arguments
from jaxopt_lab.core.typing import Params

NoiseModel = Literal[
    "additive_range", "additive_rowrange", "multiplicative", "uniform_range", "pairs"
]


class NoisyScore(NamedTuple):
    """Scores under noise; a first axis of sigmas where several are given.

    Attributes:
      value: mean over the draws, of the score's shape.
      error: standard error of the mean.
      deviation: standard deviation over the draws.
      scores: of every draw, ``(draws, ...)``, or ``(sigmas, draws, ...)``.
    """

    value: jax.Array
    error: jax.Array
    deviation: jax.Array
    scores: jax.Array


def evaluate_under_weight_noise(
    score: Callable[[Params, Any], jax.Array],
    params: Params,
    batch: Any,
    key: jax.Array,
    *,
    sigma: Any = 0.1,
    draws: Annotated[int, Interval(2), STATIC] = 10,
    model: NoiseModel = "additive_range",
    match: str = "",
) -> NoisyScore:
    r"""Mean and deviation of a score over draws of the weights' noise.

    With standard normal :math:`\varepsilon`, the models of noise are

    * ``"additive_range"``: :math:`W + \sigma \max|W|\, \varepsilon`, the largest of the
      whole tensor (the protocol of SAMSON);
    * ``"additive_rowrange"``: the largest of each output, the last axis;
    * ``"multiplicative"``: :math:`W (1 + \sigma \varepsilon)`;
    * ``"uniform_range"``: :math:`W + \sigma \max|W|\, u`, u uniform in [-1/2, 1/2): the
      noise of rounding to steps of :math:`\sigma \max|W|`;
    * ``"pairs"``: a device for each sign, whose conductance cannot fall below 0,
      :math:`[W^+ + \sigma \max|W|\, \varepsilon^+]^+ -
      [W^- + \sigma \max|W|\, \varepsilon^-]^+`.

    Args:
      score: ``score(params, batch)``, an accuracy or a loss, of any shape; a function
        that JAX can trace.
      params: the weights.
      batch: passed to ``score``.
      key: of the draws. The draws of all sigmas share their noise.
      sigma: :math:`\sigma`, at least 0, or a sequence of them.
      draws: number of draws, at least 2.
      model: of the noise.
      match: regular expression searched in the paths (``"layer/kernel"``) of the
        leaves that are noisy; leaves of fewer than two axes never are. Empty: all
        others.

    Returns:
      The scores. For ``sigma`` 0 every draw is the score without noise, but that of
      ``"pairs"``, likewise.

    Raises:
      InputError: an option is out of range, no leaf is noisy, or one that would be is
        complex.

    Cost: ``draws`` passes for each sigma, vectorized over the draws, in one program for
    all sigmas. Memory: ``draws`` copies of the weights and of the activations.

    >>> square = lambda params, x: jnp.sum((x @ params["kernel"]) ** 2)
    >>> params, key = {"kernel": jnp.ones((1, 1))}, jax.random.key(0)
    >>> found = evaluate_under_weight_noise(
    ...     square, params, jnp.ones((1, 1)), key, sigma=[0.0, 0.1], draws=1000
    ... )
    >>> found.value.shape, float(found.value[0]), round(float(found.value[1]), 1)
    ((2,), 1.0, 1.0)

    Source: Mordido, Malik, Henwood, Chandar and Leduc-Primeau, "Sharpness-Aware
    Training for Accurate Inference on Noisy DNN Accelerators", arXiv:2211.11561;
    ``"pairs"``: the simulation of "MemSE", IEEE AICAS 2022.
    """
    check_arguments(evaluate_under_weight_noise, locals())
    noisy = _noisy_leaves(params, match)
    sigmas = _sigmas(sigma)

    @jax.jit
    def scores(sigma: jax.Array, params: Params, batch: Any) -> jax.Array:
        def one(key: jax.Array) -> jax.Array:
            return jnp.asarray(
                score(_perturbed(key, params, sigma, model, noisy), batch)
            )

        found = jax.vmap(one)(jax.random.split(key, draws))
        return found.astype(trees.accumulation_dtype(_floating(found.dtype)))

    if sigmas.ndim == 0:
        found = scores(sigmas, params, batch)
    else:
        # Not vmap or scan: convolutions inside of them are slow on CPUs.
        found = jnp.stack([scores(one, params, batch) for one in sigmas])
    axis = sigmas.ndim
    deviation = jnp.std(found, axis=axis, ddof=1)
    error = deviation / math.sqrt(draws)
    return NoisyScore(jnp.mean(found, axis=axis), error, deviation, found)


def weight_noise(
    weight: jax.Array, noise: jax.Array, sigma: Any, model: NoiseModel
) -> jax.Array:
    """A weight with given noise.

    Args:
      weight: real floating; its last axis is the outputs.
      noise: standard normal values of its shape; uniform ones for
        ``"uniform_range"``, and two along a first axis for ``"pairs"``.
      sigma: see ``evaluate_under_weight_noise``.
      model: likewise.

    Returns:
      The noisy weight, of the type of ``weight``.

    Raises:
      InputError: an unknown model.

    >>> noise = jnp.array([[1.0], [-1.0]])
    >>> weight_noise(jnp.array([[2.0], [1.0]]), noise, 0.5, "additive_range").tolist()
    [[3.0], [0.0]]
    """
    if model not in get_args(NoiseModel):
        raise unknown("model", model, get_args(NoiseModel))
    dtype = trees.accumulation_dtype(weight.dtype)
    wide, noise = weight.astype(dtype), noise.astype(dtype)
    sigma = jnp.asarray(sigma, dtype)
    axes = tuple(range(weight.ndim))
    by_output = model == "additive_rowrange"
    # An empty tensor has no largest value.
    largest = jnp.max(
        jnp.abs(wide), axis=axes[:-1] if by_output else axes, keepdims=True, initial=0
    )
    if model == "multiplicative":
        found = wide * (1 + sigma * noise)
    elif model == "pairs":
        plus, minus = jnp.maximum(wide, 0), jnp.maximum(-wide, 0)
        plus = jnp.maximum(plus + sigma * largest * noise[0], 0)
        found = plus - jnp.maximum(minus + sigma * largest * noise[1], 0)
    else:
        found = wide + sigma * largest * noise
    return found.astype(weight.dtype)


def _perturbed(
    key: jax.Array, params: Params, sigma: jax.Array, model: NoiseModel, noisy: set[str]
) -> Params:
    leaves = []
    for i, (path, leaf) in enumerate(trees.leaves_with_path(params)):
        if trees.path_name(path) in noisy:
            dtype = trees.accumulation_dtype(leaf.dtype)
            own, shape = jax.random.fold_in(key, i), leaf.shape
            if model == "uniform_range":
                noise = jax.random.uniform(own, shape, dtype) - 0.5
            else:
                pair = (2,) if model == "pairs" else ()
                noise = jax.random.normal(own, (*pair, *shape), dtype)
            leaf = weight_noise(leaf, noise, sigma, model)
        leaves.append(leaf)
    return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _noisy_leaves(params: Params, match: str) -> set[str]:
    """Paths of the leaves that get noise."""
    named = {trees.path_name(p): leaf for p, leaf in trees.leaves_with_path(params)}
    chosen = {
        name: jnp.asarray(leaf).dtype
        for name, leaf in named.items()
        if jnp.ndim(leaf) >= 2 and re.search(match, name)
    }
    for name, dtype in chosen.items():
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise InputError(
                f"{name} is {dtype}; weights with noise must be real: leave it out "
                "by match"
            )
    found = {n for n, dtype in chosen.items() if jnp.issubdtype(dtype, jnp.floating)}
    if not found:
        raise InputError(
            f"match={match!r} finds no floating leaf of two axes or more; the leaves "
            f"are {', '.join(named)}"
        )
    return found


def _sigmas(sigma: Any) -> jax.Array:
    found = jnp.asarray(sigma)
    found = found.astype(_floating(found.dtype))
    if found.ndim > 1 or found.size == 0:
        raise InputError(
            f"sigma must be a number or a sequence of them; got shape {found.shape}"
        )
    for x in map(known_values, jax.tree.leaves(sigma)):
        if x is not None and not (np.isfinite(x) & (x >= 0)).all():
            raise InputError(f"sigma must be finite and at least 0; got {x}")
    return found


def _floating(dtype: Any) -> Any:
    return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
