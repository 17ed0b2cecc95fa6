"""Experts of sparse mixtures: aligned, grouped by their routers and merged (M-SMoE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted


class RouterStatistics(NamedTuple):
    """Statistics of the router of a mixture on calibration data.

    Attributes:
      usage: ``(experts,)``, share of the tokens whose largest logit is the expert's.
      similarity: ``(experts, experts)``, ``(cos + 1) / 2`` of two experts' logits over
        the tokens; 1/2 beside logits that are all 0.
    """

    usage: jax.Array | np.ndarray
    similarity: jax.Array | np.ndarray


class ExpertGroups(NamedTuple):
    """The groups of the experts of one layer.

    Attributes:
      core: ``(groups,)``, the dominant expert of each group, by falling usage.
      labels: ``(experts,)``, the group of each expert.
    """

    core: np.ndarray
    labels: np.ndarray


def router_statistics(
    logits: jax.Array, *, where: jax.Array | None = None
) -> RouterStatistics:
    """Usage and similarity of experts from the logits of their router.

    Args:
      logits: ``(..., experts)``, on at least one token.
      where: true where a token counts, of the leading axes; ``None``: all.

    Returns:
      The statistics, float32 (float64 for float64 logits).

    Raises:
      InputError: the shapes do not fit, or there is no token.

    >>> router_statistics(jnp.array([[2.0, 1.0], [0.0, 1.0]])).usage.tolist()
    [0.5, 0.5]
    """
    if logits.ndim < 2 or not logits.size:
        raise InputError(
            f"router_statistics takes logits (tokens, experts); got {logits.shape}"
        )
    experts = logits.shape[-1]
    rows = logits.reshape(-1, experts).astype(accumulation_dtype(logits.dtype))
    counts = jnp.ones(rows.shape[0], bool)
    if where is not None:
        if where.shape != logits.shape[:-1]:
            raise InputError(
                f"where must have the leading axes {logits.shape[:-1]}; got "
                f"{where.shape}"
            )
        counts = counted(where).ravel()
        rows = jnp.where(counts[:, None], rows, 0)
    chosen = jax.nn.one_hot(jnp.argmax(rows, axis=-1), experts, dtype=rows.dtype)
    chosen = jnp.where(counts[:, None], chosen, 0)
    total = jnp.maximum(jnp.sum(counts.astype(rows.dtype)), 1)
    high = jax.lax.Precision.HIGHEST
    product = jnp.matmul(rows.T, rows, precision=high)
    length = jnp.sqrt(jnp.diagonal(product))
    length = jnp.where(length == 0, 1, length)
    cosine = product / (length[:, None] * length[None, :])
    return RouterStatistics(jnp.sum(chosen, axis=0) / total, (cosine + 1) / 2)


def align_experts(wi: ArrayLike, wo: ArrayLike) -> np.ndarray:
    r"""The order of the hidden units of each expert that is most like expert 0's.

    .. math:: \max_\pi \sum_i \langle W^{in}_{0, i}, W^{in}_{e, \pi(i)} \rangle
        + \langle W^{out}_{0, i}, W^{out}_{e, \pi(i)} \rangle

    by the Hungarian algorithm (SciPy's, on the host).

    Args:
      wi: ``(experts, inputs, hidden)``.
      wo: ``(experts, hidden, outputs)``.

    Returns:
      ``(experts, hidden)``, whole numbers; that of expert 0 is the identity.

    Raises:
      InputError: the shapes do not fit, or a weight is not finite.

    >>> wi = np.array([[[1.0, 5.0]], [[5.0, 1.0]]])
    >>> align_experts(wi, np.zeros((2, 2, 1))).tolist()
    [[0, 1], [1, 0]]
    """
    from scipy.optimize import linear_sum_assignment

    one, two = np.asarray(wi), np.asarray(wo)
    if one.ndim != 3 or two.ndim != 3 or one.shape[::2] != two.shape[:2]:
        raise InputError(
            "align_experts takes (experts, inputs, hidden) and (experts, hidden, "
            f"outputs); got {one.shape} and {two.shape}"
        )
    one, two = one.astype(np.float64), two.astype(np.float64)
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise InputError("align_experts: a weight of the experts is not finite")
    orders = []
    for e in range(one.shape[0]):
        gain = one[0].T @ one[e] + two[0] @ two[e].T
        # Expert 0 against itself is the identity, also where units are equal.
        order = linear_sum_assignment(gain, maximize=True)[1] if e else None
        orders.append(np.arange(gain.shape[0]) if order is None else order)
    return np.stack(orders)


def permute_experts(
    experts: Mapping[str, jax.Array], orders: ArrayLike
) -> dict[str, jax.Array]:
    """Experts with their hidden units in another order; the same functions.

    Args:
      experts: ``"wi"``, ``(experts, inputs, hidden)``, ``"wo"``, ``(experts, hidden,
        outputs)``, and ``"bi"``, ``(experts, hidden)``, if there is one; others stay.
      orders: ``(experts, hidden)``, of ``align_experts``.

    Returns:
      The same entries.

    >>> experts = {"wi": jnp.array([[[1.0, 5.0]]]), "wo": jnp.array([[[2.0], [3.0]]])}
    >>> permute_experts(experts, [[1, 0]])["wi"].tolist()
    [[[5.0, 1.0]]]
    """
    order = jnp.asarray(orders)
    axes = {"wi": order[:, None, :], "wo": order[:, :, None], "bi": order}
    where = {"wi": 2, "wo": 1, "bi": 1}
    return {
        name: jnp.take_along_axis(jnp.asarray(w), axes[name], axis=where[name])
        if name in axes
        else jnp.asarray(w)
        for name, w in experts.items()
    }


def group_experts(
    layers: Sequence[RouterStatistics], groups: int
) -> tuple[ExpertGroups, ...]:
    """Dominant experts over all layers, and the group that each other expert joins.

    The usages of all layers are sorted together, where the most used expert of a layer
    counts as 1, so that each layer keeps one; the first ``groups`` are dominant. Every
    other expert joins the dominant one of its layer with the most similar router.

    Args:
      layers: the statistics of each layer.
      groups: dominant experts of all layers together.

    Returns:
      The groups of each layer. Ties go to the first layer and expert.

    Raises:
      InputError: there are more groups than experts or fewer than layers, or no token
        of a layer was counted (all of its experts are dead), or logits were not finite.

    The released code has a grouping of one layer as well, in the order of the experts'
    numbers, where the label of a dominant expert can be overwritten; it is not ours.

    >>> stats = RouterStatistics(np.array([0.2, 0.5, 0.3]), np.eye(3))
    >>> group_experts([stats], 2)[0].core.tolist()
    [1, 2]
    """
    usages = [np.asarray(s.usage, np.float64) for s in layers]
    count = sum(u.size for u in usages)
    if not usages or not len(usages) <= groups <= count:
        raise InputError(
            f"groups={groups} of {count} experts in {len(usages)} layers; it must lie "
            f"in [{len(usages)}, {count}]"
        )
    ranked = []
    for number, usage in enumerate(usages):
        if not np.any(usage > 0):
            raise InputError(
                f"all experts of layer {number} are dead: no token used one"
            )
        first = int(np.argmax(usage))
        for e, share in enumerate(usage):
            # The first of a layer stands before an expert of usage 1 in another.
            ranked.append((-1.0 if e == first else -share, e != first, number, e))
    chosen = sorted(ranked)[:groups]
    found = []
    for number, stats in enumerate(layers):
        core = np.array([e for _, _, layer, e in chosen if layer == number])
        labels = np.argmax(np.asarray(stats.similarity)[:, core], axis=1)
        labels[core] = np.arange(core.size)
        found.append(ExpertGroups(core, labels))
    return tuple(found)


def merge_experts(
    experts: Any,
    groups: ExpertGroups,
    usage: ArrayLike,
    *,
    eps: Annotated[float, NON_NEGATIVE] = 1e-7,
) -> Any:
    r"""One expert for each group, the mean of its members weighted by their usage.

    .. math:: W_g = \frac{\sum_{e \in g} f_e W_e}{\epsilon + \sum_{e \in g} f_e}

    Args:
      experts: a tree of arrays ``(experts, ...)``, aligned.
      groups: of ``group_experts``.
      usage: f, ``(experts,)``.
      eps: as in the released code. A group that no token used is the plain mean of its
        members (there it becomes zeros).

    Returns:
      The tree with arrays ``(groups, ...)`` of the same types.

    Raises:
      InputError: a leaf has another number of experts, or ``eps`` is below 0.

    >>> groups = ExpertGroups(np.array([1]), np.array([0, 0]))
    >>> merge_experts(jnp.array([1.0, 5.0]), groups, [0.25, 0.75], eps=0).tolist()
    [4.0]
    """
    check_arguments(merge_experts, locals())
    labels = np.asarray(groups.labels)
    member = labels == np.arange(len(groups.core))[:, None]
    weight = np.where(member, np.asarray(usage, np.float64), 0.0)
    total = weight.sum(axis=1, keepdims=True)
    plain = member / np.maximum(member.sum(axis=1, keepdims=True), 1)
    share = np.where(total > 0, weight / np.where(total > 0, total + eps, 1), plain)

    def merged(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf)
        if leaf.ndim < 1 or leaf.shape[0] != labels.size:
            raise InputError(
                f"merge_experts: a leaf has shape {leaf.shape}; its first axis must be "
                f"the {labels.size} experts"
            )
        wide = accumulation_dtype(leaf.dtype)
        high = jax.lax.Precision.HIGHEST
        rows = leaf.astype(wide).reshape(labels.size, -1)
        mean = jnp.matmul(jnp.asarray(share, wide), rows, precision=high)
        return mean.reshape(-1, *leaf.shape[1:]).astype(leaf.dtype)

    return jax.tree.map(merged, experts)
