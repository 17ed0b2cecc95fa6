"""PODNet: learning new classes beside a frozen network of the old ones."""
# Its examples wait for pytest --full.

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import (
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.margin_nca import Form, margin_nca
from jaxopt_lab.losses.pooled_distillation import (
    Collapse,
    cosine_distillation,
    pooled_distillation,
)
from jaxopt_lab.recipes.replay import (
    MEMORY,
    MODEL,
    RECALL,
    accuracies,
    memory_of,
    refuse_axis,
    stored,
)
from jaxopt_lab.recipes.replay_memory import (
    Memory,
    joined,
    weighted_mean,
    with_recalled,
)
from jaxopt_lab.recipes.roles import check_roles, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

OLD = "old"


class PodOutputs(NamedTuple):
    """Outputs of a network that PODNet trains.

    Attributes:
      logits: similarities to the classes, ``(B, C)``, as of ``local_similarity``.
      features: inputs of the classifier, ``(B, D)``.
      maps: feature maps of the stages, before their last rectifier, ``(B, H, W, C)``.
      scale: learned factor of the logits, a number; 1 by default.
    """

    logits: jax.Array
    features: jax.Array
    maps: Sequence[jax.Array] = ()
    scale: Scalar = 1.0


Extra = Callable[[PodOutputs, jax.Array | None], tuple[jax.Array, Metrics]]
"""Of outputs and weights: logits of further classes, and penalties by name."""


def init_podnet(
    tx: optax.GradientTransformation,
    params: Params,
    old: Params,
    key: jax.Array,
    memory: Memory,
    *,
    model_state: ModelState | None = None,
    old_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_podnet_step``, for one task.

    Args:
      tx: the transformation that trains the model.
      params: its parameters, those of the task before with a grown classifier.
      old: parameters at the end of the task before; anything for the first task.
      key: typed PRNG key from which the steps draw.
      memory: exemplars of the tasks before (``fixed_memory``), or an empty memory.
      model_state: the model's own state; ``None``: it has none.
      old_state: that of the old model.

    Returns:
      A ``TrainState`` of the roles ``"model"`` and ``"old"``, which is frozen, with the
      model states ``"model"``, ``"old"`` and ``"memory"``.

    >>> from jaxopt_lab.recipes import empty_memory
    >>> memory = empty_memory({"image": jnp.ones((1, 2)), "label": jnp.zeros(1)}, 4)
    >>> state = init_podnet(optax.sgd(0.1), {}, {}, jax.random.key(0), memory)
    >>> sorted(state.params), sorted(state.model_state)
    (['model', 'old'], ['memory', 'model', 'old'])
    """
    alone = init_state(tx, params, key, model_state)
    kept = {} if old_state is None else old_state
    return alone._replace(
        params={MODEL: alone.params, OLD: old},
        model_state={MODEL: alone.model_state, OLD: kept, MEMORY: memory},
        opt_state={MODEL: alone.opt_state, OLD: ()},
    )


def make_podnet_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    spatial: Annotated[Scalar, NON_NEGATIVE] = 3.0,
    flat: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    ratio: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    margin: Annotated[Scalar, NON_NEGATIVE] = 0.6,
    form: Form = "paper",
    hinge: bool = True,
    collapse: Collapse = "spatial",
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    replayed: Annotated[int, COUNT_OR_ZERO] = 0,
    store: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for the classes of one task.

    On a batch of the new classes and exemplars of the old ones, the mean of

    .. math::
        \mathrm{NCA}(s, y) + \sqrt{r} \, (\lambda_s \, \mathrm{POD}(h_l, g_l)
            + \lambda_f (1 - \cos(h, g))),

    with the maps :math:`h_l` and features h of the network, and those g of the network
    at the end of the task before, frozen and in evaluation mode; r is the number of
    classes seen over that of new ones. For the first task both weights are 0. Between
    two tasks ``grow_proxies`` adds the proxies of the new classes, from
    ``imprint_proxies``, and ``herding`` chooses the exemplars; after a task the paper
    tunes the classifier alone on exemplars of all classes.

    Args:
      network: its ``apply`` gives ``PodOutputs``, for parameters of more classes too.
      tx: transformation of its gradients; the paper's is ``optax.chain(optax.clip(5.0),
        optax.sgd(0.1, momentum=0.9))`` with a cosine schedule.
      spatial: :math:`\lambda_s`, weight of the distance of the pooled maps.
      flat: :math:`\lambda_f`, weight of the distance of the features. The Python number
        0 for both leaves the old network out of the program.
      ratio: r; its root is taken here.
      margin: by which the own class must win, as of ``margin_nca``.
      form: of the loss, as of ``margin_nca``.
      hinge: whether negative losses count as 0, as of ``margin_nca``.
      collapse: axes that the maps are pooled over, as of ``pooled_distillation``.
      weight: of a recalled example, as of ``make_replay_step``.
      replayed: examples to recall in a step; 0: as many as the batch has.
      store: whether batches are offered to the memory, likewise.
      inputs: entry of the batch that the network takes; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_replay_step``'s steps.

    Returns:
      The step, for states of ``init_podnet``. Metrics: ``loss``, ``accuracy``,
      ``replay_accuracy``, and, where the old network counts, ``spatial`` and ``flat``
      without their weights.

    Raises:
      InputError: an option is out of range; when traced, the network gives other
        outputs, an entry is missing or the state is none of ``init_podnet``.

    Gradient evaluations: those of ``make_train_step``, of the batch and the recalled
    examples, with one pass of the old network.

    Source: Douillard et al., "PODNet: Pooled Outputs Distillation for Small-Tasks
    Incremental Learning", arXiv:2004.13513. Code read: arthurdouillard/incremental_
    learning.pytorch, whose margin has no effect (``form="reference"``).

    >>> from jaxopt_lab.recipes import empty_memory
    >>> def apply(params, state, x, *, train, key=None):
    ...     return PodOutputs(x @ params, x @ params), state
    >>> network = Functional(lambda key: (jnp.eye(2), {}), apply)
    >>> tx, batch = optax.sgd(0.1), {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> memory, key = empty_memory(batch, 3), jax.random.key(0)
    >>> state = init_podnet(tx, jnp.eye(2), jnp.eye(2), key, memory)
    >>> step = jax.jit(make_podnet_step(network, tx, spatial=0.0))
    >>> state, metrics = step(state, batch)
    >>> float(metrics["flat"])
    0.0
    """
    check_arguments(make_podnet_step, locals())
    settings = {n: v for n, v in locals().items() if n not in ("network", "tx")}
    del settings["options"]
    return incremental_step(network, tx, None, (MODEL, OLD), **settings, **options)


def incremental_step(
    network: Functional,
    tx: optax.GradientTransformation,
    extra: Callable[[Params], Extra] | None,
    roles: Sequence[str],
    *,
    spatial: Scalar,
    flat: Scalar,
    ratio: Scalar,
    margin: Scalar,
    form: Form,
    hinge: bool,
    collapse: Collapse,
    weight: Scalar,
    replayed: int,
    store: bool,
    inputs: str,
    label: str,
    **options: Any,
) -> TrainStep:
    """The step of ``make_podnet_step``, with terms beside its own.

    Args:
      network: as there.
      tx: as there.
      extra: of the parameters by role, the terms; ``None``: none.
      roles: of the state.
      spatial: as there, and so are the others.
      flat: as there.
      ratio: as there.
      margin: as there.
      form: as there.
      hinge: as there.
      collapse: as there.
      weight: as there.
      replayed: as there.
      store: as there.
      inputs: as there.
      label: as there.
      **options: as there.

    Returns:
      The step.
    """
    refuse_axis(options)
    maps, features, recalls = (known_number(w) != 0 for w in (spatial, flat, weight))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, roles, "init_podnet" if extra is None else "init_ghost")
        by_role: Any = state.params
        added = None if extra is None else extra(by_role)

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x, labels, weights = joined(batch, inputs, label)
            out, kept = network.apply(params, states[MODEL], x, train=True, key=key)
            _check(out)
            mean = lambda losses: weighted_mean(losses, weights)
            metrics = accuracies(out.logits, labels, weights, batch[label].shape[0])
            logits = out.logits
            penalty = jnp.zeros((), accumulation_dtype(logits.dtype))
            if maps or features:
                other, _ = network.apply(by_role[OLD], states[OLD], x, train=False)
                _check(other)
                growth = jnp.sqrt(jnp.asarray(ratio, penalty.dtype))
                terms: list[tuple[str, Scalar, jax.Array]] = []
                if maps:
                    apart = pooled_distillation(
                        out.maps, teacher=other.maps, collapse=collapse
                    )
                    terms.append(("spatial", spatial, mean(apart)))
                if features:
                    apart = cosine_distillation(out.features, teacher=other.features)
                    terms.append(("flat", flat, mean(apart)))
                for name, factor, term in terms:
                    metrics[name] = term.astype(penalty.dtype)
                    factor = growth * jnp.asarray(factor, penalty.dtype)
                    penalty = penalty + factor * metrics[name]
            if added is not None:
                further, more = added(out, weights)
                logits = jnp.concatenate([logits, further.astype(logits.dtype)], axis=1)
                penalty = penalty + more.pop("penalty").astype(penalty.dtype)
                metrics |= more
            losses = margin_nca(
                logits, labels, scale=out.scale, margin=margin, form=form, hinge=hinge
            )
            loss = mean(losses) + penalty
            metrics = {name: x.astype(loss.dtype) for name, x in metrics.items()}
            return loss, ({**states, MODEL: kept}, metrics)

        memory = memory_of(state, "init_podnet", batch)
        whole = batch
        if recalls:
            key = jax.random.fold_in(state.key, RECALL)
            whole = with_recalled(key, memory, batch, weight, replayed)
        after, metrics = train_role(MODEL, loss_fn, tx, state, whole, **options)
        return stored(state.key, after, batch) if store else after, metrics

    return step


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``make_podnet_step``, its defaults for the others.

    Args:
      options: some of them, and those of ``make_train_step``.

    Returns:
      All of them.

    Raises:
      InputError: one is out of range.

    >>> with_defaults({"flat": 0.5})["spatial"]
    3.0
    """
    check_arguments(make_podnet_step, options)
    parameters = inspect.signature(make_podnet_step).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    return {**defaults, **options}


def _check(out: Any) -> None:
    if not isinstance(out, PodOutputs):
        raise InputError(
            f"the network gives {type(out).__name__}; accepted: PodOutputs"
        )
