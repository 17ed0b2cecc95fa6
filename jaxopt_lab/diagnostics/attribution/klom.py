"""KLoM: distance of unlearned models from retrained ones by their margins."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype


class KLoM(NamedTuple):
    """Divergences of the margins of each example.

    Attributes:
      each: ``(examples,)``, in nats.
      mean: scalar.
      worst: scalar, their 95th percentile.
    """

    each: jax.Array
    mean: jax.Array
    worst: jax.Array


def margins(logits: jax.Array, labels: jax.Array) -> jax.Array:
    r"""Log odds of the label, :math:`z_y - \log\sum_{i \ne y} e^{z_i}`.

    Args:
      logits: ``(..., C)``, two classes at least.
      labels: integers ``(...)``.

    Returns:
      ``(...)``, float32 or float64.

    Raises:
      InputError: a single class.

    >>> margins(jnp.array([[2.0, 0.5]]), jnp.array([0])).tolist()
    [1.5]
    """
    if logits.shape[-1] < 2:
        raise InputError("margins need at least two classes; got one")
    z = logits.astype(accumulation_dtype(logits.dtype))
    own = is_class(labels, z.shape[-1])
    others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, z), axis=-1)
    return jnp.sum(jnp.where(own, z, 0), axis=-1) - others


def klom(
    unlearned: jax.Array,
    retrained: jax.Array,
    *,
    bins: Annotated[int, COUNT] = 20,
    smoothing: Annotated[float, POSITIVE] = 1e-3,
) -> KLoM:
    r"""Kullback-Leibler divergence of margins, from histograms of many models.

    For each example, with the shares :math:`p_b` of unlearned and :math:`q_b` of
    retrained models in B bins of equal width over the range of both,

    .. math:: \sum_b \tilde p_b \log \frac{\tilde p_b}{\tilde q_b}, \qquad
        \tilde p_b = \frac{p_b + \epsilon}{1 + B \epsilon}.

    Args:
      unlearned: ``(models, examples)``, margins of models after unlearning, from
        different seeds.
      retrained: ``(models', examples)``, of models trained without the forget set.
      bins: B.
      smoothing: :math:`\epsilon`; it bounds a divergence by log(1 + 1 / eps).

    Returns:
      The divergences. 0 for the same models in any order; with few models two draws
      from one distribution differ: compare with retrained models against others.

    Raises:
      InputError: the shapes do not fit, a set is empty, or an option is out of range.

    Margins that are not finite give NaN for their example.

    >>> m = jnp.arange(6.0).reshape(3, 2)
    >>> float(klom(m, m[::-1]).mean)
    0.0

    Source: Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel
    Matching", arXiv:2410.23232; the smoothing is ours.
    """
    check_arguments(klom, {"bins": bins, "smoothing": smoothing})
    shapes = unlearned.shape, retrained.shape
    if not all(len(s) == 2 and s[0] and s[1] for s in shapes) or (
        shapes[0][1] != shapes[1][1]
    ):
        raise InputError(
            "unlearned and retrained must be (models, examples) of the same examples, "
            f"at least one of each; got shapes {shapes[0]} and {shapes[1]}"
        )
    dtype = accumulation_dtype(unlearned.dtype)
    p, q = (x.astype(dtype) for x in (unlearned, retrained))
    both = jnp.concatenate([p, q])
    low, high = jnp.min(both, axis=0), jnp.max(both, axis=0)
    width = jnp.where(high > low, high - low, 1)
    eps = jnp.asarray(smoothing, dtype)

    def shares(x: jax.Array) -> jax.Array:
        place = jnp.floor((x - low[None]) / width[None] * bins).astype(jnp.int32)
        place = jnp.clip(place, 0, bins - 1)
        counts = jnp.sum(jax.nn.one_hot(place, bins, dtype=dtype), axis=0)
        return (counts / len(x) + eps) / (1 + bins * eps)

    p, q = shares(p), shares(q)
    each = jnp.sum(p * (jnp.log(p) - jnp.log(q)), axis=1)
    each = jnp.where(jnp.all(jnp.isfinite(both), axis=0), each, jnp.nan)
    return KLoM(each, jnp.mean(each), jnp.percentile(each, 95))
