"""The supernet of QuantNAS: edges of all operations at all bit widths."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.search.quantization_noise import (
    Noise,
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
    >>> [f"{y:.3f}" for y in run(jax.random.key(0), jnp.array([1.0, 3.0]))]
    ['2.000', '6.000']
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
