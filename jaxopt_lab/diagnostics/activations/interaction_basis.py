"""Local interaction basis: coordinates of layers by their effect on the next one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT_OR_ZERO,
    DECAY,
    NON_NEGATIVE,
    check_arguments,
)

Vector = Callable[[jax.Array], jax.Array]


class Basis(NamedTuple):
    """Coordinates of one layer, :math:`\\hat f = f C`.

    Attributes:
      c: C, ``(d, k)``; in each column the entry of largest size is positive.
      c_pinv: :math:`C^+`, ``(k, d)``, :math:`C^+ C = I`.
      eigenvalues: :math:`\\Lambda`, ``(k,)``, falling: the mean square of a coordinate,
        whose effect is 1.
      gram_rank: directions kept of the activations, k or more.
      gap: largest eigenvalue of the Gram matrix that was dropped over the smallest that
        was kept, 0 where none was dropped: the threshold should lie far from both.
    """

    c: np.ndarray
    c_pinv: np.ndarray
    eigenvalues: np.ndarray
    gram_rank: int
    gap: float


class InteractionBases(NamedTuple):
    """The bases of all layers.

    Attributes:
      value: sum of the eigenvalues of the first layer, its whole effect on the next.
      error: standard error of it over the examples, with the later bases as they are.
      bases: of the input, of every hidden layer and of the output.
    """

    value: float
    error: float
    bases: tuple[Basis, ...]


def folded_layer(
    weight: jax.Array,
    bias: jax.Array,
    activation: Vector | None = None,
    *,
    last: bool = False,
) -> Vector:
    """A dense layer on vectors that end with the constant 1, which carries the bias.

    Args:
      weight: ``(inputs, outputs)``.
      bias: ``(outputs,)``.
      activation: elementwise; ``None``: none.
      last: leave the constant out of the result.

    Returns:
      The map of ``(inputs + 1,)`` to ``(outputs + 1,)``, a ``jax.tree_util.Partial`` of
      the arrays, so that layers of the same shapes share programs.

    >>> layer = folded_layer(jnp.ones((2, 1)), jnp.full(1, 5.0))
    >>> layer(jnp.array([1.0, 2.0, 1.0])).tolist()
    [8.0, 1.0]
    """

    return jax.tree_util.Partial(_folded(activation, last), weight, bias)


@functools.cache
def _folded(activation: Vector | None, last: bool) -> Callable[..., jax.Array]:
    """The layer of any weights: programs are kept for its shapes."""

    def apply(weight: jax.Array, bias: jax.Array, f: jax.Array) -> jax.Array:
        y = f[:-1] @ weight + f[-1] * bias
        y = y if activation is None else activation(y)
        return y if last else jnp.concatenate([y, f[-1:]])

    return apply


def interaction_basis(
    layers: Sequence[Vector],
    x: Any,
    *,
    threshold: Annotated[float, DECAY] = 1e-5,
    relative: bool = True,
    smallest: Annotated[float, NON_NEGATIVE] = 1e-10,
    points: Annotated[int, COUNT_OR_ZERO] = 0,
    output: Literal["principal", "identity"] = "principal",
) -> InteractionBases:
    r"""Bases of all layers in which few coordinates interact.

    .. math::
        G = E f f^T = U D U^T, \qquad M' = E J^T C' C'^T J, \qquad
        D^{1/2} U^T M' U D^{1/2} = V \Lambda V^T, \qquad
        C = U D^{-1/2} V \Lambda^{1/2}

    from the output back to the input: G of a layer's activations, J the Jacobian of the
    next layer, C' its basis. Then :math:`C^T G C = \Lambda` and
    :math:`C^+ M' C^{+T} = I`: the coordinates are uncorrelated, and so are their
    effects. With distinct eigenvalues they do not depend, but for signs, on the
    coordinates that a layer is written in, also where activations are linearly
    dependent.

    Args:
      layers: functions of one vector each; with biases they take and return vectors
        that end with the constant 1, see ``folded_layer``. Those that are a
        ``jax.tree_util.Partial`` of one function and arrays of the same shapes share
        programs, so that many networks are compiled once.
      x: inputs, ``(n, d)``; float64 advised.
      threshold: eigenvalues of G up to this are dropped.
      relative: the threshold is relative to the largest one. An absolute one, as in
        the authors' code, depends on the scale of a layer.
      smallest: eigenvalues of :math:`\Lambda` up to this, relative to the largest, are
        dropped.
      points: of a Gauss-Legendre rule for the mean of J over the inputs a f with a in
        [0, 1]; 0: J at f. A constant 1 is scaled, too.
      output: the last basis, principal directions or the coordinates.

    Returns:
      ``InteractionBases``, arrays of NumPy: numbers of coordinates are known on the
      host only.

    Raises:
      InputError: an argument is out of range, there is no layer, or ``x`` is no matrix
        of finite floating numbers.

    One Jacobian an example at a time, by reverse mode for the coordinates of the next
    layer, and an eigendecomposition a layer. Equal eigenvalues leave a rotation free.

    Cost: a pass over the layers, a Jacobian of each layer an example (times
    ``points``), and an eigendecomposition of a matrix of each layer's width, on the
    host.

    Source: Bushnaq et al., "The Local Interaction Basis: Identifying
    Computationally-Relevant and Sparsely Interacting Features in Neural Networks", 2024
    (https://arxiv.org/abs/2405.10928). Code read: ApolloResearch/rib.

    >>> found = interaction_basis([lambda f: 2 * f], jnp.array([[1.0], [-3.0]]))
    >>> round(found.value, 4), found.bases[0].eigenvalues.round(4).tolist()
    (20.0, [20.0])
    """
    options = {n: v for n, v in locals().items() if n not in ("layers", "x")}
    check_arguments(interaction_basis, options)
    f = _examples(x, layers)
    *before, last = layers = [as_partial(layer) for layer in layers]
    activations = layer_activations(tuple(before), f) if before else [f]
    cut = _Cut(threshold, relative, smallest)
    bases: list[Basis] = []
    if output == "principal":
        outputs = layer_activations((last,), activations[-1])[-1]
        bases = [_output_basis(_gram(outputs), cut, output)]
    value = error = 0.0
    for layer, f in zip(reversed(layers), reversed(activations), strict=True):
        gram = _gram(f)
        one = jax.ShapeDtypeStruct(f.shape[1:], f.dtype)
        c = bases[0].c if bases else np.eye(*jax.eval_shape(layer, one).shape)
        effect, error, after = _effects(layer, f, c, gram, points)
        bases = bases or [_output_basis(after, cut, output)]
        bases.insert(0, _basis(gram, effect, cut))
        value = float(bases[0].eigenvalues.sum())
    return InteractionBases(value, error, tuple(bases))


def mean_jacobian(layer: Vector, f: jax.Array, c: jax.Array, points: int) -> jax.Array:
    """The Jacobian of coordinates of a layer, at a vector or averaged on the way to it.

    Args:
      layer: of a vector.
      f: the vector.
      c: ``(outputs, k)``, the coordinates.
      points: of a Gauss-Legendre rule on [0, 1]; 0: at ``f``.

    Returns:
      ``(k, inputs)``.

    >>> square = lambda f: f * f
    >>> mean_jacobian(square, jnp.array([3.0]), jnp.eye(1), 2).round(4).tolist()
    [[3.0]]
    """

    def at(v: jax.Array) -> jax.Array:
        _, back = jax.vjp(layer, v)
        return jax.vmap(lambda column: back(column)[0])(c.T)

    if not points:
        return at(f)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    rule = jnp.asarray(np.stack([(nodes + 1) / 2, weights / 2], 1), f.dtype)
    start = jnp.zeros((c.shape[1], f.shape[0]), f.dtype)
    add = lambda total, one: (total + one[1] * at(one[0] * f), None)
    return jax.lax.scan(add, start, rule)[0]


def as_partial(layer: Vector) -> jax.tree_util.Partial:
    """A layer as an argument of programs, which are kept for its function and shapes.

    Args:
      layer: any function.

    Returns:
      The layer itself if it is a ``jax.tree_util.Partial``, else one without arrays.

    >>> as_partial(jnp.cumsum)(jnp.ones(2)).tolist()
    [1.0, 2.0]
    """
    known = isinstance(layer, jax.tree_util.Partial)
    return layer if known else jax.tree_util.Partial(layer)


def padded(columns: np.ndarray, count: int) -> np.ndarray:
    """A matrix with columns of zeros behind its own.

    Args:
      columns: ``(d, k)``.
      count: columns of the result; fewer than k: k.

    Returns:
      ``(d, count)``: numbers of coordinates depend on the data, shapes of programs do
      not.

    >>> padded(np.ones((1, 2)), 3).tolist()
    [[1.0, 1.0, 0.0]]
    """
    more = max(count - columns.shape[1], 0)
    return np.pad(columns, ((0, 0), (0, more)))


@jax.jit
def _activations(layers: tuple[Vector, ...], x: jax.Array) -> list[jax.Array]:
    found = [x]
    for layer in layers:
        found.append(jax.vmap(layer)(found[-1]))
    return found


def layer_activations(layers: Sequence[Vector], x: jax.Array) -> list[jax.Array]:
    """The input and the activations of all layers, for every example.

    Args:
      layers: of one vector; see ``as_partial``.
      x: ``(n, d)``.

    Returns:
      One array more than layers.

    >>> [f.tolist() for f in layer_activations((jnp.cumsum,), jnp.ones((1, 2)))]
    [[[1.0, 1.0]], [[1.0, 2.0]]]
    """
    return _activations(tuple(as_partial(layer) for layer in layers), x)


class _Cut(NamedTuple):
    threshold: float
    relative: bool
    smallest: float


def _examples(x: Any, layers: Sequence[Vector]) -> jax.Array:
    f = jnp.asarray(x)
    known = f.ndim == 2 and f.size > 0 and jnp.issubdtype(f.dtype, jnp.floating)
    if not known or not np.all(np.isfinite(np.asarray(f))):
        raise InputError(
            f"x must be (n, d) of finite floating numbers; got {f.shape} of {f.dtype}"
            f"{'' if not known else ', not all finite'}"
        )
    if not layers:
        raise InputError("layers must hold at least one; got none")
    return f


def _gram(f: jax.Array) -> np.ndarray:
    f64 = np.asarray(f, np.float64)
    return f64.T @ f64 / f64.shape[0]


@functools.partial(jax.jit, static_argnums=1)
def _sums(layer: Vector, points: int, f: jax.Array, c: jax.Array, gram: Any) -> Any:
    """Of M' the sum over the examples, and the trace of each with the Gram matrix.

    And the sum of the products of the layer's outputs.
    """

    def one(totals: tuple[jax.Array, jax.Array], f: jax.Array) -> Any:
        jacobian, y = mean_jacobian(layer, f, c, points), layer(f)
        total = totals[0] + jacobian.T @ jacobian, totals[1] + jnp.outer(y, y)
        return total, jnp.sum((jacobian @ gram) * jacobian)

    size = c.shape[0]
    start = jnp.zeros_like(gram), jnp.zeros((size, size), f.dtype)
    return jax.lax.scan(one, start, f)


def _effects(
    layer: Vector, f: jax.Array, c: np.ndarray, gram: np.ndarray, points: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """M', the standard error of the trace of M' G, and the outputs' Gram matrix."""
    columns = jnp.asarray(padded(c, len(c)), f.dtype)
    gram_ = jnp.asarray(gram, f.dtype)
    (total, after), traces = _sums(layer, points, f, columns, gram_)
    count = f.shape[0]
    effect = np.asarray(total, np.float64) / count
    f64 = np.asarray(f, np.float64)
    own = np.einsum("ni,ij,nj->n", f64, effect, f64)
    # The trace is a product of two means: the sum of what an example moves either by.
    moved = np.asarray(traces, np.float64) + own
    error = float(np.std(moved, ddof=min(1, count - 1)) / np.sqrt(count))
    return effect, error, np.asarray(after, np.float64) / count


def _kept(gram: np.ndarray, cut: _Cut) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues and eigenvectors above the threshold, falling, and the gap."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    least = cut.threshold * (values[0] if cut.relative else 1.0)
    keep = values > max(least, 0.0)
    dropped = values[~keep]
    gap = 0.0
    if keep.any() and dropped.size:
        gap = float(max(dropped[0], 0.0) / values[keep][-1])
    return values[keep], vectors[:, keep], gap


def _output_basis(gram: np.ndarray, cut: _Cut, kind: str) -> Basis:
    d, u, gap = _kept(gram, cut)
    if kind == "identity":
        eye = np.eye(len(gram))
        return Basis(eye, eye, np.diag(gram).copy(), len(d), gap)
    u = u * _signs(u)
    return Basis(u, u.T, d, len(d), gap)


def _basis(gram: np.ndarray, effect: np.ndarray, cut: _Cut) -> Basis:
    d, u, gap = _kept(gram, cut)
    root = np.sqrt(d)
    half = u * root
    values, v = np.linalg.eigh(half.T @ effect @ half)
    values, v = values[::-1], v[:, ::-1]
    keep = values > cut.smallest * max(values[0], 0.0) if len(values) else []
    values, v = values[keep], v[:, keep]
    c = (u / root) @ v * np.sqrt(values)
    pinv = (half @ v / np.sqrt(values)).T
    signs = _signs(c)
    return Basis(c * signs, pinv * signs[:, None], values, len(d), gap)


def _signs(c: np.ndarray) -> np.ndarray:
    """Signs with which the largest entry of every column is positive."""
    if not c.size:
        return np.ones(c.shape[1])
    top = np.argmax(np.abs(c), axis=0)
    return np.where(c[top, np.arange(c.shape[1])] < 0, -1.0, 1.0)
