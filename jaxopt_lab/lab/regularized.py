"""A regularizer of the catalog, with its statistics, in the loss of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.lab import parts
from jaxopt_lab.lab.layer_values import with_layers
from jaxopt_lab.training import TrainState

NETWORK, STATISTICS = "network", "regularizer"


class Regularized(NamedTuple):
    """A loss with a penalty, ready to train.

    Attributes:
      loss_fn: of the train step.
      extend: ``extend(state)``, a fresh state with the statistics of the penalty.
      view: ``view(state)``, a state without them.
    """

    loss_fn: TrainLossFn
    extend: Callable[[TrainState], TrainState]
    view: Callable[[TrainState], TrainState]


def prepare(
    chosen: parts.Chosen,
    network: Functional,
    make_loss: Callable[[Functional], TrainLossFn],
    example: jax.ShapeDtypeStruct,
) -> Regularized:
    r"""A loss with the penalty of a regularizer.

    .. math:: L + w \, \frac1B \sum_i \sum_l r(y_{il}),

    with the outputs y of the layers l for example i, before any activation.

    Args:
      chosen: the regularizer; among its options ``weight``, w, and ``layers``, a
        regular expression of the kernels' paths.
      network: the model.
      make_loss: ``make_loss(network)``, L.
      example: a batch of inputs.

    Returns:
      The loss; its model state is a dict of that of the network and the statistics of
      each layer. ``"penalty"`` is among its metrics, without its weight.
    """
    row, options = chosen.row, chosen.options
    own = {name: x for name, x in options.items() if name in row.options}
    penalty = row.load()(**row.checked(own))
    weight = options["weight"]
    watched = with_layers(network, "outputs", options["layers"])

    def loss_fn(
        params: Params, states: Any, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        found: list[list[jax.Array]] = []

        def apply(*arguments: Any, **keywords: Any) -> Any:
            (outputs, values), state = watched.apply(*arguments, **keywords)
            found.append(values)
            return outputs, state

        plain = make_loss(Functional(network.init, apply))
        loss, (kept, metrics) = plain(params, states[NETWORK], batch, key)
        after, total = {}, jnp.zeros((), loss.dtype)
        for name, value in zip(states[STATISTICS], found.pop(), strict=True):
            each, after[name] = penalty.apply(states[STATISTICS][name], value)
            total = total + jnp.mean(each).astype(loss.dtype)
        loss = loss + jnp.asarray(weight, loss.dtype) * total
        return loss, ({NETWORK: kept, STATISTICS: after}, {**metrics, "penalty": total})

    def extend(state: TrainState) -> TrainState:
        (_, values), _ = jax.eval_shape(
            lambda p, s, x, k: watched.apply(p, s, x, train=True, key=k),
            state.params,
            state.model_state,
            example,
            state.key,
        )
        # By a name that sorts as the layers do.
        width = len(str(len(values)))
        fresh = {f"{i:0{width}}": penalty.init(v) for i, v in enumerate(values)}
        return state._replace(
            model_state={NETWORK: state.model_state, STATISTICS: fresh}
        )

    def view(state: TrainState) -> TrainState:
        return state._replace(model_state=state.model_state[NETWORK])

    return Regularized(loss_fn, extend, view)
