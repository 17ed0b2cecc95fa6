"""Bases of the subspace that holds most of a matrix."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import errors
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.transforms.compressed import householder

Side = Literal["smaller", "left", "right"]


class Layout(NamedTuple):
    """The matrices that a tensor is read as, and the side that is projected.

    A tensor is the matrix of its last axis against all others together, so a
    convolution kernel HWIO is (H W I, O). With ``stacked`` its first axis counts
    matrices.

    Attributes:
      shape: shape of the tensor.
      stacked: whether the first axis counts equal layers.
      left: whether the rows are projected; else the columns.
    """

    shape: tuple[int, ...]
    stacked: bool
    left: bool

    @classmethod
    def of(cls, shape: tuple[int, ...], stacked: bool, side: Side) -> Layout:
        """The layout of a shape.

        Args:
          shape: shape of the tensor.
          stacked: whether the first axis counts equal layers.
          side: which side is projected.

        Returns:
          The layout.

        Raises:
          InputError: the side is unknown.

        >>> Layout.of((3, 3, 4, 6), False, "smaller").matrix
        (36, 6)
        """
        if side not in ("smaller", "left", "right"):
            raise errors.unknown("side", str(side), ("smaller", "left", "right"))
        made = cls(shape, stacked, True)
        rows, columns = made.matrix
        return made._replace(
            left=side == "left" or (side == "smaller" and rows <= columns)
        )

    @property
    def is_matrix(self) -> bool:
        """Whether there are two axes for a matrix."""
        return len(self.shape) >= 2 + self.stacked and math.prod(self.shape) > 0

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns of one matrix."""
        inner = self.shape[self.stacked :]
        return math.prod(inner[:-1]), inner[-1] if inner else 1

    @property
    def sides(self) -> tuple[int, int]:
        """Length of the side that is projected, and of the other."""
        rows, columns = self.matrix
        return (rows, columns) if self.left else (columns, rows)

    def read(self, x: jax.Array) -> jax.Array:
        """The tensor as matrices whose rows are projected.

        Args:
          x: tensor of the shape.

        Returns:
          ``(projected, other)``, stacked: ``(layers, projected, other)``.
        """
        x = x.reshape(*self.shape[: self.stacked], *self.matrix)
        return x if self.left else jnp.swapaxes(x, -1, -2)

    def write(self, x: jax.Array) -> jax.Array:
        """The tensor that ``read`` has read.

        Args:
          x: as ``read`` gives it.

        Returns:
          Tensor of the shape.
        """
        x = x if self.left else jnp.swapaxes(x, -1, -2)
        return x.reshape(self.shape)


def starting_basis(rows: int, rank: int, dtype: DTypeLike) -> jax.Array:
    """An orthonormal basis that favours no direction.

    Drawn once and for all from a fixed key. Simple vectors would not do: a gradient
    of logits is orthogonal to the constant one.

    Args:
      rows: length of the vectors.
      rank: number of them, at most ``rows``.
      dtype: floating type.

    Returns:
      ``(rows, rank)``, orthonormal columns.

    >>> basis = starting_basis(6, 2, jnp.float32)
    >>> bool(jnp.allclose(basis.T @ basis, jnp.eye(2), atol=1e-6))
    True
    """
    draw = jax.random.normal(jax.random.key(0), (rows, rank), jnp.float32)
    return orthonormal(draw.astype(dtype))


@jax.custom_jvp
def orthonormal(y: jax.Array) -> jax.Array:
    """Orthonormal columns that span those of a tall matrix, by Householder QR.

    The derivative is that of the QR factorisation. A column that depends on those
    before it, or a zero one, is replaced by whatever completes the basis, and the
    derivative takes it for constant; the true one does not exist there.

    Args:
      y: ``(rows, rank)``, ``rank <= rows``.

    Returns:
      The Q of its QR factorisation, unique up to the signs of its columns.

    >>> orthonormal(jnp.zeros((3, 2))).shape
    (3, 2)
    """
    if traced_for(y) == "cpu":
        return householder.q_factor(y)
    return jnp.linalg.qr(y)[0]


@orthonormal.defjvp
def _orthonormal_jvp(primals, tangents):
    (y,), (dy,) = primals, tangents
    q = orthonormal(y)
    r = jnp.triu(q.T @ y)
    size = jnp.abs(jnp.diagonal(r))
    least = jnp.max(size) * (len(size) * 8 * float(jnp.finfo(y.dtype).eps))
    lost = size <= least
    r = jnp.where(lost[:, None], jnp.eye(len(size), dtype=r.dtype), r)
    dy = jnp.where(lost[None, :], jnp.zeros_like(dy), dy)
    moved = jax.lax.linalg.triangular_solve(r, dy)
    inside = q.T @ moved
    below = jnp.tril(inside, -1)
    return q, q @ (below - below.T - inside) + moved


def cholesky_orthonormal(y: jax.Array) -> jax.Array:
    """Orthonormal columns by CholeskyQR2: only products and an r x r factorisation.

    The Householder QR of a sharded matrix gathers it; this sums r x r products over
    the devices. Twice, because once loses as many digits as the condition squared has.

    Args:
      y: ``(rows, rank)`` of full rank, with a condition below about 1e3 in float32 and
        1e7 in float64; worse ones give no numbers.

    Returns:
      The same Q as ``orthonormal``, up to the signs of its columns.
    """
    for _ in range(2):
        lower = jnp.linalg.cholesky(y.T @ y)
        y = jax.lax.linalg.triangular_solve(lower, y, lower=True, transpose_a=True)
    return y


def leading_left_vectors(a: jax.Array, rank: int) -> jax.Array:
    """The left singular vectors of the largest singular values, taken for constant.

    Their derivative is infinite where two singular values meet, as all do in a matrix
    of zeros.

    Args:
      a: ``(rows, columns)``.
      rank: number of vectors, at most the smaller side.

    Returns:
      ``(rows, rank)``.
    """
    u, _, _ = jnp.linalg.svd(jax.lax.stop_gradient(a), full_matrices=False)
    return u[:, :rank]
