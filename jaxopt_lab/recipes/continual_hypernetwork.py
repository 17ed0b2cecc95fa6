"""A hypernetwork of many tasks that keeps its predictions for the old ones."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, PyTree, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.roles import check_roles, entries, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, OLD = "model", "old"


class OldTasks(NamedTuple):
    """A hypernetwork at the end of a task, and the tasks that it knows.

    Attributes:
      params: its parameters.
      embeddings: ``(T, E)``; T may be 0.
      importance: a tree like the predicted parameters, leaves ``(T, *shape)``; or
        ``None``: ones.
    """

    params: Params
    embeddings: jax.Array
    importance: PyTree = None


def init_continual_hypernetwork(
    tx: optax.GradientTransformation,
    params: Params,
    embedding: jax.Array,
    old: OldTasks,
    key: jax.Array,
    *,
    network_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_continual_hypernetwork_step``, for one task.

    Args:
      tx: the transformation that trains hypernetwork and embedding.
      params: of the hypernetwork.
      embedding: of the task, ``(E,)``.
      old: the tasks before; embeddings of shape (0, E) for the first.
      key: typed PRNG key from which the steps draw.
      network_state: model state of the predicted network; ``None``: it has none.

    Returns:
      A ``TrainState`` of the roles ``"model"``, parameters ``hypernetwork`` and
      ``embedding``, and ``"old"``, which is frozen.

    >>> old = OldTasks({}, jnp.zeros((0, 2)))
    >>> state = init_continual_hypernetwork(
    ...     optax.sgd(0.1), {}, jnp.ones(2), old, jax.random.key(0))
    >>> sorted(state.params)
    ['model', 'old']
    """
    alone = init_state(
        tx, {"hypernetwork": params, "embedding": embedding}, key, network_state
    )
    return alone._replace(
        params={MODEL: alone.params, OLD: old},
        model_state={MODEL: alone.model_state},
        opt_state={MODEL: alone.opt_state, OLD: ()},
    )


def make_continual_hypernetwork_step(
    hypernetwork: Functional,
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    beta: Annotated[Scalar, NON_NEGATIVE] = 0.01,
    lookahead: Annotated[Scalar, NON_NEGATIVE] = 1e-3,
    through: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for a task among others.

    With f(e; psi) the parameters that the hypernetwork predicts, and T tasks before,

    .. math::
        L(f(e; \psi)) + \frac{\beta}{T} \sum_t \|f(e_t; \psi_{\mathrm{old}})
            - f(e_t; \psi + \Delta)\|^2_{I_t}, \qquad
        \Delta = -\eta \nabla_\psi L(f(e; \psi)).

    Args:
      hypernetwork: its ``apply`` makes trees of parameters, leaves ``(1, *shape)``, of
        embeddings ``(1, E)``, such as ``layers.recurrent_hypernetwork``.
      network: its ``apply`` takes such parameters and gives logits ``(B, C)``.
      tx: transformation of the gradients.
      beta: :math:`\beta`; the Python number 0 leaves the old tasks out of the program,
        as does the absence of old tasks: plain training.
      lookahead: :math:`\eta`, of the step that is tried out; the Python number 0 saves
        its gradient.
      through: whether :math:`\Delta` is differentiated, with second derivatives.
      inputs: entry of the batch; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``. Micro-batches need ``lookahead`` 0, since
        each would try another step.

    Returns:
      The step, for states of ``init_continual_hypernetwork``. Metrics: ``loss``;
      ``accuracy``; and, with old tasks, ``kept``, the penalty without its weight.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing, or the
        state is another.

    Gradient evaluations: 2, 1 without lookahead; and T predictions twice, whatever the
    size of the data.

    Source: Chandra et al., "Continual Learning with Dependency Preserving
    Hypernetworks", 2022, from the abstract; the penalty of von Oswald et al.,
    "Continual Learning with Hypernetworks", arXiv:1906.00695, from memory.

    >>> def predict(params, state, e, *, train, key=None):
    ...     return (e @ params).reshape(-1, 2, 2), state
    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> nets = [Functional(lambda key: ((), {}), f) for f in (predict, apply)]
    >>> tx, params = optax.sgd(0.1), jnp.ones((2, 4))
    >>> old = OldTasks(params, jnp.eye(2)[:1])
    >>> state = init_continual_hypernetwork(
    ...     tx, params, jnp.ones(2), old, jax.random.key(0))
    >>> step = jax.jit(make_continual_hypernetwork_step(*nets, tx, lookahead=0.0))
    >>> batch = {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> float(step(state, batch)[1]["kept"])  # nothing has moved yet
    0.0
    """
    check_arguments(make_continual_hypernetwork_step, locals())
    alone, straight = known_number(beta) == 0, known_number(lookahead) == 0
    if not (alone or straight) and options.get("micro_batches", 1) != 1:
        raise InputError(
            "micro_batches must be 1 unless lookahead or beta is 0, since each would "
            f"look ahead by a step of its own; got {options['micro_batches']}"
        )

    def loss_of(
        own: Any, states: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[ModelState, jax.Array]]:
        x, labels = entries(batch, inputs, label)
        weights = predicted(hypernetwork, own["hypernetwork"], own["embedding"][None])
        weights = jax.tree.map(lambda w: w[0], weights)
        logits, kept = network.apply(
            weights, states[MODEL], to_float(x), train=True, key=key
        )
        losses = cross_entropy(logits, labels)
        right = is_largest(logits, labels)
        return jnp.mean(losses), (kept, jnp.mean(right.astype(losses.dtype)))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL, OLD), "init_continual_hypernetwork")
        by_role: Any = state.params
        old: OldTasks = by_role[OLD]
        plain = alone or not len(old.embeddings)

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            loss, (kept, accuracy) = loss_of(params, states, batch, key)
            metrics = {"accuracy": accuracy}
            if not plain:
                ahead = params["hypernetwork"]  # type: ignore[index]
                if not straight:
                    slope = jax.grad(lambda p: loss_of(p, states, batch, key)[0])
                    grads = slope(params)["hypernetwork"]
                    if not through:
                        grads = jax.lax.stop_gradient(grads)
                    move = lambda p, g: p - jnp.asarray(lookahead, p.dtype) * g
                    ahead = jax.tree.map(move, ahead, grads)
                apart = output_regulariser(
                    hypernetwork, ahead, old.params, old.embeddings, old.importance
                )
                metrics["kept"] = apart.astype(loss.dtype)
                loss = loss + jnp.asarray(beta, loss.dtype) * metrics["kept"]
            return loss, ({**states, MODEL: kept}, metrics)

        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step


def predicted(
    hypernetwork: Functional, params: Params, embeddings: jax.Array
) -> PyTree:
    """Parameters of the networks of some tasks.

    Args:
      hypernetwork: the hypernetwork.
      params: its parameters.
      embeddings: ``(T, E)``.

    Returns:
      A tree with leaves ``(T, *shape)``.
    """
    return hypernetwork.apply(params, {}, embeddings, train=True)[0]


def output_regulariser(
    hypernetwork: Functional,
    params: Params,
    old: Params,
    embeddings: jax.Array,
    importance: PyTree = None,
) -> jax.Array:
    """Mean over tasks of the squared distance of predicted parameters from old ones.

    Args:
      hypernetwork: the hypernetwork.
      params: its parameters.
      old: those at the end of the task before, constant.
      embeddings: ``(T, E)`` of the tasks, T >= 1, constant.
      importance: of each predicted number, a tree with leaves ``(T, *shape)``;
        ``None``: ones.

    Returns:
      A number, float32 or float64; 0 with the derivative 0 for equal parameters.
    """
    embeddings, old = jax.lax.stop_gradient((embeddings, old))
    new, before = (predicted(hypernetwork, p, embeddings) for p in (params, old))
    if importance is None:
        importance = jax.tree.map(jnp.ones_like, before)

    def one(a: jax.Array, b: jax.Array, i: jax.Array) -> jax.Array:
        a = a.astype(accumulation_dtype(a.dtype))
        return jnp.sum(i.astype(a.dtype) * (a - b.astype(a.dtype)) ** 2)

    parts = jax.tree.leaves(jax.tree.map(one, new, before, importance))
    return jnp.stack(parts).sum() / len(embeddings)


def fisher_importance(
    network: Functional, weights: Params, network_state: ModelState, batch: Batch
) -> PyTree:
    """Diagonal of the empirical Fisher matrix of a network, with the mean 1.

    Args:
      network: its ``apply`` gives logits ``(B, C)``.
      weights: its parameters.
      network_state: its state.
      batch: ``image`` and ``label``.

    Returns:
      A tree like ``weights``: the mean squared derivative of the log-likelihood of an
      example's label, over the mean of all; ones where all are 0.

    Cost: a gradient of each example, one after the other.

    >>> net = Functional(lambda k: ((), {}), lambda p, s, x, **_: (x @ p, s))
    >>> batch = {"image": jnp.array([[1.0, 0.0]]), "label": jnp.array([0])}
    >>> fisher_importance(net, jnp.zeros((2, 2)), {}, batch).tolist()
    [[2.0, 2.0], [0.0, 0.0]]
    """
    x, labels = entries(batch, "image", "label")

    def squares(example: Any) -> PyTree:
        def loss(weights: Params) -> jax.Array:
            inputs = to_float(example[0])[None]
            logits, _ = network.apply(weights, network_state, inputs, train=False)
            return cross_entropy(logits, example[1][None])[0]

        return jax.tree.map(jnp.square, jax.grad(loss)(weights))

    each = jax.lax.map(squares, (jnp.asarray(x), jnp.asarray(labels)))
    means = jax.tree.map(lambda s: jnp.mean(s, axis=0), each)
    leaves = jax.tree.leaves(means)
    total = jnp.stack([jnp.sum(leaf) for leaf in leaves]).sum()
    mean = total / sum(leaf.size for leaf in leaves)
    over = jnp.where(mean > 0, mean, 1)
    return jax.tree.map(lambda m: jnp.where(mean > 0, m / over, 1), means)
