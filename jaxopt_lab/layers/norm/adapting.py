"""Batch normalizations of a trained module as layers of test time; loads flax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
from flax import nnx

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers.nnx_module import BatchedLayer, NnxLayer

Make = Callable[..., Functional]


class AdaptingNorm(NnxLayer):
    """A layer of test time that adapts in every call, whatever the mode is.

    Args:
      core: the layer, such as ``alpha_bn(8)``.
      rngs: the module's random streams.

    >>> from jaxopt_lab.layers import alpha_bn
    >>> norm = AdaptingNorm(alpha_bn(1, alpha=0.5), rngs=nnx.Rngs(0))
    >>> norm.eval()
    >>> _ = norm(jax.numpy.array([[1.0], [3.0]]))
    >>> float(norm.mean.get_value()[0])
    1.0
    """

    def __call__(
        self,
        x: Any,
        *,
        use_running_average: bool | None = None,
        mask: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Any:
        return super().__call__(x, use_running_average=False, mask=mask, rngs=rngs)


def with_adapting_norms(module: nnx.Module, make: Make, rngs: nnx.Rngs) -> int:
    """Replace every batch normalization of a module by a layer of test time.

    Args:
      module: changed in place. Replaced are flax's ``BatchNorm`` and the layers of this
        package with the parameters and state of one.
      make: ``make(features, eps=eps) -> Functional``, the layer's pure core.
      rngs: for first states.

    Returns:
      The number of layers.

    >>> net = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)),
    ...                      nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
    >>> from jaxopt_lab.layers import alpha_bn
    >>> with_adapting_norms(net, alpha_bn, nnx.Rngs(0))
    1
    """
    count = 0
    for node, name, child in list(_children(module)):
        eps = _eps(child)
        if eps is None:
            continue
        features = child.mean.get_value().shape[-1]
        core = make(features, eps=eps)
        layer = AdaptingNorm(core, rngs=rngs, axis_name=child.axis_name)
        if isinstance(name, int):
            node[name] = layer
        else:
            setattr(node, name, layer)
        count += 1
    return count


def _children(module: nnx.Module) -> Iterator[tuple[Any, Any, Any]]:
    for _, node in nnx.iter_graph(module):
        if isinstance(node, nnx.List):
            for i, child in enumerate(node):
                yield node, i, child
        elif isinstance(node, nnx.Module):
            for name, child in vars(node).items():
                yield node, name, child


def _eps(layer: Any) -> float | None:
    """The constant that a batch normalization adds to the variance; else None."""
    if isinstance(layer, nnx.BatchNorm):
        return float(layer.epsilon)
    known = (("scale", "bias"), ("mean", "var"))
    return layer.eps if _names(layer) == known else None


def _names(layer: Any) -> Any:
    return layer.names if isinstance(layer, BatchedLayer) else None
