"""AdamW with 8-bit moments."""

from __future__ import annotations

import optax

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.adamw import adamw_with
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.selection import Select
from jaxopt_lab.transforms.compressed.storage import Store


def adamw8bit(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    *,
    mask: MaskOrFn | None = None,
    block: int = 256,
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = CHUNK,
    store: Store = "codes",
    stochastic: bool = False,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW whose moments are stored in 8 bits.

    .. math::
        m_t = b_1 \tilde m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 \tilde v_{t-1} + (1 - b_2) g_t^2, \quad
        w_t = w_{t-1} - \eta \Big(\frac{m_t / (1 - b_1^t)}
              {\sqrt{v_t / (1 - b_2^t)} + \epsilon} + \lambda w_{t-1}\Big),

    where the stored moments are codes of the dynamic map, signed for m and unsigned
    for v, with the largest magnitude of each block as its scale.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates, as are the next four.
      b1: decay of the mean of the gradients, in [0, 1).
      b2: decay of the mean of their squares, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      block: elements that share a scale.
      min_size: elements from which on a tensor's moments are coded; those of smaller
        ones are float32. Counted in the whole tensor, however it is sharded.
      select: chooses the tensors instead of ``min_size``; see ``quantize_state``.
      chunk: elements that are updated at a time on CPU; ``None`` for whole tensors.
      store: ``"codes"``, or ``"values"`` to differentiate through a run; see
        ``quantize_state``.
      stochastic: round without bias instead of to the nearest code.
      seed: of the first key, with ``stochastic``.

    Returns:
      The optimizer. Its ``update`` needs ``params``; given ``fused_apply``, it
      records the new parameters.

    Raises:
      InputError: a number is out of range, a word unknown, a mask does not fit, or
        ``params`` is missing.

    Memory: 2 + 8 / block bytes per parameter, 2.03; ``optax.adamw`` has 8. On CPU a
    step needs temporaries of a few chunks and, without the fused apply
    or the gradients' buffer is free, 4 bytes per parameter for the updates. Gradient
    evaluations: 1 a step.

    Decisions: as ``quantize_state``. The decay is that of ``optax.adamw`` and
    torchao, before the update; bitsandbytes' CUDA kernel decays after it (a
    difference of the order of the square of the step size). Its default block was
    2048 before version 0.44.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adamw8bit(1e-3)
    >>> params = {"kernel": jnp.ones((64, 64)), "bias": jnp.ones(64)}
    >>> updates, state = tx.update(params, tx.init(params), params)
    >>> state.inner.mu["kernel"].dtype, state.scales.mu["kernel"].shape
    (dtype('uint8'), (16, 1))

    Reference: Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit Optimizers via
    Block-wise Quantization", ICLR 2022, arXiv:2110.02861. Code followed:
    bitsandbytes 0.50.2 and torchao 0.18.0.
    """
    return adamw_with(
        codes.dynamic(8, block=block),
        codes.dynamic(8, block=block, signed=False),
        learning_rate,
        b1,
        b2,
        eps,
        weight_decay,
        mask=mask,
        select=select,
        min_size=min_size,
        chunk=chunk,
        store=store,
        stochastic=stochastic,
        seed=seed,
    )
