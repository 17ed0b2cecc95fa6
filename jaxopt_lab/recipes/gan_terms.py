"""Parts of the training of adversarial pairs: terms of the losses, kept feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype

GanLoss = Literal["non_saturating", "saturating", "least_squares"]
DiversityForm = Literal["constant", "identity", "sigmoid", "softplus", "tanh"]
Term = Callable[[jax.Array], jax.Array]

FORMS: dict[str, Term] = {
    "identity": lambda a: a,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}


class GanTerms(NamedTuple):
    """Losses of logits, one by one.

    Attributes:
      real: the discriminator's, of logits that shall be high.
      fake: the discriminator's, of logits that shall be low.
      fool: the generator's, which raises logits.
      reveal: the generator's, which lowers them.
    """

    real: Term
    fake: Term
    fool: Term
    reveal: Term


def _away_from(value: float) -> Term:
    return lambda s: (s - value) ** 2 / 2


_SOFTPLUS = jax.nn.softplus
TERMS: dict[GanLoss, GanTerms] = {
    "non_saturating": GanTerms(
        real=lambda s: _SOFTPLUS(-s),
        fake=_SOFTPLUS,
        fool=lambda s: _SOFTPLUS(-s),
        reveal=_SOFTPLUS,
    ),
    "saturating": GanTerms(
        real=lambda s: _SOFTPLUS(-s),
        fake=_SOFTPLUS,
        fool=lambda s: -_SOFTPLUS(s),
        reveal=lambda s: -_SOFTPLUS(-s),
    ),
    "least_squares": GanTerms(
        real=_away_from(1.0),
        fake=_away_from(0.0),
        fool=_away_from(1.0),
        reveal=_away_from(0.0),
    ),
}


def kept_feedback(key: jax.Array, count: int, drop: Any, dtype: Any) -> jax.Array:
    """Weights 1 of the discriminators that the generator hears, 0 of the others.

    Args:
      key: typed PRNG key.
      count: number of discriminators.
      drop: probability with which each is dropped, in [0, 1].
      dtype: of the weights.

    Returns:
      ``(count,)``; where all would be dropped, one is kept, each with the same
      probability.

    >>> kept_feedback(jax.random.key(0), 3, 1.0, jnp.float32).sum().item()
    1.0
    """
    one, two = jax.random.split(key)
    drawn = jax.random.uniform(one, (count,), jnp.float32)
    kept = drawn >= jnp.asarray(drop, jnp.float32)
    numbers = jnp.arange(count, dtype=jnp.int32)
    alone = numbers == jax.random.randint(two, (), 0, count, jnp.int32)
    return jnp.where(jnp.any(kept), kept, alone).astype(dtype)


def as_logits(outputs: Any, count: int) -> jax.Array:
    """The logits of a discriminator, one an example.

    Args:
      outputs: ``(B,)`` or ``(B, 1)``.
      count: B.

    Returns:
      ``(B,)``, float32 or float64.

    Raises:
      InputError: another shape.

    >>> as_logits(jnp.zeros((2, 1)), 2).shape
    (2,)
    """
    shape = jnp.shape(outputs)
    if shape not in ((count,), (count, 1)):
        raise InputError(
            f"a discriminator gives {shape} for {count} examples; accepted: "
            f"({count},) or ({count}, 1)"
        )
    return outputs.reshape(count).astype(accumulation_dtype(outputs.dtype))


def leading_size(params: Any) -> int:
    """The number of discriminators.

    Args:
      params: their parameters, stacked.

    Returns:
      The size of the leading axis.

    Raises:
      InputError: there is no common one.

    >>> leading_size({"w": jnp.zeros((3, 2))})
    3
    """
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if len(sizes) != 1 or () in sizes:
        raise InputError(
            "the parameters of the discriminators must share a leading axis; got "
            f"leading axes {sorted(sizes)}"
        )
    return sizes.pop()[0]


def outside_of(slices: jax.Array) -> jax.Array:
    """By slice, the examples of all other slices.

    Args:
      slices: ``(K, n, ...)``.

    Returns:
      ``(K, n, K - 1, ...)``.

    >>> outside_of(jnp.arange(3).reshape(3, 1)).tolist()
    [[[1, 2]], [[0, 2]], [[0, 1]]]
    """
    count = len(slices)
    others = [[j for j in range(count) if j != k] for k in range(count)]
    index = jnp.asarray(others, jnp.int32).reshape(count, count - 1)
    return jnp.moveaxis(slices[index], 2, 1)


def draw_noise(key: jax.Array, count: int, latent: int, dtype: Any) -> jax.Array:
    """Noise of generators.

    Args:
      key: typed PRNG key.
      count: number of examples.
      latent: features.
      dtype: of the numbers.

    Returns:
      ``(count, latent)``, standard normal.

    >>> draw_noise(jax.random.key(0), 3, 2, jnp.float32).shape
    (3, 2)
    """
    return jax.random.normal(key, (count, latent), dtype)


def by_slice(
    x: jax.Array, fakes: jax.Array, parts: int, split: bool, outside: bool
) -> dict[str, jax.Array]:
    """The examples of each discriminator.

    Args:
      x: real ones, ``(B, ...)``.
      fakes: generated ones.
      parts: number of discriminators.
      split: each has a slice; otherwise all have all examples, without an axis.
      outside: the generated examples of other slices, too.

    Returns:
      ``"real"`` and ``"fake"``, with a leading axis of slices, and ``"outside"``.

    >>> x = jnp.arange(4.0)
    >>> by_slice(x, -x, 2, True, False)["fake"].tolist()
    [[-0.0, -1.0], [-2.0, -3.0]]
    """
    if not split:
        return {"real": x, "fake": fakes}
    cut = lambda x: x.reshape(parts, -1, *x.shape[1:])
    given = {"real": cut(x), "fake": cut(fakes)}
    if outside:
        given["outside"] = outside_of(given["fake"])
    return given
