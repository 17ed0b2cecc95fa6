"""MgNO: a neural operator of multigrid cycles."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_images, without_padding
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.operator.grids import Boundary, Grid
from jaxopt_lab.layers.operator.multigrid import LECUN, Correction, multigrid_conv


def mgno(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    width: Annotated[int, COUNT] = 24,
    depth: Annotated[int, COUNT_OR_ZERO] = 4,
    levels: Annotated[int, COUNT] = 5,
    pre: Annotated[int, COUNT] = 1,
    post: Annotated[int, COUNT_OR_ZERO] = 0,
    coarsest: Annotated[int, COUNT] = 2,
    boundary: Boundary = "dirichlet",
    grid: Grid = "even",
    correction: Correction = "full",
    share: bool = False,
    zeros: bool = False,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Layers of a multigrid cycle and a point-wise map, without lifting.

    .. math:: u \leftarrow \text{gelu}(\mathcal W u + u K + b), \qquad y = u O

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      width: channels of the layers; the first maps the input to them.
      depth: number of layers; 0: the point-wise map O alone.
      levels: of ``multigrid_cycle``.
      pre: of ``multigrid_cycle``.
      post: of ``multigrid_cycle``.
      coarsest: of ``multigrid_cycle``.
      boundary: of ``multigrid_cycle``; the condition that the solutions meet.
      grid: of ``multigrid_cycle``.
      correction: of ``multigrid_cycle``.
      share: of ``multigrid_shapes``.
      zeros: of ``multigrid_cycle``.
      kernel_init: initializer of each kernel.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})``: of layer i the kernels of ``multigrid_conv`` as
      ``cycle_i_...``, ``point_i`` and ``bias_i``; and ``out``. ``apply`` as that of
      ``multigrid_conv``.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit, or
        the grid is too small for the levels.

    The parameters fit any grid of the kind. GELU is the exact one.

    Cost: ``depth`` cycles of ``multigrid_conv``, linear in the grid. Kept for the
    gradient: what they keep, and two arrays of ``width`` a point for each
    activation.

    Source: He et al., "MgNO: Efficient Parameterization of Linear Operators via
    Multigrid", 2023 (https://arxiv.org/abs/2310.19809). Code read: xlliu2017/MgNO.

    >>> net = mgno(1, width=2, depth=1, levels=1)
    >>> params = jax.eval_shape(net.init, jax.random.key(0))[0]
    >>> sorted(params)
    ['bias_0', 'cycle_0_operator_0', 'cycle_0_smooth_0', 'out', 'point_0']
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(mgno, given)
    widths = (features, *[width] * depth)
    outputs = features if out is None else out
    cycles = [
        multigrid_conv(
            one,
            out=other,
            levels=levels,
            pre=pre,
            post=post,
            coarsest=coarsest,
            boundary=boundary,
            grid=grid,
            correction=correction,
            share=share,
            zeros=zeros,
            kernel_init=kernel_init,
            param_dtype=param_dtype,
        )
        for one, other in itertools.pairwise(widths)
    ]

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params: dict[str, jax.Array] = {}
        for i, cycle in enumerate(cycles):
            own, other = jax.random.split(jax.random.fold_in(key, i))
            made = cycle.init(own)[0]
            params |= {f"cycle_{i}_{name}": leaf for name, leaf in made.items()}
            params[f"point_{i}"] = kernel_init(other, widths[i : i + 2], param_dtype)
            params[f"bias_{i}"] = jnp.zeros(widths[i + 1], param_dtype)
        last = jax.random.fold_in(key, depth)
        params["out"] = kernel_init(last, (widths[-1], outputs), param_dtype)
        return params, {}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_images("mgno", x, features, call.mask, what="functions")
        u = without_padding(x, valid)
        for i, cycle in enumerate(cycles):
            prefix = f"cycle_{i}_"
            own = {
                name.removeprefix(prefix): leaf
                for name, leaf in params.items()
                if name.startswith(prefix)
            }
            y = cycle.apply(own, {}, u, train=call.train)[0]
            y = y + u @ params[f"point_{i}"].astype(u.dtype)
            y = y + along(params[f"bias_{i}"], u)
            # Padding stays zero, as beyond a border, for the next cycle.
            u = without_padding(jax.nn.gelu(y, approximate=False), valid)
        y = u @ params["out"].astype(u.dtype)
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def pointwise(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """A map of every point alone, what is left without layers.

    Args:
      params: of ``mgno`` of depth 0.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.
    """
    return x @ params["out"]
