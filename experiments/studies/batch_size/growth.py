"""AdaGrad with batches of a controller, of as many examples for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies import dense_nets
from experiments.studies.batch_size.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.controllers import (
    constant,
    gradient_variance,
    norm_test,
    variance_of_groups,
)
from jaxopt_lab.losses.classification import cross_entropy

GROWING = "growing"
TX = optax.scale_by_rss(0.1, 1e-10)
"""AdaGrad without its learning rate, which changes from step to step."""


def controllers(config: Config) -> dict[str, Any]:
    """The rules of the batch, by arm.

    Args:
      config: the size of the study.

    Returns:
      Controllers of the number of micro-batches.
    """
    sizes = {"micro_batch": config.micro_batch, "start_batch": config.micro_batch}
    found = {GROWING: norm_test(config.eta, max_batch=config.max_batch, **sizes)}
    for batch in config.fixed:
        found[f"fixed {batch}"] = constant(
            micro_batch=config.micro_batch, start_batch=batch
        )
    return found


def make_step(config: Config) -> Callable[..., Any]:
    """The step, one program for batches of all sizes.

    Args:
      config: the size of the study.

    Returns:
      ``step(params, opt_state, data, index, count, rate)``: ``index`` is ``(most,
      micro_batch)``, of which the first ``count`` rows are the batch. Gives the new
      parameters and optimizer state, and the statistics of the norm test.
    """
    most = config.max_batch // config.micro_batch

    def loss(params: Any, x: jax.Array, label: jax.Array) -> jax.Array:
        return cross_entropy(dense_nets.dense(params, x), label)

    @jax.jit
    def step(
        params: Any,
        opt_state: Any,
        data: Labelled,
        index: jax.Array,
        count: jax.Array,
        rate: jax.Array,
    ) -> Any:
        def add(i: jax.Array, carry: Any) -> Any:
            total, variances, squares = carry
            of = jax.vmap(jax.grad(loss), (None, 0, 0))
            each = of(params, data.inputs[index[i]], data.labels[index[i]])
            found = gradient_variance(each)
            total = jax.tree.map(lambda t, g: t + jnp.mean(g, axis=0), total, each)
            variances = variances.at[i].set(found["variance"])
            return total, variances, squares.at[i].set(found["grad_norm_sq"])

        zeros = jax.tree.map(jnp.zeros_like, params)
        first = zeros, jnp.zeros(most), jnp.zeros(most)
        total, variances, squares = jax.lax.fori_loop(0, count, add, first)
        grads = jax.tree.map(lambda t: t / count, total)
        # Rows beyond the batch are zeros: their means are those of the batch times
        # its part of all rows.
        part = count / most
        square = optax.tree.norm(grads, squared=True)
        stats = variance_of_groups(variances / part, squares / part, square)
        updates, opt_state = TX.update(grads, opt_state, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return params, opt_state, stats

    return step
