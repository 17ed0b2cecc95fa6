"""Small pieces that several models are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.models.configs import DTypeName, ResNetConfig, WideResNetConfig
from jaxopt_lab.lab.models.norms import Norm
from jaxopt_lab.layers.block.residual_scale import ResidualScale, fixup_factors
from jaxopt_lab.layers.nnx_module import NnxLayer
from jaxopt_lab.training import from_nnx
from jaxopt_lab.training.mixed_precision import computing_in

ImageNorms: TypeAlias = ResNetConfig | WideResNetConfig
Initializer: TypeAlias = Callable[..., jax.Array]


class DTypes(TypedDict):
    """The two type arguments of a flax layer, to be given as ``**types``."""

    dtype: jnp.dtype
    param_dtype: jnp.dtype


def dtypes(name: DTypeName) -> DTypes:
    """The types of computation and parameters that a configuration asks for.

    Args:
      name: "float32"; "bfloat16", computation alone; "float64", both.

    Returns:
      The two keyword arguments of a flax layer.

    Raises:
      InputError: an unknown name, or float64 without ``jax_enable_x64``.
    """
    if name not in ("float32", "bfloat16", "float64"):
        raise InputError(f"dtype must be float32, bfloat16 or float64; got {name!r}")
    if name == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError("dtype=float64 needs JAX_ENABLE_X64=1 in the environment")
    wide = "float64" if name == "float64" else "float32"
    return DTypes(dtype=jnp.dtype(name), param_dtype=jnp.dtype(wide))


def conv(
    in_channels: int,
    channels: int,
    size: int,
    *,
    stride: int = 1,
    bias: bool = False,
    init: Initializer | None = None,
    types: DTypes,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A square convolution, padded to keep the size, with He's initial weights."""
    return nnx.Conv(
        in_channels,
        channels,
        (size, size),
        strides=stride,
        use_bias=bias,
        kernel_init=nnx.initializers.he_normal() if init is None else init,
        rngs=rngs,
        **types,
    )


def initial_factors(
    kind: ResidualScale, modules: int, layers: int
) -> tuple[float, ...]:
    """Factors of the initial weights of the layers of a residual module.

    Args:
      kind: its residual scale.
      modules: of the network.
      layers: of the module.

    Returns:
      Those of Fixup; ones for other scales.
    """
    if kind == "fixup":
        return fixup_factors(modules, layers)
    return (1.0,) * layers


def times(init: Initializer, factor: float) -> Initializer:
    """An initializer whose numbers are multiplied by a constant."""
    if factor == 1:
        return init
    return lambda *args: init(*args) * factor


class MakeNorm:
    """Makes the normalizations of a network of images.

    Args:
      config: with ``norm`` and ``groups``.
      norm: a layer of the catalog, or None for the model's own.
      types: of the layers.
      rngs: random streams.
    """

    def __init__(
        self, config: ImageNorms, norm: Norm | None, types: DTypes, rngs: nnx.Rngs
    ) -> None:
        self.config, self.norm, self.types, self.rngs = config, norm, types, rngs

    @property
    def activates(self) -> bool:
        """Whether they are activations, too."""
        return self.norm is not None and self.norm.activates

    def __call__(self, channels: int, index: int, *, activate: bool = True) -> Any:
        """One of them.

        Args:
          channels: size of the last axis.
          index: depth of its block, from 1.
          activate: whether an activation comes behind it.

        Returns:
          Batch normalization (averages with momentum 0.9), group normalization, or the
          layer of the catalog.
        """
        types, rngs = self.types, self.rngs
        if self.norm is not None:
            return self.norm(
                channels, index=index, types=types, rngs=rngs, activate=activate
            )
        if self.config.norm == "group":
            groups = self.config.groups
            return nnx.GroupNorm(channels, num_groups=groups, rngs=rngs, **types)
        layer = nnx.BatchNorm(channels, momentum=0.9, rngs=rngs, **types)
        for average in (layer.mean, layer.var):
            # flax makes them float32, whatever the parameters are.
            average.set_value(average.get_value().astype(types["param_dtype"]))
        return layer


def with_batch_axis(
    build: Callable[[nnx.Rngs], nnx.Module], axis_name: str
) -> Callable[[nnx.Rngs], nnx.Module]:
    """A model whose batch statistics are means over a devices' axis too.

    Args:
      build: makes the module.
      axis_name: an axis that is bound wherever the module is called in training.

    Returns:
      A function that makes it with all its batch normalisations and layers of the
      catalog told.
    """

    def built(rngs: nnx.Rngs) -> nnx.Module:
        module = build(rngs)
        for _, node in nnx.iter_graph(module):
            if isinstance(node, nnx.BatchNorm | NnxLayer):
                node.axis_name = axis_name
        return module

    return built


def functional(
    build: Callable[[nnx.Rngs], nnx.Module],
    batch_axis: str | None,
    dtype: str | None,
    around: Callable[[Any], Any] | None = None,
) -> Functional:
    """A module as pure functions, told of the devices and of the type it computes in.

    Args:
      build: makes the module.
      batch_axis: as in ``with_batch_axis``; ``None``: none.
      dtype: type in which its layers compute; ``None``: their own.
      around: of ``Wanted``.

    Returns:
      The functions.
    """
    if around is not None:
        inner, build = build, lambda rngs: around(inner(rngs))
    if batch_axis is not None:
        build = with_batch_axis(build, batch_axis)
    return from_nnx(build if dtype is None else computing_in(build, dtype))


class Dropout(nnx.Module):
    """Dropout that takes its key at the call, and says so when there is none."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.layer = nnx.Dropout(rate, rngs=None)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
        if self.rate > 0 and not self.layer.deterministic and rngs is None:
            raise InputError(
                f"dropout={self.rate} draws random numbers; pass key= to apply "
                "when train=True"
            )
        return self.layer(x, rngs=rngs)
