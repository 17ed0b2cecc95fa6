"""The fit of codebooks and mappings to the outputs of a block."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.quantize.joint_codebook import (
    CODE_BITS,
    JointCodebook,
    MappingGradient,
    ScaleOf,
    Shared,
    codebook_weights,
    joint_codebook,
)


class JointCodebookFit(NamedTuple):
    """Codebooks that give a block's outputs.

    Attributes:
      codebooks: a tree like that of the weights, of ``JointCodebook``.
      losses: mean squared error of the batch before every step, ``(steps,)``.
      before: mean squared error of the k-means start, on all data.
      after: that of the result, never above it.
    """

    codebooks: PyTree
    losses: jax.Array
    before: jax.Array
    after: jax.Array

    def weights(self) -> PyTree:
        """The quantized weights, a tree like that of the weights."""
        return _weights_of(self.codebooks, "proximal")


def fit_joint_codebook(
    key: jax.Array,
    apply_block: Callable[[PyTree, jax.Array], jax.Array],
    x: jax.Array,
    y: jax.Array,
    weights: PyTree,
    *,
    groups: Annotated[int, COUNT] = 8,
    bits: Annotated[int, CODE_BITS] = 2,
    shared: Shared = "codebook",
    scale_of: ScaleOf = "max",
    mapping_gradient: MappingGradient = "proximal",
    steps: Annotated[int, COUNT] = 500,
    learning_rate: Annotated[float, POSITIVE] = 1e-3,
    mapping_rate: Annotated[float, POSITIVE] = 1e-2,
    mapping_optimizer: optax.GradientTransformation | None = None,
    batch_size: Annotated[int, COUNT] | None = None,
) -> JointCodebookFit:
    r"""JLCM: minimize :math:`\mathrm{mean}\,|y - f(\hat w, x)|^2` over all of them.

    Codebooks, scales and mappings of every matrix of a layer or block move together by
    Adam, in one scan.

    Args:
      key: of the grouping and of the batches.
      apply_block: ``apply_block(weights, x) -> outputs``.
      x: calibration inputs, ``(examples, ...)``.
      y: the outputs of the block in full precision.
      weights: a matrix ``(outputs, inputs)`` or a tree of them.
      groups: number of groups of rows of each matrix.
      bits: of a code.
      shared: see ``joint_codebook``; a scale that is a power of two stays.
      scale_of: see ``joint_codebook``.
      mapping_gradient: see ``codebook_weights``.
      steps: number of steps.
      learning_rate: of codebooks and scales.
      mapping_rate: of the logits.
      mapping_optimizer: of the logits, in place of Adam, such as ``optax.sgd(1.0)``.
        Adam divides the push of each codeword by its own size, which leaves the order
        of codewords to the start; gradient descent keeps the proximal weights.
      batch_size: examples of a step, drawn with replacement; ``None``: all.

    Returns:
      The fit: the last state, or the start where that has the smaller error.

    Raises:
      InputError: as ``joint_codebook``, no example, or outputs of another shape than y.

    Memory: three arrays of ``2 ** bits`` numbers a weight. First and last layers of a
    network are usually left out, in 8 bits. Also under ``jit``.

    >>> weight = jnp.array([[1.0, -0.5], [8.0, -4.0]])
    >>> x = jnp.eye(2)
    >>> found = fit_joint_codebook(
    ...     jax.random.key(0), lambda w, x: x @ w.T, x, x @ weight.T, weight,
    ...     groups=2, bits=1, steps=1,
    ... )
    >>> float(found.after), found.weights().tolist()
    (0.0, [[1.0, -0.5], [8.0, -4.0]])

    Source: as of ``joint_codebook``; rates and steps are ours.
    """
    check_arguments(fit_joint_codebook, locals())
    x, y = jnp.asarray(x), jnp.asarray(y)
    leaves, structure = jax.tree.flatten(weights)
    if not leaves:
        raise InputError("weights must hold at least one matrix; got none")
    if not len(x) or len(x) != len(y):
        raise InputError(
            f"x and y must be as many examples, at least one; got {len(x)} and {len(y)}"
        )
    outputs = jax.eval_shape(apply_block, weights, x).shape
    if outputs != y.shape:
        raise InputError(
            f"y must have the shape of the block's outputs, {outputs}; got {y.shape}"
        )
    batch_key, *keys = jax.random.split(key, 1 + len(leaves))
    start = [
        joint_codebook(
            k, leaf, groups=groups, bits=bits, shared=shared, scale_of=scale_of
        )
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    groups_of = [coded.group for coded in start]

    def joined(values: PyTree, logits: PyTree) -> PyTree:
        every = [
            JointCodebook(codebook, scale, m, group)
            for (codebook, scale), m, group in zip(
                values, logits, groups_of, strict=True
            )
        ]
        return jax.tree.unflatten(structure, every)

    def error(params: PyTree, x: jax.Array, y: jax.Array) -> jax.Array:
        found = apply_block(_weights_of(joined(*params), mapping_gradient), x)
        wide = trees.accumulation_dtype(found.dtype)
        return jnp.mean((found.astype(wide) - y.astype(wide)) ** 2)

    by_value = optax.adam(learning_rate)
    by_logit = mapping_optimizer or optax.adam(mapping_rate)

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        (values, logits), value_state, logit_state = carry
        batch = (x, y)
        if batch_size is not None:
            drawn = jax.random.randint(key, (batch_size,), 0, len(x))
            batch = (x[drawn], y[drawn])
        loss, (slope, push) = jax.value_and_grad(error)((values, logits), *batch)
        if shared == "nothing":
            slope = [(c, jnp.zeros_like(s)) for c, s in slope]
        change, value_state = by_value.update(slope, value_state, values)
        values = optax.apply_updates(values, change)
        change, logit_state = by_logit.update(push, logit_state, logits)
        logits = optax.apply_updates(logits, change)
        return ((values, logits), value_state, logit_state), loss

    first = ([(s.codebook, s.scale) for s in start], [s.logits for s in start])
    carry = first, by_value.init(first[0]), by_logit.init(first[1])

    @jax.jit
    def run(carry: tuple) -> tuple:
        first = carry[0]
        (last, *_), losses = jax.lax.scan(
            step, carry, jax.random.split(batch_key, steps)
        )
        before, after = error(first, x, y), error(last, x, y)
        # Not "after > before": an error that is NaN counts as worse.
        better = after <= before
        kept = trees.select(better, last, first)
        return kept, losses, before, jnp.where(better, after, before)

    kept, losses, before, after = run(carry)
    return JointCodebookFit(joined(*kept), losses, before, after)


def _weights_of(codebooks: PyTree, mapping_gradient: MappingGradient) -> PyTree:
    return jax.tree.map(
        lambda coded: codebook_weights(coded, mapping_gradient=mapping_gradient),
        codebooks,
        is_leaf=lambda node: isinstance(node, JointCodebook),
    )
