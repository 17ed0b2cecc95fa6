"""Curvature of a data set: means over batches of unequal weight.

.. math:: H v = \\sum_b n_b H_b v / \\sum_b n_b

A mean of the batches' means would overweight the examples of a short last batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import errors, loops, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, PyTree
from jaxopt_lab.curvature.operators import vector_trees
from jaxopt_lab.curvature.operators.blocks import Point
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    check_vector,
    make_operator,
    shapes_of,
)
from jaxopt_lab.curvature.operators.products import HessianProduct, Product

Reduce = Literal["auto", "loop", "scan"]


@dataclasses.dataclass(frozen=True)
class _Single:
    product: Product

    def __call__(self, data: tuple[Point, Batch], v: PyTree) -> PyTree:
        return self.product(data[0], data[1], v)


@dataclasses.dataclass(frozen=True)
class _Unrolled:
    product: Product

    def __call__(self, data: tuple[Point, tuple[Batch, ...]], v: PyTree) -> PyTree:
        point, batches = data
        sums = _first(self.product, point, batches[0], v)
        for batch in batches[1:]:
            sums = _add(self.product, point, batch, v, sums)
        return vector_trees.divided(*sums)


@dataclasses.dataclass(frozen=True)
class _Scanned:
    product: Product

    def __call__(self, data: tuple[Point, Batch], v: PyTree) -> PyTree:
        point, stacked = data
        start = _first(self.product, point, loops.take(stacked, 0), v)
        rest = jax.tree.map(lambda x: x[1:], stacked)

        def body(sums: Any, batch: Batch) -> tuple[Any, None]:
            return _add(self.product, point, batch, v, sums), None

        return vector_trees.divided(*jax.lax.scan(body, start, rest)[0])


@dataclasses.dataclass(frozen=True)
class _Linear:
    """Stored linear maps of the batches, and their weights."""

    def __call__(self, data: tuple[tuple[Any, ...], tuple[Any, ...]], v: PyTree) -> Any:
        maps, weights = data
        if len(maps) == 1:
            return maps[0](v)
        sums = (vector_trees.scale(weights[0], maps[0](v)), weights[0])
        for linear, weight in zip(maps[1:], weights[1:], strict=True):
            sums = _plus(sums, linear(v), weight)
        return vector_trees.divided(*sums)


def _plus(sums: tuple[PyTree, Array], item: PyTree, weight: Array) -> Any:
    return vector_trees.add_scaled(sums[0], weight, item), sums[1] + weight


def _first(product: Product, point: Point, batch: Batch, v: PyTree) -> Any:
    weight = product.weight(batch)
    return vector_trees.scale(weight, product(point, batch, v)), weight


def _add(product: Product, point: Point, batch: Batch, v: PyTree, sums: Any) -> Any:
    return _plus(sums, product(point, batch, v), product.weight(batch))


_run_first = jax.jit(_first, static_argnums=0)
_run_add = jax.jit(_add, static_argnums=0, donate_argnums=4)
_run_divide = jax.jit(vector_trees.divided, donate_argnums=0)


@partial(jax.jit, static_argnums=0)
def _linearized(product: HessianProduct, point: Point, batch: Batch) -> Any:
    return product.linear(point, batch), product.weight(batch)


def over_batches(
    product: Product,
    point: Point,
    batches: Iterable[Batch],
    *,
    reduce: Reduce = "auto",
    linearize: bool = False,
) -> Operator:
    """The operator of a data set from the product of one batch.

    Args:
      product: curvature of one batch.
      point: the parameters.
      batches: a list, or an object that can be iterated for every product.
      reduce: loop over the batches; see ``hessian``.
      linearize: store a linear map for each batch; for Hessians.

    Returns:
      The operator.

    Raises:
      InputError: the batches are exhausted by one pass, are none, or cannot be stacked;
        an option is unknown.
    """
    if reduce not in get_args(Reduce):
        raise errors.unknown("reduce", reduce, get_args(Reduce))
    like = shapes_of(point.free)
    check_batches(batches)
    if not isinstance(batches, list | tuple):
        if reduce == "scan" or linearize:
            option = 'reduce="scan"' if reduce == "scan" else "linearize=True"
            raise InputError(f"{option} holds all batches: give them as a list")
        return _streamed(product, point, batches, like)
    held = [jax.tree.map(jnp.asarray, batch) for batch in batches]
    if not held:
        raise InputError("batches must hold at least one batch; got none")
    if linearize:
        assert isinstance(product, HessianProduct)
        pairs = [_linearized(product, point, batch) for batch in held]
        maps, weights = zip(*pairs, strict=True)
        return make_operator(_Linear(), (maps, weights), like)
    if len(held) == 1:
        return make_operator(_Single(product), (point, held[0]), like)
    if _scans(reduce, product, point, held, like):
        return make_operator(_Scanned(product), (point, loops.stack(held)), like)

    def matvec(v: PyTree) -> PyTree:
        check_vector(v, like)
        return _host_loop(product, point, held, v)

    data = (point, tuple(held))
    return Operator(matvec, like, trees.count(like), _Unrolled(product), data)


def _host_loop(
    product: Product, point: Point, batches: Iterable[Batch], v: PyTree
) -> PyTree:
    sums = None
    for batch in batches:
        if sums is None:
            sums = _run_first(product, point, batch, v)
        else:
            sums = _run_add(product, point, batch, v, sums)
    if sums is None:
        raise InputError("batches must hold at least one batch; got none")
    return _run_divide(*sums)


def _streamed(
    product: Product, point: Point, batches: Iterable[Batch], like: PyTree
) -> Operator:
    def matvec(v: PyTree) -> PyTree:
        check_vector(v, like)
        return _host_loop(product, point, batches, v)

    return Operator(matvec, like, trees.count(like))


def check_batches(batches: Any) -> None:
    """Refuse what is no collection of batches, or is exhausted by one pass.

    Args:
      batches: the argument given.

    Raises:
      InputError: it is an iterator, or a single batch.
    """
    if isinstance(batches, Iterator):
        raise InputError(
            "batches must be a list, or an object that can be iterated for every "
            f"product; got a {type(batches).__name__}, which one pass uses up"
        )
    if isinstance(batches, Mapping) or hasattr(batches, "shape"):
        raise InputError(
            "batches must be a list of batches, [batch] for a single one; got a "
            f"{type(batches).__name__}"
        )


def _scans(
    reduce: Reduce, product: Product, point: Point, held: list[Batch], like: PyTree
) -> bool:
    shapes = [
        (jax.tree.structure(b), [(x.shape, x.dtype) for x in jax.tree.leaves(b)])
        for b in held
    ]
    same = all(s == shapes[0] for s in shapes)
    if reduce == "scan" and not same:
        raise InputError(
            'reduce="scan" needs batches of equal shapes: pad the last one and give '
            "its examples the weight 0 (example_weights=)"
        )
    if reduce != "auto" or not same:
        return reduce == "scan"
    mode = loops.choose("scan", product, point, held[0], like)
    return mode == "scan"
