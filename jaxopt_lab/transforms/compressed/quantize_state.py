"""The state of any transformation, stored as codes."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import optax

from jaxopt_lab.core import codecs as codes
from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.layout import Codecs
from jaxopt_lab.transforms.compressed.quantized_state import QuantizedState
from jaxopt_lab.transforms.compressed.selection import Select, moments

DYNAMIC_M = codes.dynamic(8)
DYNAMIC_V = codes.dynamic(8, signed=False)


def quantize_state(
    inner: optax.GradientTransformation,
    *,
    m: Codec | None = DYNAMIC_M,
    v: Codec | None = DYNAMIC_V,
    select: Select | None = None,
    elementwise: bool = False,
    chunk: Annotated[int | None, COUNT] = CHUNK,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Store the moments of a transformation as codes: decode, run, encode.

    Each step decodes the state, lets the inner transformation compute its updates and
    its new state from it, and encodes that. So the updates come from the fresh
    moments, and only what is kept until the next step is rounded.

    Args:
      inner: any transformation. Its state keeps its structure.
      m: codec of first moments (fields ``mu``, ``trace``, ...); ``None`` leaves them
        as they are. Default: the 8-bit dynamic map in blocks of 256.
      v: codec of second moments (``nu``, ``sum_of_squares``, ...), which are never
        negative. Default: the unsigned 8-bit dynamic map.
      select: ``select(path, leaf)`` gives ``"m"``, ``"v"`` or ``None`` for a tensor of
        the state. Default: ``moments()``, by the names of the fields, tensors of at
        least 4096 elements.
      elementwise: say that the inner transformation treats every element by itself
        (Adam, momentum, Lion, with their decay and learning rate; not clipping by a
        norm, not factored moments). Then large tensors are updated chunk by chunk in
        place, and new parameters are recorded with ``fused_apply``.
      chunk: elements in a chunk, with ``elementwise`` on CPU; ``None`` for whole
        tensors at a time.
      straight_through: store the rounded values themselves: the same trajectory and no
        memory saved, but differentiable, the derivative passing straight through the
        rounding. See below.
      stochastic: round without bias instead of to the nearest code.
      seed: of the first key, with ``stochastic``.
      round_to_zero: let small second moments become zero, as bitsandbytes and torchao
        do. Default: they keep the smallest code above zero, see below.

    Returns:
      The transformation. It hands extra arguments on.

    Raises:
      InputError: a codec is none, ``chunk`` is no whole number, or ``select`` gives
        what it must not.

    Memory: 1 + 4 / block bytes for each coded element of 8 bits, half of that and
    4 / block for one of 4 bits. Gradient evaluations: those of ``inner``. On CPU one
    step needs temporaries of a few copies of the tensors, with ``elementwise`` of a
    few chunks and, without the fused apply, one copy for the updates.

    Sharding: blocks are runs of consecutive elements of the whole tensor, so the
    numbers do not depend on the mesh. Tensors sharded along the first axis, whole
    blocks to a shard, are updated where they are. Meshes of explicit axes are served
    as those of automatic ones; with ``elementwise`` the inner transformation must
    then not close over arrays of such a mesh.

    Derivatives: an integer has no tangent in JAX, whatever rule is written for the
    rounding. So with codes the derivative of a step is that with the old state
    fixed, exact and finite, and a run passes it on through the parameters alone; the
    scales are fixed too, since what passes through them without the codes would
    mislead. To differentiate a run through its moments, take
    ``straight_through=True``.

    Small second moments: steps divide by their roots, so an element whose code is zero
    would move by its first moment over eps. An element above zero therefore keeps the
    smallest code above zero, also with ``stochastic``. That costs no bytes and a
    comparison, and such an element takes shorter steps than it should, never longer
    ones. ``python -m experiments.benchmarks.small_second_moments``: a row of an
    embedding with one gradient of 1e-3 beside a row of ones moves by .0033 in six steps
    of Adam, by 120 with 8-bit floats that round to zero, by .0017 with ours; of a
    bigram model on tokens by Zipf's law (5 seeds, loss 2.56) the loss minus Adam's is
    -.001 +- .003 with the 8-bit map and .002 +- .004 with 8-bit floats, which both
    diverge where they round to zero. Half a code for zero does as well, but scales the
    first gradient of every element; a cap of the update would have to know the rule.

    Perturbed parameters: ``momentum_sam`` adds a perturbation along its momentum and
    takes it back in the next step. That momentum is stored as it is, so that both are
    the same; second moments are coded.

    Decisions: the update uses the fresh moments, as bitsandbytes and torchao do. No
    smallest scale: torchao's 1e-12 rounds second moments of small gradients away. A
    gradient that is no number makes its blocks no numbers, visibly; bitsandbytes'
    CUDA kernel skips such elements.

    >>> import jax.numpy as jnp, optax, jaxopt_lab
    >>> tx = jaxopt_lab.quantize_state(optax.adam(1e-3))
    >>> state = tx.init({"kernel": jnp.ones((64, 64)), "bias": jnp.ones(64)})
    >>> state.inner[0].mu["kernel"].dtype, state.inner[0].mu["bias"].dtype
    (dtype('uint8'), dtype('float32'))

    Reference: Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit Optimizers via
    Block-wise Quantization", arXiv:2110.02861; Li, Chen and Zhu, "Memory Efficient
    Optimizers with 4-bit States", arXiv:2309.01507.
    """
    check_arguments(quantize_state, locals())
    for name, codec in (("m", m), ("v", v)):
        if codec is not None and not isinstance(codec, Codec):
            raise InputError(f"{name} must be a codec or None; got {codec!r}")
    coding = Codecs(m, v, select or moments(), straight_through, round_to_zero)
    base = optax.with_extra_args_support(inner)
    first = seed if stochastic else None
    return QuantizedState(base, coding, elementwise, chunk, first).transformation()
