"""HybridNet: a classifier and two branches that rebuild the input between them."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT_OR_ZERO, DECAY, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.losses.classification import cross_entropy, to_float
from jaxopt_lab.recipes.fixmatch import check_unlabelled, labelled_share
from jaxopt_lab.recipes.roles import check_roles, entries, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

STUDENT, TEACHER = "student", "teacher"
_SHARE = "share of the labelled loss"


class HybridOutputs(NamedTuple):
    """Outputs of a network of two branches.

    Attributes:
      logits: of the classifier on the first branch, ``(B, C)``.
      class_part: the input that the first branch rebuilds, as the input.
      other_part: the rest of it, by the second branch, which sees no labels.
      second_logits: of a head for the consistency; ``None``: ``logits``.
    """

    logits: jax.Array
    class_part: jax.Array
    other_part: jax.Array
    second_logits: jax.Array | None = None


def init_hybridnet(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_hybridnet_step``.

    Args:
      tx: the transformation that trains the student.
      params: its initial parameters, which the teacher begins with.
      key: typed PRNG key from which the steps draw.
      model_state: the student model's own state; ``None``: it has none.

    Returns:
      A ``TrainState`` with the roles ``"student"`` and ``"teacher"``; the teacher has
      no optimizer state.

    >>> state = init_hybridnet(optax.sgd(0.1), jnp.ones(2), jax.random.key(0))
    >>> sorted(state.params)
    ['student', 'teacher']
    """
    return of_states([init_state(tx, params, key, model_state)])


def of_states(states: Sequence[TrainState]) -> TrainState:
    """The state of ``make_hybridnet_step`` from the fresh plain state of its student.

    Args:
      states: one, of ``init_state``.

    Returns:
      The state, its teacher a copy of the student.

    >>> state = init_state(optax.sgd(0.1), jnp.ones(2), jax.random.key(0))
    >>> of_states([state]).params["teacher"].tolist()
    [1.0, 1.0]
    """
    (alone,) = states
    # Copies: a donated state must not hold an array twice.
    again = lambda tree: jax.tree.map(jnp.copy, tree)
    return alone._replace(
        params={STUDENT: alone.params, TEACHER: again(alone.params)},
        model_state={STUDENT: alone.model_state, TEACHER: again(alone.model_state)},
        opt_state={STUDENT: alone.opt_state, TEACHER: ()},
    )


def make_hybridnet_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    consistency: Annotated[Scalar, NON_NEGATIVE] = 100.0,
    reconstruction: Annotated[Scalar, NON_NEGATIVE] = 0.25,
    tie: Annotated[Scalar, NON_NEGATIVE] = 0.01,
    decay: Annotated[Scalar, DECAY] = 0.97,
    ramp: Annotated[int, COUNT_OR_ZERO] = 0,
    labelled_mean: bool = True,
    inputs: str = "image",
    teacher_inputs: str = "",
    label: str = "label",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` on few labels.

    With logits z, :math:`z'` for the consistency, those of the teacher
    :math:`\bar z'`, and the branches' parts :math:`x_c, x_u` of the input,

    .. math::
        \mathrm{CE}(y, z) + r_t \, [\, s \, \mathrm{MSE}(\mathrm{softmax}(z'),
        \mathrm{softmax}(\bar z')) + b \, \|z - z'\|^2 + w \, \mathrm{MSE}(x, x_c + x_u)
        \,],

    where of each example only the branch that is worse alone is taught by the last
    term. The teacher is the mean of the student's weights,
    :math:`\theta' \leftarrow d \theta' + (1 - d) \theta` with
    :math:`d = \min(1 - 1/(t+1), d_{max})`. Labels below 0 are none.

    Args:
      network: its ``apply`` gives ``HybridOutputs``.
      tx: transformation of the student's gradients.
      consistency: s, at least 0; 300 on STL in the paper.
      reconstruction: w; 0.25 to 0.5.
      tie: b, of the two heads' logits.
      decay: :math:`d_{max}`, in [0, 1).
      ramp: steps over which the factor :math:`r_t = e^{-5 (1 - t / ramp)^2}` rises; 0:
        it is 1.
      labelled_mean: the cross-entropies are divided by the number of labelled examples,
        as the text has it; ``False``, as the code: by that of the batch.
      inputs: entry of the batch that the student takes; integers are divided by 255.
      teacher_inputs: entry with another view for the teacher; empty: the same.
      label: entry of the integer labels, ``(B,)``.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_hybridnet``. Metrics, means over the batch:
      ``loss``; ``accuracy``, of the labelled; ``consistency``; ``class_error`` and
      ``other_error``, those of each branch alone; ``reconstruction``, of both.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing or the
        network gives other outputs.

    Gradient evaluations: those of ``make_train_step``, each with one forward pass of
    the teacher, left out where ``consistency`` is the Python number 0.

    Source: Robert, Thome and Cord, "HybridNet: Classification and Reconstruction
    Cooperation for Semi-Supervised Learning", arXiv:1807.11407 and its code,
    ThomasRobertFr/hybridnet. Reconstructions of intermediate layers are left out.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return HybridOutputs(x @ params, 0.5 * x, 0.1 * x), state
    >>> network = Functional(lambda key: (jnp.zeros((2, 2)), {}), apply)
    >>> tx = optax.sgd(0.1)
    >>> state = init_hybridnet(tx, jnp.eye(2), jax.random.key(0))
    >>> step = jax.jit(make_hybridnet_step(network, tx))
    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, -1])}
    >>> state, metrics = step(state, batch)
    >>> round(float(metrics["reconstruction"]), 3)  # (1 - 0.6)^2 / 2
    0.08
    """
    check_arguments(make_hybridnet_step, locals())

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (STUDENT, TEACHER), "init_hybridnet")
        average = state.params[TEACHER]
        done = state.step.astype(jnp.float32)
        rise = jnp.exp(-5 * (1 - jnp.minimum(done / max(ramp, 1), 1)) ** 2)

        def loss_fn(
            params: Params, states: Any, batch: Batch, key: jax.Array, /
        ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
            x, labels, share = entries(batch, inputs, label, _SHARE)
            x = to_float(x)
            out, kept = network.apply(params, states[STUDENT], x, train=True, key=key)
            _check_outputs(out, x)
            check_unlabelled(labels, out.logits.shape[-1])
            losses = cross_entropy(out.logits, jnp.where(labels >= 0, labels, 0))
            dtype = losses.dtype
            share = share.astype(dtype)
            loss = jnp.mean(jnp.where(share > 0, share * losses, 0))
            right = is_largest(out.logits, labels)
            second = out.logits if out.second_logits is None else out.second_logits
            shared = jnp.zeros((), dtype)
            if known_number(consistency) != 0:
                other = to_float(batch[teacher_inputs]) if teacher_inputs else x
                target, _ = network.apply(average, states[TEACHER], other, train=False)
                wanted = target.second_logits
                wanted = target.logits if wanted is None else wanted
                shared = _consistency(second, wanted).astype(dtype)
            apart = jnp.sum((out.logits - second).astype(dtype) ** 2, axis=-1)
            parts = out.class_part, out.other_part
            rebuilt = jnp.mean(balanced_reconstruction(x, *parts)).astype(dtype)
            factor = rise.astype(dtype) if ramp else jnp.ones((), dtype)
            more = jnp.asarray(consistency, dtype) * shared
            more = more + jnp.asarray(tie, dtype) * jnp.mean(apart)
            more = more + jnp.asarray(reconstruction, dtype) * rebuilt
            alone = [jnp.mean(_errors(x, part)).astype(dtype) for part in parts]
            metrics = {
                "accuracy": jnp.mean(jnp.where(right, share, 0)),
                "consistency": shared,
                "class_error": alone[0],
                "other_error": alone[1],
                "reconstruction": rebuilt,
            }
            return loss + factor * more, ({**states, STUDENT: kept}, metrics)

        x, labels = entries(batch, inputs, label)
        share = labelled_share(x, labels, options.get("axis_name"))
        if not labelled_mean:
            share = (share > 0).astype(share.dtype)
        batch = {**batch, _SHARE: share}
        after, metrics = train_role(STUDENT, loss_fn, tx, state, batch, **options)
        rate = jnp.minimum(1 - 1 / (done + 1), decay)

        def mean(old: jax.Array, new: jax.Array) -> jax.Array:
            wide = accumulation_dtype(old.dtype)
            part = rate.astype(wide)
            return (part * old.astype(wide) + (1 - part) * new).astype(old.dtype)

        moved = jax.tree.map(mean, average, after.params[STUDENT])
        params = {**after.params, TEACHER: moved}
        states: Any = after.model_state
        states = {**states, TEACHER: states[STUDENT]}
        return after._replace(params=params, model_state=states), metrics

    return step


def balanced_reconstruction(
    x: jax.Array, class_part: jax.Array, other_part: jax.Array
) -> jax.Array:
    r"""Mean square error of the sum of two parts, taught to the worse one.

    The value is :math:`\mathrm{MSE}(x, x_c + x_u)`; of each example the gradient goes
    to :math:`x_c` where its error alone is the larger, else to :math:`x_u`.

    Args:
      x: ``(B, ...)``.
      class_part: :math:`x_c`.
      other_part: :math:`x_u`.

    Returns:
      Shape ``(B,)``, float32 or float64.

    >>> x = jnp.ones((1, 2))
    >>> f = lambda c, u: balanced_reconstruction(x, c, u).sum()
    >>> [g.tolist() for g in jax.grad(f, (0, 1))(0.25 * x, 0.5 * x)]
    [[[-0.25, -0.25]], [[0.0, 0.0]]]
    """
    worse = _errors(x, class_part) > _errors(x, other_part)
    worse = worse.reshape(-1, *(1,) * (x.ndim - 1))
    still = jax.lax.stop_gradient
    first = jnp.where(worse, class_part, still(class_part))
    second = jnp.where(worse, still(other_part), other_part)
    return _errors(x, first + second)


def _errors(x: jax.Array, part: jax.Array) -> jax.Array:
    wide = accumulation_dtype(x.dtype)
    gap = x.astype(wide) - part.astype(wide)
    return jnp.mean(gap**2, axis=tuple(range(1, x.ndim)))


def _consistency(logits: jax.Array, target: jax.Array) -> jax.Array:
    wide = accumulation_dtype(logits.dtype)
    p = jax.nn.softmax(logits.astype(wide))
    q = jax.lax.stop_gradient(jax.nn.softmax(target.astype(wide)))
    return jnp.mean((p - q) ** 2)


def _check_outputs(out: Any, x: jax.Array) -> None:
    if not isinstance(out, HybridOutputs):
        raise InputError(
            f"the network gives {type(out).__name__}; accepted: HybridOutputs"
        )
    for name in ("class_part", "other_part"):
        if getattr(out, name).shape != x.shape:
            raise InputError(
                f"{name} has shape {getattr(out, name).shape}; accepted: that of the "
                f"inputs, {x.shape}"
            )
