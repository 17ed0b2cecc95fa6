"""Normalization statistics of a trained model, adapted to the data of test time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.training.adapters import from_nnx
from jaxopt_lab.training.modes import mode_of

if TYPE_CHECKING:
    from flax import nnx

_INNER = "inner"


class AdaptingNorms(NamedTuple):
    """A trained model whose normalizations adapt to each batch that it sees.

    Attributes:
      start: ``start(model_state, key=None) -> state``, the state of test time that
        belongs to the trained one; ``key`` draws components (``unmix_tns``).
      apply: ``apply(params, state, inputs) -> (outputs, state)``, one batch, adapted
        to; the parameters are those of the trained model.
      adapt: ``adapt(params, state, inputs) -> state``, the new state alone.
    """

    start: Callable[..., ModelState]
    apply: Callable[[Params, ModelState, Any], tuple[Any, ModelState]]
    adapt: Callable[[Params, ModelState, Any], ModelState]


def adapting_norms(
    build: Callable[[nnx.Rngs], nnx.Module], make: Callable[..., Functional]
) -> AdaptingNorms:
    """Make the batch normalizations of a trained module adapt at test time.

    Each layer sees what the adapted layers before it give. Everything else is in
    evaluation mode: no dropout, and no gradient.

    Args:
      build: makes the module that was trained, ``build(rngs)``.
      make: ``make(features, eps=eps) -> Functional``, the layer of test time:
        ``alpha_bn`` or ``unmix_tns``, with options by ``functools.partial``.

    Returns:
      The three functions. After ``alpha_bn`` the state is one of the trained model, and
      its own evaluation with it gives the outputs that the batch had; adapt every batch
      from the state of the source. ``unmix_tns`` goes on from batch to batch. Cost: one
      pass without gradients a batch.

    Raises:
      InputError: the module has no batch normalization.

    >>> import functools
    >>> from flax import nnx
    >>> from jaxopt_lab.layers import alpha_bn
    >>> class Net(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.norm = nnx.BatchNorm(2, rngs=rngs)
    ...     def __call__(self, x):
    ...         return self.norm(x)
    >>> params, source = from_nnx(Net).init(jax.random.key(0))
    >>> test = adapting_norms(Net, functools.partial(alpha_bn, alpha=0.5))
    >>> x = jnp.array([[1.0, 2.0], [3.0, 6.0]])
    >>> state = test.adapt(params, test.start(source), x)
    >>> state["norm"]["mean"].tolist()
    [1.0, 2.0]
    """
    from flax import nnx

    from jaxopt_lab.layers.norm.adapting import with_adapting_norms

    class Observed(nnx.Module):
        """The adapting module, whose outputs come with its new state."""

        def __init__(self, rngs: nnx.Rngs) -> None:
            inner = build(rngs)
            self.count = with_adapting_norms(inner, make, rngs)
            self.inner = inner
            self.options = tuple(mode_of(type(inner).__call__, False).items())

        def __call__(self, x: Any) -> tuple[Any, Any]:
            module: Any = self.inner
            outputs = module(x, **dict(self.options))
            return outputs, _as_dict(nnx.split(module, nnx.Param, ...)[2])

    if not nnx.eval_shape(lambda: Observed(nnx.Rngs(0))).count:
        raise InputError("the module has no batch normalization to adapt")
    model = from_nnx(Observed)

    def start(model_state: ModelState, key: jax.Array | None = None) -> ModelState:
        key = jax.random.key(0) if key is None else key
        return _around(model.init(key)[1][_INNER], model_state)

    def apply(params: Params, state: ModelState, inputs: Any) -> Any:
        given = {_INNER: params}, {_INNER: state}
        return model.apply(*given, inputs, train=False)[0]

    def adapt(params: Params, state: ModelState, inputs: Any) -> ModelState:
        return apply(params, state, inputs)[1]

    return AdaptingNorms(start, apply, adapt)


def _as_dict(state: Any) -> dict[str, Any]:
    """Variables as the nested dict of arrays that ``from_nnx`` has of them."""
    from flax import nnx

    found: dict[str, Any] = {}
    for path, leaf in nnx.to_flat_state(state):
        node = found
        for name in path[:-1]:
            node = node.setdefault(str(name), {})
        value = leaf.get_value() if hasattr(leaf, "get_value") else leaf
        node[str(path[-1])] = value
    return found


def _around(first: Any, trained: Any) -> Any:
    """A first state, with what the trained one has, and components around that."""
    if not isinstance(first, dict):
        return trained
    new = {
        name: _around(value, trained[name]) if name in trained else value
        for name, value in first.items()
    }
    if {"means", "vars"} <= set(new) - set(trained):
        mean, var = (trained[name][None] for name in ("mean", "var"))
        new["means"] = mean + jnp.sqrt(var) * new["means"]
        new["vars"] = var * new["vars"]
    return new
