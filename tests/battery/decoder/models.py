"""Tiny models for decoders, and in NumPy the plain loops over them, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.inference import LayeredStep


class Model(Protocol):
    """A model whose parameters are a matrix of logits by token, and its plain loop."""

    @staticmethod
    def step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
        """The model as decoders take it."""
        ...

    @staticmethod
    def logits(params: np.ndarray, prompt: list[int], total: int) -> np.ndarray:
        """Logits of the first token after the prompt."""
        ...

    @staticmethod
    def plain(
        params: np.ndarray,
        prompt: list[int],
        total: int,
        end: int,
        options: Mapping[str, Any],
        limit: int,
    ) -> list[int]:
        """A row of so many columns up to its end or limit."""
        ...


class NextToken:
    """Logits from a fading sum of the rows of the tokens, and from the position."""

    @staticmethod
    def step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
        faded = cache * jnp.asarray(0.5, cache.dtype) + params[tokens]
        turned = jnp.roll(faded, position, axis=1)
        return faded + turned * jnp.asarray(0.3, cache.dtype), faded

    @staticmethod
    def logits(params: np.ndarray, prompt: list[int], total: int) -> np.ndarray:
        faded = np.zeros(params.shape[1])
        for token in prompt:
            faded = 0.5 * faded + params[token]
        return faded + 0.3 * np.roll(faded, len(prompt) - 1)

    @staticmethod
    def plain(params, prompt, total, end, options, limit):
        """The greedy loop, token by token."""
        tokens = list(prompt)
        while len(tokens) < limit:
            best = np.argmax(NextToken.logits(params, tokens, total))
            tokens.append(int(best))
            if best == end:
                break
        return tokens


def _near(columns: Any, length: int) -> Any:
    """Weights of the tokens of a row at some columns, larger from the left."""
    apart = columns[..., None] - np.arange(length, dtype=np.int32)
    return 0.5 ** abs(apart) * (1 + 0.5 * (apart > 0))


class Masked:
    """Logits from the rows of all tokens of a row, the nearest weighted most."""

    @staticmethod
    def step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
        length = tokens.shape[1]
        # The weights by column as a constant: they keep the type of the parameters.
        table = jnp.asarray(_near(np.arange(length), length), params.dtype)
        return jnp.einsum("bsl,blv->bsv", table[position], params[tokens]), cache

    @staticmethod
    def logits(params: np.ndarray, prompt: list[int], total: int) -> np.ndarray:
        tokens = [*prompt, *[len(params) - 1] * (total - len(prompt))]
        found = _near(np.array(len(prompt)), total) @ params[tokens]
        return found[:-1]

    @staticmethod
    def plain(params, prompt, total, end, options, limit):
        """Blocks of masks, decided by probabilities with credits."""
        mask, block = len(params) - 1, options["block"]
        tokens = np.array([*prompt, *[mask] * (total - len(prompt))])
        for start in range(len(prompt), limit, block):
            places = np.arange(start, min(start + block, limit))
            credits = np.zeros((len(places), params.shape[1]))
            while np.any(tokens[places] == mask):
                z = _near(places, total) @ params[tokens]
                masked = tokens[places] == mask
                p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
                best = p[:, :mask].argmax(1)
                credits *= options["beta"]
                for i in np.flatnonzero(masked):
                    credits[i, best[i]] += p[i, best[i]] ** options["gamma"]
                q = np.exp(z) * (1 + credits) ** options["alpha"]
                q = (q / q.sum(1, keepdims=True))[:, :mask]
                sure = np.where(masked, q.max(1), -1)
                decided = sure >= min(options["threshold"], sure.max() - 1e-5)
                tokens[places[decided & masked]] = q.argmax(1)[decided & masked]
            if end in tokens[places]:
                last = start + list(tokens[places]).index(end)
                return list(tokens[: last + 1])
        return list(tokens[:limit])


class Chunk(NextToken):
    """The model of the next token, from a cache of the tokens by position."""

    @staticmethod
    def step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
        count, length = params.shape[1], cache.shape[1]
        places = position[:, None] + jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]
        cache = cache.at[jnp.arange(len(tokens))[:, None], places].set(tokens)
        apart = places[..., None] - jnp.arange(length, dtype=jnp.int32)[None, None]
        distance = jnp.maximum(apart, 0).astype(params.dtype)
        weights = jnp.asarray(0.5, params.dtype) ** distance
        seen = (apart >= 0)[..., None]
        faded = weights[..., None] * jnp.where(seen, params[cache][:, None], 0)
        faded = jnp.sum(faded, axis=2)
        column = jnp.arange(count, dtype=jnp.int32)[None, None] - places[..., None]
        turned = jnp.take_along_axis(faded, column % count, axis=2)
        return faded + jnp.asarray(0.3, params.dtype) * turned, cache


class Layered(NextToken):
    """Four layers that add fading sums over the positions, to be skipped."""

    LAYERS = 4
    step: Any = None  # type: ignore[assignment]  # of three functions, below

    @staticmethod
    def embed(params: Any, tokens: Any, position: Any) -> Any:
        return params[tokens]

    @staticmethod
    def block(params: Any, layer: int, x: Any, cache: Any, position: Any) -> Any:
        held = jax.lax.dynamic_update_index_in_dim(cache, x, position, 1)
        apart = position - jnp.arange(cache.shape[1], dtype=jnp.int32)
        weights = jnp.asarray(0.5, x.dtype) ** jnp.maximum(apart, 0).astype(x.dtype)
        weights = jnp.where(apart >= 0, weights, 0)
        faded = jnp.einsum("t,btv->bv", weights, held)
        return x + jnp.roll(faded, layer + 1, axis=1) * jnp.asarray(0.4, x.dtype), held

    @staticmethod
    def rows(params: np.ndarray, tokens: list[int], active: np.ndarray) -> np.ndarray:
        """Whole rows in NumPy, layers where they are active."""
        x = params[tokens]
        apart = np.arange(len(x))[:, None] - np.arange(len(x))[None]
        fading = np.where(apart >= 0, 0.5 ** np.maximum(apart, 0.0), 0)
        for layer in range(Layered.LAYERS):
            y = x + 0.4 * np.roll(fading @ x, layer + 1, axis=1)
            x = np.where(active[: len(x), layer, None], y, x)
        return x

    @staticmethod
    def logits(params: np.ndarray, prompt: list[int], total: int) -> np.ndarray:
        every = np.ones((total, Layered.LAYERS), bool)
        return Layered.rows(params, prompt, every)[-1]

    @staticmethod
    def plain(params, prompt, total, end, options, limit):
        """The greedy loop with the schedule, its rows whole at each token."""
        most, least = options["max_layers"] or 4, options["min_layers"]
        least, tokens = least or most, list(prompt)
        count = np.floor(most - (most - least) * np.arange(total) / (total - 1) + 0.5)
        if not options["prompt_decay"]:
            count[: len(prompt)] = most
        w, layer = options["warmup"], np.arange(4)[None]
        active = (layer < w) | (layer >= 4 - (count[:, None] - w))
        while len(tokens) < limit:
            best = np.argmax(Layered.rows(params, tokens, active)[-1])
            tokens.append(int(best))
            if best == end:
                break
        return tokens


Layered.step = LayeredStep(
    Layered.embed, Layered.block, lambda params, x: x, Layered.LAYERS
)

MODELS: dict[str, type[Model]] = {
    "next": NextToken,
    "masked": Masked,
    "chunk": Chunk,
    "layers": Layered,
}
