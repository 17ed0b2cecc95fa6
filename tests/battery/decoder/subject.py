"""A row of a decoder on a tiny model, and the plain loop."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery import programs
from battery.decoder.models import MODELS
from battery.parts.host import HostSubject
from battery.parts.subject import KEY, OTHER_KEY
from jaxopt_lab.inference import Draft

PAD, NO_END = 7, -1


class DecoderSubject(HostSubject):
    """A decoder on prompts of several lengths.

    The example says ``prompt``, ``lengths``, ``params``, a matrix of logits by token,
    and options, ``max_tokens`` among them.
    """

    kind = "decoder"
    first = "greedy"

    @property
    def model(self) -> Any:
        """The model of the kind that the row decodes with."""
        return MODELS[self.row.model]

    @property
    def settings(self) -> dict[str, Any]:
        """The row's defaults and the example's options."""
        return {**self.row.defaults(), **self.options}

    def decode(
        self,
        params: Any,
        prompt: Any,
        lengths: Any,
        end: Any,
        key: Any,
        limits: Any = None,
    ) -> Any:
        """The decoder's result; ``key`` as its bits."""
        return self._decode(params, prompt, lengths, end, key, {"limits": limits})

    def _decode(
        self, params: Any, prompt: Any, lengths: Any, end: Any, key: Any, changes: Any
    ) -> Any:
        cache = jnp.zeros((prompt.shape[0], params.shape[1]), params.dtype)
        options = {**self.settings, "pad": PAD, **changes}
        if self.row.model == "chunk":
            total = prompt.shape[1] + options["max_tokens"] + options["drafts"]
            cache = jnp.zeros((prompt.shape[0], total), jnp.int32)
            # Right for some tokens and wrong for others.
            other = params + jnp.asarray(0.3, params.dtype) * jnp.roll(params, 1, 0)
            options["draft"] = Draft(self.model.step, other, cache)
        if self.row.model == "layers":
            total = prompt.shape[1] + options["max_tokens"]
            shape = (prompt.shape[0], total, params.shape[1])
            cache = (jnp.zeros(shape, params.dtype),) * self.model.step.layers
        return self.row.load()(
            self.model.step,
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

    def found(
        self,
        lengths: Any,
        *,
        end: int = NO_END,
        key: Any = KEY,
        limits: Any = None,
        **new: Any,
    ):
        """What the program gives, as NumPy arrays."""
        given = {**self.inputs, **new}
        lengths = np.asarray(lengths, np.int32)
        if limits is None:
            total = given["prompt"].shape[1] + self.settings["max_tokens"]
            limits = np.full_like(lengths, total)
        args = given["params"], given["prompt"], lengths, np.int32(end), key, limits
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

    @functools.cached_property
    def simpler(self) -> Any:
        """The first of them with the options of the row's neutral setting."""
        changes = dict(self.row.reduces_to.options)
        if set(changes) <= {"max_tokens"}:
            # More tokens do not change the first one.
            return self.cases[0][1]

        def decode(params: Any, prompt: Any, lengths: Any) -> Any:
            return self._decode(params, prompt, lengths, NO_END, KEY, changes)

        run = jax.jit(decode, compiler_options=programs.QUICK)
        inputs = self.inputs
        return jax.device_get(
            run(inputs["params"], inputs["prompt"], inputs["lengths"])
        )

    def plain(self, lengths: Any, end: int = NO_END, limits: Any = None) -> np.ndarray:
        """The plain loop of the row's model in NumPy, row by row."""
        params, prompt = self.inputs["params"], self.inputs["prompt"]
        total = prompt.shape[1] + self.settings["max_tokens"]
        rows = np.full((len(prompt), total), PAD, np.int32)
        for b, length in enumerate(lengths):
            given = prompt[b, :length].tolist()
            limit = total if limits is None else int(limits[b])
            found = self.model.plain(params, given, total, end, self.settings, limit)
            rows[b, : len(found)] = found
        return rows
