"""AdamW with its moments stored as 8-bit, 4-bit, floating or linear codes."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import jax
import numpy as np
import optax

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import Codec, Float8, Granularity
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    Interval,
    check_arguments,
    takes,
)
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.elements import adamw_elements
from jaxopt_lab.transforms.compressed.layout import Codecs
from jaxopt_lab.transforms.compressed.quantized_state import (
    QuantizedState,
    Transformation,
)
from jaxopt_lab.transforms.compressed.selection import Select, moments

SecondMoment = Literal["float32", "dynamic", "linear"]


def adamw_quantized(
    m: Codec | None,
    v: Codec | None,
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-4,
    mask: MaskOrFn | None = None,
    min_size: Annotated[int, COUNT] = 4096,
    select: Select | None = None,
    chunk: Annotated[int | None, COUNT] = CHUNK,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> Transformation:
    """AdamW with its moments stored by two codecs.

    Args:
      m: codec of the first moments, or ``None``.
      v: codec of the second moments, or ``None``.
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates, as are the next four.
      b1: decay of the mean of the gradients, in [0, 1).
      b2: decay of the mean of their squares, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      min_size: elements from which on a tensor's moments are coded; those of smaller
        ones are float32. Counted in the whole tensor, however it is sharded.
      select: chooses the tensors instead of ``min_size``; see ``quantize_state``.
      chunk: elements that are updated at a time on CPU; ``None`` for whole tensors.
      straight_through: store the rounded values, to differentiate through a run; see
        ``quantize_state``.
      stochastic: round without bias instead of to the nearest code.
      seed: of the first key, with ``stochastic``.
      round_to_zero: let small second moments become zero, as bitsandbytes and torchao
        do; see ``quantize_state``.

    Returns:
      The optimizer. Its ``update`` needs ``params``; given ``fused_apply``, it
      records the new parameters.

    Raises:
      InputError: a number is out of range, a mask does not fit, or ``params`` is
        missing.
    """
    check_arguments(adamw_quantized, locals())
    numbers = (learning_rate, b1, b2, eps, weight_decay)

    def inner_for(params: Params):
        decays = jax.tree.leaves(trees.resolve_mask(mask, params))

        # One each, so that tensors that share it are traced once.
        made = {x: adamw_elements(*numbers, decays=x) for x in (False, True)}

        def one(i: int) -> Transformation:
            own = decays[i] if decays else True
            if isinstance(own, bool | np.bool_):
                return made[bool(own)]
            return adamw_elements(*numbers, decays=own)

        return one

    return QuantizedState(
        base=adamw_elements(*numbers),
        coding=Codecs(
            m, v, select or moments(min_size), straight_through, round_to_zero
        ),
        elementwise=True,
        chunk=chunk,
        seed=seed if stochastic else None,
        inner_for=None if mask is None else inner_for,
        name="AdamW with coded moments",
    ).transformation()


@takes(adamw_quantized, omit=("m", "v"))
def adamw8bit(
    *, block: Annotated[int, COUNT] = 256, **options: Any
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
      block: elements that share a scale.
      **options: arguments of ``adamw_quantized``.

    Returns:
      The optimizer.

    Raises:
      InputError: as ``adamw_quantized``.

    Memory: 2 + 8 / block bytes per parameter, 2.03; ``optax.adamw`` has 8. On CPU a
    step needs temporaries of a few chunks and, without the fused apply and unless the
    buffer of the gradients is free, 4 bytes per parameter for the updates. Gradient
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
    first = codes.dynamic(8, block=block)
    second = codes.dynamic(8, block=block, signed=False)
    return adamw_quantized(first, second, **options)


@takes(adamw_quantized, omit=("m", "v"))
def adamw4bit(
    *, block: Annotated[int, COUNT] = 128, **options: Any
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW whose moments are stored in 4 bits.

    The step of ``adamw8bit``; the codes of m are the signed 4-bit dynamic map, those
    of v sixteen equal steps that leave out zero, two codes in a byte.

    Args:
      block: elements that share a scale.
      **options: arguments of ``adamw_quantized``.

    Returns:
      The optimizer.

    Raises:
      InputError: as ``adamw_quantized``.

    Memory: 1 + 8 / block bytes per parameter, 1.06; ``optax.adamw`` has 8. Temporaries
    as ``adamw8bit``. Gradient evaluations: 1 a step.

    Decisions: torchao's codes and blocks. The paper normalises v by its rows and
    columns; torchao does not, nor do we. Two elements that share a byte lie half a
    block apart (torchao: side by side): the same codes in another order.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adamw4bit(1e-3)
    >>> state = tx.init({"kernel": jnp.ones((64, 256))})
    >>> state.inner.nu["kernel"].shape, state.scales.nu["kernel"].shape
    ((64, 128), (64, 2))

    Reference: Li, Chen and Zhu, "Memory Efficient Optimizers with 4-bit States",
    NeurIPS 2023, arXiv:2309.01507. Code followed: torchao 0.18.0.
    """
    first = codes.dynamic(4, block=block)
    second = codes.dynamic(4, block=block, signed=False)
    return adamw_quantized(first, second, **options)


@takes(adamw_quantized, omit=("m", "v"))
def adamw_fp8(
    *,
    block: Annotated[int, COUNT] = 256,
    dtype: Float8 = "float8_e4m3fn",
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW whose moments are stored as 8-bit floats.

    The step of ``adamw8bit``; stored are 8-bit floats, the largest magnitude of each
    block at the end of their range.

    Args:
      block: elements that share a scale.
      dtype: ``"float8_e4m3fn"``, or ``"float8_e5m2"`` with more range and less
        precision.
      **options: arguments of ``adamw_quantized``.

    Returns:
      The optimizer.

    Raises:
      InputError: as ``adamw_quantized``.

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
    codec = codes.FloatingPoint8(block, dtype=dtype)
    return adamw_quantized(codec, codec, **options)


@takes(adamw_quantized, omit=("m", "v"))
def adamw_linear(
    *,
    block: Granularity = "row",
    bits: Annotated[int, Interval(4, 8)] = 8,
    symmetric: bool = True,
    second_moment: SecondMoment = "float32",
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW with the linear codes of the quantized pre-training study.

    The step of ``adamw8bit``; the codes of the first moment are equal steps, see
    ``codes.Linear``.

    Args:
      block: elements that share a step: ``"row"``, ``"tensor"`` or a number of them.
        ``"row"`` is the last axis, the output channels of an (in, out) kernel.
      bits: of the first moment, 8 or 4.
      symmetric: whether the codes lie around zero.
      second_moment: ``"float32"``; ``"dynamic"``, the unsigned 8-bit dynamic map; or
        ``"linear"``, the same steps as the first: elements below 1/254 of the
        largest of their block take shorter steps, and with ``round_to_zero``, as in
        the study, the run diverges.
      **options: arguments of ``adamw_quantized``.

    Returns:
      The optimizer.

    Raises:
      InputError: as ``adamw_quantized``.

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
    check_arguments(adamw_linear, locals())
    first = codes.Linear(block, bits=cast(Any, bits), symmetric=symmetric)
    seconds = {
        "float32": None,
        "dynamic": codes.dynamic(8, signed=False),
        "linear": first,
    }
    return adamw_quantized(first, seconds[second_moment], **options)
