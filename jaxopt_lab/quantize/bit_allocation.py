"""Bits of each layer under a budget of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.kernel_matrix import from_matrix, to_matrix


class BitAllocation(NamedTuple):
    """The best bits of each layer.

    Attributes:
      bits: of every layer.
      error: sum of the layers' errors.
      size: sum of sizes times bits.
    """

    bits: tuple[int, ...]
    error: float
    size: float


def allocate_bits(
    errors: np.ndarray, sizes: Sequence[float], bits: Sequence[int], budget: float
) -> BitAllocation:
    r"""Minimize the sum of the layers' errors within a budget, exactly.

    .. math::
        \min_k \sum_i \Omega_{i k_i} \quad\text{subject to}\quad
        \sum_i n_i b_{k_i} \le B

    by the frontier of sizes and errors that no other choice for the first layers is
    better than in both.

    Args:
      errors: :math:`\Omega`, ``(layers, choices)``, as of ``sensitivities``.
      sizes: :math:`n_i`, number of weights of each layer.
      bits: :math:`b_k` of the choices.
      budget: B, bits in all.

    Returns:
      The optimum; of several, one of the smallest size.

    Raises:
      InputError: the shapes do not fit, an error is not finite, or no choice meets the
        budget.

    Cost: the frontier has at most as many points as there are sums of sizes.

    >>> allocate_bits([[3.0, 1.0], [2.0, 1.5]], [10, 10], [2, 4], 60).bits
    (4, 2)

    Source: Cai et al., "ZeroQ", arXiv:2001.00281.
    """
    table, counts = np.asarray(errors, float), np.asarray(sizes, float)
    if table.ndim != 2 or table.shape != (len(counts), len(bits)):
        raise InputError(
            "errors must be (layers, choices), as many as sizes and bits; got "
            f"{table.shape}, {len(counts)} sizes and {len(bits)} bits"
        )
    if not np.isfinite(table).all():
        raise InputError("an error of a layer is not finite")
    least = float(counts.sum() * min(bits))
    if least > budget:
        raise InputError(
            f"budget={budget:g} bits; the smallest choice, {min(bits)} bits for all, "
            f"takes {least:g}"
        )
    frontier: list[tuple[float, float, tuple[int, ...]]] = [(0.0, 0.0, ())]
    for row, count in zip(table, counts, strict=True):
        more = sorted(
            (size + count * b, error + e, (*chosen, b))
            for size, error, chosen in frontier
            for e, b in zip(row.tolist(), bits, strict=True)
            if size + count * b <= budget
        )
        frontier, best = [], float("inf")
        for point in more:
            if point[1] < best:
                frontier.append(point)
                best = point[1]
    size, error, chosen = min(frontier, key=lambda point: (point[1], point[0]))
    return BitAllocation(chosen, error, size)


def sensitivities(
    apply: Callable[[Params, Batch], jax.Array],
    params: Params,
    names: Sequence[str],
    grids: Sequence[Grid],
    inputs: Batch,
) -> np.ndarray:
    r"""Divergence of the outputs when one layer alone is on a grid.

    .. math::
        \Omega_{ik} = \frac1n \sum_x \mathrm{KL}(p(x) \,\|\, p_{ik}(x))

    of the softmax of the logits.

    Args:
      apply: ``apply(params, inputs) -> logits``, in evaluation mode.
      params: the parameters.
      names: paths of the layers (``"layer/kernel"``), the last axis their outputs.
      grids: the choices, one by one.
      inputs: examples; made from batch statistics where there are no data.

    Returns:
      ``(layers, choices)``, in nats. One compiled program for each grid and shape.

    Raises:
      InputError: there is no such path.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> model = lambda p, x: x @ p["kernel"]
    >>> params = {"kernel": jnp.array([[1.0, 0.3], [0.2, -1.0]])}
    >>> found = sensitivities(model, params, ["kernel"], [LinearGrid(8)], jnp.eye(2))
    >>> found.shape, bool(found[0, 0] < 1e-4)
    ((1, 1), True)
    """
    flat: Mapping[str, Any] = {
        trees.path_name(path): leaf for path, leaf in trees.leaves_with_path(params)
    }
    unknown = [name for name in names if name not in flat]
    if unknown:
        raise InputError(f"no leaf {unknown[0]!r}; there are {', '.join(flat)}")
    structure = jax.tree.structure(params)
    full = jax.jit(apply)(params, inputs)

    @jax.jit
    def divergence(full: jax.Array, changed: Params) -> jax.Array:
        expected = jax.nn.log_softmax(full)
        found = jax.nn.log_softmax(apply(changed, inputs))
        terms = jnp.exp(expected) * (expected - found)
        return jnp.mean(jnp.sum(terms, axis=-1))

    def on_grid(leaf: jax.Array, grid: Grid) -> jax.Array:
        return from_matrix(grid.encode(to_matrix(leaf)).dequantize(), leaf)

    def one(name: str, grid: Grid) -> float:
        changed = {**flat, name: jax.jit(on_grid, static_argnums=1)(flat[name], grid)}
        tree = jax.tree.unflatten(structure, list(changed.values()))
        return float(divergence(full, tree))

    return np.array([[one(name, grid) for grid in grids] for name in names])
