"""What the AdamW optimizers with a compressed state have in common."""

from __future__ import annotations

import jax

from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.elements import adamw_elements, check_adamw
from jaxopt_lab.transforms.compressed.layout import Codecs
from jaxopt_lab.transforms.compressed.quantized_state import (
    QuantizedState,
    Transformation,
)
from jaxopt_lab.transforms.compressed.selection import Select, moments
from jaxopt_lab.transforms.compressed.storage import Store


def adamw_with(
    m: Codec | None,
    v: Codec | None,
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    *,
    mask: MaskOrFn | None = None,
    select: Select | None = None,
    min_size: int = 4096,
    chunk: int | None = CHUNK,
    store: Store = "codes",
    stochastic: bool = False,
    seed: int = 0,
) -> Transformation:
    """AdamW with its moments stored by two codecs.

    Args:
      m: codec of the first moments, or ``None``.
      v: codec of the second moments, or ``None``.
      learning_rate: as in ``adamw8bit``, and so all that follow.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.
      eps: added to the root of the second moment.
      weight_decay: decoupled decay.
      mask: which parameters decay.
      select: which moments are coded; ``None`` for ``moments(min_size)``.
      min_size: elements from which on a tensor is coded.
      chunk: elements in a chunk.
      store: ``"codes"`` or ``"values"``.
      stochastic: round without bias.
      seed: of the first key.

    Returns:
      The optimizer.

    Raises:
      InputError: a number is out of range, or a word unknown.
    """
    check_adamw(b1, b2, eps, weight_decay)
    numbers = (learning_rate, b1, b2, eps, weight_decay)

    def inner_for(params: Params):
        decays = jax.tree.leaves(trees.resolve_mask(mask, params))

        def one(i: int) -> Transformation:
            return adamw_elements(*numbers, decays=decays[i] if decays else True)

        return one

    return QuantizedState(
        base=adamw_elements(*numbers),
        coding=Codecs(m, v, select or moments(min_size), store),
        elementwise=True,
        chunk=chunk,
        seed=seed if stochastic else None,
        inner_for=None if mask is None else inner_for,
    ).transformation()
