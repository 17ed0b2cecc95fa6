"""Two nets of equal size, trained by every loss."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications.neural_ranking.lists import (
    PIECES,
    Config,
    digits,
    passages,
)
from experiments.harness.store import Store
from jaxopt_lab import losses
from jaxopt_lab.metrics import (
    mean_average_precision,
    mean_reciprocal_rank,
    ndcg,
    together,
)

NETS = ("two towers", "interaction")
POINTWISE = {
    "squared error": lambda s, y: jnp.mean((s - y) ** 2, axis=-1),
    "logistic": lambda s, y: jnp.mean(
        optax.sigmoid_binary_cross_entropy(s, y / 2), axis=-1
    ),
}
RANKED = {
    "hinge": losses.pairwise_hinge,
    "RankNet": losses.ranknet,
    "LambdaRank": losses.lambdarank,
    "ListNet": lambda s, y: optax.losses.ranking_softmax_loss(s, y, reduce_fn=None),
    "ListMLE": losses.list_mle,
    "ApproxNDCG": losses.approx_ndcg,
}
LOSSES = {**POINTWISE, **RANKED}
METRICS = together(ndcg(top=5), mean_reciprocal_rank(least=2), mean_average_precision())


def layer(draw: np.random.Generator, inputs: int, outputs: int) -> dict[str, Any]:
    """A linear layer."""
    w = draw.standard_normal((inputs, outputs), np.float32) / np.sqrt(inputs)
    return {"w": w.astype(np.float32), "b": np.zeros(outputs, np.float32)}


def init(net: str, draw: np.random.Generator, features: int, config: Config) -> Any:
    """Parameters, of both nets as many up to the units of one layer.

    They are drawn by NumPy, as the batches are: random numbers took most of the time
    that these programs needed to compile.

    Args:
      net: of ``NETS``.
      draw: of the weights.
      features: of a piece.
      config: sizes of the towers.

    Returns:
      Two layers, or three.
    """
    hidden, size = config.hidden, config.size
    inputs = PIECES * features
    if net == "two towers":
        return layer(draw, inputs, hidden), layer(draw, hidden, size)
    total = (inputs + 1) * hidden + (hidden + 1) * size
    units = round((total - (features + 1) * size) / (PIECES**2 + 2))
    pieces = layer(draw, features, size)
    return pieces, layer(draw, PIECES**2, units), layer(draw, units, 1)


def scores(net: str, params: Any, query: jax.Array, documents: jax.Array) -> jax.Array:
    """Scores of candidates.

    Args:
      net: of ``NETS``. Two towers: the product of two embeddings (representation).
        Interaction: a net of the cosines of all pairs of pieces.
      params: of ``init``.
      query: ``(PIECES, features)``.
      documents: ``(n, PIECES, features)``.

    Returns:
      ``(n,)``.
    """
    linear = lambda p, x: x @ p["w"] + p["b"]
    items = jnp.concatenate([query[None], documents])
    if net == "two towers":
        first, second = params
        e = linear(second, jax.nn.relu(linear(first, items.reshape(len(items), -1))))
        return e[1:] @ e[0] / np.sqrt(e.shape[-1])
    first, second, third = params
    e = linear(first, items)
    e = e * jax.lax.rsqrt(jnp.sum(e * e, axis=-1, keepdims=True) + 1e-6)
    cosines = jnp.einsum("pd,nqd->npq", e[0], e[1:]).reshape(len(documents), -1)
    return linear(third, jax.nn.relu(linear(second, cosines)))[:, 0]


@functools.cache
def trained(net: str, config: Config) -> Any:
    """A compiled function that trains by any of the losses.

    Args:
      net: of ``NETS``.
      config: the numbers.

    Returns:
      ``run(loss, lists, params, batches)``, ``loss`` a place in ``config.losses``, and
      leaves of the others with an axis of seeds: metrics by name, of validation and
      test, ``(seeds, rates, 2)``.
    """

    def of_lists(params: Any, lists: Any, rows: jax.Array) -> jax.Array:
        query, documents = lists.queries[rows[:, 0]], lists.documents[rows[:, 1:]]
        return jax.vmap(lambda q, d: scores(net, params, q, d))(query, documents)

    def one(
        loss: jax.Array, lists: Any, params: Any, batches: jax.Array, rate: jax.Array
    ) -> Any:
        tx = optax.flatten(optax.adam(rate))

        def step(carry: Any, at: jax.Array) -> Any:
            params, state = carry
            forward = lambda p: of_lists(p, lists, lists.chosen[0, at])
            s, backward = jax.vjp(forward, params)
            # Derivatives are taken within the branches: through the switch each would
            # keep what any of them needs.
            slope = jax.lax.switch(loss, slopes, s, lists.labels[0, at])
            updates, state = tx.update(backward(slope)[0], state)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), batches)

        def evaluated(chosen: jax.Array, labels: jax.Array) -> Any:
            batch = {"outputs": of_lists(params, lists, chosen), "targets": labels}
            return METRICS.compute(METRICS.update(METRICS.init(), batch))

        return jax.vmap(evaluated)(lists.chosen[1:], lists.labels[1:])

    chosen = [LOSSES[name] for name in config.losses]
    slopes = [jax.grad(lambda s, y, f=f: jnp.mean(f(s, y))) for f in chosen]
    rates = jax.vmap(one, (None, None, None, None, 0))
    of_seeds = jax.vmap(rates, (None, 0, 0, 0, None))
    every = jnp.asarray(config.rates)

    def run(loss: Any, lists: Any, params: Any, batches: Any) -> Any:
        return of_seeds(loss, lists, params, batches, every)

    return jax.jit(run)


def measure(config: Config, store: Store, text: str = "") -> dict[str, Any]:
    """Train both nets by every loss on both sets; see ``Experiment.measure``.

    Args:
      text: a file for the passages.

    Returns:
      ``{set: {net: {loss: {"validation": (seeds,), and metrics of the test}}}}``.
    """
    seeds = np.arange(config.first_seed, config.first_seed + config.seeds)
    rows, found = store.group("runs"), {}
    for name in config.sets:
        make = digits if name == "digits" else lambda c, s: passages(c, s, text)
        each = [make(config, int(seed)) for seed in seeds]
        lists = jax.tree.map(lambda *x: np.stack(x), *each)
        found[name] = {}
        for net in NETS:
            run, found[name][net] = trained(net, config), {}
            drawn = [
                _drawn(net, s, lists.queries.shape[-1], config) for s in seeds.tolist()
            ]
            given = lists, *jax.tree.map(lambda *x: np.stack(x), *drawn)
            for place, loss in enumerate(config.losses):
                take = lambda run=run, place=place, given=given: _host(
                    run(place, *given)
                )
                every = rows.measured(f"{name}, {net}, {loss}", take, text)
                best = int(np.argmax(every["ndcg"][:, :, 0].mean(axis=0)))
                own = {k: v[:, best, 1] for k, v in every.items()}
                found[name][net][loss] = {
                    "validation": every["ndcg"][:, best, 0],
                    **own,
                }
    return found


def _drawn(net: str, seed: int, features: int, config: Config) -> tuple[Any, Any]:
    """Parameters at the start, and the lists of each batch."""
    draw = np.random.default_rng([seed, NETS.index(net)])
    params = init(net, draw, features, config)
    return params, draw.integers(0, config.lists, (config.steps, config.batch))


def _host(tree: Any) -> Any:
    """The arrays once they are computed, so that the seconds of a row are its own."""
    return jax.tree.map(np.asarray, tree)
