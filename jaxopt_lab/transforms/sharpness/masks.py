"""Perturbation masks of published methods: normalisation layers only, Fisher-sparse."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, LossFn, Params, PyTree


def norm_only(pattern: str = r"(?i)norm|bn|batch_?stat") -> trees.MaskFn:
    """A ``perturb_mask`` of the normalisation layers' parameters (SAM-ON).

    ``sam(rho, perturb_mask=norm_only())`` perturbs these alone, with the norm over
    them; the descent is for all parameters. It needs a larger ``rho`` than ``sam``.

    Args:
      pattern: regular expression searched in the paths of the parameters.

    Returns:
      ``mask(params)``: a tree of booleans.

    >>> norm_only()({"LayerNorm_0": {"scale": 1.0}, "Dense_0": {"kernel": 1.0}})
    {'Dense_0': {'kernel': False}, 'LayerNorm_0': {'scale': True}}

    Reference: Mueller, Vlaar, Rolnick and Hein, "Normalization Layers Are All That
    Sharpness-Aware Minimization Needs", NeurIPS 2023, arXiv:2306.04226.
    """
    return trees.matching(pattern)


def fisher_mask(loss_fn: LossFn, params: Params, batch: Batch, keep: float) -> PyTree:
    """A ``perturb_mask`` of the entries with the largest Fisher information.

    The information of an entry is the sum over the examples of its squared gradient.
    ``sam(rho, perturb_mask=mask, norm_over="all")`` is the Fisher-sparse SAM of the
    reference, which masks after it has normalised, so that the perturbation is shorter
    than ``rho``. The authors recompute the mask in every epoch.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, a mean over the examples.
      params: the parameters.
      batch: examples along the leading axis, a hundred or so.
      keep: part of all entries that may move, in [0, 1].

    Returns:
      A tree like ``params`` of boolean arrays; ``round(keep * entries)`` are True.

    Raises:
      InputError: ``keep`` is out of range.

    Cost: one gradient for each example, all held at once.

    >>> loss = lambda w, x: jnp.mean(x @ w)
    >>> fisher_mask(loss, jnp.zeros(2), jnp.array([[1.0, 5.0]]), keep=0.5).tolist()
    [False, True]

    Reference: Mi, Shen, Ren, Zhou, Sun, Ji and Tao, "Make Sharpness-Aware
    Minimization Stronger: A Sparsified Perturbation Approach", NeurIPS 2022,
    arXiv:2210.05177. Code compared: Mi-Peng/Sparse-SAM.
    """
    if not 0 <= keep <= 1:
        raise InputError(f"keep must lie in [0, 1]; got {keep}")
    single = jax.tree.map(lambda x: x[:, None], batch)
    grads = jax.vmap(jax.grad(loss_fn), in_axes=(None, 0))(params, single)
    information = jax.tree.map(lambda g: jnp.sum(jnp.abs(g) ** 2, axis=0), grads)
    leaves, structure = jax.tree.flatten(information)
    flat = jnp.concatenate([jnp.ravel(x) for x in leaves])
    # Select by rank: with a threshold, ties would let more entries through.
    _, best = jax.lax.top_k(flat, round(keep * flat.size))
    chosen = jnp.zeros(flat.shape, bool).at[best].set(True)
    cuts, start = [], 0
    for leaf in leaves:
        cuts.append(chosen[start : start + leaf.size].reshape(leaf.shape))
        start += leaf.size
    return jax.tree.unflatten(structure, cuts)
