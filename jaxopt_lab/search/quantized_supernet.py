"""The supernet of QuantNAS: edges of operations and bit widths, and its search step."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.search.quantization_noise import (
    Noise,
    architecture_entropy,
    bit_operations,
    mixed_bit_weights,
)

Operation = Callable[[Any, jax.Array], jax.Array]


def _shares(logits: jax.Array, ops: int, bits: int) -> jax.Array:
    if logits.shape != (ops, bits) or not ops or not bits:
        raise InputError(
            f"logits must be (operations, bit widths), ({ops}, {bits}) and none of "
            f"them 0; got {logits.shape}"
        )
    wide = logits.astype(accumulation_dtype(logits.dtype))
    return jax.nn.softmax(wide.ravel()).reshape(logits.shape)


def mixed_operations(
    key: jax.Array,
    x: jax.Array,
    weights: Sequence[Any],
    logits: jax.Array,
    ops: Sequence[Operation],
    bits: Sequence[int],
    *,
    noise: Noise = "uniform_step",
    gradient: Literal["all", "share"] = "all",
) -> jax.Array:
    r"""Output of an edge that is all its operations at all bit widths.

    .. math:: \sum_o \Big(\sum_b a_{ob}\Big)\, f_o(\tilde w_o, \tilde x_o),
        \qquad a = \mathrm{softmax}(z)

    over operations and bit widths together; :math:`\tilde w_o, \tilde x_o` have the
    noise of ``mixed_bit_weights`` in the shares of the operation. Each operation is
    computed once, not once for each bit width, and nothing is rounded.

    Args:
      key: of the noise.
      x: input of every operation.
      weights: of each operation; ``None`` for one without.
      logits: z, ``(operations, bit widths)``.
      ops: ``op(w, x)``, all with outputs of one shape.
      bits: the bit widths, of weights and activations.
      noise: of ``quantization_noise``.
      gradient: of ``mixed_bit_weights``.

    Returns:
      The output. Cost: the operations, and a draw for each of their weights, inputs
      and bit widths.

    Raises:
      InputError: sizes do not fit, or an option is unknown.

    Source: Shvetsov et al., "QuantNAS for Super Resolution", 2022
    (https://arxiv.org/abs/2208.14839) and its code.

    >>> run = jax.jit(lambda k, x: mixed_operations(
    ...     k, x, (jnp.full(1, 2.0), None), jnp.array([[0.0], [-99.0]]),
    ...     (lambda w, x: w * x, lambda w, x: x), (30,)))
    >>> run(jax.random.key(0), jnp.array([1.0, 3.0])).round(3).tolist()
    [2.0, 6.0]
    """
    check_arguments(mixed_operations, {"noise": noise, "gradient": gradient})
    if len(weights) != len(ops):
        raise InputError(
            f"weights must be one for each of {len(ops)} operations; got {len(weights)}"
        )
    shares = _shares(logits, len(ops), len(bits))
    options: dict[str, Any] = {"noise": noise, "gradient": gradient}
    total: Any = None
    for i, (op, w) in enumerate(zip(ops, weights, strict=True)):
        of_x, of_w = jax.random.split(jax.random.fold_in(key, i))
        own = shares[i]
        noisy = None if w is None else mixed_bit_weights(of_w, w, own, bits, **options)
        # The gradient of activations is whole: they come from trained layers.
        seen = mixed_bit_weights(of_x, x, own, bits, noise=noise)
        y = op(noisy, seen)
        part = jnp.sum(own).astype(y.dtype) * y
        total = part if total is None else total + part
    return total


def edge_bit_operations(
    logits: jax.Array, macs: Sequence[float], bits: Sequence[int]
) -> jax.Array:
    """Expected bit operations of an edge of ``mixed_operations``.

    Args:
      logits: ``(operations, bit widths)``.
      macs: multiplications of each operation.
      bits: the bit widths, of weights and activations.

    Returns:
      A number, linear in the shares.

    Raises:
      InputError: sizes do not fit.

    >>> float(edge_bit_operations(jnp.zeros((1, 2)), [10.0], (2, 4)))
    100.0
    """
    shares = _shares(logits, len(macs), len(bits))
    pairs = [(b, b) for _ in macs for b in bits]
    repeated = [m for m in macs for _ in bits]
    return bit_operations(shares.ravel(), repeated, pairs)


def chosen_operation(logits: Any) -> tuple[int, int]:
    """The operation and the bit width of the largest logit of an edge.

    Args:
      logits: ``(operations, bit widths)`` finite.

    Returns:
      Their places. The parser of the published code begins its maximum at 0, and takes
      the first operation where all logits are negative.

    Raises:
      InputError: the logits are no matrix, or not finite.

    >>> chosen_operation([[-3.0, -2.0], [-1.0, -4.0]])
    (1, 0)
    """
    array = np.asarray(jax.device_get(logits), float)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise InputError(
            "logits must be (operations, bit widths) and finite; got "
            f"{array.shape} with {int(np.sum(~np.isfinite(array)))} that are not"
        )
    place = np.unravel_index(int(np.argmax(array)), array.shape)
    return int(place[0]), int(place[1])


def rescaled_branch(
    branch: jax.Array, skip: jax.Array, scale: jax.Array, shift: jax.Array
) -> jax.Array:
    r"""A normalized branch, at the deviation of what it is added to (ADQ).

    .. math:: f(\mathrm{BN}(x))\,(s\,\sigma(x_\text{skip}) + t) + x_\text{skip}

    with the deviation of each example over all axes but the first.

    Args:
      branch: ``(B, ...)``.
      skip: as ``branch``.
      scale: s, learned, 1.5 at first.
      shift: t, learned, 0 at first.

    Returns:
      As ``skip``; its derivative is finite where an example is constant.

    >>> skip = jnp.array([[0.0, 2.0]])
    >>> one, zero = jnp.ones(()), jnp.zeros(())
    >>> jax.jit(rescaled_branch)(skip, skip, one, zero).tolist()
    [[0.0, 4.0]]
    """
    wide = skip.astype(accumulation_dtype(skip.dtype))
    axes = tuple(range(1, skip.ndim))
    variance = jnp.var(wide, axis=axes, keepdims=True)
    # The derivative of a root at 0 is infinite, and that of the chosen 0 is not.
    positive = variance > 0
    deviation = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)
    factor = scale.astype(wide.dtype) * deviation + shift.astype(wide.dtype)
    return branch * factor.astype(branch.dtype) + skip


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

    Source: as ``mixed_operations``.

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
