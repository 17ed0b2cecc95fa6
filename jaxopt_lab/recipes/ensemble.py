"""Deep ensembles: several members in one program, pushed apart or together."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.losses.ensembles import Diversity, ensemble_diversity
from jaxopt_lab.recipes.roles import gathered
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep, make_train_step

MEMBERS = "members"


def init_ensemble(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_ensemble_step``.

    Args:
      tx: the transformation that trains each member.
      params: initial parameters, each with a leading axis of members:
        ``jax.vmap(network.init)(keys)`` gives them and the model states.
      key: typed PRNG key from which the steps draw.
      model_state: the members' own states, stacked; ``None``: they have none.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts of
      the one role ``"members"``, stacked.

    Raises:
      InputError: the parameters have no common leading axis.

    >>> state = init_ensemble(optax.sgd(0.1), jnp.zeros((3, 2)), jax.random.key(0))
    >>> state.params["members"].shape
    (3, 2)
    """
    _count(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params={MEMBERS: params},
        model_state={MEMBERS: {} if model_state is None else model_state},
        opt_state={MEMBERS: jax.vmap(tx.init)(params)},
        key=key,
    )


def of_states(states: Sequence[TrainState]) -> TrainState:
    """The state of ``make_ensemble_step`` from fresh plain states, one a member.

    Args:
      states: of ``init_state`` with the transformation of the step; step and key are
        those of the first.

    Returns:
      The state; that of ``init_ensemble`` on the stacked parameters.

    >>> from jaxopt_lab.training import init_state
    >>> fresh = lambda i: init_state(optax.sgd(0.1), jnp.zeros(2), jax.random.key(i))
    >>> of_states([fresh(0), fresh(1)]).params["members"].shape
    (2, 2)
    """
    stack = lambda trees: {MEMBERS: jax.tree.map(lambda *x: jnp.stack(x), *trees)}
    return gathered(states, stack)


def make_ensemble_step(
    member: Functional,
    tx: optax.GradientTransformation,
    *,
    diversity: Annotated[Scalar, Interval()] = 0.0,
    kind: Diversity = "jensen",
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for M members at once.

    With probabilities :math:`p_m` of member m and their mean :math:`\bar p`, member m
    goes down the gradient of M times the objective

    .. math::
        \frac1M \sum_m \mathrm{CE}(y, p_m) - \gamma D, \qquad D = \begin{cases}
        \frac1M \sum_m \mathrm{CE}(y, p_m) - \mathrm{CE}(y, \bar p) &
            \text{jensen} \\
        \frac1M \sum_m \|p_m - \bar p\|^2 & \text{variance} \\
        H(\bar p) - \frac1M \sum_m H(p_m) & \text{js} \\
        \frac1M \sum_m \mathrm{KL}(\bar p \,\|\, p_m) & \text{kl} \end{cases}

    so that at :math:`\gamma = 0` each is trained as alone. With the Jensen gap
    :math:`\gamma = 1` is training on the mean, :math:`\mathrm{CE}(y, \bar p)`. All
    members see the same batch; their keys differ, and the first has the state's.

    Every member has a step of ``make_train_step``, mapped over the members: a sharpness
    link perturbs each by its own gradient, all at the same time.

    Args:
      member: its ``apply`` gives logits ``(B, C)``.
      tx: transformation of a member's gradients.
      diversity: :math:`\gamma`; above 0 encourages it, below 0 discourages it. The
        Python number 0 leaves it out of the gradient's program.
      kind: D.
      inputs: entry of the batch that the members take; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_ensemble``. Metrics, means over the batch:
      ``loss``, the objective; ``member_loss``, ``member_accuracy``, means over the
      members; ``diversity``, D; ``ensemble_loss`` and ``ensemble_accuracy``, of
      :math:`\bar p`.

    Raises:
      InputError: ``kind`` is unknown; when traced, an entry of the batch is missing or
        the state is none of ``init_ensemble``.

    Gradient evaluations: M times those of ``make_train_step``. Logarithms and sums are
    float32, for float64 logits float64.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> member = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx, params = optax.sgd(0.1), jnp.stack([jnp.eye(2), -jnp.eye(2)])
    >>> state = init_ensemble(tx, params, jax.random.key(0))
    >>> step = jax.jit(make_ensemble_step(member, tx, diversity=1.0))
    >>> state, metrics = step(state, {"image": jnp.eye(2), "label": jnp.arange(2)})
    >>> bool(jnp.isclose(metrics["loss"], metrics["ensemble_loss"]))
    True

    Source: Abe, Buchanan, Pleiss and Cunningham, "Pathologies of Predictive Diversity
    in Deep Ensembles", arXiv:2302.00704; no public code of these losses.
    """
    check_arguments(make_ensemble_step, locals())
    alone = known_number(diversity) == 0

    def loss_fn(
        params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        check_entries(batch, (inputs, label))
        x, labels = to_float(batch[inputs]), batch[label]
        logits, model_state = member.apply(params, model_state, x, train=True, key=key)
        own = jnp.mean(cross_entropy(logits, labels))
        # Its transpose is a sum over the members: M times the mean's gradient.
        every = jax.lax.all_gather(logits, MEMBERS)
        if alone:
            every = jax.lax.stop_gradient(every)
        by_example = jnp.moveaxis(every, 0, 1)
        each = ensemble_diversity(by_example, labels, kind=kind)
        apart = jnp.mean(each).astype(own.dtype)
        mean = mean_logits(every)
        right = lambda z: is_largest(z, labels)
        metrics = {
            "member_loss": own,
            "member_accuracy": jnp.mean(right(logits).astype(own.dtype)),
            "diversity": apart,
            "ensemble_loss": jnp.mean(cross_entropy(mean, labels)),
            "ensemble_accuracy": jnp.mean(right(mean).astype(own.dtype)),
        }
        loss = own if alone else own - jnp.asarray(diversity, own.dtype) * apart
        return loss, (model_state, metrics)

    each = TrainState(None, 0, 0, 0, 0)  # type: ignore[arg-type]
    inner = jax.vmap(
        make_train_step(loss_fn, tx, **options),
        in_axes=(each, None),
        out_axes=(each, 0),
        axis_name=MEMBERS,
    )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        params, opt_state, model_state = (
            _members(tree)
            for tree in (state.params, state.opt_state, state.model_state)
        )
        others = jnp.arange(1, _count(params), dtype=jnp.int32)
        folded = jax.vmap(jax.random.fold_in, (None, 0))(state.key, others)
        keys = jnp.concatenate([state.key[None], folded])
        before = TrainState(state.step, params, model_state, opt_state, keys)
        after, metrics = inner(before, batch)
        return (
            TrainState(
                step=after.step,
                params={MEMBERS: after.params},
                model_state={MEMBERS: after.model_state},
                opt_state={MEMBERS: after.opt_state},
                key=after.key[0],
            ),
            {name: jnp.mean(x, axis=0) for name, x in metrics.items()},
        )

    return step


def mean_logits(logits: jax.Array) -> jax.Array:
    """Logarithm of the members' mean probabilities.

    Args:
      logits: ``(M, ..., C)``.

    Returns:
      Shape ``(..., C)``, float32 or float64.

    >>> mean = mean_logits(jnp.log(jnp.array([[0.2, 0.8], [0.6, 0.4]])))
    >>> [f"{p:.3f}" for p in jnp.exp(mean).tolist()]
    ['0.400', '0.600']
    """
    wide = jax.nn.log_softmax(logits.astype(accumulation_dtype(logits.dtype)))
    return jax.nn.logsumexp(wide, axis=0) - jnp.log(jnp.asarray(len(wide), wide.dtype))


def of_members(member: Functional) -> Functional:
    """The ensemble as a model, whose outputs are those of ``mean_logits``.

    Args:
      member: the model of one member.

    Returns:
      Its ``apply`` takes stacked parameters and model states; ``init`` takes one key
      for each member.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> model = of_members(Functional(lambda key: (jnp.zeros((2, 2)), {}), apply))
    >>> params, state = model.init(jax.random.split(jax.random.key(0), 3))
    >>> model.apply(params, state, jnp.eye(2), train=False)[0].shape
    (2, 2)
    """

    def apply(
        params: Params, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, Any]:
        one = lambda p, s: member.apply(p, s, x, train=train, key=key)
        logits, state = jax.vmap(one)(params, state)
        return mean_logits(logits), state

    return Functional(jax.vmap(member.init), apply)


def _count(params: Params) -> int:
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if len(sizes) != 1 or () in sizes:
        raise InputError(
            "the parameters of members must share a leading axis; got leading axes "
            f"{sorted(sizes)}"
        )
    return sizes.pop()[0]


def _members(tree: Any) -> Any:
    if not isinstance(tree, dict) or set(tree) != {MEMBERS}:
        raise InputError(
            "the state must have the one role 'members', as init_ensemble makes it"
        )
    return tree[MEMBERS]
