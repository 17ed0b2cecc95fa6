"""AdamW with moments in 8-bit floating point."""

from __future__ import annotations

import optax

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.codecs import Float8
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.adamw import adamw_with
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.selection import Select
from jaxopt_lab.transforms.compressed.storage import Store


def adamw_fp8(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    *,
    mask: MaskOrFn | None = None,
    block: int = 256,
    dtype: Float8 = "float8_e4m3fn",
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = CHUNK,
    store: Store = "codes",
    stochastic: bool = False,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW whose moments are stored as 8-bit floats.

    The step of ``adamw8bit``; stored are 8-bit floats, the largest magnitude of each
    block at the end of their range.

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
      dtype: ``"float8_e4m3fn"``, or ``"float8_e5m2"`` with more range and less
        precision.
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

    Memory: 2 + 8 / block bytes per parameter, 2.03; ``optax.adamw`` has 8. Temporaries
    as ``adamw8bit``. Gradient evaluations: 1 a step.

    Decisions: torchao's blocks and scales, without its smallest scale.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adamw_fp8(1e-3)
    >>> tx.init({"kernel": jnp.ones((64, 64))}).inner.mu["kernel"].dtype  # its bits
    dtype('uint8')

    Reference: after Dettmers et al., "8-bit Optimizers via Block-wise Quantization",
    arXiv:2110.02861. Code followed: torchao 0.18.0.
    """
    return adamw_with(
        codes.FloatingPoint8(block, dtype=dtype),
        codes.FloatingPoint8(block, dtype=dtype),
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
