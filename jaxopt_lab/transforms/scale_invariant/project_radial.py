"""Any transformation without the radial part of its direction."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import increment, require_real
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.explicit_axes import with_auto_axes
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Params, Scalar, Updates
from jaxopt_lab.transforms.scale_invariant.projection import (
    ChannelAxis,
    channel_axes,
    project,
)


class ProjectRadialState(NamedTuple):
    """State of ``project_radial``.

    Attributes:
      count: int32, number of updates so far.
      inner_state: state of the inner transformation.
    """

    count: jax.Array
    inner_state: Any


def project_radial(
    inner: optax.GradientTransformation,
    *,
    delta: Annotated[Scalar, NON_NEGATIVE] = 0.1,
    eps: Annotated[Scalar, NON_NEGATIVE] = 1e-8,
    channel_axis: ChannelAxis = -1,
) -> optax.GradientTransformationExtraArgs:
    r"""Projection of ``inner``'s direction off the weights, as AdamP and SGDP do it.

    For each tensor of two axes or more, first by channels r, then as a whole:

    .. math::
        \max_r \frac{|\langle g_r, p_r \rangle|}
            {\max(\|g_r\|, \epsilon) \max(\|p_r\|, \epsilon)}
        < \frac{\delta}{\sqrt{n}} \;\Rightarrow\;
        u_r \leftarrow u_r - \hat p_r \langle \hat p_r, u_r \rangle, \quad
        \hat p_r = \frac{p_r}{\|p_r\| + \epsilon}

    A weight before a normalization does not change the loss by its length: its
    gradient is at right angles to it, and the test finds it. Momentum makes steps that
    are not, which lengthen the weight and so shorten the effective step.

    Args:
      inner: any transformation whose update is a direction or a step; a weight decay
        inside of it would be projected as well, so it goes behind.
      delta: bound of the cosines, times the root of the number n of elements of a row;
        at 0 nothing is projected. A number or a traced scalar.
      eps: floor of the norms.
      channel_axis: axis of the output channels, the last as in Flax (PyTorch: 0); or
        pairs ``(regular expression, axis)``, the first found in a leaf's path counts.

    Returns:
      The wrapper. Its ``update`` needs ``params``; other extra arguments go to
      ``inner``.

    Raises:
      InputError: an argument is out of range, an axis does not exist, or parameters are
        complex.

    Memory: that of ``inner``. ``project_radial(optax.scale_by_adam())`` is
    ``scale_by_adamp`` without decay.

    >>> import jax.numpy as jnp
    >>> w, g = jnp.array([[3.0], [4.0]]), jnp.array([[4.0], [-3.0]])
    >>> tx = project_radial(optax.sign_sgd(0.1))
    >>> u, _ = tx.update(g, tx.init(w), w)
    >>> abs(round(float((u * w).sum()), 6))  # the sign alone gives 0.1
    0.0

    Reference: Heo et al. 2021, arXiv:2006.08217; the test reads the gradient as it
    comes to ``update``.
    """
    check_arguments(project_radial, locals())
    inner = optax.with_extra_args_support(inner)

    def init(params: Params) -> ProjectRadialState:
        params = trees.arrays(params)
        require_real("project_radial", params)
        channel_axes(params, channel_axis)
        return ProjectRadialState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ProjectRadialState]:
        if params is None:
            raise InputError(
                "project_radial needs params: call update(g, state, params)"
            )
        updates, params = trees.arrays((updates, params))
        extra.pop("fused_apply", None)
        moved, inner_state = inner.update(updates, state.inner_state, params, **extra)
        bound, floor = jnp.asarray(delta), jnp.asarray(eps)

        def one(g: jax.Array, p: jax.Array, u: jax.Array, axis: int) -> jax.Array:
            def run(g: Any, p: Any, u: Any, bound: Any, floor: Any) -> jax.Array:
                options = {"delta": bound, "wd_ratio": 1.0, "eps": floor}
                return project(g, p, u, channel_axis=axis, **options).direction

            return with_auto_axes(run, u)(g, p, u, bound, floor)

        axes = channel_axes(params, channel_axis)
        leaves, structure = jax.tree.flatten(params)
        flat = (jax.tree.leaves(updates), leaves, jax.tree.leaves(moved), axes)
        made = [one(*leaf) for leaf in zip(*flat, strict=True)]
        new = ProjectRadialState(increment(state.count), inner_state)
        return jax.tree.unflatten(structure, made), new

    return optax.GradientTransformationExtraArgs(init, update)
