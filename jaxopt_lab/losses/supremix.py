"""SupReMix: contrastive regression with mixtures as hard negatives and positives."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, POSITIVE, Interval, check_arguments
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses.supremix_candidates import (
    Candidates,
    drawn_positives,
    examples,
    mixed_negatives,
    mixed_positives,
    products_of,
)
from jaxopt_lab.losses.targets import check_floats, check_shape, mean_where, valid

Weighting = Literal["l1_plus_one", "none"]
_WINDOW = Interval(0.0, infinite=True)


def supremix(
    embeddings: jax.Array,
    labels: jax.Array,
    key: jax.Array | None = None,
    *,
    temperature: Annotated[float, POSITIVE] = 0.3,
    beta: tuple[float, float] | None = (2.0, 8.0),
    window: Annotated[float, _WINDOW] = 5.0,
    weighting: Weighting = "l1_plus_one",
    max_mix_positives: Annotated[int | None, COUNT] = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Contrastive loss of real labels, with mixtures of embeddings as hard candidates.

    With unit embeddings f and labels y of n examples, the loss of the anchor i is

    .. math::
        \log \sum_{q} (|y_i - y_q| + 1) e^{f_i \cdot g_q / \tau}
        - \operatorname{mean}_{q:\, y_q = y_i} f_i \cdot g_q / \tau,

    its candidates :math:`(g_q, y_q)` being

    * the other examples;
    * mixed negatives, for each k with another label :math:`\alpha f_i + (1 - \alpha)
      f_k` with the label mixed likewise, :math:`\alpha` drawn from a beta distribution;
    * mixed positives, :math:`\alpha f_j + (1 - \alpha) f_k` for :math:`y_j < y_i < y_k`
      both nearer to :math:`y_i` than ``window``, with :math:`\alpha = (y_k - y_i) /
      (y_k - y_j)`, so that the label is :math:`y_i`.

    Mixtures are constants and not of unit length. An anchor without a positive is left
    out of the mean.

    Args:
      embeddings: ``(n, D)``, those of all views; their lengths do not matter.
      labels: real numbers ``(n,)``, constant; views of an example have equal ones.
      key: of the draws; None will do where nothing is drawn.
      temperature: :math:`\tau`.
      beta: parameters of the distribution of :math:`\alpha`; None: no mixed negatives.
      window: of labels, for mixed positives; 0: none, infinity: all.
      weighting: ``"l1_plus_one"`` as above; ``"none"``: candidates count alike.
      max_mix_positives: mixed positives of an anchor, drawn from all pairs with
        replacement; None: all pairs.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64, 0 if no anchor has a positive. Examples are coupled.
      Mixtures are never made, their products with the anchors are; kept for the
      gradient: ``2 n`` and ``max_mix_positives`` numbers per anchor, or ``n^2`` with
      all pairs.

    Raises:
      InputError: shapes that do not belong together, no key for draws, or an option out
        of range.

    Source: Wu et al., "Mixup Your Own Pairs" (SupReMix), 2023
    (https://arxiv.org/abs/2309.16633) and its code, which shifts the logits of examples
    and of mixtures by different maxima inside of one sum; here there is one.

    >>> f, y = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 0, 3])
    >>> f"{supremix(f, y, beta=None, temperature=1.0):.3f}"  # log(1 + 4 / e)
    '0.905'
    """
    check_arguments(
        supremix,
        {
            "temperature": temperature,
            "window": window,
            "weighting": weighting,
            "max_mix_positives": max_mix_positives,
        },
    )
    if beta is not None and not (len(beta) == 2 and min(beta) > 0):
        raise InputError(f"beta must be two numbers above 0 or None; got {beta}")

    def folded(place: int) -> jax.Array:
        if key is None:
            raise InputError(
                "supremix needs a key for beta and max_mix_positives; got none: pass "
                "key=, or None for both"
            )
        return jax.random.fold_in(key, place)

    check_floats("embeddings", embeddings, 2)
    f, y, here = _checked(embeddings, labels, where)
    n, t = f.shape[0], jnp.asarray(temperature, f.dtype)
    found = [examples(f, y, here, t)]
    # The same products, whose gradient is that of the anchor alone.
    products = products_of(f, jax.lax.stop_gradient(f)) / t
    if beta is not None:
        draw = folded(0)
        # Of one type, so that the draws do not depend on that of the embeddings.
        shares = jax.random.beta(draw, *beta, (n, n), jnp.float32).astype(f.dtype)
        found.append(mixed_negatives(products, y, here, shares))
    if known_number(window) != 0:
        width = jnp.asarray(window, f.dtype)
        if max_mix_positives is None:
            found.append(mixed_positives(products, y, here, width))
        else:
            draw = folded(1)
            draws = jax.random.uniform(draw, (2, n, max_mix_positives), jnp.float32)
            found.append(drawn_positives(products, y, here, width, draws))
    return contrast(
        Candidates(*(jnp.concatenate(parts, 1) for parts in zip(*found, strict=True))),
        weighting,
    )


def supervised_contrastive_regression(
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    temperature: Annotated[float, POSITIVE] = 0.3,
    weighting: Weighting = "l1_plus_one",
    where: jax.Array | None = None,
) -> jax.Array:
    """``supremix`` without mixtures; without weights, the supervised contrastive loss.

    Args:
      embeddings: ``(n, D)``; their lengths do not matter.
      labels: real numbers ``(n,)``, constant.
      temperature: of the logits.
      weighting: of the candidates, by the distance of labels.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64; 0 if no two labels are equal. ``n x n`` products are
      kept for the gradient.

    Raises:
      InputError: as of ``supremix``.

    Source: Khosla et al., "Supervised Contrastive Learning", 2020
    (https://arxiv.org/abs/2004.11362).

    >>> f, y = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 0, 3])
    >>> f"{supervised_contrastive_regression(f, y, temperature=1.0):.3f}"
    '0.905'
    """
    check_arguments(
        supervised_contrastive_regression,
        {"temperature": temperature, "weighting": weighting},
    )
    check_floats("embeddings", embeddings, 2)
    f, y, here = _checked(embeddings, labels, where)
    found = examples(f, y, here, jnp.asarray(temperature, f.dtype))
    return contrast(found, weighting)


def contrast(candidates: Candidates, weighting: Weighting) -> jax.Array:
    """Mean over anchors of the log of the weighted sum less the mean positive logit.

    One logarithm of a sum with one maximum: a constant added to all logits of an anchor
    changes nothing, of whichever group they are.

    Args:
      candidates: those of every anchor.
      weighting: as of ``supremix``.

    Returns:
      A number.

    >>> one = jnp.ones((1, 1))
    >>> float(contrast(Candidates(5 * one, 0 * one, one > 0, one > 0), "none"))
    0.0
    """
    logits, distances, positive, counts = candidates
    lifted = logits
    if weighting == "l1_plus_one":
        lifted = logits + jnp.log1p(jnp.where(counts, distances, 0))
    # An anchor without candidates sees a zero: of nothing the gradient is NaN.
    nothing = ~jnp.any(counts, axis=1, keepdims=True)
    lifted = jnp.where(nothing, 0, jnp.where(counts, lifted, -jnp.inf))
    number = jnp.sum(positive.astype(logits.dtype), axis=1)
    mean = jnp.sum(jnp.where(positive, logits, 0), axis=1) / jnp.maximum(number, 1)
    some = number > 0
    losses = jnp.where(some, jax.nn.logsumexp(lifted, axis=1) - mean, 0)
    return mean_where(losses, some.astype(losses.dtype))


def _checked(
    embeddings: jax.Array, labels: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Unit rows, constant labels and which examples count; zeros for the others."""
    check_shape("labels", labels, embeddings.shape[:1])
    kind = jnp.result_type(labels)
    if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        raise InputError(f"labels must be real numbers; got dtype {kind}")
    counts = valid(where, embeddings.shape[0], embeddings)
    here = counts > 0
    f = unit_rows(jnp.where(here[:, None], embeddings.astype(counts.dtype), 0))
    y = jnp.where(here, labels.astype(counts.dtype), 0)
    return f, jax.lax.stop_gradient(y), here
