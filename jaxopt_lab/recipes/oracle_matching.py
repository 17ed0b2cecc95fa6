"""Oracle matching: a model moved to the outputs of one that has not seen a set."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, Scalar
from jaxopt_lab.recipes.roles import check_roles, entries, in_role, train_role
from jaxopt_lab.training.state import TrainState, init_state
from jaxopt_lab.training.step import TrainStep

MODEL, FORGET, RETAIN = "model", "forget", "retain"


def init_oracle_matching(
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    model_state: ModelState | None = None,
) -> TrainState:
    """A fresh state of ``make_oracle_matching_step``.

    Args:
      tx: the transformation.
      params: those of the trained model.
      key: typed PRNG key from which the steps draw.
      model_state: the model's own state; ``None``: it has none.

    Returns:
      A ``TrainState`` of the one role ``"model"``.

    >>> state = init_oracle_matching(optax.sgd(0.1), {}, jax.random.key(0))
    >>> sorted(state.params)
    ['model']
    """
    return in_role(MODEL, init_state(tx, params, key, model_state))


def make_oracle_matching_step(
    network: Functional,
    tx: optax.GradientTransformation,
    *,
    retain: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    inputs: str = "image",
    target: str = "target",
    **options: Any,
) -> TrainStep:
    r"""Make ``step(state, batch) -> (state, metrics)`` that unlearns a set.

    From the trained parameters,

    .. math::
        \operatorname{mean}_{x \in F} \|f_x(\theta) - \hat f_x\|^2 + w
        \operatorname{mean}_{x \in R} \|f_x(\theta) - \hat f_x\|^2,

    where :math:`\hat f_x = f_x(\theta_0) + \Delta_x` is the estimate of the outputs of
    a model that was trained without the forget set, with :math:`\Delta_x` from
    ``diagnostics.datamodel_change``; a few epochs do.

    Args:
      network: its ``apply`` gives outputs ``(B, C)`` or ``(B,)``.
      tx: transformation of its gradients.
      retain: w; the Python number 0 leaves the retained examples out of the program.
      inputs: entry of the inputs; integers are divided by 255.
      target: entry of the outputs :math:`\hat f`.
      **options: those of ``make_train_step``.

    Returns:
      The step, for states of ``init_oracle_matching``. A batch is ``{"forget": ...,
      "retain": ...}``, two dicts of inputs and targets, with as many examples each
      where there are micro-batches. Metrics: ``loss``, ``forget`` and ``retain``, mean
      squares.

    Raises:
      InputError: an option is out of range; when traced, an entry is missing, a set is
        empty, or outputs and targets do not fit.

    Gradient evaluations: those of ``make_train_step``, two passes forward.

    Source: Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel
    Matching", arXiv:2410.23232, from memory; there is no parity with its code.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> network = Functional(lambda key: (jnp.zeros((2, 1)), {}), apply)
    >>> tx = optax.sgd(0.5)
    >>> step = make_oracle_matching_step(network, tx)
    >>> state = init_oracle_matching(tx, jnp.zeros((2, 1)), jax.random.key(0))
    >>> one = {"image": jnp.eye(2)[:1], "target": jnp.ones((1, 1))}
    >>> two = {"image": jnp.eye(2)[1:], "target": jnp.zeros((1, 1))}
    >>> state, _ = step(state, {"forget": one, "retain": two})
    >>> state.params["model"].ravel().tolist()
    [1.0, 0.0]
    """
    check_arguments(make_oracle_matching_step, locals())
    alone = known_number(retain) == 0

    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        names = (FORGET,) if alone else (FORGET, RETAIN)
        kept, metrics = states[MODEL], {}
        for name, part in zip(names, entries(batch, *names), strict=True):
            x, wanted = entries(part, inputs, target)
            if not jnp.shape(x)[0]:
                raise InputError(f"{name} has no examples; accepted: at least one")
            out, kept = network.apply(params, kept, to_float(x), train=True, key=key)
            if out.shape != jnp.shape(wanted):
                raise InputError(
                    f"the targets of {name} must have shape {out.shape}, that of the "
                    f"outputs; got {jnp.shape(wanted)}"
                )
            gap = (out - wanted).astype(accumulation_dtype(out.dtype))
            metrics[name] = jnp.mean(jnp.sum(flattened(gap) ** 2, axis=1))
        loss = metrics[FORGET]
        if not alone:
            loss = loss + jnp.asarray(retain, loss.dtype) * metrics[RETAIN]
        return loss, ({**states, MODEL: kept}, metrics)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_roles(state, (MODEL,), "init_oracle_matching")
        return train_role(MODEL, loss_fn, tx, state, batch, **options)

    return step
