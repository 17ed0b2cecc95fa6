"""Supernets of bit widths, searched with noise in place of rounding (QuantNAS)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype

Noise = Literal["normal_half", "uniform_step"]


def quantization_noise(
    key: jax.Array,
    w: jax.Array,
    *,
    bits: Annotated[int, COUNT],
    noise: Noise = "uniform_step",
) -> jax.Array:
    r"""Noise of the size that rounding to some bits has.

    Args:
      key: of the draw.
      w: real floating, at least one number.
      bits: b; the step is :math:`(\max w - \min w) / (2^b - 1)`.
      noise: ``"uniform_step"``, uniform over one step, of deviation step / sqrt 12 as
        the error of rounding; ``"normal_half"``, normal of deviation step / 2, as in
        the published code.

    Returns:
      As ``w``, constant, of mean 0.

    Raises:
      InputError: an option is out of range, or ``w`` is empty.

    Source: Shvetsov et al., "QuantNAS for Super Resolution", 2022
    (https://arxiv.org/abs/2208.14839) and its code.

    >>> w = jnp.linspace(-1.0, 1.0, 5)
    >>> run = jax.jit(lambda k: quantization_noise(k, w, bits=1))
    >>> bool(jnp.all(jnp.abs(run(jax.random.key(0))) <= 1.0))
    True
    """
    check_arguments(quantization_noise, {"bits": bits, "noise": noise})
    if not w.size or not jnp.issubdtype(w.dtype, jnp.floating):
        raise InputError(f"w must be real floating numbers; got {w.dtype}{w.shape}")
    w = jax.lax.stop_gradient(w)
    step = (jnp.max(w) - jnp.min(w)) / jnp.asarray(2.0**bits - 1, w.dtype)
    if noise == "normal_half":
        return jax.random.normal(key, w.shape, w.dtype) / 2 * step
    return jax.random.uniform(key, w.shape, w.dtype, -0.5, 0.5) * step


def mixed_bit_weights(
    key: jax.Array,
    w: jax.Array,
    alpha: jax.Array,
    bits: Sequence[int],
    *,
    noise: Noise = "uniform_step",
    gradient: Literal["all", "share"] = "all",
) -> jax.Array:
    r"""Weights with the noise of several bit widths at once, in their shares.

    .. math:: W + \sum_b a'_b N_b, \qquad a' = \frac{a}{\sum_b a_b + f},
        \quad f = \frac{1}{n + 1}

    for n bit widths; no rounding, and one product with the result instead of n.

    Args:
      key: of the noise.
      w: weights.
      alpha: ``(n,)``, a, at least 0, such as a softmax.
      bits: the bit widths.
      noise: of ``quantization_noise``.
      gradient: of ``w``: ``"all"`` of it (ours), or ``"share"``, f over the sum: in the
        published code only the share without noise is differentiated.

    Returns:
      As ``w``. The derivative with respect to ``alpha`` is that of the value.

    Raises:
      InputError: sizes do not fit, or an option is unknown.

    >>> run = jax.jit(lambda k, w: mixed_bit_weights(k, w, jnp.ones(1), (30,)))
    >>> run(jax.random.key(0), jnp.array([0.0, 1.0])).round(4).tolist()
    [0.0, 1.0]
    """
    check_arguments(mixed_bit_weights, {"noise": noise, "gradient": gradient})
    if alpha.shape != (len(bits),) or not bits:
        raise InputError(
            f"alpha must have one number for each of bits={tuple(bits)}; got "
            f"{alpha.shape}"
        )
    alpha = alpha.astype(w.dtype)
    share = jnp.asarray(1 / (len(bits) + 1), w.dtype)
    total = jnp.sum(alpha) + share
    base = w
    if gradient == "share":
        part = jax.lax.stop_gradient(share / total)
        fixed = jax.lax.stop_gradient(w)
        base = fixed + part * (w - fixed)
    for i, count in enumerate(bits):
        own = quantization_noise(
            jax.random.fold_in(key, i), w, bits=int(count), noise=noise
        )
        base = base + alpha[i] / total * own
    return base


def architecture_entropy(logits: jax.Array) -> jax.Array:
    """Entropy of the softmax of each edge's logits, summed over edges.

    Args:
      logits: ``(..., n)``.

    Returns:
      A number: 0 if all are one-hot, the number of edges times log n if uniform.

    >>> float(architecture_entropy(jnp.array([[900.0, 0.0], [0.0, 900.0]])))
    0.0
    """
    log_p = jax.nn.log_softmax(logits.astype(accumulation_dtype(logits.dtype)))
    return jnp.sum(jnp.exp(log_p) * -log_p)


def entropy_weight(
    epoch: Annotated[int, COUNT_OR_ZERO],
    epochs: Annotated[int, COUNT],
    *,
    warmup: Annotated[int, COUNT_OR_ZERO] = 0,
) -> float:
    r"""Weight of the entropy of an architecture in an epoch of its search.

    .. math:: w_1 = \frac{e - m}{E - 1 - m}, \quad
        w_2 = \log_{E - s - m + 1} (e - s - m + 2), \quad
        s = \lfloor (E - m) / 4 \rfloor

    Args:
      epoch: e, from 0.
      epochs: E.
      warmup: m, epochs in which the architecture is not searched.

    Returns:
      :math:`w_1 w_2`: 0 up to the end of the first quarter of the search, 1 in the last
      epoch; it never falls.

    Raises:
      InputError: an argument is out of range, or the search has fewer than two epochs.

    >>> [round(entropy_weight(e, 8), 2) for e in (0, 1, 7)]
    [0.0, 0.0, 1.0]
    """
    given = {"epoch": epoch, "epochs": epochs, "warmup": warmup}
    check_arguments(entropy_weight, given)
    if epochs - warmup < 2 or epoch >= epochs:
        raise InputError(
            f"epochs must leave two behind warmup={warmup}, and epoch lie below; got "
            f"epoch={epoch} of {epochs}"
        )
    start = (epochs - warmup) // 4
    searched = epoch - warmup - start
    if epoch < warmup or searched < 0:
        return 0.0
    first = (epoch - warmup) / (epochs - 1 - warmup)
    base = epochs - start - warmup + 1
    return first * math.log(searched + 2) / math.log(base)


def bit_operations(
    alpha: jax.Array, macs: Sequence[float], bits: Sequence[tuple[int, int]]
) -> jax.Array:
    r"""Expected bit operations of an edge.

    .. math:: \sum_i a_i\, \text{macs}_i\, b^w_i b^a_i

    Args:
      alpha: ``(n,)`` shares.
      macs: multiplications of each of n operations.
      bits: bits of its weights and of its activations.

    Returns:
      A number, linear in ``alpha``.

    Raises:
      InputError: sizes do not fit.

    >>> float(bit_operations(jnp.array([1.0, 0.0]), [10.0, 99.0], [(2, 4), (8, 8)]))
    80.0
    """
    if alpha.shape != (len(macs),) or len(bits) != len(macs):
        raise InputError(
            f"alpha, macs and bits must be of one length; got {alpha.shape}, "
            f"{len(macs)} and {len(bits)}"
        )
    costs = [m * b * a for m, (b, a) in zip(macs, bits, strict=True)]
    return jnp.sum(alpha * jnp.asarray(costs, alpha.dtype))
