"""A row of a decoder on a tiny model with a memory, and the plain loop."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery import programs
from battery.parts.host import HostSubject
from battery.parts.subject import KEY, OTHER_KEY

PAD, NO_END = 7, -1


def model_step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
    """Logits from a fading sum of the rows of the tokens, and from the position."""
    faded = cache * jnp.asarray(0.5, cache.dtype) + params[tokens]
    turned = jnp.roll(faded, position, axis=1)
    return faded + turned * jnp.asarray(0.3, cache.dtype), faded


class DecoderSubject(HostSubject):
    """A decoder on prompts of several lengths.

    The example says ``prompt``, ``lengths``, ``params``, a matrix of logits by token,
    and options, ``max_tokens`` among them.
    """

    kind = "decoder"
    first = "greedy"

    def decode(self, params: Any, prompt: Any, lengths: Any, end: Any, key: Any) -> Any:
        """The decoder's result; ``key`` as its bits."""
        cache = jnp.zeros((prompt.shape[0], params.shape[1]), params.dtype)
        options = {**self.row.defaults(), **self.options, "pad": PAD}
        return self.row.load()(
            model_step,
            params,
            prompt,
            cache=cache,
            key=jax.random.wrap_key_data(key),
            lengths=lengths,
            end=end,
            **options,
        )

    @functools.cached_property
    def program(self) -> tuple[Any, list[int]]:
        """The decoder jitted, and the number of its traces in a list."""
        traces: list[int] = []

        def counted(*args: Any) -> Any:
            traces.append(1)
            return self.decode(*args)

        return jax.jit(counted, compiler_options=programs.QUICK), traces

    def found(self, lengths: Any, *, end: int = NO_END, key: Any = KEY, **new: Any):
        """What the program gives, as NumPy arrays."""
        given = {**self.inputs, **new}
        lengths = np.asarray(lengths, np.int32)
        args = given["params"], given["prompt"], lengths, np.int32(end), key
        return jax.device_get(self.program[0](*args))

    @functools.cached_property
    def cases(self) -> list[tuple[Any, Any]]:
        """Lengths of the prompts, and what the program gives."""
        longest = self.inputs["prompt"].shape[1]
        own = self.inputs["lengths"]
        cases = [own, np.full_like(own, longest), np.roll(own, 1)]
        return [(lengths, self.found(lengths)) for lengths in cases]

    @functools.cached_property
    def other_key(self) -> Any:
        """The first of them with another key, and again with the same."""
        own = self.inputs["lengths"]
        return self.found(own), self.found(own), self.found(own, key=OTHER_KEY)

    def plain(self, lengths: Any, end: int = NO_END) -> np.ndarray:
        """The greedy loop in NumPy, row by row and token by token."""
        params, prompt = self.inputs["params"], self.inputs["prompt"]
        total = prompt.shape[1] + {**self.row.defaults(), **self.options}["max_tokens"]
        rows = np.full((len(prompt), total), PAD, np.int32)
        for b, length in enumerate(lengths):
            rows[b, :length] = prompt[b, :length]
            faded = np.zeros(params.shape[1])
            for t in range(total - 1):
                faded = 0.5 * faded + params[rows[b, t]]
                if t + 1 < length:
                    continue
                rows[b, t + 1] = np.argmax(faded + 0.3 * np.roll(faded, t))
                if rows[b, t + 1] == end:
                    break
        return rows
