"""The model of a trained run as decoders take it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference import LayeredStep, uncached_step
from jaxopt_lab.lab.models import Model
from jaxopt_lab.lab.models.cached import Chunk, Embed, Head, OneBlock, empty_cache
from jaxopt_lab.lab.models.placed import OWN
from jaxopt_lab.lab.trained_run import Run


class Decodable(NamedTuple):
    """A model of text.

    Attributes:
      kind: ``"chunk"``, it continues rows; ``"masked"``, it fills masks in.
      step: a ``ChunkStep`` or a ``MaskedStep``.
      params: its parameters.
      cache: ``cache(rows, length)``, the cache before the first token.
      context: most tokens of a row; 0: any number.
      num_tokens: size of the vocabulary.
      layered: the model by its layers; ``None``: it is not taken apart.
      schedule: options of a decoder of layers with which it runs those that the model
        was trained with; empty: all.
    """

    kind: Literal["chunk", "masked"]
    step: Callable[..., Any]
    params: Params
    cache: Callable[[int, int], Any]
    context: int
    num_tokens: int
    layered: LayeredStep | None = None
    schedule: Mapping[str, Any] = MappingProxyType({})


def of_run(run: Run) -> Decodable:
    """The model of a run on text.

    Args:
      run: one seed of it.

    Returns:
      The model, with a cache of keys and values where it has one; others are called on
      whole rows for every token.

    Raises:
      InputError: the run is not on text or has several seeds, or its model lets a token
        see later ones.
    """
    if run.kind != "text":
        raise InputError(
            f"{run.folder} is a run on {run.kind} data; accepted: a run on text"
        )
    if run.seeds > 1:
        raise InputError(
            f"{run.folder} has {run.seeds} seeds; accepted: one of them, run.seed(i)"
        )
    model, config = run.configuration.rows.model, run.configuration.model
    context = getattr(config, "context", 0)
    state = run.model_state

    def apply(params: Params, inputs: Any) -> Any:
        return run.model.apply(params, state, inputs, train=False)[0]

    if isinstance(model, Model) and model.masked:

        def fill(params: Params, cache: Any, tokens: Any, columns: Any) -> Any:
            logits = apply(params, tokens)
            return jnp.take_along_axis(logits, columns[..., None], axis=1), cache

        nothing = lambda rows, length: ()
        return Decodable("masked", fill, run.params, nothing, context, run.num_classes)
    count = run.num_classes
    if isinstance(model, Model) and model.cached and _own_mixing(config):

        def cached(params: Params, cache: Any, tokens: Any, positions: Any) -> Any:
            return apply(params, Chunk(tokens, positions, cache))

        empty = functools.partial(empty_cache, config)
        layered = _layered(apply, config.depth)
        own = _schedule(config)
        return Decodable(
            "chunk", cached, run.params, empty, context, count, layered, own
        )
    if not isinstance(model, Model):
        _check_causal(run, apply)

    def cache(rows: int, length: int) -> jax.Array:
        # Columns beyond the context hold no token that is kept.
        return jnp.zeros((rows, min(length, context or length)), jnp.int32)

    step = uncached_step(apply)
    return Decodable("chunk", step, run.params, cache, context, count)


def _own_mixing(config: Any) -> bool:
    """Whether positions meet in the model's own attention alone, which has a cache."""
    return config.attention == OWN["attention"] and config.block == OWN["block"]


def _schedule(config: Any) -> dict[str, Any]:
    """See ``Decodable.schedule``: a prompt and its text fill the context."""
    if not config.max_layers:
        return {}
    return {
        "max_layers": config.max_layers,
        "min_layers": config.min_layers or config.max_layers,
        "warmup": config.warmup_layers,
        "prompt_decay": True,
    }


def _layered(apply: Callable[..., Any], layers: int) -> LayeredStep:
    """The transformer by its blocks, one token at a time."""
    first = lambda x, position: jnp.broadcast_to(position, x.shape[:1])
    return LayeredStep(
        lambda params, tokens, position: apply(
            params, Embed(tokens[:, None], first(tokens, position))
        ),
        lambda params, index, x, cache, position: apply(
            params, OneBlock(index, x, first(x, position), cache)
        ),
        lambda params, x: apply(params, Head(x))[:, 0],
        layers,
    )


def _check_causal(run: Run, apply: Callable[..., Any]) -> None:
    """Refuse a model in which a token's logits change with later tokens."""
    length = run.input_shape[0]
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, run.num_classes, (2, 1, length)).astype(np.int32)
    half = (length + 1) // 2
    other[:, :half] = one[:, :half]
    first, second = map(jax.jit(apply), (run.params,) * 2, (one, other))
    if not np.array_equal(first[:, :half], second[:, :half], equal_nan=True):
        raise InputError(
            f"model {run.configuration.rows.model.name} lets a token see later ones: "
            "it cannot go on from a prompt"
        )
