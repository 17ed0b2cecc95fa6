"""FixMatch: few labels, and the certain predictions of weak views for strong ones."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, UNLABELLED = "model", "unlabelled"
_SHARE = "share of the labelled loss"


def init_fixmatch(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
    unlabelled: Any = None,
) -> TrainState:
    """A fresh state of ``make_fixmatch_step``.

    Args:
      tx: the transformation that trains the model.
      params: initial parameters.
      key: typed PRNG key from which the steps draw.
      model_state: the model's own state; ``None``: it has none.
      unlabelled: first state of the loss of unlabelled examples, where it has one.

    Returns:
      A ``TrainState`` with the one role ``"model"``; its model state has the entries
      ``"model"`` and, if given, ``"unlabelled"``.

    >>> state = init_fixmatch(optax.sgd(0.1), {}, jax.random.key(0))
    >>> sorted(state.params), sorted(state.model_state)
    (['model'], ['model'])
    """
    more = {} if unlabelled is None else {UNLABELLED: unlabelled}
    return in_role(MODEL, init_state(tx, params, key, model_state), more)


def make_fixmatch_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    threshold: Annotated[Scalar, UNIT] = 0.95,
    unlabelled: StatefulLoss | None = None,
    inputs: str = "image",
    label: str = "label",
    weak: str = "weak",
    strong: str = "strong",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` on labels and pairs of views.

    With probabilities p of the model, constant ones q on weak views u, and strong views
    v of the same examples,

    .. math::
        \frac1{|L|} \sum_{i \in L} \mathrm{CE}(y_i, p(x_i)) + \frac{w}{U} \sum_j
        [\max_c q_c(u_j) \ge \tau] \, \mathrm{CE}(\arg\max_c q_c(u_j), p(v_j)).

    Examples with a label below 0 have none; L are the others. ``strong`` is of shape
    ``(B, ...)``, or ``(B, k, ...)`` with k unlabelled examples for each labelled one;
    so is ``weak``. A batch without weak views takes the predictions of ``inputs`` for
    them, without another pass: so it is with ``augment=views``.

    Args:
      network: its ``apply`` gives logits ``(B, C)``, or a pair of them and auxiliary
        ones, which go to ``unlabelled``.
      tx: transformation of its gradients.
      weight: w, at least 0. The Python number 0 leaves the views out of the program.
      threshold: :math:`\tau`, in [0, 1]; above every q, as early in a training, the
        second sum is 0, and so is the metric ``certain``.
      unlabelled: another loss in place of the second sum's, such as ShrinkMatch's, with
        ``apply(state, logits, *, weak, auxiliary) -> (losses, state)`` of the strong
        views' logits and q; without auxiliary logits they are the logits. It then has
        its own threshold.
      inputs: entry of the batch with the labelled examples; integers are divided by
        255.
      label: entry of the integer labels, ``(B,)``.
      weak: entry of the weak views.
      strong: entry of the strong views.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_fixmatch``. Metrics: ``loss``; ``accuracy``, of L;
      and, unless the weight is 0, ``labelled_loss``, ``unlabelled_loss`` and
      ``certain``, the share of weak views that reach the threshold.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing, views do
        not fit, or, where it is known, a label is too large.

    Gradient evaluations: those of ``make_train_step``, on labelled examples and strong
    views; the weak views are run forward.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_fixmatch(tx, 4 * jnp.eye(2), jax.random.key(0))
    >>> step = jax.jit(make_fixmatch_step(network, tx))
    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, -1])}
    >>> state, metrics = step(state, {**batch, "strong": 0.5 * jnp.eye(2)})
    >>> float(metrics["certain"])
    1.0

    Source: Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with
    Consistency and Confidence", arXiv:2001.07685.
    """
    check_arguments(make_fixmatch_step, locals())
    alone = known_number(weight) == 0

    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        x, labels, share = entries(batch, inputs, label, _SHARE)
        (logits, _), kept = _apply(network, params, states[MODEL], x, key)
        check_unlabelled(labels, logits.shape[-1])
        labelled = labels >= 0
        # An example without a label may hold anything.
        losses = cross_entropy(logits, jnp.where(labelled, labels, 0))
        part = share.astype(losses.dtype)
        first = jnp.mean(jnp.where(labelled, part * losses, 0))
        right = is_largest(logits, labels)
        metrics: Metrics = {"accuracy": jnp.mean(jnp.where(right, part, 0))}
        if alone:
            return first, ({**states, MODEL: kept}, metrics)
        views = _flat(batch, strong, x)
        if weak in batch:
            # Without a gradient of it no backward pass is made.
            still = jax.lax.stop_gradient(params)
            seen = _flat(batch, weak, x)
            (predicted, _), kept = _apply(network, still, kept, seen, key)
        else:
            predicted = logits
        if predicted.shape[0] != views.shape[0]:
            raise InputError(
                f"there are {predicted.shape[0]} weak views and {views.shape[0]} "
                "strong ones; accepted: as many"
            )
        (moved, auxiliary), kept = _apply(network, params, kept, views, key)
        wide = accumulation_dtype(moved.dtype)
        q = jax.lax.stop_gradient(jax.nn.softmax(predicted.astype(wide)))
        certain = jnp.max(q, axis=-1) >= jnp.asarray(threshold, wide)
        new = {**states, MODEL: kept}
        if unlabelled is None:
            target = jnp.argmax(q, axis=-1).astype(jnp.int32)
            each = jnp.where(certain, cross_entropy(moved, target), 0)
        else:
            each, new[UNLABELLED] = unlabelled.apply(
                states[UNLABELLED], moved, weak=q, auxiliary=auxiliary
            )
        second = jnp.mean(each).astype(first.dtype)
        metrics |= {
            "labelled_loss": first,
            "unlabelled_loss": second,
            "certain": jnp.mean(certain.astype(first.dtype)),
        }
        return first + jnp.asarray(weight, first.dtype) * second, (new, metrics)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, [MODEL], "init_fixmatch")
        states: Any = state.model_state
        if unlabelled is not None and not alone and UNLABELLED not in states:
            raise InputError(
                "the loss of unlabelled examples has no state; give init_fixmatch "
                "its first one as unlabelled="
            )
        x, labels = entries(batch, inputs, label)
        share = labelled_share(x, labels, options.get("axis_name"))
        batch = {**batch, _SHARE: share}
        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step


def labelled_share(inputs: Any, labels: Any, axis_name: str | None = None) -> jax.Array:
    """Weights of a mean over the labelled examples of a batch.

    Made outside of a loss, so that parts of a batch count by their labels.

    Args:
      inputs: of the batch, for their type.
      labels: below 0 where there is none.
      axis_name: axis of devices over which the batch is divided.

    Returns:
      Shape ``(B,)``: B over the number of labelled examples, 0 for the others.

    >>> labelled_share(jnp.ones((4, 1)), jnp.array([1, -1, 0, -1])).tolist()
    [2.0, 0.0, 2.0, 0.0]
    """
    dtype = accumulation_dtype(to_float(jnp.asarray(inputs)).dtype)
    labelled = (jnp.asarray(labels) >= 0).astype(dtype)
    mean = jnp.mean(labelled)
    if axis_name is not None:
        mean = jax.lax.pmean(mean, axis_name)
    return labelled / jnp.where(mean > 0, mean, 1)


def _apply(
    network: Functional, params: Params, state: Any, x: jax.Array, key: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], Any]:
    """Logits and auxiliary logits, and the new state."""
    outputs, state = network.apply(params, state, to_float(x), train=True, key=key)
    if isinstance(outputs, tuple | list):
        return (outputs[0], outputs[1]), state
    return (outputs, outputs), state


def _flat(batch: Batch, name: str, like: jax.Array) -> jax.Array:
    """Views with one axis of examples."""
    (views,) = entries(batch, name)
    one = jnp.shape(like)[1:]
    if jnp.shape(views)[1:] == one:
        return views
    if jnp.shape(views)[2:] == one:
        return views.reshape(-1, *one)
    raise InputError(
        f"{name!r} has shape {jnp.shape(views)}; accepted: (B, ...) or (B, k, ...) for "
        f"examples of shape {one}"
    )


def check_unlabelled(labels: Any, classes: int) -> None:
    """Refuse labels that are too large, where they are known.

    Args:
      labels: below 0 where there is none.
      classes: number of classes.

    Raises:
      InputError: one is.
    """
    known = known_values(labels)
    if known is not None and known.max() >= classes:
        raise InputError(
            f"label {known.max()} is out of range; accepted: 0 to {classes - 1}, "
            "and below 0 for an example without one"
        )
