"""Mixup: convex combinations of the examples of a batch and of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def mixup(
    alpha: Annotated[Scalar, NON_NEGATIVE] = 0.2,
    *,
    num_classes: Annotated[int, COUNT],
    inputs: Sequence[str] = ("image",),
    label: str = "label",
) -> Augment:
    r"""Mix every example with another one of its batch.

    With one :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` and one random order
    :math:`\pi` for a batch, and labels as probabilities,

    .. math::
        \tilde x_i = \lambda x_i + (1 - \lambda) x_{\pi(i)}, \quad
        \tilde y_i = \lambda y_i + (1 - \lambda) y_{\pi(i)}.

    Args:
      alpha: strength, at least 0; 0 changes nothing, labels included.
      num_classes: C, columns of the mixed labels.
      inputs: entries to mix, each ``(B, ...)``. Integers become float32 between 0 and
        1, divided by 255, as the losses do with images.
      label: entry of the labels, integers ``(B,)``, mixed to ``(B, C)``; or floats
        ``(B, C)`` that are mixed as they are.

    Returns:
      ``(key, batch) -> batch``. Labels become floats of the type of the first input.

    Raises:
      InputError: ``alpha`` is negative or ``num_classes`` no positive count; at the
        call, an entry is missing or the labels have another shape.

    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, 1])}
    >>> mixed = mixup(1.0, num_classes=2)(jax.random.key(0), batch)
    >>> bool(jnp.allclose(mixed["image"], mixed["label"]))
    True

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk
    Minimization", arXiv:1710.09412. Their code draws one number a batch, too.
    """
    check_arguments(mixup, locals())
    if not inputs:
        raise InputError("inputs must name at least one entry of the batch; got none")

    def transform(key: jax.Array, batch: Batch) -> Batch:
        for name in (*inputs, label):
            if name not in batch:
                raise InputError(f"the batch has no {name!r} to mix; it has {[*batch]}")
        if known_number(alpha) == 0:
            return batch
        mixed = {name: as_floats(batch[name]) for name in inputs}
        first = mixed[inputs[0]]
        mixed[label] = probabilities(
            batch[label], num_classes, first.shape[0], first.dtype
        )
        # One draw and one sort: jax.random.permutation compiles several of both.
        draws = jax.random.uniform(key, (first.shape[0] + 2,), jnp.float32)
        weight = symmetric_beta(draws[0], draws[1], alpha)
        order = jnp.argsort(draws[2:])

        def mix(x: jax.Array) -> jax.Array:
            own = x.astype(trees.accumulation_dtype(x.dtype))
            part = weight.astype(own.dtype)
            return (part * own + (1 - part) * own[order]).astype(x.dtype)

        return {**batch, **jax.tree.map(mix, mixed)}

    return transform


def symmetric_beta(u: jax.Array, v: jax.Array, alpha: Scalar) -> jax.Array:
    r"""A number with the distribution :math:`\mathrm{Beta}(\alpha, \alpha)`.

    With U and V uniform in [0, 1), a Student t variate of :math:`2 \alpha` degrees of
    freedom, over the root of them, and the number are

    .. math::
        T = \sqrt{U^{-1/\alpha} - 1} \, \cos 2 \pi V, \quad
        \tfrac12 + \tfrac12 \, T / \sqrt{1 + T^2},

    without rejection, a program of ten operations instead of the two loops of
    ``jax.random.beta``.

    Args:
      u: U, float32: the same key gives the same mixture for batches of every type.
      v: V, float32.
      alpha: above 0.

    Returns:
      float32 in [0, 1].

    >>> float(symmetric_beta(jnp.float32(0.5), jnp.float32(0.0), 1.0)) > 0.85
    True

    Source: Bailey, "Polar Generation of Random Variates with the t-Distribution",
    Mathematics of Computation 62 (1994).
    """
    square = jnp.expm1(-jnp.log(u) / jnp.asarray(alpha, jnp.float32))
    cosine = jnp.cos(jnp.float32(2 * jnp.pi) * v)
    # 1 / T^2 is infinite for T = 0, and 0 where the square overflows.
    length = 1 / jnp.sqrt(1 + 1 / (square * cosine**2))
    return (1 + jnp.sign(cosine) * length) / 2


def as_floats(x: jax.Array) -> jax.Array:
    """Pixels as floats: integers are divided by 255, floats are left alone.

    Args:
      x: integers in 0 to 255, or floats on any scale.

    Returns:
      float32 for integers.

    >>> as_floats(jnp.array([0, 255], jnp.uint8)).tolist()
    [0.0, 1.0]
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.float32) / jnp.float32(255)
    return x


def probabilities(
    labels: jax.Array, classes: int, count: int, dtype: DTypeLike
) -> jax.Array:
    """Labels as probabilities of the classes.

    Args:
      labels: integers ``(count,)``; or floats ``(count, classes)``, as they are.
      classes: number of classes.
      count: number of examples.
      dtype: floating type of the result for integers.

    Returns:
      Shape ``(count, classes)``.

    Raises:
      InputError: the labels have another type or shape.

    >>> probabilities(jnp.array([1]), 2, 1, jnp.float32).tolist()
    [[0.0, 1.0]]
    """
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == (count,):
        return jax.nn.one_hot(labels, classes, dtype=dtype)
    if trees.is_floating(labels) and labels.shape == (count, classes):
        return labels
    raise InputError(
        f"labels to mix must be integers of shape {(count,)} or floats of shape "
        f"{(count, classes)}; got {labels.dtype} of shape {labels.shape}"
    )
