"""The model of a run with normalizations that adapt to the data of test time."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxopt_lab.catalog import of_kind
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.lab.models import Model
from jaxopt_lab.recipes import AdaptingNorms, adapting_norms

if TYPE_CHECKING:
    from jaxopt_lab.lab.run_view import RunView


def adapting_run(run: RunView, norm: str, options: Mapping[str, Any]) -> AdaptingNorms:
    """The functions of ``Run.adapting``.

    Args:
      run: a run of one seed.
      norm: a layer of test time.
      options: its options.

    Returns:
      The functions of ``recipes.adapting_norms``.

    Raises:
      InputError: the layer or an option is unknown, or the model is none of the lab's
        or has no batch normalization.
    """
    fitting = {n: r for n, r in of_kind("layer").items() if r.topic == "test time"}
    if norm not in fitting:
        raise unknown("norm of test time", norm, fitting)
    model = run.configuration.rows.model
    if not isinstance(model, Model):
        raise InputError(
            f"adapting takes models of the lab; got {model.name}: call "
            "recipes.adapting_norms with the function that makes it"
        )
    parts = run.configuration.parts
    example = jax.ShapeDtypeStruct((1, *run.input_shape), np.float32)
    outputs = jax.eval_shape(
        lambda p, s, x: run.model.apply(p, s, x, train=False)[0],
        run.params,
        run.model_state,
        example,
    )
    build = model.build(
        run.configuration.model,
        run.input_shape,
        outputs.shape[-1],
        parts.get("norm"),
        parts.get("activation"),
    )
    row = fitting[norm]
    layer = functools.partial(row.load(), **row.checked(options))
    return adapting_norms(build, layer)
