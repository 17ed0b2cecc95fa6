"""The search step of QuantNAS: logits and weights of a supernet in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.search.quantization_noise import architecture_entropy


class QuantSearchState(NamedTuple):
    """State of a search step.

    Attributes:
      params: weights of the supernet.
      logits: of all edges, a tree.
      params_state: of the optimizer of the weights.
      logits_state: of that of the logits.
    """

    params: Any
    logits: Any
    params_state: Any
    logits_state: Any


class QuantSearch(NamedTuple):
    """A search step as two functions.

    Attributes:
      init: ``init(params, logits) -> QuantSearchState``.
      step: ``step(state, batch, held, key, entropy_weight, searching) -> (state,
        losses)``.
    """

    init: Callable[[Any, Any], QuantSearchState]
    step: Callable[..., tuple[QuantSearchState, dict[str, jax.Array]]]


def quant_search(
    loss_fn: Callable[[Any, Any, Any, jax.Array], jax.Array],
    params_tx: optax.GradientTransformation,
    logits_tx: optax.GradientTransformation,
    *,
    cost_fn: Callable[[Any], jax.Array] | None = None,
    cost_weight: Annotated[float, NON_NEGATIVE] = 0.0,
    entropy: Annotated[float, NON_NEGATIVE] = 1e-3,
) -> QuantSearch:
    r"""Search of operations and bit widths by gradients: logits and weights in turn.

    .. math:: z \leftarrow z - \eta \nabla_z \big[L_\text{held}(w, z) +
        \lambda\, c(z) + \mu\, w_e H(z)\big], \qquad
        w \leftarrow w - \eta' \nabla_w L_\text{train}(w, z)

    to first order: the weights' dependence on the logits is left out.

    Args:
      loss_fn: ``loss_fn(params, logits, batch, key)``, a scalar, with
        ``mixed_operations`` inside.
      params_tx: optimizer of the weights; the code clips and takes Adam at 1e-3.
      logits_tx: of the logits; the code takes Adam at 3e-4, b1 0.5.
      cost_fn: c, ``cost_fn(logits)``, such as the sum of ``edge_bit_operations`` over
        that at the start; ``None``: no costs.
      cost_weight: :math:`\lambda`.
      entropy: :math:`\mu`, weight of ``architecture_entropy`` of each edge, beside
        ``entropy_weight`` of the epoch.

    Returns:
      The search. Of its step ``batch`` trains the weights and ``held`` the logits,
      ``entropy_weight`` is that of the epoch, and ``searching``, which may be traced,
      says whether the logits move: in the epochs of the warm-up they, and the state of
      their optimizer, stay. Its losses are ``loss`` and ``held_loss``. A step costs two
      gradients.

    Raises:
      InputError: an option is out of range, or costs have a weight and no function.

    Source: Shvetsov et al., "QuantNAS for Super Resolution", 2022
    (https://arxiv.org/abs/2208.14839) and its code.

    >>> loss = lambda p, z, batch, key: jnp.sum((p - batch) ** 2)
    >>> search = quant_search(loss, optax.sgd(0.5), optax.sgd(1.0))
    >>> state = search.init(jnp.zeros(1), {"edge": jnp.zeros((1, 2))})
    >>> run = jax.jit(search.step)
    >>> run(state, jnp.ones(1), jnp.ones(1), jax.random.key(0), 0.0)[0].params.tolist()
    [1.0]
    """
    given = {"cost_weight": cost_weight, "entropy": entropy}
    check_arguments(quant_search, given)
    if cost_weight and cost_fn is None:
        raise InputError(f"cost_weight={cost_weight} needs cost_fn; got None")

    def init(params: Any, logits: Any) -> QuantSearchState:
        states = params_tx.init(params), logits_tx.init(logits)
        return QuantSearchState(params, logits, *states)

    def step(
        state: QuantSearchState,
        batch: Any,
        held: Any,
        key: jax.Array,
        entropy_weight: Any = 0.0,
        searching: Any = True,
    ) -> tuple[QuantSearchState, dict[str, jax.Array]]:
        first, second = jax.random.split(key)

        def of_logits(logits: Any) -> tuple[jax.Array, jax.Array]:
            loss = loss_fn(state.params, logits, held, first)
            flat = [architecture_entropy(z.ravel()) for z in jax.tree.leaves(logits)]
            weight = jnp.asarray(entropy * jnp.asarray(entropy_weight), loss.dtype)
            total = loss + weight * sum(flat[1:], flat[0]).astype(loss.dtype)
            if cost_fn is not None:
                scale = jnp.asarray(cost_weight, loss.dtype)
                total = total + scale * cost_fn(logits).astype(loss.dtype)
            return total, loss

        slopes, held_loss = jax.grad(of_logits, has_aux=True)(state.logits)
        updates, moved = logits_tx.update(slopes, state.logits_state, state.logits)
        new = optax.apply_updates(state.logits, updates)
        keep = lambda a, b: jax.tree.map(lambda x, y: jnp.where(searching, x, y), a, b)
        logits = keep(new, state.logits)
        logits_state = keep(moved, state.logits_state)
        loss, grads = jax.value_and_grad(loss_fn)(state.params, logits, batch, second)
        updates, params_state = params_tx.update(
            grads, state.params_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        found = {"loss": loss, "held_loss": held_loss}
        return QuantSearchState(params, logits, params_state, logits_state), found

    return QuantSearch(init, step)
