"""Guidance: a network whose representations are kept near those of a frozen guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.losses.guidance import guidance
from jaxopt_lab.recipes.roles import check_roles, entries, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

TARGET, GUIDE = "target", "guide"
_LEAST = 3
"""Examples without which every alignment is 1."""


def init_guided(
    tx: optax.GradientTransformation,
    target: Params,
    guide: Params,
    key: jax.Array,
    *,
    target_state: ModelState | None = None,
    guide_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_guided_step``.

    Args:
      tx: the transformation that trains the target.
      target: its initial parameters.
      guide: parameters of the guide, trained or not.
      key: typed PRNG key from which the steps draw.
      target_state: the target's own model state; ``None``: it has none.
      guide_state: that of the guide.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts by
      role, ``"target"`` and ``"guide"``; the guide has no optimizer state.

    >>> state = init_guided(optax.sgd(0.1), {}, {}, jax.random.key(0))
    >>> sorted(state.params), state.opt_state["guide"]
    (['guide', 'target'], ())
    """
    alone = init_state(tx, target, key, target_state)
    kept = {} if guide_state is None else guide_state
    return alone._replace(
        params={TARGET: alone.params, GUIDE: guide},
        model_state={TARGET: alone.model_state, GUIDE: kept},
        opt_state={TARGET: alone.opt_state, GUIDE: ()},
    )


def make_guided_step(
    target: Functional,
    guide: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    debiased: bool = False,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for a target and a guide.

    With logits z and representations :math:`X_l` of the target, and :math:`G_l` of the
    guide, the loss of a batch is

    .. math::
        \mathrm{CE}(y, \mathrm{softmax}(z)) + w \sum_l (1 - \mathrm{CKA}(X_l, G_l)),

    where CKA is ``losses.linear_cka``. The target is trained by ``make_train_step``;
    the guide runs in evaluation mode and never changes. To guide the first steps alone,
    go on from the same state with a step of the weight 0.

    Args:
      target: its ``apply`` gives ``(logits, representations)``: logits ``(B, C)``, and
        an array ``(B, ...)``, a sequence of such arrays, or a dict of them by name.
      guide: likewise, with one representation for each of the target's, of any number
        of features; its logits are not used.
      tx: transformation of the target's gradients.
      weight: w, at least 0. The Python number 0 leaves the guide out of the program.
      debiased: the unbiased estimates of ``linear_cka``, for batches smaller than the
        numbers of features.
      inputs: entry of the batch that both networks take; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``. Alignment couples the examples:
        micro-batches and an axis of devices need the weight 0, and a sharpness link on
        shards takes the alignment of each shard.

    Returns:
      The step, for states of ``init_guided``. Metrics, means over the batch:
      ``loss``, ``accuracy`` and, unless the weight is 0, ``guidance``, the sum without
      its weight.

    Raises:
      InputError: an option is out of range, or divides the batch; when traced, an entry
        is missing, a network gives no representations, the guide has others than the
        target, or the batch has fewer than 3 examples (4 for ``debiased``).

    Gradient evaluations: those of ``make_train_step``, each with one pass of the guide,
    of which its representations are kept, and two B x B matrices for each layer.

    Source: Subramaniam et al., "Training the Untrainable: Introducing Inductive Bias
    via Representational Alignment", arXiv:2410.20035 and its code, which has the
    biased form and the weight 1.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return (x @ params, [x @ params]), state
    >>> model = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> params = jnp.eye(2), jnp.array([[1.0, 0.0], [1.0, 3.0]])
    >>> state = init_guided(tx, *params, jax.random.key(0))
    >>> step = jax.jit(make_guided_step(model, model, tx))
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> state, metrics = step(state, {"image": x, "label": jnp.array([0, 1, 0])})
    >>> sorted(metrics), bool(0 < metrics["guidance"] < 1)
    (['accuracy', 'guidance', 'loss'], True)
    """
    check_arguments(make_guided_step, locals())
    alone = known_number(weight) == 0
    if not alone:
        for name, whole in (("micro_batches", 1), ("axis_name", None)):
            if options.get(name, whole) != whole:
                raise InputError(
                    f"{name} must be {whole} unless weight is 0, since alignment "
                    f"couples the examples of a batch; got {options[name]!r}"
                )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (TARGET, GUIDE), "init_guided")
        frozen = state.params[GUIDE]

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x, labels = entries(batch, inputs, label)
            x = to_float(x)
            out, kept = target.apply(params, states[TARGET], x, train=True, key=key)
            logits, own = _pair(TARGET, out)
            loss = jnp.mean(cross_entropy(logits, labels))
            right = is_largest(logits, labels)
            metrics = {"accuracy": jnp.mean(right.astype(loss.dtype))}
            if not alone:
                out, _ = guide.apply(frozen, states[GUIDE], x, train=False)
                _, other = _pair(GUIDE, out)
                if x.shape[0] < _LEAST:
                    raise InputError(
                        f"guidance needs at least {_LEAST} examples, since the "
                        f"alignment of 2 is always 1; got {x.shape[0]}"
                    )
                layers, others = _layers(own, other)
                apart = guidance(layers, guide=others, debiased=debiased)
                metrics["guidance"] = apart.astype(loss.dtype)
                loss = loss + jnp.asarray(weight, loss.dtype) * metrics["guidance"]
            return loss, ({**states, TARGET: kept}, metrics)

        return train_role(TARGET, loss_fn, tx, state, batch, **options)

    return step


def _pair(role: str, out: Any) -> tuple[jax.Array, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise InputError(
            f"the {role} gives {type(out).__name__}; accepted: (logits, "
            "representations)"
        )
    return out


def _layers(own: Any, other: Any) -> tuple[list[jax.Array], list[jax.Array]]:
    """Representations of both in one order; those of a dict by name."""
    if not isinstance(own, Mapping) and not isinstance(other, Mapping):
        return _listed(own), _listed(other)
    names, others = (
        sorted(x) if isinstance(x, Mapping) else type(x).__name__ for x in (own, other)
    )
    if names != others:
        raise InputError(
            f"the guide has the layers {others}; accepted: those of the target, {names}"
        )
    return [own[name] for name in names], [other[name] for name in names]


def _listed(representations: Any) -> list[jax.Array]:
    if hasattr(representations, "shape"):
        return [representations]
    return list(representations)
