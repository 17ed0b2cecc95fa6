"""AdamW with linearly coded first moments."""

from __future__ import annotations

from typing import Literal

import optax

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core import errors
from jaxopt_lab.core.codecs import Granularity
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.adamw import adamw_with
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.selection import Select
from jaxopt_lab.transforms.compressed.storage import Store

SecondMoment = Literal["float32", "dynamic", "linear"]


def adamw_linear(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    *,
    mask: MaskOrFn | None = None,
    block: Granularity = "row",
    bits: Literal[4, 8] = 8,
    symmetric: bool = True,
    second_moment: SecondMoment = "float32",
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = CHUNK,
    store: Store = "codes",
    stochastic: bool = False,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW with the linear codes of the quantized pre-training study.

    The step of ``adamw8bit``; the codes of the first moment are equal steps, see
    ``codes.Linear``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates, as are the next four.
      b1: decay of the mean of the gradients, in [0, 1).
      b2: decay of the mean of their squares, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      block: elements that share a step: ``"row"``, ``"tensor"`` or a number of them.
        ``"row"`` is the last axis, the output channels of an (in, out) kernel.
      bits: of the first moment, 8 or 4.
      symmetric: whether the codes lie around zero.
      second_moment: ``"float32"``; ``"dynamic"``, the unsigned 8-bit dynamic map; or
        ``"linear"``, the same steps as the first, which diverges: small second
        moments become zero.
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

    Memory: bits / 8 + 4 bytes per parameter and 4 for each row, 5.03 for rows of 128;
    with a dynamic second moment 2.06. Temporaries as ``adamw8bit``. Gradient
    evaluations: 1 a step.

    Decisions: the study simulates, rounding float32 moments when it reads them; ours
    are stored as codes, with the same trajectory. Its recipe codes the kernels of
    linear layers only: pass a ``select``. 8-bit first moments cost it nothing, 4-bit
    ones little with a step for each row.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adamw_linear(6e-4, weight_decay=0.1)
    >>> state = tx.init({"kernel": jnp.ones((64, 64))})
    >>> state.inner.mu["kernel"].dtype, state.inner.nu["kernel"].dtype
    (dtype('uint8'), dtype('float32'))

    Reference: Chitsaz, Fournier, Mordido and Chandar, "Exploring Quantization for
    Efficient Pre-Training of Transformer Language Models", arXiv:2407.11722. Code
    followed: chandar-lab/EfficientLLMs.
    """
    first = codes.Linear(block, bits=bits, symmetric=symmetric)
    seconds = {
        "float32": None,
        "dynamic": codes.dynamic(8, signed=False),
        "linear": first,
    }
    if second_moment not in seconds:
        raise errors.unknown("second_moment", str(second_moment), seconds)
    return adamw_with(
        first,
        seconds[second_moment],
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
