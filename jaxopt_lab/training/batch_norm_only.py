"""Training of batch normalizations alone, the rest of a network frozen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.masking import partition
from jaxopt_lab.core.typing import ModelState, Params

TRAIN, FREEZE = "train", "freeze"


def batch_norm_labels(params: Params, model_state: ModelState) -> Any:
    """Labels ``"train"`` for scales and biases of batch normalizations.

    A normalization is known by its running statistics, ``mean`` and ``var``, beside
    which its parameters stand in a tree of the same names.

    Args:
      params: nested dicts, as ``from_nnx`` and ``from_linen`` give them.
      model_state: the model's state; linen's collection ``batch_stats`` is found in it.

    Returns:
      A tree of ``"train"`` and ``"freeze"`` like ``params``, for ``partition``.

    Raises:
      InputError: there is no batch normalization with parameters.

    >>> params = {"norm": {"scale": 1.0}, "dense": {"kernel": 1.0}}
    >>> batch_norm_labels(params, {"norm": {"mean": 0.0, "var": 1.0}})
    {'dense': {'kernel': 'freeze'}, 'norm': {'scale': 'train'}}
    """
    if isinstance(model_state, dict) and "batch_stats" in model_state:
        model_state = model_state["batch_stats"]
    paths = [trees.path_name(path) for path, _ in trees.leaves_with_path(model_state)]
    means, variances = (
        {_parent(p) for p in paths if p.split("/")[-1] == name}
        for name in ("mean", "var")
    )
    norms = means & variances
    leaves = trees.leaves_with_path(params)
    labels = [
        TRAIN if _parent(trees.path_name(path)) in norms else FREEZE
        for path, _ in leaves
    ]
    if TRAIN not in labels:
        raise InputError(
            "the model has no batch normalization with parameters: no parameters stand "
            f"beside mean and var of model_state, which has {paths or 'nothing'}"
        )
    return jax.tree.unflatten(jax.tree.structure(params), labels)


def batch_norm_only(
    tx: optax.GradientTransformation, labels: Any
) -> optax.GradientTransformationExtraArgs:
    """``tx`` on the parameters labelled ``"train"``, the others frozen.

    ``optax.masked(tx, mask)`` does not freeze: what is outside of its mask passes
    through as a raw gradient. Clipping and weight decay belong inside of ``tx``, so
    that norms are those of what is trained and nothing else decays.

    Args:
      tx: an optimizer with all of its links, sharpness-aware ones too.
      labels: of ``batch_norm_labels``, or any tree of the two labels.

    Returns:
      The optimizer. Running statistics go on: they are model state, no parameters.

    State and gradient evaluations: those of ``tx`` on what is trained.

    Source: Frankle, Schwab and Morcos, "Training BatchNorm and Only BatchNorm", ICLR
    2021, arXiv:2003.00152, where scales start uniform in [0, 1] (``uniform_scales``).

    >>> params = {"norm": {"scale": jnp.ones(2)}, "dense": {"kernel": jnp.ones(2)}}
    >>> labels = {"norm": {"scale": "train"}, "dense": {"kernel": "freeze"}}
    >>> tx = batch_norm_only(optax.chain(optax.clip_by_global_norm(1.0),
    ...                                  optax.adamw(0.1, weight_decay=0.1)), labels)
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> updates["dense"]["kernel"].tolist()
    [0.0, 0.0]
    """
    return partition({TRAIN: tx, FREEZE: optax.set_to_zero()}, labels)


def uniform_scales(key: jax.Array, params: Params, labels: Any) -> Params:
    """The parameters with trained scales drawn uniformly from [0, 1).

    Args:
      key: PRNG key.
      params: the parameters.
      labels: of ``batch_norm_labels``.

    Returns:
      The parameters; trained leaves called ``scale`` are drawn, all others stay.

    >>> drawn = uniform_scales(jax.random.key(0), {"n": {"scale": jnp.ones(2)}},
    ...                        {"n": {"scale": "train"}})
    >>> bool(jnp.all(drawn["n"]["scale"] < 1))
    True
    """
    names = [trees.path_name(path) for path, _ in trees.leaves_with_path(params)]
    leaves, tree = jax.tree.flatten(params)
    for i, (name, label) in enumerate(zip(names, jax.tree.leaves(labels), strict=True)):
        if label == TRAIN and name.split("/")[-1] == "scale":
            own = jax.random.fold_in(key, i)
            x = jnp.asarray(leaves[i])
            leaves[i] = jax.random.uniform(own, x.shape, jnp.float32).astype(x.dtype)
    return jax.tree.unflatten(tree, leaves)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
