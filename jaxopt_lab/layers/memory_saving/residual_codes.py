"""Codes of few bits of what a backward pass needs, on a range that runs along."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.codecs.packing import pack, unpack
from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, DECAY, STATIC, Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype

Rounding = Literal["stochastic", "nearest"]
State = dict[str, jax.Array]


class Grid(NamedTuple):
    """Range and lowest value of the codes of each group, ``(groups,)``."""

    range: jax.Array
    low: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compression:
    """The form in which an array is kept for the backward pass.

    Attributes:
      groups: groups of consecutive features, each with a range of its own; divides
        the features.
      bits: of a code, at most 8; two codes of at most 4 bits share a byte.
      decay: fraction of the running range that is kept at a step; the first batch
        sets it.
      rounding: ``"stochastic"``, without bias, for which training needs a key; or
        ``"nearest"``.
      state_dtype: type of the running range.
    """

    groups: Annotated[int, COUNT] = 1
    bits: Annotated[int, Interval(1, 8)] = 8
    decay: Annotated[float, DECAY, STATIC] = 0.9
    rounding: Rounding = "stochastic"
    state_dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        check_arguments(Compression, vars(self))

    @property
    def levels(self) -> int:
        """The highest code."""
        return 2**self.bits - 1

    def init(self) -> State:
        """The state before the first batch: range and lowest value, and 0 for none."""
        zeros = jnp.zeros(self.groups, self.state_dtype)
        return {"range": zeros, "low": zeros, "started": jnp.zeros((), jnp.int32)}

    def moved(
        self,
        state: State,
        x: jax.Array,
        *,
        axis: int = -1,
        valid: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> State:
        """The running range after another array.

        Args:
          state: as ``init`` makes it.
          x: the array; nothing is differentiated.
          axis: axis of the groups.
          valid: where a number counts, broadcast to ``x``; ``None``: everywhere.
          axis_name: axis of devices over which the array is divided.

        Returns:
          The state; as it was where nothing is valid.
        """
        x = jax.lax.stop_gradient(x)
        inside = None
        if valid is not None:
            inside = self._grouped(jnp.broadcast_to(valid, x.shape), axis)
        x = self._grouped(x, axis)
        x = x.astype(accumulation_dtype(x.dtype))
        axes = tuple(i for i in range(x.ndim) if i != _place(axis, x.ndim))
        low = jnp.min(x, axes, initial=jnp.inf, where=inside)
        high = jnp.max(x, axes, initial=-jnp.inf, where=inside)
        if axis_name is not None:
            low, high = jax.lax.pmin(low, axis_name), jax.lax.pmax(high, axis_name)
        # Without a number low is above high; NaN is neither and shows.
        empty = low > high
        measured = {"range": high - low, "low": low}
        first = state["started"] == 0
        after = {"started": jnp.where(jnp.all(empty), state["started"], 1)}
        for name, value in measured.items():
            old = state[name].astype(value.dtype)
            step = jnp.where(empty, 0, value - old)
            rate = jnp.where(first, 1.0, 1 - self.decay).astype(value.dtype)
            # A sum of two parts would not give the value itself at rate 1.
            new = jnp.where(first & ~empty, value, old + rate * step)
            after[name] = new.astype(state[name].dtype)
        after["started"] = after["started"].astype(state["started"].dtype)
        return {name: after[name] for name in state}

    def encode(
        self, x: jax.Array, grid: Grid, uniform: jax.Array | None, axis: int = -1
    ) -> jax.Array:
        """Codes of an array, clamped to the grid.

        Args:
          x: the array.
          grid: of its groups.
          uniform: uniform numbers in [0, 1) of the shape of ``x``; ``None`` rounds to
            the nearest code.
          axis: axis of the groups.

        Returns:
          Bytes: of the shape of ``x``, or with half the last axis for two codes each.
        """
        scale, low = self._of(grid, x, axis)
        at = (self._grouped(x, axis).astype(low.dtype) - low) * self.levels
        at = quotient(at, jnp.where(scale > 0, scale, jnp.inf))
        at = self._merged(at, axis)
        if uniform is not None:
            at = at + (uniform.astype(at.dtype) - 0.5)
        codes = jnp.clip(jnp.rint(at), 0, self.levels).astype(jnp.uint8)
        if self.bits > 4:
            return codes
        odd = codes.shape[-1] % 2
        codes = jnp.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, odd)])
        codes = codes.reshape(*codes.shape[:-1], 2, codes.shape[-1] // 2)
        return pack(codes)[..., 0, :]

    def decode(
        self, codes: jax.Array, grid: Grid, like: jax.ShapeDtypeStruct, axis: int = -1
    ) -> jax.Array:
        """The array that codes stand for.

        Args:
          codes: of ``encode``.
          grid: as there.
          like: shape and type of the array.
          axis: as there.

        Returns:
          An array of this shape and type.
        """
        if self.bits <= 4:
            codes = unpack(codes[..., None, :])
            codes = codes.reshape(*codes.shape[:-2], -1)[..., : like.shape[-1]]
        scale, low = self._of(grid, like, axis)
        x = self._grouped(codes, axis).astype(low.dtype)
        x = x * (scale / self.levels) + low
        return self._merged(x, axis).astype(like.dtype)

    def uniform(self, layer: str, key: jax.Array | None, x: Any) -> jax.Array | None:
        """The numbers that stochastic rounding takes; ``None`` for the nearest.

        Args:
          layer: name of the layer, for the message.
          key: a key, or ``None``.
          x: gives the shape.

        Raises:
          InputError: rounding is stochastic and there is no key.
        """
        if self.rounding == "nearest":
            return None
        if key is None:
            raise InputError(
                f"{layer} rounds stochastically in training; pass key= (rngs= to a "
                "module), or take rounding='nearest'"
            )
        return jax.random.uniform(key, x.shape, jnp.float32)

    def _of(self, grid: Grid, x: Any, axis: int) -> tuple[jax.Array, jax.Array]:
        """Range and lowest value, with the axes of a grouped ``x``."""
        wide = accumulation_dtype(x.dtype)
        ndim = len(x.shape) + 1
        shape = [1] * ndim
        shape[_place(axis, ndim)] = self.groups
        scale, low = (part.astype(wide).reshape(shape) for part in grid)
        return jnp.abs(scale), low

    def _grouped(self, x: jax.Array, axis: int) -> jax.Array:
        """``x`` with its axis cut into groups and their members."""
        axis = axis % x.ndim
        size = x.shape[axis]
        if size % self.groups:
            raise InputError(
                f"groups={self.groups} must divide the {size} entries of the axis; "
                f"got shape {x.shape}"
            )
        cut = (self.groups, size // self.groups)
        return x.reshape(x.shape[:axis] + cut + x.shape[axis + 1 :])

    def _merged(self, x: jax.Array, axis: int) -> jax.Array:
        at = _place(axis, x.ndim)
        size = x.shape[at] * x.shape[at + 1]
        return x.reshape((*x.shape[:at], size, *x.shape[at + 2 :]))


def _place(axis: int, grouped_ndim: int) -> int:
    """The axis of the groups in an array that has one axis more."""
    return axis % (grouped_ndim - 1)


def grid_of(state: State) -> Grid:
    """The grid that a state says.

    Args:
      state: as ``Compression.init`` makes it.

    Returns:
      It; nothing is differentiated.

    >>> Compression(groups=2).init()["range"].shape
    (2,)
    """
    return Grid(*jax.lax.stop_gradient((state["range"], state["low"])))


@jax.custom_jvp
def first_order_only(x: jax.Array) -> jax.Array:
    """``x``; differentiating it is an error.

    Args:
      x: an argument of the forward pass of a custom rule, where it is differentiated
        for a derivative of the gradient alone.

    Returns:
      ``x``.

    Raises:
      InputError: it is differentiated.

    >>> float(first_order_only(jnp.array(2.0)))
    2.0
    """
    return x


@first_order_only.defjvp
def _(primals: Any, tangents: Any) -> Any:
    raise InputError(
        "a layer whose backward pass works on codes or samples has first derivatives "
        "only; take the plain layer where a gradient is differentiated again"
    )
