"""A layer's pure core as a flax nnx module."""
# Its examples wait for pytest --full.

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.option_texts import argument_lines, argument_texts, documented


class NnxLayer(nnx.Module):
    """A layer's pure core as a flax nnx module.

    Every entry of the core's parameters is an attribute of type ``nnx.Param``, every
    entry of its state one of type ``nnx.BatchStat``. ``module.train()`` and
    ``module.eval()`` set the mode, as for flax's own layers.

    Args:
      core: ``init`` and ``apply`` of the layer.
      rngs: the module's random streams; the core's ``init`` gets a key of ``params``.
      axis_name: axis over which the batch is divided, inside ``shard_map`` or
        ``pmap``; None under plain ``jit``.

    >>> from jaxopt_lab.layers import ghost_batch_norm
    >>> norm = NnxLayer(ghost_batch_norm(3, ghost_size=2), rngs=nnx.Rngs(0))
    >>> norm(jnp.ones((4, 3))).shape
    (4, 3)
    """

    def __init__(
        self, core: Functional, *, rngs: nnx.Rngs, axis_name: str | None = None
    ) -> None:
        params, state = core.init(rngs.params())
        for name, value in params.items():
            setattr(self, name, nnx.Param(value))
        for name, value in state.items():
            setattr(self, name, nnx.BatchStat(value))
        self.core = core
        self.axis_name = axis_name
        self.names = (tuple(params), tuple(state))
        self.use_running_average = False

    def __call__(
        self,
        x: Any,
        *,
        use_running_average: bool | None = None,
        mask: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Any:
        """The layer's output; in training its state moves on.

        Args:
          x: the input of the core.
          use_running_average: evaluate; by default as the module's mode says.
          mask: nonzero where a position counts.
          rngs: random streams; the core gets a key of ``dropout`` where they are given.

        Returns:
          The output of the core.
        """
        evaluate = self.use_running_average
        if use_running_average is not None:
            evaluate = use_running_average
        params, state = (
            {name: getattr(self, name).get_value() for name in names}
            for names in self.names
        )
        y, new = self.core.apply(
            params,
            state,
            x,
            train=not evaluate,
            key=None if rngs is None or evaluate else rngs.dropout(),
            axis_name=self.axis_name,
            mask=mask,
        )
        if not evaluate:
            for name, value in new.items():
                getattr(self, name).set_value(jax.tree.map(jnp.asarray, value))
        return y


class BatchedLayer(NnxLayer):
    """A layer whose batch may be divided over devices, made from its size and options.

    The docstring of a subclass says what the layer is; its arguments stand in that of
    ``make``, from where they are taken over.

    Args:
      features: size of the layer, as ``make`` tells.
      rngs: the module's random streams.
      axis_name: axis over which the batch is divided, inside ``shard_map``; not used by
        layers that couple no examples.
      **options: those of ``make``.

    Attributes:
      make: ``make(features, **options)``, the factory of the core; of the subclass.
      eps: its option of this name, or None.
    """

    make: ClassVar[Callable[..., Functional]]

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        docstring = inspect.cleandoc(cls.__doc__ or "")
        shared = documented(BatchedLayer)
        texts = {name: shared[name] for name in ("features", "rngs", "axis_name")}
        texts |= {**documented(cls.make), **argument_texts(docstring)}
        own, mark, example = docstring.partition(">>>")
        told = own.partition("Args:\n")[0].rstrip()
        cls.__doc__ = f"{told}\n\nArgs:\n{argument_lines(texts)}\n{mark}{example}"

    def __init__(
        self,
        features: int,
        *,
        rngs: nnx.Rngs,
        axis_name: str | None = None,
        **options: Any,
    ) -> None:
        make = type(self).make
        super().__init__(make(features, **options), rngs=rngs, axis_name=axis_name)
        default = inspect.signature(make).parameters.get("eps")
        self.eps: Any = options.get("eps", default.default if default else None)
