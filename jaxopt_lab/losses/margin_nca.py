"""NCA: logits of proxies against labels, with a margin and a hinge."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.cross_entropy import at_labels
from jaxopt_lab.losses.targets import check_labels, kept, refuse_out_of_range

Form = Literal["paper", "softmax", "reference"]


def margin_nca(
    logits: jax.Array,
    labels: jax.Array,
    *,
    scale: Annotated[Scalar, POSITIVE] = 1.0,
    margin: Annotated[Scalar, NON_NEGATIVE] = 0.6,
    form: Form = "paper",
    hinge: bool = True,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Similarity to the proxies of the label, against that to all other classes.

    .. math::
        \left[-\eta (s_y - \delta) + \log \sum_{i \ne y} e^{\eta s_i}\right]_+

    Args:
      logits: similarities s, ``(..., C)``, two classes at least; those of
        ``layers.local_similarity``.
      labels: integers ``(...)``.
      scale: :math:`\eta`; learned where it is a parameter of the network.
      margin: :math:`\delta`, by which the label's similarity has to win.
      form: ``"paper"``; ``"softmax"``, with the label's term in the sum as well,
        :math:`e^{\eta (s_y - \delta)}`, which with the margin 0 is cross-entropy; or
        ``"reference"``, the released program: the margin is taken from all classes, so
        that it has no effect, and the label's term in the sum is
        :math:`e^{\eta \max_i s_i}`.
      hinge: whether losses below 0 count as 0. Those of ``"softmax"`` and
        ``"reference"`` never are, but for rounding.
      where: like ``labels``; 0 drops an example.

    Returns:
      Like ``labels``, float32 or float64; NaN for labels out of range
      in a program.

    Raises:
      InputError: shapes that do not fit, a single class, or an option out of range.

    Cost: linear in the logits. Kept for the gradient: two arrays of their size.

    Source: Douillard et al., "PODNet", arXiv:2004.13513. Code read:
    arthurdouillard/incremental_learning.pytorch, which has the hinge off by default.

    >>> margin_nca(jnp.array([[0.5, 0.2]]), jnp.array([0]), margin=0.0).tolist()
    [0.0]
    """
    check_arguments(
        margin_nca, {n: v for n, v in locals().items() if n not in ("logits", "labels")}
    )
    check_labels(logits, labels, where)
    refuse_out_of_range(labels, logits.shape[-1], where)
    if logits.shape[-1] < 2:
        raise InputError("margin_nca needs at least two classes; got one")
    x = kept(logits.astype(accumulation_dtype(logits.dtype)), where)
    factor = jnp.asarray(scale, x.dtype)
    x = factor * x
    own = at_labels(x, labels)
    shift = factor * jnp.asarray(margin, x.dtype)
    is_own = is_class(labels, x.shape[-1])
    if form == "paper":
        inside = jnp.full_like(own, -jnp.inf)
    else:
        inside = jnp.max(x, axis=-1) if form == "reference" else own - shift
    terms = jnp.where(is_own, inside[..., None], x)
    every = jax.nn.logsumexp(terms, axis=-1)
    losses = every - (own if form == "reference" else own - shift)
    if hinge:
        losses = jax.nn.relu(losses)
    return or_zero(losses, where)
