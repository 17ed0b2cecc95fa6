"""Tiny models for decoders, and in NumPy the plain loops over them, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np


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
    ) -> list[int]:
        """A row up to its end."""
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
    def plain(params, prompt, total, end, options):
        """The greedy loop, token by token."""
        tokens = list(prompt)
        while len(tokens) < total:
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
    def plain(params, prompt, total, end, options):
        """Blocks of masks, decided by probabilities with credits."""
        mask, block = len(params) - 1, options["block"]
        tokens = np.array([*prompt, *[mask] * (total - len(prompt))])
        for start in range(len(prompt), total, block):
            places = np.arange(start, min(start + block, total))
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
        return list(tokens)


MODELS: dict[str, type[Model]] = {"next": NextToken, "masked": Masked}
