"""Distillation: a student learns the probabilities of a frozen teacher."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import POSITIVE, UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep, make_train_step

STUDENT, TEACHER = "student", "teacher"


def init_distillation(
    tx: optax.GradientTransformation,
    student: Params,
    teacher: Params,
    key: jax.Array,
    *,
    student_state: ModelState | None = None,
    teacher_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_distillation_step``.

    Args:
      tx: the transformation that trains the student.
      student: its initial parameters.
      teacher: the trained parameters of the teacher.
      key: typed PRNG key from which the steps draw.
      student_state: the student model's own state; ``None``: it has none.
      teacher_state: that of the teacher.

    Returns:
      A ``TrainState`` whose parameters, model state and optimizer state are dicts by
      role, ``"student"`` and ``"teacher"``; the teacher has no optimizer state.

    >>> state = init_distillation(optax.sgd(0.1), {}, {}, jax.random.key(0))
    >>> sorted(state.params), state.opt_state["teacher"]
    (['student', 'teacher'], ())
    """
    alone = init_state(tx, student, key, student_state)
    return TrainState(
        step=alone.step,
        params={STUDENT: alone.params, TEACHER: teacher},
        model_state={
            STUDENT: alone.model_state,
            TEACHER: {} if teacher_state is None else teacher_state,
        },
        opt_state={STUDENT: alone.opt_state, TEACHER: ()},
        key=alone.key,
    )


def make_distillation_step(
    student: Functional,
    teacher: Functional,
    tx: optax.GradientTransformation,
    *,
    weight: Annotated[Scalar, UNIT] = 0.9,
    temperature: Annotated[Scalar, POSITIVE] = 4.0,
    inputs: str = "image",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` for a student and a teacher.

    With logits s of the student and t of the teacher, a temperature T and a weight a,
    the loss of an example is

    .. math::
        (1 - a) \, \mathrm{CE}(y, \mathrm{softmax}(s)) + a \, T^2 \,
        \mathrm{KL}(\mathrm{softmax}(t / T) \,\|\, \mathrm{softmax}(s / T)).

    The student is trained by ``make_train_step``, so that everything that it takes
    (sharpness links, micro-batches, an axis of devices) is taken here. The teacher runs
    in evaluation mode and never changes.

    Args:
      student: its ``apply`` gives logits ``(B, C)``.
      teacher: likewise, of the same C.
      tx: transformation of the student's gradients.
      weight: a, in [0, 1]. The Python number 0 leaves the teacher out of the program.
      temperature: T, above 0.
      inputs: entry of the batch that both models take; integers are divided by 255.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_distillation``. Metrics: ``loss``, ``accuracy`` and
      ``agreement`` (same largest logit as the teacher; absent without a teacher), means
      over the batch.

    Raises:
      InputError: ``weight`` or ``temperature`` is out of range; when traced, an entry
        of the batch is missing or the models differ in their classes.

    Gradient evaluations: those of ``make_train_step``, each with one pass of the
    teacher besides, of which nothing is kept for the gradient. Logarithms and sums are
    float32, for float64 logits float64.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> model = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> params = jnp.zeros((2, 2)), 2 * jnp.eye(2)
    >>> state = init_distillation(tx, *params, jax.random.key(0))
    >>> step = jax.jit(make_distillation_step(model, model, tx))
    >>> batch = {"image": jnp.eye(2), "label": jnp.arange(2)}
    >>> state, metrics = step(state, batch)
    >>> sorted(metrics), bool(state.params["student"][0, 0] > 0)
    (['accuracy', 'agreement', 'loss'], True)

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531. The defaults are ours.
    """
    check_arguments(make_distillation_step, locals())
    alone = known_number(weight) == 0

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _check_roles(state)
        opt_state: Any = state.opt_state
        teacher_params = state.params[TEACHER]
        teacher_state = state.model_state[TEACHER]

        def loss_fn(
            params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            check_entries(batch, (inputs, label))
            x, labels = to_float(batch[inputs]), batch[label]
            logits, model_state = student.apply(
                params, model_state, x, train=True, key=key
            )
            losses = cross_entropy(logits, labels)
            chosen = jnp.argmax(logits, axis=-1)
            metrics = {"accuracy": _share(is_largest(logits, labels), losses)}
            if not alone:
                target, _ = teacher.apply(teacher_params, teacher_state, x, train=False)
                target = jax.lax.stop_gradient(target)
                part = jnp.asarray(weight, losses.dtype)
                soft = soft_divergence(logits, target, temperature)
                losses = (1 - part) * losses + part * soft.astype(losses.dtype)
                same = chosen == jnp.argmax(target, axis=-1)
                metrics["agreement"] = _share(same, losses)
            return jnp.mean(losses), (model_state, metrics)

        inner = make_train_step(loss_fn, tx, **options)
        before = TrainState(
            step=state.step,
            params=state.params[STUDENT],
            model_state=state.model_state[STUDENT],
            opt_state=opt_state[STUDENT],
            key=state.key,
        )
        after, metrics = inner(before, batch)
        return (
            TrainState(
                step=after.step,
                params={**state.params, STUDENT: after.params},
                model_state={**state.model_state, STUDENT: after.model_state},
                opt_state={**opt_state, STUDENT: after.opt_state},
                key=after.key,
            ),
            metrics,
        )

    return step


def soft_divergence(
    logits: jax.Array, target: jax.Array, temperature: ArrayLike
) -> jax.Array:
    r"""Divergence of softened probabilities, times :math:`T^2`.

    .. math::
        T^2 \, \mathrm{KL}(\mathrm{softmax}(t / T) \,\|\, \mathrm{softmax}(s / T)).

    The factor keeps the size of the gradient as T changes.

    Args:
      logits: s, ``(..., C)``.
      target: t, of the same shape.
      temperature: T.

    Returns:
      Shape ``(...)``, float32 or float64, at least 0 but for rounding.

    Raises:
      InputError: the shapes differ.

    >>> float(soft_divergence(jnp.zeros(3), jnp.zeros(3), 2.0))
    0.0
    """
    if logits.shape != target.shape:
        raise InputError(
            "student and teacher must have logits of one shape; got "
            f"{logits.shape} and {target.shape}"
        )
    dtype = accumulation_dtype(logits.dtype)
    t = jnp.asarray(temperature, dtype)
    own = jax.nn.log_softmax(logits.astype(dtype) / t)
    wanted = jax.nn.log_softmax(target.astype(dtype) / t)
    probability = jnp.exp(wanted)
    # A class that the teacher rules out adds nothing, whatever its logarithms.
    apart = jnp.where(probability == 0, 0, wanted - own)
    return t**2 * jnp.sum(probability * apart, axis=-1)


def _share(right: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.mean(right.astype(like.dtype))


def _check_roles(state: TrainState) -> None:
    for name in ("params", "model_state", "opt_state"):
        tree = getattr(state, name)
        if not isinstance(tree, dict) or set(tree) != {STUDENT, TEACHER}:
            raise InputError(
                f"state.{name} must be a dict of 'student' and 'teacher', as "
                "init_distillation makes it"
            )
