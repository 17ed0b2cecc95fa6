"""A layer's pure core as a flax linen module."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any

import jax
from flax import linen

from jaxopt_lab.core.functional import Functional


class LinenLayer(linen.Module):
    """A layer's pure core as a flax linen module.

    The core's parameters are the collection ``params``, its state is ``batch_stats``.

    Attributes:
      core: ``init`` and ``apply`` of the layer.
      axis_name: axis over which the batch is divided, inside ``shard_map`` or
        ``pmap``; None under plain ``jit``.

    >>> from jaxopt_lab.layers import ghost_batch_norm
    >>> norm = LinenLayer(ghost_batch_norm(3, ghost_size=2))
    >>> x = jax.numpy.ones((4, 3))
    >>> variables = norm.init(jax.random.key(0), x, train=False)
    >>> y, changed = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    >>> y.shape, sorted(changed["batch_stats"])
    ((4, 3), ['mean', 'var'])
    """

    core: Functional
    axis_name: str | None = None

    @linen.compact
    def __call__(self, x: Any, *, train: bool, mask: jax.Array | None = None) -> Any:
        """The layer's output; in training its state moves on.

        Args:
          x: the input of the core.
          train: training mode; the collection ``batch_stats`` must be mutable.
          mask: nonzero where a position counts.

        Returns:
          The output of the core.
        """
        shapes = jax.eval_shape(self.core.init, jax.random.key(0))
        params = {
            name: self.param(name, lambda key, n=name: self.core.init(key)[0][n])
            for name in shapes[0]
        }
        variables = {
            name: self.variable(
                "batch_stats", name, lambda n=name: self._first_state()[n]
            )
            for name in shapes[1]
        }
        y, state = self.core.apply(
            params,
            {name: variable.value for name, variable in variables.items()},
            x,
            train=train,
            key=self.make_rng("dropout") if self.has_rng("dropout") else None,
            axis_name=None if self.is_initializing() else self.axis_name,
            mask=mask,
        )
        if train and not self.is_initializing():
            for name, variable in variables.items():
                variable.value = state[name]
        return y

    def _first_state(self) -> Any:
        return self.core.init(self.make_rng("params"))[1]
