"""Runs of all arms through the five tasks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies.class_incremental import network as net
from experiments.studies.class_incremental.config import NEW, TASKS, Config
from experiments.studies.dense_nets import dense, dense_params
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    Ghosts,
    draw_ghosts,
    empty_memory,
    fit_separator,
    ghost_generator_loss,
    init_ghost,
    init_podnet,
    init_replay,
    make_ghost_step,
    make_podnet_step,
    make_replay_step,
)
from jaxopt_lab.training import init_state, make_train_step


def memory_of(config: Config) -> Any:
    """An empty memory."""
    like = {"image": jnp.zeros((1, 64)), "label": jnp.zeros(1, jnp.int32)}
    return empty_memory(like, config.memory)


def finished(step: Any, state: Any, given: Any) -> Any:
    """The state after a step on each of the batches."""
    return jax.lax.scan(lambda s, batch: (step(s, batch)[0], None), state, given)[0]


def scores(model: Functional, params: Any, task: Any, test: jax.Array) -> jax.Array:
    """Accuracies by class, ``(classes,)``."""
    flat = test.reshape(-1, test.shape[-1])
    out, _ = model.apply(params, {"seen": net.seen(task)}, flat, train=False)
    logits = getattr(out, "logits", out)
    found = jnp.argmax(logits, axis=-1).reshape(test.shape[:2])
    return jnp.mean(found == jnp.arange(len(test))[:, None], axis=1, dtype=jnp.float32)


def replay(
    key: jax.Array, weight: jax.Array, train: Any, test: Any, config: Config
) -> jax.Array:
    """Accuracies ``(tasks, classes)`` with a memory; its weight 0 is fine-tuning."""
    _, model = net.networks(config)
    tx = net.optimizer(config)
    step = make_replay_step(model, tx, weight=weight)

    def learn(carry: Any, task: jax.Array) -> Any:
        params, memory = carry
        one, two = jax.random.split(jax.random.fold_in(key, task))
        state = {"seen": net.seen(task)}
        start = init_replay(tx, params, one, memory, model_state=state)
        after = finished(step, start, net.batches(two, train, task, config))
        params = after.params["model"]
        kept = after.model_state["memory"]
        return (params, kept), scores(model, params, task, test)

    start = net.init(key, config), memory_of(config)
    return jax.lax.scan(learn, start, jnp.arange(TASKS))[1]


def podnet(
    key: jax.Array, share: jax.Array, train: Any, test: Any, config: Config
) -> jax.Array:
    """Accuracies with proxies; ``share`` of PODNet's weights of distillation."""
    learn = lambda carry, task: _distilled(key, carry, task, share, train, test, config)
    start = net.init(key, config), memory_of(config)
    return jax.lax.scan(learn, start, jnp.arange(TASKS))[1]


def ghost(
    key: jax.Array, attributes: Any, train: Any, test: Any, config: Config
) -> jax.Array:
    """Accuracies of the Ghost Model: PODNet, with ghosts in the second half of tasks.

    Behind the last task come no classes: it is PODNet's.
    """
    model, _ = net.networks(config)
    tx = net.optimizer(config)

    def learn(carry: Any, task: jax.Array) -> Any:
        start, step, given, before = _task(key, carry, task, 1.0, train, config)
        half = config.steps // 2
        first, last = (
            jax.tree.map(lambda x, part=part: x[part], given)
            for part in (slice(half), slice(half, None))
        )
        after = finished(step(make_podnet_step), start, first)
        now, kept = after.params["model"], after.model_state["memory"]
        own = jax.random.fold_in(key, TASKS + task)
        ghosts = made_ghosts(own, now, kept, first, attributes, task, config)
        state = {"seen": net.seen(task)}
        states = {"model_state": state, "old_state": state}
        fresh = init_ghost(tx, now, before, ghosts, after.key, kept, **states)
        # The optimizer goes on: the rate falls over the whole task.
        opt: Any = fresh.opt_state
        used: Any = after.opt_state
        opt = {**opt, "model": used["model"]}
        after = fresh._replace(opt_state=opt, step=after.step)
        after = finished(step(make_ghost_step), after, last)
        params, memory = after.params["model"], after.model_state["memory"]
        return (params, memory), scores(model, params, task, test)

    start = net.init(key, config), memory_of(config)
    carry, found = jax.lax.scan(learn, start, jnp.arange(TASKS - 1))
    end = jnp.asarray(TASKS - 1)
    one = jnp.ones(())
    _, last = _distilled(key, carry, end, one, train, test, config)
    return jnp.concatenate([found, last[None]])


def _task(
    key: jax.Array, carry: Any, task: jax.Array, share: Any, train: Any, config: Config
) -> Any:
    """The state before a task, its steps, its batches, and the network before it."""
    params, memory = carry
    model, _ = net.networks(config)
    tx = net.optimizer(config)
    keys = jax.random.split(jax.random.fold_in(key, task), 3)
    state = {"seen": net.seen(task)}
    grown = net.imprinted(keys[0], params, train, task, config)
    # The first task has nothing to distil.
    ratio = jnp.where(task > 0, share**2 * (task + 1), 0.0)
    step = lambda make: make(model, tx, ratio=ratio, store=True)
    given = {"model_state": state, "old_state": state}
    start = init_podnet(tx, grown, params, keys[1], memory, **given)
    return start, step, net.batches(keys[2], train, task, config), params


def _distilled(
    key: jax.Array,
    carry: Any,
    task: jax.Array,
    share: Any,
    train: Any,
    test: Any,
    config: Config,
) -> Any:
    """A task of PODNet."""
    model, _ = net.networks(config)
    start, step, given, _ = _task(key, carry, task, share, train, config)
    after = finished(step(make_podnet_step), start, given)
    params, memory = after.params["model"], after.model_state["memory"]
    return (params, memory), scores(model, params, task, test)


def made_ghosts(
    key: jax.Array,
    params: Any,
    memory: Any,
    given: Any,
    attributes: jax.Array,
    task: jax.Array,
    config: Config,
) -> Ghosts:
    """Proxies of the classes of the next task, and a hyperplane before them."""
    one, two, three, four = jax.random.split(key, 4)
    sizes = attributes.shape[1] + config.noise, config.width, config.features
    forward = lambda p, state, x, *, train, key=None: (dense(p, x), state)
    generator = Functional(lambda k: (dense_params(k, *sizes), {}), forward)
    images = given["image"].reshape(-1, 64), memory.examples["image"]
    labels = given["label"].reshape(-1), memory.examples["label"]
    # In the first task the memory holds the same classes.
    real = net.body(params, jnp.concatenate(images))[1]
    label = jnp.concatenate(labels)
    # Half of a batch from the memory, which is a small part of the examples.
    shape = config.fit, config.batch
    new = jax.random.randint(one, shape, 0, len(labels[0]))
    old = jax.random.randint(two, shape, len(labels[0]), len(label))
    rows = jnp.concatenate([new, old], axis=1)
    loss = ghost_generator_loss(generator, attributes, noise=config.noise)
    tx = optax.adam(1e-2)
    step = make_train_step(loss, tx)
    start = init_state(tx, generator.init(three)[0], three)
    fitted = finished(step, start, {"feature": real[rows], "label": label[rows]})
    at = NEW * (task + 1)
    coming = jax.lax.dynamic_slice_in_dim(attributes, at, NEW)
    drawn = draw_ghosts(
        four, generator, fitted.params, {}, coming, noise=config.noise, count=50
    )
    normal, offset = fit_separator(real, drawn.reshape(-1, config.features))
    return Ghosts(jnp.mean(drawn, axis=1)[:, None], normal[None], offset[None])
