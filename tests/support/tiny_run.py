"""A tiny training run with everything that resuming could lose."""

import functools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from jaxopt_lab.data.batches import ArrayBatches
from jaxopt_lab.runtime import WALL_CLOCK, Checkpoints, JsonLines, fit, read_metrics
from jaxopt_lab.training import (
    init_state,
    make_evaluator,
    make_train_step,
    over_seeds,
    seed_keys,
)

RNG = np.random.default_rng(0)
TRAIN = {"x": RNG.normal(size=(24, 5)), "y": RNG.normal(size=(24, 3))}
TEST = {"x": RNG.normal(size=(8, 5)), "y": RNG.normal(size=(8, 3))}


def loss_fn(params, model_state, batch, key):
    """Dropout draws keys; the running mean is state of the model."""
    x = batch["x"] * jax.random.bernoulli(key, 0.8, batch["x"].shape)
    error = jnp.tanh(x @ params["one"]) @ params["two"] - batch["y"]
    mean = 0.9 * model_state["mean"] + 0.1 * x.mean(0)
    return jnp.mean(error**2), ({"mean": mean}, {"mae": jnp.mean(jnp.abs(error))})


def metric_fn(params, model_state, batch):
    x = batch["x"] - model_state["mean"][None]
    error = jnp.tanh(x @ params["one"]) @ params["two"] - batch["y"]
    return {"loss": jnp.sum(error**2), "weight": jnp.float64(error.size)}


def transform(steps=40):
    rate = optax.cosine_decay_schedule(0.1, steps)
    return optax.chain(
        jaxopt_lab.inject_hyperparams(jaxopt_lab.sam)(0.05),
        jaxopt_lab.inject_hyperparams(optax.sgd)(rate, momentum=0.9),
    )


@functools.cache
def _programs(many, mode, loss_fn, options):
    # Once for each kind of run: the suite makes dozens, and tracing is what costs.
    tx = transform()

    def init(key):
        one, two, rest = jax.random.split(key, 3)
        params = {
            "one": jax.random.normal(one, (5, 4), jnp.float64) / 2,
            "two": jax.random.normal(two, (4, 3), jnp.float64) / 2,
        }
        return init_state(tx, params, rest, {"mean": jnp.zeros(5, jnp.float64)})

    step = make_train_step(loss_fn, tx, **dict(options))
    return (
        over_seeds(step, mode) if many else step,
        jax.jit(jax.vmap(init) if many else init),
        make_evaluator(metric_fn, [TEST], seeds=many),
    )


def parts(seed=0, seeds=None, *, mode="auto", batch_size=7, loss_fn=loss_fn, **options):
    """Step, state, batches and evaluator; stacked where ``seeds`` is a number."""
    many = seeds is not None
    kind = tuple(sorted(options.items()))
    step, init, evaluate = _programs(many, mode, loss_fn, kind)
    keys = seed_keys(seed, seeds or 1)
    data_keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    keys, data_keys = (keys, data_keys) if many else (keys[0], data_keys[0])
    return step, init(keys), ArrayBatches(TRAIN, batch_size, data_keys), evaluate


class Interrupted:
    """Batches that act when the one of a given step is asked for."""

    def __init__(self, batches, act, at):
        self.inner, self.act, self.at, self.given = batches, act, at, 0

    def next(self):
        self.given += 1
        if self.given == self.at:
            self.act()
        return self.inner.next()

    def get_state(self):
        return self.inner.get_state()

    def set_state(self, state):
        self.inner.set_state(state)


def terminate():
    signal.raise_signal(signal.SIGTERM)


def train(folder, steps, *, seeds=None, act=None, at=0, **options):
    """Train in a folder, from its newest checkpoint if there is one."""
    step, state, batches, evaluate = parts(seeds=seeds)
    options = {"log_every": 5, "eval_every": 10, "progress": False} | options
    with Checkpoints(folder / "checkpoints") as checkpoints:
        start, resume = 0, None
        if checkpoints.latest() is not None:
            start, state, resume = checkpoints.restore(state)
            batches.set_state(resume["batches"])
        if act is not None:
            batches = Interrupted(batches, act, at - start)
        sink = JsonLines(folder / "metrics.jsonl", resume_at=start)
        try:
            return fit(
                step,
                state,
                batches,
                steps=steps,
                evaluate=evaluate,
                sinks=[sink],
                checkpoints=checkpoints,
                resume=resume,
                **options,
            )
        finally:
            sink.close()


def records(folder):
    """The metric lines, wall-clock fields aside."""
    return [
        {k: v for k, v in record.items() if k not in WALL_CLOCK}
        for record in read_metrics(folder / "metrics.jsonl")
    ]


def bits(tree):
    def one(x):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return (x.dtype.name, x.shape, np.asarray(x).tobytes())

    return jax.tree.map(one, tree)
