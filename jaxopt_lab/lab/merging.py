"""Trained runs of one architecture merged: soups of weights, or T3 at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import (
    FittedT3,
    apply_t3,
    delta_soup,
    fit_t3,
    interpolate,
    jensen_shannon,
    t3_coefficient,
    uniform_soup,
)
from jaxopt_lab.lab.trained_run import Run


class EvaluatedT3(NamedTuple):
    """The test of two runs that are merged at test time.

    Attributes:
      metrics: means over the test examples by name.
      coefficients: shares of the first run, by batch or by example.
    """

    metrics: dict[str, float]
    coefficients: np.ndarray


def check(runs: Sequence[Run]) -> None:
    """Refuse runs that cannot be merged.

    Args:
      runs: each with one seed.

    Raises:
      InputError: there are fewer than two, one has several seeds, or their models, data
        or options of the model differ.
    """
    if len(runs) < 2:
        raise InputError(f"runs= needs at least two folders; got {len(runs)}")
    first = runs[0]
    for run in runs:
        if run.seeds > 1:
            raise InputError(f"{run.folder} has {run.seeds} seeds; accepted: one")
        for name, here, there in _differences(first, run):
            raise InputError(
                f"runs must have one model; {name} is {here} in {first.folder} and "
                f"{there} in {run.folder}"
            )


def _differences(first: Run, run: Run) -> list[tuple[str, Any, Any]]:
    def facts(run: Run) -> dict[str, Any]:
        model = run.configuration.model
        named = {f"model.{n}": v for n, v in vars(model).items()}
        named |= {"model": run.configuration.run.model, "inputs": run.input_shape}
        return named | {"classes": run.num_classes}

    one, two = facts(first), facts(run)
    names = ["model", "inputs", "classes", *one]
    return [(n, one[n], two.get(n)) for n in names if one[n] != two.get(n)]


def soup(
    runs: Sequence[Run], *, start: Run | None = None, temperature: float = 1.0
) -> Run:
    """A run with averaged weights.

    Args:
      runs: trained runs.
      start: the run from which all of them were trained: the average is weighted by
        how far each array has moved (``delta_soup``). ``None``: the plain mean.
      temperature: of ``delta_soup``.

    Returns:
      The first run with the merged parameters, and with the mean of the floating model
      state (batch statistics).

    Raises:
      InputError: the runs do not match.
    """
    check([*runs, *([] if start is None else [start])])
    params = [run.params for run in runs]
    if start is None:
        merged = uniform_soup(params)
    else:
        merged = delta_soup(start.params, params, temperature=temperature)
    states = [run.model_state for run in runs]
    return runs[0].with_weights(merged, jax.tree.map(_mean, *states))


def _mean(*leaves: jax.Array) -> jax.Array:
    if not jnp.issubdtype(leaves[0].dtype, jnp.inexact):
        return leaves[0]
    return uniform_soup(leaves)


def evaluate_t3(
    pretrained: Run,
    finetuned: Run,
    *,
    by: Literal["batch", "example"] = "batch",
    **options: Any,
) -> EvaluatedT3:
    """Test two runs that are merged by how far their predictions are apart.

    Args:
      pretrained: the general run; its test examples are used.
      finetuned: the special one.
      by: one merged model for each test batch, or for each example.
      **options: of ``t3_coefficient``.

    Returns:
      The metrics and the shares of ``pretrained``.

    Raises:
      InputError: the runs do not match, are on text, or an option is out of range.
    """
    check([pretrained, finetuned])
    if pretrained.kind != "image":
        raise InputError(f"t3 merges classifiers; {pretrained.folder} is on text")
    t3_coefficient(jnp.zeros(()), **options)
    metric_fn, model = pretrained.program.test_metric_fn, pretrained.model
    params = {"pretrained": pretrained.params, "finetuned": finetuned.params}
    states = pretrained.model_state, finetuned.model_state

    def between(share: jax.Array) -> Any:
        mixed = lambda a, b: interpolate(a, b, share) if _floats(a) else a
        return jax.tree.map(mixed, *states)

    @jax.jit
    def sums(params: Any, batch: Any) -> Any:
        inputs = pretrained.prepared(batch["image"])
        logits = {
            name: model.apply(params[name], state, inputs, train=False)[0]
            for name, state in zip(params, states, strict=True)
        }
        if by == "batch":
            fitted = fit_t3(logits, where=batch.get("weight"), **options)
            found = metric_fn(
                apply_t3(fitted, params), between(fitted.coefficient), batch
            )
            return found, fitted.coefficient[None]
        apart = jensen_shannon(logits["pretrained"], logits["finetuned"])
        shares = t3_coefficient(apart, **options)

        def one(given: Any) -> Any:
            share, example = given
            merged = apply_t3(FittedT3(share, share), params)
            alone = jax.tree.map(lambda x: x[None], example)
            return metric_fn(merged, between(share), alone)

        each = jax.lax.map(one, (shares, dict(batch)))
        return jax.tree.map(lambda x: jnp.sum(x, 0), each), shares

    total, shares = {}, []
    batches: Any = pretrained.test_batches
    source: Any = batches() if callable(batches) else batches
    for batch in source:
        found, share = jax.device_get(sums(params, batch))
        if by == "example" and "weight" in batch:
            share = share[np.asarray(batch["weight"]) > 0]
        shares.append(share)
        total = {n: total.get(n, 0.0) + float(v) for n, v in found.items()}
    weight = total.pop("weight")
    metrics = {name: value / weight for name, value in total.items()}
    return EvaluatedT3(metrics, np.concatenate(shares))


def _floats(leaf: jax.Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
