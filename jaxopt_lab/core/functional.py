"""A model as two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.typing import ModelState, Params


class Functional(NamedTuple):
    """A model as two pure functions, fit for ``jit``, ``grad`` and ``vmap``.

    Attributes:
      init: ``init(key) -> (params, model_state)``, both nested dicts with string
        keys; ``model_state`` (batch statistics, counts, keys) is ``{}`` for most
        models. Call it as ``jax.jit(f.init)(key)``: run op by op it takes seconds.
        ``jax.vmap(f.init)(keys)`` gives one model per key, stacked.
      apply: ``apply(params, model_state, inputs, *, train, key=None) -> (outputs,
        new_model_state)``. ``key`` feeds dropout. In evaluation ``model_state``
        comes back as it was; in training its structure, shapes and dtypes stay.
    """

    init: Callable[[jax.Array], tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ModelState]]
