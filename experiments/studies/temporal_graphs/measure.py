"""Average precision of the next speaker for every arm and size of batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.temporal_graphs import streams
from experiments.studies.temporal_graphs.config import Config
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    Events,
    memory_coherence,
    prediction_correction,
    restarted,
    temporal_memory,
)

ARMS: Mapping[str, tuple[bool, bool]] = {
    "plain": (False, False),
    "coherence": (False, True),
    "prediction": (True, False),
    "PRES": (True, True),
}
"""Whether an arm predicts and corrects, and whether it has the coherence."""

_CLOSED = 40.0
"""A logit at which the gate is 1 in float32: the memory is what was measured."""


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      precision: by batch and arm, average precision on the test, ``(seeds,)``.
      gate: by batch and arm, the gate at the end.
      recency: precision of the time since somebody was seen, ``(seeds,)``.
    """

    precision: Mapping[str, Mapping[str, np.ndarray]]
    gate: Mapping[str, Mapping[str, np.ndarray]]
    recency: np.ndarray


def prepare(config: Config, text: str | None = None) -> tuple[Config, dict[str, Any]]:
    """Read the play, so that a typo in its name ends the run at once.

    Args:
      config: the size of the study.
      text: path of a play; ``None``: a synthetic stream.

    Returns:
      The settings, and the arguments of ``measure``.

    Raises:
      InputError: the play is not there, or too short.
    """
    if text is None:
        return config, {}
    try:
        play = streams.of_play(Path(text).expanduser().read_text())
    except OSError as error:
        raise InputError(f"text={text}: {error.strerror}") from None
    wanted = config.train + config.test
    if len(play) < wanted:
        raise InputError(f"text={text} has {len(play)} events; needed: {wanted}")
    return config, {"play": play[:wanted]}


def measure(config: Config, store: Store, play: np.ndarray | None = None) -> Measured:
    """Train every arm at every size of batches; see ``Experiment.measure``.

    Args:
      play: the events of a play, the same for every seed.
    """
    pairs, others = [], []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        rng = np.random.default_rng(seed)
        events = config.train + config.test
        own = streams.synthetic(rng, config.people, events) if play is None else play
        pairs.append(own)
        others.append(streams.negatives(rng, own, config.recent))
    floor = [
        streams.recency(p, o, config.train) for p, o in zip(pairs, others, strict=True)
    ]
    data = np.stack(pairs), np.stack(others)
    rows, precision, gate = store.group("runs"), {}, {}
    for batch in config.batches:
        found = rows.measured(str(batch), lambda b=batch: _of_batch(config, b, data))
        for out, key in ((precision, "precision"), (gate, "gate")):
            values = np.asarray(found[key]).T
            out[str(batch)] = dict(zip(ARMS, values, strict=True))
    return Measured(precision, gate, np.array(floor))


def _of_batch(config: Config, batch: int, data: Any) -> dict[str, np.ndarray]:
    arms = np.array(list(ARMS.values()), np.float32)
    keys = np.arange(config.first_seed, config.first_seed + config.seeds)
    nodes = int(data[0].max()) + 1
    run = lambda seed, pairs, others, arm: _run(
        config, batch, seed, pairs, others, arm, nodes
    )
    over = jax.vmap(jax.vmap(run, (None, None, None, 0)), (0, 0, 0, None))
    (positive, negative), gate = jax.device_get(jax.jit(over)(keys, *data, arms))
    precision = [
        [streams.average_precision(p, n) for p, n in zip(*both, strict=True)]
        for both in zip(positive, negative, strict=True)
    ]
    return {"precision": np.array(precision), "gate": np.asarray(gate)}


def _run(
    config: Config,
    batch: int,
    seed: jax.Array,
    pairs: jax.Array,
    others: jax.Array,
    arm: jax.Array,
    nodes: int,
) -> Any:
    memory = prediction_correction(temporal_memory(config.size))
    keys = jax.random.split(jax.random.key(seed))
    params = {
        "memory": memory.init(keys[0]),
        "score": dense_params(keys[1], 2 * config.size, config.hidden, 1),
    }
    predicts = arm[0] > 0
    logit = params["memory"]["gate_logit"]
    params["memory"]["gate_logit"] = jnp.where(predicts, logit, _CLOSED)
    events = jnp.concatenate(
        [pairs, others[:, None], jnp.arange(len(pairs))[:, None]], axis=1
    ).reshape(-1, batch, 4)
    count = config.train // batch
    training, test = events[:count], events[count:]

    def scored(params: Any, state: Any, pending: Any, own: Any) -> Any:
        waiting = Events(
            pending[:, 0],
            pending[:, 1],
            pending[:, 3].astype(jnp.float32),
            mask=pending[:, 3] >= 0,
        )
        state, changed = memory.update(params["memory"], state, waiting)
        z = state.memory
        of = lambda v: dense(params["score"], jnp.concatenate([z[own[:, 0]], z[v]], 1))
        return (of(own[:, 1])[:, 0], of(own[:, 2])[:, 0]), state, changed

    def loss(params: Any, state: Any, pending: Any, own: Any) -> Any:
        (positive, negative), state, changed = scored(params, state, pending, own)
        value = jnp.mean(jax.nn.softplus(-positive) + jax.nn.softplus(negative))
        turned = memory_coherence(changed.new, changed.old, changed.where)
        weight = arm[1] * jnp.float32(config.coherence)
        return value + weight * turned, jax.lax.stop_gradient(state)

    tx = optax.adam(config.rate)
    nothing = jnp.full((batch, 4), -1)

    def step(carry: Any, own: Any) -> Any:
        params, opt_state, state, pending = carry
        slopes, state = jax.grad(loss, has_aux=True)(params, state, pending, own)
        updates, opt_state = tx.update(slopes, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, state, own), None

    def epoch(carry: Any, _: Any) -> Any:
        params, opt_state, state, _ = carry
        first = (params, opt_state, restarted(state), nothing)
        return jax.lax.scan(step, first, training)

    start = (params, tx.init(params), memory.start(nodes), nothing)
    (params, _, state, pending), _ = jax.lax.scan(
        epoch, start, None, length=config.epochs
    )

    def tested(carry: Any, own: Any) -> Any:
        state, pending = carry
        scores, state, _ = scored(params, state, pending, own)
        return (state, own), scores

    _, scores = jax.lax.scan(tested, (state, pending), test)
    gate = jax.nn.sigmoid(params["memory"]["gate_logit"])
    return tuple(s.ravel() for s in scores), gate
