"""JLCM for one matrix: codebook and mapping fitted to the gram matrix of the inputs."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, STATIC, check_arguments
from jaxopt_lab.quantize.joint_codebook import (
    CODE_BITS,
    JointCodebook,
    MappingGradient,
    Shared,
    codebook_weights,
    joint_codebook,
)
from jaxopt_lab.quantize.joint_codebook_fit import fit_joint_codebook
from jaxopt_lab.quantize.report import (
    QuantizerReport,
    calibration_error,
    check_gram,
    check_values,
)


class CodebookArray(NamedTuple):
    r"""A matrix of codewords, :math:`s_g c_a`.

    Attributes:
      qvalue: a, uint8, ``(outputs, inputs)``; by the size of the codewords.
      codebook: c, ``(1, codewords)``, or one row for each group.
      scale: :math:`s_g`, ``(groups,)``.
      group: g of every row, uint8, ``(outputs,)``.
    """

    qvalue: jax.Array
    codebook: jax.Array
    scale: jax.Array
    group: jax.Array

    def words(self) -> jax.Array:
        """The values of the codes in every row, ``(outputs, codewords)``."""
        return _words(*self[1:])

    def dequantize(self) -> jax.Array:
        """The values that the codes stand for."""
        return _values(*self)


@jax.jit
def _words(codebook: jax.Array, scale: jax.Array, group: jax.Array) -> jax.Array:
    rows = codebook[jnp.zeros_like(group) if len(codebook) == 1 else group]
    return scale[group][:, None] * rows


@jax.jit
def _values(qvalue: jax.Array, *words: jax.Array) -> jax.Array:
    return jnp.take_along_axis(_words(*words), qvalue.astype(jnp.int32), axis=1)


def jlcm(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Any = None,
    *,
    bits: Annotated[int, CODE_BITS, STATIC] = 2,
    groups: Annotated[int, COUNT, STATIC] = 8,
    shared: Shared = "codebook",
    mapping_gradient: MappingGradient = "proximal",
    steps: Annotated[int, COUNT_OR_ZERO, STATIC] = 500,
    seed: Annotated[int, COUNT_OR_ZERO, STATIC] = 0,
) -> tuple[CodebookArray, QuantizerReport]:
    r"""Codewords shared by groups of rows, learned together with their mapping.

    .. math:: \min_{c, s, a} \|(W - \hat w(c, s, a)) X^\top\|^2, \qquad
        \hat w = s_g c_a,

    by ``fit_joint_codebook`` on a root of :math:`X^\top X`, which has the same errors
    as the inputs themselves.

    Args:
      weight: W, ``(outputs, inputs)``.
      gram: :math:`X^\top X`, ``(inputs, inputs)``; ``None``: the identity.
      codec: not used; ``quantize_params`` hands one over.
      bits: of a code, 1 to 4: there are ``2 ** bits`` codewords.
      groups: of rows, at most 256; at most one for each row.
      shared: see ``joint_codebook``.
      mapping_gradient: see ``codebook_weights``.
      steps: of Adam; 0: each weight at the nearest codeword of the k-means start.
      seed: of the grouping.

    Returns:
      The codes and the report, whose ``nearest_error`` is that of the k-means start,
      never exceeded. ``nbytes`` counts packed codes, codewords and scales in their
      type, and a byte for the group of a row; none where there is one group.

    Raises:
      InputError: as of ``joint_codebook``, more than 256 groups, a gram matrix of
        another shape or, outside of ``jit``, values that are not finite.

    Memory: as of ``fit_joint_codebook``. No derivative.

    >>> w = jnp.array([[1.0, 0.2, 1.1, 0.3]])
    >>> found, report = jlcm(w, bits=1, steps=0)
    >>> found.qvalue.tolist(), report.nbytes
    ([[1, 0, 1, 0]], 9)

    Source: the abstract of JLCM (joint learning of codebook and mapping); there is no
    public code. The layer-wise objective is ours.
    """
    check_arguments(jlcm, locals())
    del codec
    weight = jnp.asarray(weight)
    count = groups if weight.ndim != 2 else min(groups, len(weight))
    if count > 256:
        raise InputError(f"groups must be at most 256; got {groups}")
    # Refuses what is no matrix.
    jax.eval_shape(lambda w: joint_codebook(jax.random.key(0), w, groups=count), weight)
    if gram is not None:
        check_gram(gram, weight.shape[1])
    check_values("jlcm", weight=weight, gram=gram)
    fixed = count, bits, shared, mapping_gradient, steps, seed
    found, error, nearest = _fitted(weight, gram, *fixed)
    nbytes = math.ceil(weight.size * bits / 8) + trees.nbytes(found.codebook)
    nbytes += trees.nbytes(found.scale) + len(weight) if count > 1 else 0
    return found, QuantizerReport(error, nearest, nbytes)


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5, 6, 7))
def _fitted(
    weight: jax.Array,
    gram: jax.Array | None,
    groups: int,
    bits: int,
    shared: Shared,
    mapping_gradient: MappingGradient,
    steps: int,
    seed: int,
) -> tuple[CodebookArray, jax.Array, jax.Array]:
    """Codes, their error and that of the start."""
    key = jax.random.key(seed)
    options: Any = {"groups": groups, "bits": bits, "shared": shared}
    wide = weight.astype(trees.accumulation_dtype(weight.dtype))
    # The start of the fit, by its key.
    found = start = joint_codebook(jax.random.split(key)[1], wide, **options)
    if steps:
        root = _root(gram, wide)
        found = fit_joint_codebook(
            key,
            lambda w, x: jnp.matmul(x, w.T, precision="highest"),
            root,
            jnp.matmul(root, wide.T, precision="highest"),
            wide,
            mapping_gradient=mapping_gradient,
            steps=steps,
            **options,
        ).codebooks
    error, nearest = (
        calibration_error(wide, codebook_weights(c), gram) for c in (found, start)
    )
    better = error <= nearest
    found = trees.select(better, found, start)
    return _coded(found), jnp.where(better, error, nearest), nearest


def _root(gram: jax.Array | None, wide: jax.Array) -> jax.Array:
    """A matrix F with F^T F = G."""
    inputs = wide.shape[1]
    if gram is None:
        return jnp.eye(inputs, dtype=wide.dtype)
    values, vectors = jnp.linalg.eigh(gram.astype(wide.dtype))
    return trees.safe_sqrt(jnp.maximum(values, 0))[:, None] * vectors.T


def _coded(found: JointCodebook) -> CodebookArray:
    """Codes in the order of the codewords; the scale of a single group is 1."""
    codebook, scale = found.codebook, found.scale
    if len(scale) == 1:
        codebook, scale = codebook * scale[:, None], jnp.ones_like(scale)
    order = jnp.argsort(codebook, axis=1, stable=True)
    place = jnp.argsort(order, axis=1, stable=True)
    shared = len(codebook) == 1
    rows = place[jnp.zeros_like(found.group) if shared else found.group]
    codes = jnp.take_along_axis(rows, found.codes, axis=1)
    return CodebookArray(
        codes.astype(jnp.uint8),
        jnp.take_along_axis(codebook, order, axis=1),
        scale,
        found.group.astype(jnp.uint8),
    )
