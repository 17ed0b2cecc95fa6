"""Genie's reconstruction of a block: rounding, steps of weights and of activations."""
# Its examples wait for pytest --full.

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, Interval, check_arguments
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.joint_rounding import (
    SoftRounding,
    init_rounding,
    rounding_regularizer,
    rounding_schedule,
)
from jaxopt_lab.quantize.kernel_matrix import from_matrix, to_matrix
from jaxopt_lab.quantize.learned_step import LearnedStep, init_step, learned_step

# quantize(number, activation) -> activation, for the block to call
Activations = Callable[[int, jax.Array], jax.Array]
ApplyBlock = Callable[[Params, jax.Array, Activations], jax.Array]


class ReconstructedBlock(NamedTuple):
    """A block in whole numbers.

    Attributes:
      params: its parameters with the quantized leaves on their grids.
      codes: codes by path, ``(outputs, inputs)``.
      activations: the quantizer of each activation, by its number.
      losses: of the batch of every step, the penalty of rounding included.
    """

    params: Params
    codes: dict[str, QArray]
    activations: tuple[LearnedStep, ...]
    losses: jax.Array

    def quantize(self, number: int, x: jax.Array) -> jax.Array:
        """The activations of the finished block, for ``apply_block``."""
        return learned_step(x, self.activations[number])


def reconstruct_block(
    key: jax.Array,
    apply_block: ApplyBlock,
    params: Params,
    x: jax.Array,
    y: jax.Array,
    *,
    quantized: jax.Array | None = None,
    match: str = "kernel",
    bits: Annotated[int, Interval(2, 8)] = 4,
    activation_bits: Sequence[int] = (),
    steps: Annotated[int, COUNT] = 20000,
    batch_size: Annotated[int, COUNT] = 32,
    rounding_rate: Annotated[float, NON_NEGATIVE] = 1e-3,
    scale_rate: Annotated[float, NON_NEGATIVE] = 1e-4,
    activation_rate: Annotated[float, NON_NEGATIVE] = 4e-5,
    penalty: Annotated[float, NON_NEGATIVE] = 1.0,
    drop: Annotated[float, UNIT] = 0.5,
) -> ReconstructedBlock:
    r"""Minimize the error of a block's outputs over roundings and steps, by Adam.

    .. math::
        \mathrm{mean} \sum_{channels} (f(Q, \tilde x) - y)^2
            + \lambda \sum 1 - |2 h(v) - 1|^\beta,

    where entries of the inputs are those that the quantized layers before give, or, by
    ``drop``, the exact ones, and likewise every quantized activation (QDrop). The
    rates of steps fall to 0 along a cosine; the penalty counts from a fifth of the
    steps on, with an exponent from 20 to 2.

    Args:
      key: of batches and drops.
      apply_block: ``apply_block(params, x, quantize) -> outputs``, channels last; it
        calls ``quantize(number, activation)``, numbers from 0, where activations are to
        be in whole numbers.
      params: parameters of the block, a tree.
      x: inputs in full precision, ``(examples, ...)``.
      y: outputs in full precision.
      quantized: inputs from the quantized network so far; ``None``: x.
      match: regular expression of the paths of the leaves to quantize, by outputs; the
        last axis is the outputs.
      bits: of a weight.
      activation_bits: bits of each activation, in the order of their numbers.
      steps: number of steps.
      batch_size: examples of a step, drawn with replacement; all if there are fewer.
      rounding_rate: of Adam for the logits.
      scale_rate: for the steps of weights.
      activation_rate: for the steps of activations.
      penalty: :math:`\lambda`.
      drop: probability of an exact entry while it is fitted.

    Returns:
      The block, in whole numbers, nothing dropped.

    Raises:
      InputError: no leaf matches, examples or outputs do not fit, or an argument is out
        of range.

    The code makes 32 batches of a permutation whatever its size; here a batch has
    ``batch_size`` examples. First and last layers of a network are usually left in 8
    bits: give their blocks other bits. Memory: three arrays of every weight's shape,
    and the gradient of the block.

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780; Wei et al., "QDrop", arXiv:2203.05740. Code followed:
    SamsungLabs/Genie.

    >>> block = lambda p, x, quantize: x @ p["kernel"]
    >>> x = jnp.ones((4, 3))
    >>> params = {"kernel": jnp.array([[0.0], [0.45], [1.0]])}
    >>> key, y = jax.random.key(0), block(params, x, None)
    >>> found = reconstruct_block(key, block, params, x, y, bits=2, steps=2)
    >>> found.codes["kernel"].qvalue.tolist()
    [[0, 1, 3]]
    """
    check_arguments(reconstruct_block, locals())
    x, y = jnp.asarray(x), jnp.asarray(y)
    coarse = x if quantized is None else jnp.asarray(quantized)
    if not len(x) or len(x) != len(y) or coarse.shape != x.shape:
        raise InputError(
            "x, y and quantized must be as many examples, at least one; got shapes "
            f"{x.shape}, {y.shape} and {coarse.shape}"
        )
    named = {trees.path_name(p): w for p, w in trees.leaves_with_path(params)}
    names = [n for n, w in named.items() if re.search(match, n) and jnp.ndim(w) >= 2]
    if not names:
        raise InputError(f"match={match} finds no matrix; there are {', '.join(named)}")
    structure = jax.tree.structure(params)
    first = {n: init_rounding(to_matrix(named[n]), bits=bits) for n in names}
    kinds = _first_steps(apply_block, params, coarse, activation_bits)
    outputs = jax.eval_shape(lambda p: apply_block(p, x, lambda _, a: a), params).shape
    if outputs != y.shape:
        raise InputError(
            f"y must have the shape of the block's outputs, {outputs}; got {y.shape}"
        )

    def weights(values: dict[str, jax.Array]) -> Params:
        leaves = {**named, **{n: from_matrix(w, named[n]) for n, w in values.items()}}
        return jax.tree.unflatten(structure, list(leaves.values()))

    def joined(moved: dict[str, Any]) -> dict[str, SoftRounding]:
        return {
            n: s._replace(scale=moved["scale"][n], logits=moved["logits"][n])
            for n, s in first.items()
        }

    def dropped(key: jax.Array, rounded: jax.Array, exact: jax.Array) -> jax.Array:
        return jnp.where(jax.random.bernoulli(key, drop, exact.shape), exact, rounded)

    def loss(moved: dict[str, Any], key: jax.Array, number: jax.Array) -> jax.Array:
        draw, mix, key = jax.random.split(key, 3)
        chosen = jnp.arange(len(x))
        if batch_size < len(x):
            chosen = jax.random.randint(draw, (batch_size,), 0, len(x))
        given = dropped(mix, coarse[chosen], x[chosen])

        def quantize(place: int, a: jax.Array) -> jax.Array:
            step = kinds[place]._replace(scale=moved["steps"][place])
            return dropped(jax.random.fold_in(key, place), learned_step(a, step), a)

        parts = joined(moved)
        soft = weights({n: s.soft(bits) for n, s in parts.items()})
        apart = apply_block(soft, given, quantize) - y[chosen]
        apart = apart.astype(trees.accumulation_dtype(apart.dtype))
        error = jnp.mean(jnp.sum(apart**2, axis=-1))
        counts, beta = rounding_schedule(number, steps=steps)
        undecided = sum(
            rounding_regularizer(s.logits, beta).astype(error.dtype)
            for s in parts.values()
        )
        return error + jnp.asarray(penalty, error.dtype) * counts * undecided

    adam = optax.scale_by_adam()
    rates = {
        "scale": scale_rate,
        "logits": rounding_rate,
        "steps": activation_rate,
    }

    def step(carry: tuple, number: jax.Array) -> tuple[tuple, jax.Array]:
        moved, state = carry
        own = jax.random.fold_in(key, number)
        value, slope = jax.value_and_grad(loss)(moved, own, number)
        made: Any = adam.update(slope, state, moved)
        direction, state = made
        falling = (1 + jnp.cos(jnp.pi * number / steps)) / 2

        def rate(kind: str, like: jax.Array) -> jax.Array:
            by = 1 if kind == "logits" else falling
            return jnp.asarray(rates[kind] * by, like.dtype)

        moved = {
            kind: jax.tree.map(
                lambda p, d, k=kind: p - rate(k, p) * d, moved[kind], direction[kind]
            )
            for kind in moved
        }
        return (moved, state), value

    moved = {
        "scale": {n: s.scale for n, s in first.items()},
        "logits": {n: s.logits for n, s in first.items()},
        "steps": [k.scale for k in kinds],
    }
    jitted, told = jax.jit(step, donate_argnums=0), []
    carry = jax.tree.map(jnp.copy, (moved, adam.init(moved)))
    for number in range(steps):
        carry, value = jitted(carry, jnp.asarray(number, jnp.int32))
        told.append(value)
    moved = carry[0]
    codes = {n: s.hard(bits) for n, s in joined(moved).items()}
    found = tuple(
        k._replace(scale=s) for k, s in zip(kinds, moved["steps"], strict=True)
    )
    values = weights({n: c.dequantize() for n, c in codes.items()})
    return ReconstructedBlock(values, codes, found, jnp.stack(told))


def _first_steps(
    apply_block: ApplyBlock, params: Params, x: jax.Array, bits: Sequence[int]
) -> list[LearnedStep]:
    """The quantizers of the activations, fitted to what the block gives them."""
    seen: dict[int, jax.Array] = {}

    def run(params: Params, x: jax.Array) -> dict[int, jax.Array]:
        found: dict[int, jax.Array] = {}

        def look(number: int, a: jax.Array) -> jax.Array:
            found[number] = a
            return a

        apply_block(params, x, look)
        return found

    seen = jax.jit(run)(params, x)
    if sorted(seen) != list(range(len(bits))):
        raise InputError(
            f"activation_bits must name the bits of the {len(seen)} activations that "
            f"the block quantizes, numbered from 0; got {len(bits)} for the numbers "
            f"{sorted(seen)}"
        )
    return [init_step(seen[i], bits=b) for i, b in enumerate(bits)]
