"""What the catalog says that a method costs, measured."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxopt_lab
from battery import problems
from battery.registry import check
from battery.subject import Subject, train_loss
from jaxopt_lab import trees
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.dry_run import dry_run


@check()
def state_bytes(subject: Subject) -> None:
    """Bytes of state per float32 parameter, counts of steps aside."""
    shapes = {"m": jax.ShapeDtypeStruct((256, 128), jnp.float32)}
    measured = trees.nbytes(jax.eval_shape(subject.tx.init, shapes)) / (256 * 128)
    documented = subject.row.bytes_per_parameter("state")
    if subject.row.kind == "wrapper":  # documented beyond its base
        inner = trees.nbytes(jax.eval_shape(subject.base().init, shapes))
        documented += inner / (256 * 128)
    assert abs(measured - documented) <= 0.01, f"{measured}, documented {documented}"


_SIZES = (64, 256, 32)


@check()
def temp_bytes(subject: Subject) -> None:
    """Temporaries of one compiled, donated update, the gradients aside."""
    params, batch = problems.network(_SIZES, 4, jnp.float32)
    grads = jax.grad(problems.perceptron)(params, batch)
    tx = optax.with_extra_args_support(subject.tx)

    def update(params, state, grads, batch):
        grad_fn = jaxopt_lab.batch_grad(problems.perceptron, batch)
        updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    fn = jax.jit(update, donate_argnums=(0, 1))
    memory = fn.lower(params, state, grads, batch).compile().memory_analysis()
    # A method that evaluates gradients itself holds one of them at a time.
    inside = 4.0 if subject.row.gradients > 1 else 0.0
    measured = memory.temp_size_in_bytes / trees.count(params) - inside
    documented = subject.row.bytes_per_parameter("temp")
    # The activations of four examples are 0.3 bytes a parameter.
    assert measured <= documented + 0.5, f"{measured:.2f}, documented {documented}"


@check()
def gradients(subject: Subject) -> None:
    """Gradient evaluations a step, counted while the train step is traced."""
    seen = []

    def counting(params, batch):
        seen.append(batch["s"].shape[0] / 4)
        return problems.product(params, batch)

    tx = optax.with_extra_args_support(subject.tx)
    params, batch = problems.params(), problems.batch()
    state = init_state(tx, params, jax.random.key(0))
    jax.eval_shape(make_train_step(train_loss(counting), tx), state, batch)
    planned = dry_run(tx, state.opt_state, params).gradients
    wanted = subject.row.gradients
    assert (planned, sum(seen)) == (wanted, wanted), (planned, sum(seen), wanted)


def _flops(tx: Any) -> float:
    params, batch = problems.network(_SIZES, 1024, jnp.float32)
    state = init_state(tx, params, jax.random.key(0))
    fn = jax.jit(make_train_step(train_loss(problems.perceptron), tx))
    return fn.lower(state, batch).compile().cost_analysis()["flops"]


@functools.cache
def _plain_flops() -> float:
    return _flops(optax.sgd(0.1))


@check(lambda row: row.own)
def flops(subject: Subject) -> None:
    """Our own methods cost their gradient evaluations and little else."""
    ratio = _flops(subject.tx) / _plain_flops()
    wanted = subject.row.gradients
    assert abs(ratio - wanted) <= 0.02 * wanted, f"{ratio:.3f} times a plain step"
