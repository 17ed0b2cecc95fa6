"""Multigrid cycles with learned operators, and the layer of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_images, without_padding
from jaxopt_lab.layers.operator.grids import (
    Boundary,
    Grid,
    check_grid,
    on_grid,
    to_coarse,
    to_fine,
)

Correction = Literal["residual", "full"]
LECUN = jax.nn.initializers.lecun_normal()


def multigrid_cycle(
    params: Mapping[str, jax.Array],
    f: jax.Array,
    *,
    levels: Annotated[int, COUNT] = 5,
    pre: Annotated[int, COUNT] = 1,
    post: Annotated[int, COUNT_OR_ZERO] = 0,
    coarsest: Annotated[int, COUNT] = 2,
    boundary: Boundary = "dirichlet",
    grid: Grid = "even",
    correction: Correction = "full",
    zeros: bool = False,
) -> jax.Array:
    r"""One V-cycle from zero for :math:`A u = f`, with convolutions for all operators.

    On each grid, smoothing steps, the coarse grid's cycle, and smoothing steps again:

    .. math:: u \leftarrow u + S_j (f_j - A_j u), \qquad
        f_{j+1} = R_j (f_j - A_j u_j), \qquad u_j \leftarrow u_j + P_j u_{j+1}

    It is linear in f. With the operators of a discretization it is that of textbooks:
    see the example of ``multigrid_params``.

    Args:
      params: kernels without biases, by grid j from the finest: ``smooth_j`` ``(steps,
        3, 3, inputs, outputs)``; ``operator_j`` ``(uses, 3, 3, outputs, inputs)``, one
        for each use or a single one for all; and, but for the coarsest, ``restrict_j``
        and ``prolong_j``, for the full correction ``start_j`` too.
      f: ``(B, height, width, inputs)``.
      levels: number of grids.
      pre: smoothing steps before the correction; the first, from 0, is :math:`S f`.
      post: smoothing steps behind it.
      coarsest: smoothing steps on the coarsest grid.
      boundary: values beyond the border: ``"dirichlet"``, 0; ``"periodic"``, those of
        the other side; ``"neumann"``, mirrored.
      grid: ``"even"``, sizes halve and the coarse points are 0, 2, ...; ``"odd"``, the
        same with the last point too, as grids with both ends; ``"nested"``, the coarse
        points are 1, 3, ..., as grids within a border of zeros.
      correction: ``"residual"``, the textbooks', from 0 on the coarse grid; ``"full"``,
        the authors' default: the coarse grid gets :math:`R_j f_j` and starts from
        :math:`\Pi_j u_j`, which is not subtracted again.
      zeros: of ``to_fine``; with a periodic border the authors' code does so, and the
        cycle then sees the border.

    Returns:
      u, ``(B, height, width, outputs)``; without ``zeros`` a periodic cycle commutes
      with shifts by ``2 ** (levels - 1)`` points.

    Raises:
      InputError: an argument is out of range, or the grid is too small for the levels.

    At most 4/3 of the finest grid's work. Every intermediate function is kept for the
    gradient.

    Source: He et al., "MgNO: Efficient Parameterization of Linear Operators via
    Multigrid", 2023 (https://arxiv.org/abs/2310.19809). Code read: xlliu2017/MgNO.

    >>> params = {"smooth_0": jnp.ones((1, 3, 3, 1, 1)) / 9}
    >>> run = jax.jit(lambda f: multigrid_cycle(params, f, levels=1, coarsest=1))
    >>> run(jnp.full((1, 3, 3, 1), 9.0))[0, 1, 1].tolist()
    [9.0]
    """
    options = {n: v for n, v in locals().items() if n not in ("params", "f")}
    check_arguments(multigrid_cycle, options)
    check_grid("multigrid_cycle", f.shape[1:3], levels, grid, boundary)

    def cycle(j: int, f: jax.Array, u: jax.Array | None) -> jax.Array:
        last = j == levels - 1
        used = 0

        def residual(u: jax.Array | None) -> jax.Array:
            nonlocal used
            if u is None:
                return f
            kernels = params[f"operator_{j}"]
            kernel = kernels[used if kernels.shape[0] > 1 else 0]
            used += 1
            return f - on_grid(u, kernel, boundary)

        def smoothed(u: jax.Array | None, step: int) -> jax.Array:
            change = on_grid(residual(u), params[f"smooth_{j}"][step], boundary)
            return change if u is None else u + change

        for step in range(coarsest if last else pre):
            u = smoothed(u, step)
        if not last:
            below = residual(u) if correction == "residual" else f
            below = to_coarse(below, params[f"restrict_{j}"], boundary, grid)
            assert u is not None  # at least one step of smoothing
            start = None
            if correction == "full":
                start = to_coarse(u, params[f"start_{j}"], boundary, grid)
            coarse = cycle(j + 1, below, start)
            u = u + to_fine(coarse, params[f"prolong_{j}"], boundary, grid, zeros=zeros)
            for step in range(pre, pre + post):
                u = smoothed(u, step)
        assert u is not None
        return u

    return cycle(0, f, None)


def multigrid_shapes(
    inputs: int,
    outputs: int,
    *,
    levels: Annotated[int, COUNT] = 5,
    pre: Annotated[int, COUNT] = 1,
    post: Annotated[int, COUNT_OR_ZERO] = 0,
    coarsest: Annotated[int, COUNT] = 2,
    grid: Grid = "even",
    correction: Correction = "full",
    share: bool = False,
) -> dict[str, tuple[int, ...]]:
    """The shapes of the kernels of ``multigrid_cycle``, whatever the size of the grid.

    Args:
      inputs: channels of f.
      outputs: channels of u.
      levels: of ``multigrid_cycle``.
      pre: of ``multigrid_cycle``.
      post: of ``multigrid_cycle``.
      coarsest: of ``multigrid_cycle``.
      grid: of ``multigrid_cycle``.
      correction: of ``multigrid_cycle``.
      share: one operator a grid for all of its uses; the authors have one for each.

    Returns:
      Shapes by name.

    Raises:
      InputError: an argument is out of range.

    >>> multigrid_shapes(1, 2, levels=1)
    {'smooth_0': (2, 3, 3, 1, 2), 'operator_0': (1, 3, 3, 2, 1)}
    """
    check_arguments(multigrid_shapes, locals())
    shapes: dict[str, tuple[int, ...]] = {}
    wide = 4 if grid == "even" else 3
    for j in range(levels):
        last = j == levels - 1
        steps = coarsest if last else pre + post
        # The first step from 0 needs none, the restricted residual one more.
        uses = steps - (j == 0 or correction == "residual")
        uses += not last and correction == "residual"
        shapes[f"smooth_{j}"] = (steps, 3, 3, inputs, outputs)
        if uses:
            count = 1 if share else uses
            shapes[f"operator_{j}"] = (count, 3, 3, outputs, inputs)
        if not last:
            shapes[f"restrict_{j}"] = (3, 3, inputs, inputs)
            shapes[f"prolong_{j}"] = (wide, wide, outputs, outputs)
            if correction == "full":
                shapes[f"start_{j}"] = (3, 3, outputs, outputs)
    return shapes


def multigrid_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
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
    """A linear map of functions on a grid by one multigrid cycle.

    It has the receptive field of the whole grid, and as many parameters on any.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      levels: of ``multigrid_cycle``.
      pre: of ``multigrid_cycle``.
      post: of ``multigrid_cycle``.
      coarsest: of ``multigrid_cycle``.
      boundary: of ``multigrid_cycle``.
      grid: of ``multigrid_cycle``.
      correction: of ``multigrid_cycle``.
      share: of ``multigrid_shapes``.
      zeros: of ``multigrid_cycle``.
      kernel_init: initializer of each kernel.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with the kernels of ``multigrid_shapes``, and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)`` for ``x`` of ``(B, height, width, features)``. ``mask``, of the first
      axes of ``x``, is 0 for padding, which is seen as 0 and gives 0. Training and
      evaluation are the same.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit, or
        the grid is too small for the levels.

    Cost: linear in the grid; the levels below the finest add a third. Kept for the
    gradient: the inputs of the convolutions, on the catalog's example 15 bytes a
    float32 number of ``x``.

    Source: He et al., "MgNO: Efficient Parameterization of Linear Operators via
    Multigrid", 2023 (https://arxiv.org/abs/2310.19809). Code read: xlliu2017/MgNO.

    >>> layer = multigrid_conv(1, out=2, levels=2)
    >>> f = jax.ShapeDtypeStruct((1, 4, 4, 1), "float32")
    >>> call = lambda k, f: layer.apply(*layer.init(k), f, train=True)[0]
    >>> jax.eval_shape(call, jax.random.key(0), f).shape
    (1, 4, 4, 2)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(multigrid_conv, given)
    sizes: Any = {"levels": levels, "pre": pre, "post": post, "coarsest": coarsest}
    kind: Any = {"grid": grid, "correction": correction}
    shapes = multigrid_shapes(
        features, features if out is None else out, **sizes, **kind, share=share
    )

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, (name, shape) in enumerate(shapes.items()):
            own = jax.random.fold_in(key, i)
            if len(shape) == 4:
                params[name] = kernel_init(own, shape, param_dtype)
            else:
                keys = [jax.random.fold_in(own, k) for k in range(shape[0])]
                each = [kernel_init(k, shape[1:], param_dtype) for k in keys]
                params[name] = jnp.stack(each)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_images("multigrid_conv", x, features, mask, what="functions")
        x = without_padding(x, valid)
        rules: Any = {"boundary": boundary, "zeros": zeros}
        y = multigrid_cycle(params, x, **sizes, **kind, **rules)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def one_smoothing(params: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    """A convolution with zeros beyond the border, what is left of one grid and step.

    Args:
      params: of ``multigrid_conv``.
      x: ``(B, height, width, features)``.

    Returns:
      ``(B, height, width, out)``.
    """
    return on_grid(x, params["smooth_0"][0], "dirichlet")
