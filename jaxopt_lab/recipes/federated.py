"""Federated averaging, in one process: clients train apart and are averaged."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, PyTree
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.roles import check_roles, entries, in_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

MODEL, MASK = "model", "mask"


def init_federated(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
    mask: PyTree | None = None,
) -> TrainState:
    """A fresh state of ``make_federated_step``.

    Args:
      tx: the transformation of each client.
      params: initial parameters of the server.
      key: typed PRNG key from which the rounds draw.
      model_state: the model's own state, its batch statistics; ``None``: it has none.
      mask: booleans like ``params``, true for the weights that are there; ``None``: all
        of them. It is an entry ``"mask"`` of the model state, which may be replaced
        between two rounds without another program.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts of
      the one role ``"model"``; masked parameters are 0.

    >>> state = init_federated(optax.sgd(0.1), {}, jax.random.key(0))
    >>> sorted(state.params), sorted(state.model_state)
    (['model'], ['model'])
    """
    if mask is not None:
        params = _masked(mask, params)
    extra = {} if mask is None else {MASK: mask}
    return in_role(MODEL, init_state(tx, params, key, model_state), extra)


def make_federated_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    clients: Annotated[int, COUNT] = 10,
    local_steps: Annotated[int, COUNT] = 1,
    shares: Sequence[float] | None = None,
    reset: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``round(state, batch) -> (state, metrics)`` of federated averaging.

    .. math:: \theta \leftarrow \sum_c w_c \, \theta_c, \qquad \theta_c = \theta
        \text{ after } n \text{ steps on the client's own examples}

    Each client has its own equal part of the batch, in the order of the examples, and
    takes its steps on equal parts of that, from the server's parameters. With a mask in
    the state (``init_federated``) gradients, so the optimizer's moments, and parameters
    are 0 outside of it.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of a client's gradients.
      clients: number of clients; times ``local_steps`` it divides the batch.
      local_steps: n, steps of a client in a round.
      shares: w, divided by their sum: numbers of examples that the clients stand for;
        ``None``: all alike.
      reset: optimizers start again in each round; otherwise their states are averaged
        as the parameters are.
      inputs: entry of the batch that the network takes; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``, for the steps of a client.

    Returns:
      The round, for states of ``init_federated``; it counts as one step. Metrics, means
      over clients by their shares and over their steps: ``loss`` and ``accuracy``.

    Raises:
      InputError: an argument is out of range; when traced, an entry of the batch is
        missing, or the batch is not divisible.

    Gradient evaluations: those of ``make_train_step`` for each of the clients' steps,
    on their parts. Memory: parameters and optimizer state of every client, where the
    clients are mapped together; on CPUs clients with convolutions go one after another.
    Floating leaves are averaged in float32 or wider; counts are those of the first
    client. Pruning between rounds: ``quantize.prune_grow`` and the functions beside it.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from
    Decentralized Data", arXiv:1602.05629; masks as Huang et al. (FedTiny),
    arXiv:2212.01977.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx, batch = optax.sgd(0.1), {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> zeros, mask = jnp.zeros((2, 2)), jnp.eye(2) > 0
    >>> state = init_federated(tx, zeros, jax.random.key(0), mask=mask)
    >>> state, metrics = make_federated_step(network, tx, clients=2)(state, batch)
    >>> state.params["model"].round(3).tolist()
    [[0.02500000037252903, 0.0], [0.0, 0.02500000037252903]]
    """
    check_arguments(make_federated_step, locals())
    weight = np.ones(clients) if shares is None else np.asarray(shares, np.float64)
    if weight.shape != (clients,) or not np.all(weight >= 0) or not weight.sum() > 0:
        raise InputError(
            f"shares must be {clients} numbers of at least 0, not all 0; got {shares}"
        )
    weight = weight / weight.sum()

    def loss_fn(
        params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        x, labels = entries(batch, inputs, label)
        logits, model_state = network.apply(
            params, model_state, to_float(x), train=True, key=key
        )
        loss = jnp.mean(cross_entropy(logits, labels))
        right = is_largest(logits, labels)
        return loss, (model_state, {"accuracy": jnp.mean(right.astype(loss.dtype))})

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_federated")
        own: Any = state.opt_state
        mask = state.model_state.get(MASK)
        local = make_train_step(
            loss_fn, tx if mask is None else _on(mask, tx), **options
        )
        start = TrainState(
            state.step,
            state.params[MODEL],
            state.model_state[MODEL],
            tx.init(state.params[MODEL]) if reset else own[MODEL],
            state.key,
        )

        def client(item: Any) -> tuple[TrainState, Metrics]:
            key, parts = item
            found, told = start._replace(key=key), []
            for number in range(local_steps):
                found, metrics = local(found, loops.take(parts, number))
                if mask is not None:
                    found = found._replace(params=_masked(mask, found.params))
                told.append(metrics)
            means = jax.tree.map(lambda *x: sum(x[1:], x[0]) / len(x), *told)
            return found, means

        others = jnp.arange(1, clients, dtype=jnp.int32)
        folded = jax.vmap(jax.random.fold_in, (None, 0))(state.key, others)
        keys = jnp.concatenate([state.key[None], folded])
        items = keys, _parts(batch, clients, local_steps)
        first = loops.take(items, 0)
        if clients == 1:
            after, metrics = client(first)
        else:
            mode = loops.choose("vmap", client, first)
            after, metrics = _averaged(weight, *loops.map_items(client, items, mode))
        return (
            TrainState(
                step=state.step + 1,
                params={MODEL: after.params},
                model_state={**state.model_state, MODEL: after.model_state},
                opt_state={MODEL: after.opt_state},
                key=after.key,
            ),
            metrics,
        )

    return step


def _on(mask: PyTree, tx: optax.GradientTransformation) -> Any:
    """The transformation of gradients that are 0 outside of a mask."""
    inner = optax.with_extra_args_support(tx)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        return inner.update(_masked(mask, updates), state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _masked(mask: PyTree, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda m, x: jnp.where(m, x, 0), mask, tree)


def _parts(batch: Batch, clients: int, steps: int) -> Batch:
    """The batch by client and by step, ``(clients, steps, examples, ...)``."""

    def cut(x: jax.Array) -> jax.Array:
        if x.ndim < 1 or x.shape[0] % (clients * steps):
            raise InputError(
                f"clients={clients} times local_steps={steps} must divide the batch; "
                f"got an entry of shape {x.shape}"
            )
        return x.reshape(clients, steps, -1, *x.shape[1:])

    return jax.tree.map(cut, batch)


def _averaged(weight: np.ndarray, *stacked: Any) -> Any:
    """The mean of floating leaves by the shares; of others the first client's."""

    def mean(x: jax.Array) -> jax.Array:
        if not trees.is_floating(x):
            return x[0]
        wide = trees.accumulation_dtype(x.dtype)
        w = jnp.asarray(weight, wide).reshape((-1,) + (1,) * (x.ndim - 1))
        return jnp.sum(w * x.astype(wide), axis=0).astype(x.dtype)

    return tuple(jax.tree.map(mean, tree) for tree in stacked)
