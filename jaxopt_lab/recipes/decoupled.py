"""Decoupled modules: each is trained on a prediction of its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_class, is_largest
from jaxopt_lab.core.options import COUNT_OR_ZERO, UNIT, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.decoupling import decouple
from jaxopt_lab.recipes.roles import check_roles, entries
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

MODULES, PREDICTORS = "modules", "predictors"


def init_decoupled(
    tx: optax.GradientTransformation,
    modules: Sequence[Params],
    predictors: Sequence[Params],
    key: jax.Array,
    *,
    model_state: Sequence[ModelState] | None = None,
    predictor_tx: optax.GradientTransformation | None = None,
) -> TrainState:
    """A fresh state of ``make_decoupled_step``.

    Args:
      tx: the transformation that trains the modules.
      modules: initial parameters of each.
      predictors: those of the predictors, one less.
      key: typed PRNG key from which the steps draw.
      model_state: of each module; ``None``: they have none.
      predictor_tx: the transformation that trains the predictors; ``None``: ``tx``.

    Returns:
      A ``TrainState`` of the roles ``"modules"`` and ``"predictors"``, both tuples.

    Raises:
      InputError: the numbers do not fit.

    >>> key, zero = jax.random.key(0), jnp.zeros(2)
    >>> state = init_decoupled(optax.sgd(0.1), [zero, zero], [zero], key)
    >>> sorted(state.opt_state)
    ['modules', 'predictors']
    """
    _check_counts(modules, predictors)
    states = ({},) * len(modules) if model_state is None else tuple(model_state)
    params = {MODULES: tuple(modules), PREDICTORS: tuple(predictors)}
    both = _by_role({MODULES: tx, PREDICTORS: predictor_tx or tx})
    return init_state(both, params, key, {MODULES: states})


def make_decoupled_step(
    modules: Sequence[Functional],
    predictors: Sequence[Functional],
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, UNIT] = 1.0,
    predictor_tx: optax.GradientTransformation | None = None,
    classes: Annotated[int, COUNT_OR_ZERO] = 0,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for modules in a row.

    Behind each module but the last a predictor :math:`s_i` says from its output
    :math:`h_i` the gradient of the loss with respect to it; backwards the module gets

    .. math:: (1 - \lambda) \, g_i + \lambda \, s_i(h_i),

    and the predictor is regressed to the :math:`g_i` that arrives from the module
    behind, made of that one's own prediction. For :math:`\lambda = 1` no module waits
    for another's backward pass (backward unlocking, the fast path); for 0 each has the
    true gradient (the slow path), while the predictors learn.

    Args:
      modules: each ``apply`` takes the output of the one before; the last gives logits
        ``(B, C)``.
      predictors: one less, such as ``layers.synthetic_gradient``.
      tx: transformation of the modules' gradients, without links that ask for further
        gradients.
      weight: :math:`\lambda`, in [0, 1]; at 0 the gradient is the exact one, to the
        bit.
      predictor_tx: transformation of the predictors' gradients; ``None``: ``tx``.
      classes: their number, C, if the predictors get the one-hot label beside the
        activations, along the last axis; 0: they do not.
      inputs: entry of the batch that the first module takes; integers are divided by
        255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_decoupled``. Metrics: ``loss``, cross-entropy, and
      ``accuracy``.

    Raises:
      InputError: an option is out of range, the numbers of modules and predictors do
        not fit; when traced, an entry is missing or a prediction has another shape.

    Gradient evaluations: one, with a pass forward and backward of the predictors.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> linear = Functional(lambda key: (jnp.eye(2), {}), apply)
    >>> tx, eye = optax.sgd(0.1), jnp.eye(2)
    >>> state = init_decoupled(tx, [eye, eye], [0 * eye], jax.random.key(0))
    >>> step = jax.jit(make_decoupled_step([linear] * 2, [linear], tx))
    >>> state, _ = step(state, {"image": eye, "label": jnp.arange(2)})
    >>> moved = lambda p: bool(jnp.any(p != eye))
    >>> [moved(p) for p in state.params["modules"]]  # the prediction is 0
    [False, True]

    Source: Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients",
    arXiv:1608.05343; the mixing of fast and slow paths after the abstract of the work
    on fast and slow controllers, constants ours.
    """
    given = {"weight": weight, "classes": classes}
    check_arguments(make_decoupled_step, given)
    _check_counts(modules, predictors)
    both = _by_role({MODULES: tx, PREDICTORS: predictor_tx or tx})

    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        x, labels = entries(batch, inputs, label)
        h, kept = to_float(x), []
        for i, module in enumerate(modules):
            own = key if i == 0 else jax.random.fold_in(key, i)
            h, after = module.apply(
                params[MODULES][i], states[MODULES][i], h, train=True, key=own
            )
            kept.append(after)
            if i == len(predictors):
                break
            given = beside(jax.lax.stop_gradient(h), labels)
            predict = predictors[i].apply
            s, _ = predict(params[PREDICTORS][i], {}, given, train=True)
            h = decouple(h, s, weight=weight)
        losses = cross_entropy(h, labels)
        right = is_largest(h, labels)
        metrics = {"accuracy": jnp.mean(right.astype(losses.dtype))}
        return jnp.mean(losses), ({**states, MODULES: tuple(kept)}, metrics)

    def beside(h: jax.Array, labels: jax.Array) -> jax.Array:
        if not classes:
            return h
        hot = is_class(labels, classes).astype(h.dtype)
        hot = hot.reshape(len(hot), *(1,) * (h.ndim - 2), classes)
        hot = jnp.broadcast_to(hot, (*h.shape[:-1], classes))
        return jnp.concatenate([h, hot], axis=-1)

    inner = make_train_step(loss_fn, both, **options)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODULES, PREDICTORS), "init_decoupled")
        return inner(state, batch)

    return step


def _check_counts(modules: Sequence[Any], predictors: Sequence[Any]) -> None:
    if not modules or len(predictors) != len(modules) - 1:
        raise InputError(
            f"there must be one predictor less than modules; got {len(predictors)} and "
            f"{len(modules)}"
        )


def _by_role(
    transformations: Mapping[str, optax.GradientTransformation],
) -> optax.GradientTransformation:
    """A transformation for each role, its state a dict by role."""

    def init(params: Any) -> Any:
        return {role: tx.init(params[role]) for role, tx in transformations.items()}

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        found = {
            role: tx.update(updates[role], state[role], params[role])
            for role, tx in transformations.items()
        }
        new = {role: pair[0] for role, pair in found.items()}
        return new, {role: pair[1] for role, pair in found.items()}

    return optax.GradientTransformation(init, update)
