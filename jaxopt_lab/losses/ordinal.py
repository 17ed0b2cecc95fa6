"""Soft labels of ordered levels (DeQA-Score), and fidelity of their order."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import POSITIVE, Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted, or_zero
from jaxopt_lab.losses.targets import check_labels, kept, refuse_out_of_range

Mode = Literal["cdf", "pdf"]
_SEVERAL = Interval(2.0)


class LevelScore(NamedTuple):
    """Mean and variance of a score.

    Attributes:
      mean: shape ``(...)``.
      var: shape ``(...)``.
    """

    mean: jax.Array
    var: jax.Array


def gaussian_soft_label(
    mean: jax.Array,
    std: jax.Array,
    *,
    levels: Annotated[int, _SEVERAL] = 5,
    mode: Mode = "cdf",
) -> jax.Array:
    r"""Probabilities of ordered levels for a score that is a Gaussian.

    With the raw mass :math:`p_c` of level c = 1..L, that between :math:`c \pm 1/2` or
    the density at c, and :math:`A = \sum p_c`, :math:`B = \sum c\, p_c`,
    :math:`m = (L + 1) / 2`,

    .. math::
        q_c = \alpha p_c + \beta, \qquad
        \alpha = \frac{\mu - m}{B - m A}, \qquad \beta = \frac{1 - \alpha A}{L},

    has the sum 1 and the mean :math:`\mu`; it is cut at 0 and normalized. For
    :math:`\mu = m` the factor :math:`\alpha` is its limit. Where the raw mass is too
    narrow (a deviation below 0.2) or the result's mean is more than 0.1 off, the two
    levels around :math:`\mu` share the mass.

    Args:
      mean: :math:`\mu`, any shape, on the scale 1..L; cut to it.
      std: :math:`\sigma > 0`, broadcastable to the mean.
      levels: L, at least 2.
      mode: ``"cdf"`` or ``"pdf"``.

    Returns:
      Shape ``(..., L)``, float32 or float64, constant: no gradient flows into labels.

    Raises:
      InputError: an option is out of range.

    Source: You et al., "Teaching Large Language Models to Regress Accurate Image
    Quality Scores using Score Distribution" (DeQA-Score), 2025
    (https://arxiv.org/abs/2501.11561) and its code, whose label of a score in the
    middle is uniform and whose sums may differ from 1; the limit is ours.

    >>> q = gaussian_soft_label(jnp.array(2.0), jnp.array(0.6))
    >>> [f"{x:.3f}" for x in q]
    ['0.197', '0.603', '0.197', '0.004', '0.000']
    """
    check_arguments(gaussian_soft_label, {"levels": levels, "mode": mode})
    dtype = accumulation_dtype(jnp.result_type(mean))
    given = jnp.asarray(mean, dtype), jnp.asarray(std, dtype)
    mu, sigma = jax.lax.stop_gradient(given)
    shape = jnp.broadcast_shapes(mu.shape, sigma.shape)
    mu = jnp.clip(jnp.broadcast_to(mu, shape), 1, levels)[..., None]
    sigma = jnp.broadcast_to(sigma, shape)[..., None]
    places = jnp.arange(1, levels + 1, dtype=dtype).reshape((1,) * len(shape) + (-1,))
    half = jnp.asarray(0.5, dtype)
    low, high = (places - half - mu) / sigma, (places + half - mu) / sigma
    density = jax.scipy.stats.norm.pdf
    if mode == "cdf":
        p = jax.scipy.stats.norm.cdf(high) - jax.scipy.stats.norm.cdf(low)
        slope = (density(low) - density(high)) / sigma
    else:
        p = density((places - mu) / sigma) / sigma
        slope = p * (places - mu) / sigma**2
    from_middle = places - (levels + 1) / 2
    off = jnp.sum(from_middle * p, axis=-1, keepdims=True)
    rate = jnp.sum(from_middle * slope, axis=-1, keepdims=True)
    middle = jnp.abs(off) < 1e-6
    near = jnp.where(rate > 1e-6, 1 / jnp.where(rate > 1e-6, rate, 1), 0)
    alpha = jnp.where(middle, near, (mu - (levels + 1) / 2) / jnp.where(middle, 1, off))
    beta = (1 - alpha * jnp.sum(p, axis=-1, keepdims=True)) / levels
    q = jnp.maximum(alpha * p + beta, 0)
    q = q / jnp.sum(q, axis=-1, keepdims=True)
    found = jnp.sum(q * places, axis=-1, keepdims=True)
    total = jnp.sum(p, axis=-1, keepdims=True)
    raw = p / jnp.where(total > 0, total, 1)
    centre = jnp.sum(raw * places, axis=-1, keepdims=True)
    spread = jnp.sum(raw * jnp.square(places - centre), axis=-1, keepdims=True)
    bad = (jnp.abs(found - mu) > 0.1) | (spread < 0.04)
    two = jnp.maximum(1 - jnp.abs(places - mu), 0)
    return jnp.where(bad, two, q)


def ordinal_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    std: Annotated[float, POSITIVE] = 0.6,
    mode: Mode = "cdf",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Divergence of the predicted levels from the soft label around the true one.

    .. math:: KL(q \,\|\, \mathrm{softmax}(z)),

    q the ``gaussian_soft_label`` of the label's level: near levels cost less than far
    ones.

    Args:
      logits: ``(..., L)``, of levels in their order.
      labels: integers in ``0 .. L - 1``, ``(...)``; one out of range gives NaN.
      std: deviation of the label, in levels; near 0 it is the cross-entropy.
      mode: of the soft label.
      where: ``(...)``; 0 drops a label.

    Returns:
      Shape ``(...)``, float32 or float64; at least 0, and 0 where the softmax is q.

    Raises:
      InputError: shapes that do not belong together, a label out of range, or an option
        out of range.

    Source: You et al., DeQA-Score, 2025 (https://arxiv.org/abs/2501.11561); a single
    deviation for all labels is ours, theirs is that of the votes of each image, see
    ``soft_label_divergence``.

    >>> z = jnp.zeros((1, 5))
    >>> f"{ordinal_cross_entropy(z, jnp.array([1]), std=1e-3)[0]:.3f}"  # log 5
    '1.609'
    """
    check_arguments(ordinal_cross_entropy, {"std": std, "mode": mode})
    check_labels(logits, labels, where)
    levels = logits.shape[-1]
    refuse_out_of_range(labels, levels, where, of="levels of the logits")
    wide = accumulation_dtype(logits.dtype)
    q = gaussian_soft_label(
        labels.astype(wide) + 1, jnp.asarray(std, wide), levels=levels, mode=mode
    )
    losses = soft_label_divergence(logits, q, where=where)
    inside = (labels >= 0) & (labels < levels)
    if where is not None:
        inside = inside | ~counted(where)
    return jnp.where(inside, losses, jnp.nan)


def soft_label_divergence(
    logits: jax.Array, soft: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    """Divergence of the softmax of logits from given probabilities.

    Args:
      logits: ``(..., L)``.
      soft: probabilities, ``(..., L)``, constant.
      where: ``(...)``; 0 drops an example.

    Returns:
      Shape ``(...)``.

    Raises:
      InputError: the shapes differ.

    >>> f"{soft_label_divergence(jnp.zeros(2), jnp.array([1.0, 0.0])):.3f}"
    '0.693'
    """
    if logits.shape != soft.shape:
        raise InputError(
            f"soft must have the shape of the logits, {logits.shape}; got {soft.shape}"
        )
    log_p = jax.nn.log_softmax(
        kept(logits.astype(accumulation_dtype(logits.dtype)), where)
    )
    q = jax.lax.stop_gradient(kept(soft.astype(log_p.dtype), where))
    # 0 log 0 is 0; the logarithm of a positive one alone is taken.
    apart = jnp.log(jnp.where(q == 0, 1, q)) - log_p
    losses = jnp.sum(jnp.where(q == 0, 0, q * apart), axis=-1)
    return or_zero(losses, where)


def level_score(logits: jax.Array) -> LevelScore:
    """Mean and variance of the level, 1..L, under the softmax of the logits.

    Args:
      logits: ``(..., L)``.

    Returns:
      ``LevelScore`` of shape ``(...)``, float32 or float64.

    >>> score = level_score(jnp.zeros(5))
    >>> f"{score.mean:.1f} {score.var:.1f}"
    '3.0 2.0'
    """
    p = jax.nn.softmax(logits.astype(accumulation_dtype(logits.dtype)))
    places = jnp.arange(1, p.shape[-1] + 1, dtype=p.dtype)
    places = places.reshape((1,) * (p.ndim - 1) + (-1,))
    mean = jnp.sum(p * places, axis=-1)
    apart = jnp.square(places - mean[..., None])
    return LevelScore(mean, jnp.sum(p * apart, axis=-1))


def fidelity_loss(
    mean_a: jax.Array,
    var_a: jax.Array,
    mean_b: jax.Array,
    var_b: jax.Array,
    target: jax.Array,
) -> jax.Array:
    r"""Fidelity of the predicted probability that score a is above score b.

    .. math::
        1 - \sqrt{P \hat P + e} - \sqrt{(1 - P)(1 - \hat P) + e}, \qquad
        \hat P = \Phi\!\left(\frac{\mu_a - \mu_b}{\sqrt{v_a + v_b}}\right),

    e = 1e-8; the variances are held constant. Only pairs of one data set have a target:
    sets with scales of their own can be trained on together.

    Args:
      mean_a: :math:`\mu_a`, any shape.
      var_a: :math:`v_a`, not negative.
      mean_b: :math:`\mu_b`.
      var_b: :math:`v_b`.
      target: P, of the true means and variances, see ``above``.

    Returns:
      Like the means, broadcast; 0 up to e where both probabilities agree.

    Source: You et al., DeQA-Score, 2025 (https://arxiv.org/abs/2501.11561), and its
    code.

    >>> one = jnp.ones(())
    >>> f"{abs(fidelity_loss(one, one, one, one, jnp.array(0.5))):.3f}"
    '0.000'
    """
    var_a, var_b, target = jax.lax.stop_gradient((var_a, var_b, target))
    found = above(mean_a, var_a, mean_b, var_b)
    e = jnp.asarray(1e-8, found.dtype)
    agree = jnp.sqrt(target * found + e)
    return 1 - agree - jnp.sqrt((1 - target) * (1 - found) + e)


def above(
    mean_a: jax.Array, var_a: jax.Array, mean_b: jax.Array, var_b: jax.Array
) -> jax.Array:
    """Probability that one Gaussian score is above another.

    Args:
      mean_a: of the one.
      var_a: its variance.
      mean_b: of the other.
      var_b: its variance; where both are 0 the larger mean is above.

    Returns:
      Probabilities.

    >>> float(above(jnp.ones(()), jnp.ones(()), jnp.ones(()), jnp.ones(())))
    0.5
    """
    var = var_a + var_b
    tiny = jnp.asarray(jnp.finfo(var.dtype).tiny, var.dtype)
    apart = (mean_a - mean_b) / jnp.sqrt(jnp.maximum(var, tiny))
    return jax.scipy.stats.norm.cdf(apart)
