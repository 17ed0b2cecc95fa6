"""Co-teaching: two models, each trained on the examples that the other finds easy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT_OR_ZERO, DECAY, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.roles import check_roles, entries, gathered, train_role
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

FIRST, SECOND = "first", "second"
_SHARE = "share of the loss"


def init_co_teaching(
    tx: optax.GradientTransformation,
    first: Params,
    second: Params,
    key: jax.Array,
    *,
    first_state: ModelState | None = None,
    second_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_co_teaching_step``.

    Args:
      tx: the transformation that trains each model.
      first: initial parameters of the first model.
      second: of the second one: others, for the two to differ.
      key: typed PRNG key from which the steps draw.
      first_state: the first model's own state; ``None``: it has none.
      second_state: that of the second.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts of
      ``"first"`` and ``"second"``.

    >>> state = init_co_teaching(optax.sgd(0.1), {}, {}, jax.random.key(0))
    >>> sorted(state.params)
    ['first', 'second']
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params={FIRST: first, SECOND: second},
        model_state={
            FIRST: {} if first_state is None else first_state,
            SECOND: {} if second_state is None else second_state,
        },
        opt_state={FIRST: tx.init(first), SECOND: tx.init(second)},
        key=key,
    )


def of_states(states: Sequence[TrainState]) -> TrainState:
    """The state of ``make_co_teaching_step`` from two fresh plain states.

    Args:
      states: of ``init_state`` with the transformation of the step; step and key are
        those of the first.

    Returns:
      The state; that of ``init_co_teaching``.

    >>> from jaxopt_lab.training import init_state
    >>> fresh = lambda i: init_state(optax.sgd(0.1), jnp.ones(2), jax.random.key(i))
    >>> sorted(of_states([fresh(0), fresh(1)]).params)
    ['first', 'second']
    """
    by_role = lambda trees: dict(zip((FIRST, SECOND), trees, strict=True))
    return gathered(states, by_role)


def make_co_teaching_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    forget: Annotated[Scalar, DECAY] = 0.2,
    gradual: Annotated[int, COUNT_OR_ZERO] = 0,
    split: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for labels of which some err.

    Each model, in evaluation mode, keeps the
    :math:`\lfloor (1 - R) n \rfloor` of n examples with the smallest cross-entropies;
    then each is trained on the mean loss of those that the other one has kept. Both
    draw from one key: with ``NestedDropout`` they have the same number of features.

    Args:
      network: of both models; its ``apply`` gives logits ``(B, C)``.
      tx: transformation of the gradients of each.
      forget: R, part of the examples that is left out, in [0, 1): about the part of
        wrong labels. The Python number 0 leaves the scoring out of the program.
      gradual: steps over which R rises from 0, in a line; 0: R from the first step on.
      split: the first model keeps from the first half of the batch, on which the second
        is trained, and the second from the second half; ``False``, as in the original
        co-teaching: both keep from the whole batch.
      inputs: entry of the batch that the models take; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_co_teaching``. Metrics, means over the two models:
      ``loss`` and ``accuracy``, of the examples that they are trained on; ``kept``, the
      share of examples that both keep, absent with ``split`` or at R = 0.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing, the batch
        is not even where it is split, or too small for one example to be kept.

    Gradient evaluations: those of ``make_train_step`` for each model, and a forward
    pass of each for the scores. The examples that are left out have weight 0 and are
    run too, so that shapes do not change with R; among equal losses the first are kept.
    Divided over the devices of ``axis_name``, each device keeps from its own examples.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_co_teaching(tx, jnp.eye(2), 2 * jnp.eye(2), jax.random.key(0))
    >>> step = jax.jit(make_co_teaching_step(network, tx, forget=0.5))
    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, 0])}
    >>> state, metrics = step(state, batch)
    >>> float(metrics["accuracy"]), float(metrics["kept"])
    (1.0, 0.5)

    Source: Han et al., "Co-teaching: Robust Training of Deep Neural Networks with
    Extremely Noisy Labels", arXiv:1804.06872; with halves and nested dropout Chen et
    al., "Boosting Co-teaching with Compression Regularization for Label Noise",
    arXiv:2104.13766 and its code.
    """
    check_arguments(make_co_teaching_step, locals())
    everything = known_number(forget) == 0

    def share_of(losses: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Weights with mean 1 of the kept examples, and which these are."""
        count = losses.shape[0]
        # A little above, so that 0.7 times 10 is 7 in float32, too.
        keep = jnp.floor((1 - rate) * count + 1e-4).astype(jnp.int32)
        chosen = small_loss_selection(losses, jnp.maximum(keep, 1))
        number = jnp.sum(chosen, dtype=losses.dtype)
        return chosen.astype(losses.dtype) * (count / number), chosen

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (FIRST, SECOND), "init_co_teaching")
        x, labels = entries(batch, inputs, label)
        parts = _parts(batch, len(labels), split, forget)
        metrics: list[dict[str, jax.Array]] = []
        shares, chosen = {}, []
        for role, part in parts.items():
            x, labels = part[inputs], part[label]
            if everything:
                dtype = accumulation_dtype(to_float(jnp.asarray(x)).dtype)
                shares[role] = jnp.ones(len(labels), dtype)
                continue
            rate = jnp.asarray(forget, jnp.float32)
            if gradual:
                done = state.step.astype(jnp.float32) / gradual
                rate = rate * jnp.minimum(done, 1)
            states: Any = state.model_state
            logits, _ = network.apply(
                state.params[role], states[role], to_float(x), train=False
            )
            losses = jax.lax.stop_gradient(cross_entropy(logits, labels))
            shares[role], kept = share_of(losses, rate)
            chosen.append(kept)
        after = state
        for role, other in ((FIRST, SECOND), (SECOND, FIRST)):
            # Both from the same key.
            before = after._replace(step=state.step, key=state.key)
            given = {**parts[other], _SHARE: shares[other]}
            loss_fn = _loss(network, role, inputs, label)
            after, told = train_role(role, loss_fn, tx, before, given, **options)
            metrics.append(dict(told))
        mean = jax.tree.map(lambda a, b: (a + b) / 2, *metrics)
        if not split and not everything:
            both = (chosen[0] & chosen[1]).astype(mean["loss"].dtype)
            mean["kept"] = jnp.mean(both)
        return after, mean

    return step


def small_loss_selection(losses: jax.Array, keep: int | jax.Array) -> jax.Array:
    """Whether each loss is one of the smallest.

    Args:
      losses: ``(B,)``.
      keep: how many are; of equal losses the first, NaN last.

    Returns:
      Booleans ``(B,)``.

    >>> small_loss_selection(jnp.array([3.0, 1.0, 2.0, 1.0]), 2).tolist()
    [False, True, False, True]
    """
    rank = jnp.argsort(jnp.argsort(losses, stable=True), stable=True)
    return rank.astype(jnp.int32) < jnp.asarray(keep, jnp.int32)


def of_both(network: Functional) -> Functional:
    """The two models as one, whose outputs are the mean of their logits.

    Args:
      network: of both.

    Returns:
      Its ``apply`` takes the dicts by role of a state; ``init`` takes two keys.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> model = of_both(Functional(lambda key: (jnp.zeros((2, 2)), {}), apply))
    >>> params, state = model.init(jax.random.split(jax.random.key(0)))
    >>> model.apply(params, state, jnp.eye(2), train=False)[0].shape
    (2, 2)
    """
    roles = (FIRST, SECOND)

    def init(keys: jax.Array) -> tuple[Any, Any]:
        made = {role: network.init(keys[i]) for i, role in enumerate(roles)}
        return {r: m[0] for r, m in made.items()}, {r: m[1] for r, m in made.items()}

    def apply(
        params: Any, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, Any]:
        found = {
            role: network.apply(params[role], state[role], x, train=train, key=key)
            for role in roles
        }
        mean = (found[FIRST][0] + found[SECOND][0]) / 2
        return mean, {role: kept for role, (_, kept) in found.items()}

    return Functional(init, apply)


def _loss(network: Functional, role: str, inputs: str, label: str) -> Any:
    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        x, labels = to_float(batch[inputs]), batch[label]
        logits, kept = network.apply(params, states[role], x, train=True, key=key)
        losses = cross_entropy(logits, labels)
        share = batch[_SHARE].astype(losses.dtype)
        # A loss that is left out may be anything.
        mean = jnp.mean(share * jnp.where(share > 0, losses, 0))
        right = is_largest(logits, labels)
        accuracy = jnp.mean(jnp.where(right, share, 0))
        return mean, ({**states, role: kept}, {"accuracy": accuracy})

    return loss_fn


def _parts(batch: Batch, count: int, split: bool, forget: Scalar) -> dict[str, Batch]:
    """The examples from which each model keeps some."""
    if split and count % 2:
        raise InputError(
            f"a batch of {count} examples cannot be split in halves; accepted: an even "
            "number"
        )
    size, rate = count // 2 if split else count, known_number(forget)
    if rate is not None and int((1 - rate) * size + 1e-4) < 1:
        raise InputError(
            f"forget={forget} keeps none of {size} examples; accepted: a larger batch "
            "or a smaller part"
        )
    if not split:
        return {FIRST: batch, SECOND: batch}
    half = lambda rows: jax.tree.map(lambda x: x[rows], batch)
    return {FIRST: half(slice(0, size)), SECOND: half(slice(size, None))}
