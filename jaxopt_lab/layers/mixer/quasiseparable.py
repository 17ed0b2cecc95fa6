"""Semiseparable and quasiseparable matrices of sequences, dense and as scans."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments


class Direction(NamedTuple):
    """The parameters of one direction of a quasiseparable matrix.

    Attributes:
      dt: step sizes, ``(B, T, heads)``, not negative; 0: the token is passed over.
      b: rows that write to the state, ``(B, T, N)``.
      c: rows that read from it, ``(B, T, N)``.
    """

    dt: jax.Array
    b: jax.Array
    c: jax.Array


def semiseparable_matrix(
    dt: jax.Array, a: jax.Array, b: jax.Array, c: jax.Array
) -> jax.Array:
    r"""The lower triangular matrix of a selective scan, of rank N below the diagonal.

    .. math:: M_{ts} = c_t \cdot b_s\, dt_s \exp\Bigl(a \sum_{s < r \le t} dt_r\Bigr),
        \quad s \le t

    Args:
      dt: of ``Direction``.
      a: logarithm of the decay for a step of 1, ``(heads,)``, not positive.
      b: of ``Direction``.
      c: of ``Direction``.

    Returns:
      ``(B, heads, T, T)``.

    >>> one = jnp.ones((1, 2, 1))
    >>> semiseparable_matrix(one, jnp.zeros(1), one, one)[0, 0].tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    exponents = jnp.cumsum(dt * a[None, None], axis=1).swapaxes(1, 2)
    gaps = exponents[..., :, None] - exponents[..., None, :]
    lower = jnp.tril(jnp.ones(gaps.shape[-2:], bool))[None, None]
    # Above the diagonal the exponential may overflow: it is not formed there.
    zero = jnp.zeros((), gaps.dtype)
    decays = jnp.where(lower, jnp.exp(jnp.where(lower, gaps, zero)), zero)
    products = jnp.einsum("btn,bsn->bts", c, b)[:, None]
    return products * decays * dt.swapaxes(1, 2)[:, :, None, :]


def selective_scan(
    x: jax.Array,
    dt: jax.Array,
    a: jax.Array,
    b: jax.Array,
    c: jax.Array,
    *,
    chunk: Annotated[int, COUNT] = 64,
) -> jax.Array:
    r"""The product with ``semiseparable_matrix``, linear in the length.

    .. math:: h_t = e^{a\, dt_t} h_{t-1} + dt_t\, b_t x_t^T, \qquad y_t = c_t^T h_t

    Dense within chunks; an associative scan carries the states from one to the next.

    Args:
      x: ``(B, T, heads, P)``.
      dt: of ``Direction``.
      a: of ``semiseparable_matrix``.
      b: of ``Direction``.
      c: of ``Direction``.
      chunk: tokens of a chunk, which changes nothing but the cost.

    Returns:
      As ``x``. O(T heads (chunk + N) P) time, and a state of N x P numbers a head for
      each chunk.

    Raises:
      InputError: ``chunk`` is below 1, or shapes do not fit.

    >>> one = jnp.ones((1, 3, 1))
    >>> run = jax.jit(lambda x: selective_scan(x, one, jnp.zeros(1), one, one))
    >>> run(one[..., None]).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    check_arguments(selective_scan, {"chunk": chunk})
    _check(x, dt, a, b, c)
    batch, length, heads, width = x.shape
    chunk = min(chunk, max(length, 1))
    more = -length % chunk

    def cut(z: jax.Array) -> jax.Array:
        # A step of 0 changes no state.
        z = jnp.pad(z, ((0, 0), (0, more)) + ((0, 0),) * (z.ndim - 2))
        return z.reshape(batch, (length + more) // chunk, chunk, *z.shape[2:])

    xs, dts, bs, cs = map(cut, (x, dt, b, c))
    inside = _flat(xs), _flat(dts), _flat(bs), _flat(cs)
    matrix = semiseparable_matrix(inside[1], a, inside[2], inside[3])
    y = jnp.einsum("bhts,bshp->bthp", matrix, inside[0]).reshape(xs.shape)
    exponents = jnp.cumsum(dts * a[None, None, None], axis=2)
    last = exponents[:, :, -1:]
    written = xs * (jnp.exp(last - exponents) * dts)[..., None]
    states = jnp.einsum("bksn,bkshp->bkhnp", bs, written)
    decays = jnp.exp(last[:, :, 0])[..., None, None]

    def joined(one: tuple, two: tuple) -> tuple:
        return one[0] * two[0], two[0] * one[1] + two[1]

    _, ends = jax.lax.associative_scan(joined, (decays, states), axis=1)
    before = jnp.pad(ends[:, :-1], ((0, 0), (1, 0)) + ((0, 0),) * 3)
    carried = jnp.einsum("bktn,bkhnp->bkthp", cs, before)
    y = y + carried * jnp.exp(exponents)[..., None]
    return y.reshape(batch, length + more, heads, width)[:, :length]


def quasiseparable_mix(
    x: jax.Array,
    forward: Direction,
    backward: Direction,
    diagonal: jax.Array,
    a: jax.Array,
    *,
    chunk: Annotated[int, COUNT] = 64,
) -> jax.Array:
    """The product with ``quasiseparable_matrix``, linear in the length.

    Args:
      x: ``(B, T, heads, P)``.
      forward: parameters of the strictly lower part.
      backward: those of the strictly upper part.
      diagonal: ``(B, T, heads)``.
      a: of ``semiseparable_matrix``, of both.
      chunk: of ``selective_scan``; both directions are one call of it.

    Returns:
      As ``x``.

    Raises:
      InputError: ``chunk`` is below 1, or shapes do not fit.

    >>> one = jnp.ones((1, 3, 1))
    >>> way = Direction(one, one, one)
    >>> run = jax.jit(lambda x: quasiseparable_mix(x, way, way, 5 * one, jnp.zeros(1)))
    >>> run(one[..., None]).ravel().tolist()
    [7.0, 7.0, 7.0]
    """
    turned = [jnp.flip(z, axis=1) for z in (x, *backward)]
    both = [jnp.concatenate(pair) for pair in zip((x, *forward), turned, strict=True)]
    y = selective_scan(both[0], both[1], a, *both[2:], chunk=chunk)
    y = jnp.pad(y[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    ahead, behind = jnp.split(y, 2)
    return ahead + jnp.flip(behind, axis=1) + x * diagonal[..., None]


def quasiseparable_matrix(
    forward: Direction, backward: Direction, diagonal: jax.Array, a: jax.Array
) -> jax.Array:
    """A matrix whose blocks beside a free diagonal have rank N, dense.

    Args:
      forward: parameters of the strictly lower part.
      backward: those of the strictly upper part.
      diagonal: ``(B, T, heads)``.
      a: of ``semiseparable_matrix``.

    Returns:
      ``(B, heads, T, T)``: O(T^2), the reference of ``quasiseparable_mix``.

    >>> one = jnp.ones((1, 2, 1))
    >>> way = Direction(one, 3 * one, one)
    >>> run = jax.jit(lambda d: quasiseparable_matrix(way, way, d, jnp.zeros(1)))
    >>> run(one)[0, 0].tolist()
    [[1.0, 3.0], [3.0, 1.0]]
    """

    def shifted(way: Direction) -> jax.Array:
        matrix = semiseparable_matrix(way.dt, a, way.b, way.c)
        return jnp.pad(matrix[..., :-1, :], ((0, 0), (0, 0), (1, 0), (0, 0)))

    flipped = Direction(*(jnp.flip(z, axis=1) for z in backward))
    upper = jnp.flip(shifted(flipped), axis=(2, 3))
    identity = jnp.eye(diagonal.shape[1], dtype=diagonal.dtype)[None, None]
    free = diagonal.swapaxes(1, 2)[..., None] * identity
    return shifted(forward) + upper + free


def _flat(z: jax.Array) -> jax.Array:
    return z.reshape(z.shape[0] * z.shape[1], *z.shape[2:])


def _check(
    x: jax.Array, dt: jax.Array, a: jax.Array, b: jax.Array, c: jax.Array
) -> None:
    fits = (
        x.ndim == 4
        and dt.shape == x.shape[:3]
        and a.shape == x.shape[2:3]
        and b.shape == c.shape
        and b.shape[:-1] == x.shape[:2]
    )
    if not fits:
        raise InputError(
            "x, dt, a, b and c must be (B, T, heads, P), (B, T, heads), (heads,) and "
            f"twice (B, T, N); got {x.shape}, {dt.shape}, {a.shape}, {b.shape} and "
            f"{c.shape}"
        )
