"""Batch normalization with statistics balanced over the tasks of a stream."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import (
    COUNT,
    POSITIVE,
    SHARE,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.statistics import batch_statistics, pooled, require_values
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import wide_input
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.running import (
    affine,
    first_running,
    normalized_affine,
    padded,
    places,
)
from jaxopt_lab.layers.penalties import summed_penalties

_PENALTY = "statistics_penalty"
_TASK = "current_task"


def adab2n(
    features: Annotated[int, COUNT],
    *,
    tasks: Annotated[int, COUNT] = 1,
    kappa: Annotated[float, UNIT, STATIC] = 0.4,
    momentum: Annotated[float, SHARE, STATIC] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Batch normalization for continual learning with a replay buffer.

    In a batch with :math:`n_i` examples of task i, those of the current task c and of
    those before it weigh as a Dirichlet posterior with learned concentrations,

    .. math:: w_i = \frac{e^{\psi_i} + n_i}{\sum_{j \le c} e^{\psi_j} + n_j}, \quad
        \mu = \sum_n \frac{w_{i(n)}}{n_{i(n)}} \bar x_n,

    :math:`\bar x_n` the mean of example n over its positions, the variance about
    :math:`\mu` likewise; plain statistics for c = 0. The running statistics move by

    .. math:: s \gets s + \eta_t (s_b - s), \quad \eta_1 = m^\kappa, \quad
        \eta_t = \frac{\eta_{t-1}}{\eta_{t-1} + (1 - m)^\kappa}.

    The loss gets a penalty for each layer, :math:`\lambda` times the mean squares of
    :math:`\mu` and :math:`\sigma^2` minus the new running ones (constants): the state
    has it, and ``statistics_penalty`` adds up those of a model.

    Args:
      features: size of the last axis.
      tasks: of the stream, at most.
      kappa: :math:`\kappa`; 1 is a constant momentum, 0 the mean of all batches.
      momentum: :math:`m`, the fraction that is new, in ``(0, 1]``.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias", "task_weight"}, {"mean", "var", "eta",
      "current_task", "statistics_penalty"})``, :math:`\psi` the task weight, 0 at
      first, and ``apply(params, state, x, *, train, key=None, axis_name=None,
      mask=None) -> (y, state)``. ``x`` is ``(B, ..., features)`` of any floating type,
      or a pair of that and the tasks of the examples, integers ``(B,)``; ``y`` has its
      shape and type. ``at_task`` sets the current task of a model state. Examples of
      a task behind the current one weigh nothing. A task that is absent from the batch
      keeps its weight, so that the weights add up to less than 1, as in the released
      code. A task at or beyond ``tasks`` gives NaN where it is not
      known before the call. Statistics are float32, float64 for float64, in two
      passes; the stored variance is that of ddof 0; evaluation takes the stored ones.
      ``mask``, of the first axes of ``x``, is 0 for padding: it counts in no statistic
      and gives 0. Passes over the input: three. Differentiable to any order.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type, the tasks do not fit or are beyond the table, or a
        batch for training has one value a feature.

    In the released code :math:`\eta` is an attribute that a checkpoint loses; here it
    is state.

    Source: Lyu et al., "Overcoming Recency Bias of Normalization Statistics in
    Continual Learning: Balance and Adaptation", 2023
    (https://arxiv.org/abs/2310.08855). Code read: lvyilin/AdaB2N.

    >>> layer = adab2n(1, tasks=2, kappa=0.0)
    >>> params, state = layer.init()
    >>> x, task = jnp.array([[1.0], [3.0], [8.0]]), jnp.array([0, 0, 1])
    >>> _, state = layer.apply(params, at_task(state, 1), (x, task), train=True)
    >>> round(float(state["mean"][0]), 4)  # (3 * 2 + 2 * 8) / 5
    4.4
    """
    check_arguments(adab2n, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        params = {
            "scale": jnp.ones(features, param_dtype),
            "bias": jnp.zeros(features, param_dtype),
            "task_weight": jnp.zeros(tasks, param_dtype),
        }
        state = {
            **first_running(features, param_dtype),
            "eta": jnp.zeros((), param_dtype),
            _TASK: jnp.zeros((), jnp.int32),
            _PENALTY: jnp.zeros((), param_dtype),
        }
        return params, state

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        x, task = _taken_apart(x, tasks)
        z, valid = wide_input("adab2n", x, features, call.mask)
        about = None
        if call.train:
            axes = (0, *places(z))
            require_values("adab2n", z, axes, call.axis_name)
            if task is None:
                found = batch_statistics(
                    z, axes, weights=valid, axis_name=call.axis_name
                )
            else:
                # Weights of the examples change how their own statistics are pooled.
                own = batch_statistics(z, places(z), weights=valid)
                factor = _factors(params, state, task, valid, z, call.axis_name)
                factor = factor.reshape(-1, *(1,) * (z.ndim - 1))
                about = own.mean
                own = own._replace(count=own.count * factor)
                found = pooled(own, 0, axis_name=call.axis_name)
            mean, var = found.mean, found.var
            if task is not None:
                # The weights of a batch without some task add up to less than 1.
                whole = _share_present(params, state, task, valid, z, call.axis_name)
                mean = mean * whole
                var = (found.var + jnp.square(found.mean - mean)) * whole
            state = _moved(state, mean, var, found.count)
        else:
            mean, var = (along(state[name], z) for name in ("mean", "var"))
        y = normalized_affine(z, mean, var, params, eps, about)
        return padded(y, valid, x.dtype), state

    def _moved(
        state: dict[str, jax.Array], mean: jax.Array, var: jax.Array, count: jax.Array
    ) -> dict[str, jax.Array]:
        wide = mean.dtype
        last = state["eta"].astype(wide)
        eta = jnp.where(last > 0, last / (last + (1 - momentum) ** kappa), 0)
        eta = jnp.where(last > 0, eta, momentum**kappa)
        fresh = jnp.where(jnp.max(count) > 0, eta, 0)
        new, penalty = {}, jnp.zeros((), wide)
        for name, now in (("mean", mean), ("var", var)):
            now = now.reshape(features)
            old = state[name].astype(wide)
            kept = old + fresh * (now - old)
            gap = now - jax.lax.stop_gradient(kept)
            penalty = penalty + jnp.mean(jnp.square(gap))
            new[name] = kept
        new |= {"eta": jnp.where(fresh > 0, eta, last), _PENALTY: penalty}
        new = {name: value.astype(state[name].dtype) for name, value in new.items()}
        return {name: new.get(name, state[name]) for name in state}

    return stateful_layer(init, apply)


def without_tasks(params: Any, x: Any, *, eps: float = 1e-5) -> jax.Array:
    """Batch normalization, what the layer is in the first task.

    Args:
      params: ``{"scale", "bias"}``.
      x: ``(..., features)``, or a pair of that and tasks.
      eps: added to the variance.

    Returns:
      As the input.
    """
    z = x[0] if isinstance(x, tuple | list) else x
    axes = tuple(range(z.ndim - 1))
    mean, var = (f(z, axis=axes, keepdims=True) for f in (jnp.mean, jnp.var))
    return affine((z - mean) / jnp.sqrt(var + eps), params["scale"], params["bias"])


def at_task(model_state: ModelState, task: int | jax.Array) -> ModelState:
    """A model state whose layers of AdaB2N are at a task.

    Args:
      model_state: nested dicts.
      task: number of the task, from 0.

    Returns:
      The state.

    >>> int(at_task({"norm": {"current_task": jnp.array(0)}}, 2)["norm"][_TASK])
    2
    """

    def one(path: Any, leaf: jax.Array) -> jax.Array:
        if getattr(path[-1], "key", None) != _TASK:
            return leaf
        return jnp.asarray(task, leaf.dtype)

    return jax.tree.map_with_path(one, model_state)


def statistics_penalty(model_state: ModelState) -> jax.Array:
    r"""The sum of the penalties of a model's layers, to be weighted by :math:`\lambda`.

    Args:
      model_state: the *new* state of a training call, inside of the loss function.

    Returns:
      A scalar; 0 where there are no such layers. The paper takes :math:`\lambda` from
      ``{0.01, 0.1, 1, 10}``, from the second task on.

    >>> float(statistics_penalty({"a": {"statistics_penalty": jnp.array(0.5)}}))
    0.5
    """
    return summed_penalties(model_state, _PENALTY)


def _taken_apart(x: Any, tasks: int) -> tuple[jax.Array, jax.Array | None]:
    """The input, and the tasks of its examples if there are any."""
    if not isinstance(x, tuple | list):
        return x, None
    if len(x) != 2:
        raise InputError(f"adab2n takes x or (x, task); got {len(x)} entries")
    x, task = x
    shape, dtype = jnp.shape(task), jnp.result_type(task)
    if shape != x.shape[:1] or not jnp.issubdtype(dtype, jnp.integer):
        raise InputError(
            f"task must be an integer for each of {x.shape[0]} examples; got {dtype} "
            f"of shape {shape}"
        )
    if isinstance(task, np.ndarray):
        beyond = task[(task < 0) | (task >= tasks)]
        if beyond.size:
            raise InputError(
                f"task must be from 0 to below tasks={tasks}; got {int(beyond[0])}"
            )
    return x, jnp.asarray(task)


def _counts(
    params: Any, task: jax.Array, valid: Any, like: jax.Array, axis_name: Any
) -> tuple[jax.Array, jax.Array]:
    """Examples of each task in the batch, and the task of each one by row."""
    table = params["task_weight"].shape[0]
    each = jax.nn.one_hot(task, table, dtype=like.dtype)
    if valid is not None:
        seen = jnp.max(flattened(valid), axis=1)
        each = jnp.where(seen[:, None], each, 0)
    counts = jnp.sum(each, axis=0)
    if axis_name is not None:
        counts = jax.lax.psum(counts, axis_name)
    return counts, each


def _shares(params: Any, state: Any, counts: jax.Array) -> jax.Array:
    """w of each task, 0 of those behind the current one."""
    psi = params["task_weight"].astype(counts.dtype)
    known = jnp.arange(counts.shape[0], dtype=jnp.int32) <= state[_TASK]
    share = jnp.where(known, jnp.exp(psi) + counts, 0)
    return share / jnp.sum(share)


def _factors(
    params: Any, state: Any, task: jax.Array, valid: Any, z: jax.Array, axis_name: Any
) -> jax.Array:
    """The weight of each example; 1 in the first task."""
    counts, each = _counts(params, task, valid, z, axis_name)
    share = _shares(params, state, counts) / jnp.where(counts > 0, counts, 1)
    found = jnp.sum(each * share[None], axis=1)
    found = jnp.where(state[_TASK] > 0, found, 1)
    beyond = (task < 0) | (task >= counts.shape[0])
    if valid is not None:
        beyond &= jnp.max(flattened(valid), axis=1)
    return jnp.where(beyond, jnp.nan, found)


def _share_present(
    params: Any, state: Any, task: jax.Array, valid: Any, z: jax.Array, axis_name: Any
) -> jax.Array:
    """The sum of the weights of the tasks in the batch; 1 in the first task."""
    counts, _ = _counts(params, task, valid, z, axis_name)
    total = jnp.sum(jnp.where(counts > 0, _shares(params, state, counts), 0))
    return jnp.where(state[_TASK] > 0, total, 1)
