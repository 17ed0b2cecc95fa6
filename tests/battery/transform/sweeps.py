"""Programs of a row that take minutes over the whole catalog."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from support import compiler

from battery.programs import UNFUSED, without_keys
from battery.transform import problems
from battery.transform.loops import Tree, step, train_loss
from jaxopt_lab.bilevel import differentiable, unroll
from jaxopt_lab.training import (
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    state_shardings,
    storage_shardings,
)

LOSS = train_loss(problems.product)
STYLES = ("jit", "vmap", "shard_map", "pmap")


def _after(train: Any, state: Any, jitted: bool = True) -> Tree:
    run = jax.jit(train) if jitted else train
    for _ in range(2):
        state, metrics = run(state, problems.batch())
    found = state.params, state.opt_state, metrics["loss"]
    return jax.device_get(without_keys(found))


def _chosen(subject: Any, shards: int) -> Any:
    """The method with its number of shards for each device, if it has any."""
    if "num_shards" in subject.row.details:
        return subject.transform(num_shards=shards)
    return subject.tx


@compiler.quickly()
def one_device(subject: Any) -> Tree:
    """Parameters, state and loss after two train steps on one device."""
    tx = _chosen(subject, 2)
    state = init_state(tx, problems.params(), jax.random.key(0))
    return _after(make_train_step(LOSS, tx), state)


@compiler.quickly()
def two_devices(subject: Any, style: str) -> Tree:
    """The same on two devices, in one of ``STYLES``."""
    mesh = make_mesh("data:2")
    state = init_state(_chosen(subject, 2), problems.params(), jax.random.key(0))
    there = state_shardings(state, [], mesh)
    train = make_parallel_step(
        LOSS,
        _chosen(subject, 2 if style == "jit" else 1),
        mesh,
        there,
        style="jit" if style == "vmap" else style,
        per_device=style != "jit",
    )
    return _after(train, jax.device_put(state, there), jitted=style != "pmap")


@compiler.quickly()
def divided(subject: Any) -> Tree:
    """The same on two devices that divide the state."""
    tx, mesh, row = _chosen(subject, 2), make_mesh("data:2"), subject.row
    state = init_state(tx, problems.params(), jax.random.key(0))
    named = {"replicated": row.whole_state, "factored": row.factored_state}
    inside = state_shardings(state, [], mesh, zero_axis="data", **named)
    stored = storage_shardings(state, inside, "data")
    train = make_parallel_step(LOSS, tx, mesh, inside, storage=stored)
    return _after(train, jax.device_put(state, stored))


class Unrolled(NamedTuple):
    """Derivatives through ``unroll`` for a rate and a direction, in three ways."""

    reverse: Any
    forward: Any
    numeric: Any


UNROLLED = 6


def unrolled(subject: Any, rate: str) -> Unrolled:
    """Derivatives with respect to a rate and along a direction of the start."""
    numbers, params = subject.others(), problems.params()
    along = jax.tree.map(lambda p: np.cos(np.arange(p.size)).reshape(p.shape), params)

    def value(theta: Any, params: Tree, batch: Tree) -> Any:
        tx = subject.transform(**{**numbers, rate: numbers[rate] + theta[0]})
        start = jax.tree.map(lambda p, d: p + theta[1] * d, params, along)
        state = init_state(tx, start, jax.random.key(0))
        train = make_train_step(LOSS, tx)
        last, _ = unroll(train, state, UNROLLED, batch_at=lambda t: batch, remat="sqrt")
        leaves = jax.tree.leaves(last.params)
        return sum(jnp.sum(jnp.sin((1.0 + i) * x)) for i, x in enumerate(leaves))

    # Of fourth order: Adam's directions bend sharply where a gradient is small.
    h = 2e-5
    moves = np.array([1.0, -1.0, 2.0, -2.0])[:, None, None] * h * np.eye(2)[None]

    def everything(moves: Any, params: Tree, batch: Tree) -> Unrolled:
        at = lambda theta: value(theta, params, batch)
        up, down, far_up, far_down = jax.lax.map(
            lambda pair: jax.lax.map(at, pair), moves
        )
        numeric = (8 * (up - down) - (far_up - far_down)) / (12 * h)
        zero = jnp.zeros(2)
        return Unrolled(jax.grad(at)(zero), jax.jacfwd(at)(zero), numeric)

    fn = jax.jit(everything, compiler_options=UNFUSED)
    return jax.device_get(fn(moves, params, problems.batch()))


@compiler.quickly()
def under_differentiable(subject: Any) -> tuple[Tree, Tree]:
    """The end of two steps, without and with the safe rules.

    Nothing where the program handed to XLA is the same text. The texts differ only
    where one nested program stands before a ``select`` in one place and not in
    another, so that it is there twice.
    """

    def end(tx: Any, params: Tree, batch: Tree) -> Tree:
        state = tx.init(params)
        for _ in range(2):
            params, state, updates = step(tx, params, state, batch)
        return without_keys((params, state, updates))

    args = problems.params(), problems.batch()
    both = subject.tx, differentiable(subject.tx)
    plain, safe = (jax.jit(functools.partial(end, tx)).lower(*args) for tx in both)
    if plain.as_text() == safe.as_text():
        return (), ()
    return tuple(jax.device_get(x.compile()(*args)) for x in (plain, safe))
