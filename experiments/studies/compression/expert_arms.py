"""A mixture of experts whose experts are merged, distilled and taken apart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.compression.config import Config
from experiments.studies.compression.sizes import CLASSES, INPUTS, expert_ranks
from experiments.studies.programs import Labelled
from jaxopt_lab.layers import mixture_of_experts, router_logits
from jaxopt_lab.quantize import (
    align_experts,
    group_experts,
    low_rank_sparse,
    merge_experts,
    permute_experts,
    router_statistics,
)

_OFF = -1e9


def scores(config: Config, params: Any, x: jax.Array) -> jax.Array:
    """Scores of the mixture.

    Args:
      config: the size of the study.
      params: ``{"moe": of mixture_of_experts, "head"}``, and ``"bias"``, added to the
        logits of the router, if experts are off.
      x: ``(B, 64)``.

    Returns:
      ``(B, 10)``.
    """
    moe = params["moe"]
    if "bias" in params:
        # A constant input gives the router an offset.
        router = jnp.concatenate([moe["router"], params["bias"][None]])
        pad = ((0, 0), (0, 1), (0, 0)), ((0, 0), (0, 0), (0, 1))
        moe = {"router": router, "wi": jnp.pad(moe["wi"], pad[0])}
        moe["wo"] = jnp.pad(params["moe"]["wo"], pad[1])
        wide = jnp.pad(x, ((0, 0), (0, 1)), constant_values=1.0)
        y = _layer(config, INPUTS + 1).apply(moe, {}, wide, train=False)[0][:, :INPUTS]
    else:
        y = _layer(config, INPUTS).apply(moe, {}, x, train=False)[0]
    return jax.nn.relu(x + y) @ params["head"]


def _layer(config: Config, features: int) -> Any:
    return mixture_of_experts(features, experts=config.experts, hidden=config.hidden)


def trained(config: Config, key: jax.Array, data: Labelled) -> Any:
    """The mixture, and the logits of its router on the training set.

    Args:
      config: the size of the study.
      key: of start and batches.
      data: the training set.

    Returns:
      ``(params, logits)``.
    """
    keys = jax.random.split(key)
    e, h = config.experts, config.hidden
    shapes = (INPUTS, e), (e, INPUTS, h), (e, h, INPUTS), (INPUTS, CLASSES)
    drawn = dense_nets.normals(keys[0], *shapes)
    router, wi, wo, head = (w * (1 / w.shape[-2]) ** 0.5 for w in drawn)
    start = {"moe": {"router": router, "wi": wi, "wo": wo}, "head": head}
    at = programs.picks(keys[1], config.steps, config.batch, len(data.labels))

    def loss(params: Any, at: jax.Array) -> jax.Array:
        found = scores(config, params, data.inputs[at])
        return dense_nets.mean_cross_entropy(found, data.labels[at])

    params, _ = programs.trained(loss, optax.adam(config.rate), start, at)
    return params, router_logits(params["moe"], data.inputs)


def grouped(params: Any, logits: np.ndarray, groups: int) -> dict[str, Any]:
    """The merged and the most used experts of one mixture.

    Args:
      params: of ``trained``, of one seed.
      logits: of the router on the training set.
      groups: networks that are left.

    Returns:
      ``{"merged": ..., "pruned": ...}``, each ``{"wi", "wo"}`` of the networks,
      ``"labels"`` of the experts and ``"bias"`` of the router.
    """
    stats = router_statistics(jnp.asarray(logits))
    found = group_experts([stats], groups)[0]
    experts = {n: params["moe"][n] for n in ("wi", "wo")}
    aligned = permute_experts(experts, align_experts(**experts))
    merged = merge_experts(aligned, found, np.asarray(stats.usage))
    kept = {n: jnp.asarray(w)[found.core] for n, w in experts.items()}
    none = np.zeros(len(found.labels), np.float32)
    off = np.full_like(none, _OFF)
    off[found.core] = 0
    return {
        "merged": {**merged, "labels": found.labels, "bias": none},
        "pruned": {**kept, "labels": found.labels, "bias": off},
    }


def distilled(
    config: Config, whole: Any, small: Any, key: jax.Array, data: Labelled
) -> Any:
    """Few networks, trained to the mixture's scores.

    Args:
      config: the size of the study.
      whole: the mixture.
      small: networks of ``grouped``.
      key: of the batches.
      data: the training set.

    Returns:
      ``{"router", "wi", "wo", "head"}`` with the networks' ``wi`` and ``wo``.
    """
    start = {
        "router": whole["moe"]["router"],
        "wi": small["wi"],
        "wo": small["wo"],
        "head": whole["head"],
    }
    at = programs.picks(key, config.tuning, config.batch, len(data.labels))
    t = config.temperature

    def loss(params: Any, at: jax.Array) -> jax.Array:
        x, labels = data.inputs[at], data.labels[at]
        found = scores(config, spread(params, small), x)
        target = jax.nn.softmax(scores(config, whole, x) / t)
        apart = optax.kl_divergence(jax.nn.log_softmax(found / t), target)
        plain = dense_nets.mean_cross_entropy(found, labels)
        return plain + config.weight * t**2 * jnp.mean(apart)

    return programs.trained(loss, optax.adam(config.rate), start, at)[0]


def spread(params: Any, small: Any) -> Any:
    """Parameters of the mixture, each expert with the network of its group."""
    moe = {n: params[n][small["labels"]] for n in ("wi", "wo")}
    moe["router"] = params["router"]
    return {"moe": moe, "head": params["head"], "bias": small["bias"]}


def compressed(config: Config, params: Any, place: int) -> Any:
    """The same with each kernel as a product of low rank and a few rows.

    Args:
      config: the size of the study.
      params: of ``distilled``.
      place: of the budget.

    Returns:
      The parameters with the kernels that the parts stand for; a kernel that would
      not be smaller in parts stays.
    """
    rank, made = expert_ranks(config)[place], dict(params)
    for name in ("wi", "wo"):
        m, n = params[name].shape[2], params[name].shape[1]
        if rank * (m + n) + round(config.keep * m) * (n + 1) >= m * n:
            continue
        ratio = (rank - 0.5) * (m + n) / (m * n)

        def one(kernel: jax.Array, ratio: float = ratio) -> jax.Array:
            parts, _ = low_rank_sparse(kernel.T, ratio=ratio, keep=config.keep)
            return parts.dequantize().T

        made[name] = jax.vmap(one)(params[name])
    return made
