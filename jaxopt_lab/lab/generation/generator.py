"""Text from a trained run by a decoder of the catalog."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import Decoder
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import Decoded, Draft, next_step
from jaxopt_lab.lab.generation.characters import Characters
from jaxopt_lab.lab.generation.decodable import Decodable, of_run
from jaxopt_lab.lab.generation.streamed import Stream
from jaxopt_lab.lab.trained_run import Run

_CONTRACT = ("model_step", "params", "prompt", "cache")
_SET_HERE = ("max_tokens", "pad")
_LEAST_PROMPT = 32
MODELS: Mapping[str, tuple[str, ...]] = {
    "chunk": ("next", "chunk", "layers"),
    "masked": ("masked",),
}
"""Models that decoders ask for, by the kind of model that they can be made of."""


class Generated(NamedTuple):
    """The result of a decoder on one prompt.

    Attributes:
      text: behind the prompt.
      tokens: the new tokens, integers.
      steps: rounds in which tokens were made.
      calls: calls of the model, the reading of the prompt included.
      seconds: wall time of the decoder.
      counts: of a decoder that counts more.
    """

    text: str
    tokens: np.ndarray
    steps: int
    calls: int
    seconds: float
    counts: dict[str, int]


def row_of(name: str) -> Decoder:
    """The row of a decoder.

    Args:
      name: its name.

    Returns:
      The row.

    Raises:
      InputError: there is none of this name.
    """
    rows = catalog.of_kind("decoder")
    if name not in rows:
        raise errors.unknown("decoder", name, rows)
    found = rows[name]
    assert isinstance(found, Decoder)
    return found


def options_of(row: Decoder) -> dict[str, Any]:
    """The options of a decoder that a user sets, by name."""
    return {n: option for n, option in row.details.items() if n not in _SET_HERE}


def needs(row: Decoder) -> list[str]:
    """The arguments without a default that a decoder takes beside the contract's."""
    arguments = inspect.signature(row.load()).parameters.values()
    return [
        a.name for a in arguments if a.default is a.empty and a.name not in _CONTRACT
    ]


class Generator:
    """A decoder on a trained run, compiled once for all prompts.

    Args:
      run: one seed of a run on text.
      decoder: name of a decoder of the catalog.
      tokens: new tokens behind a prompt.
      draft: for ``speculative``, a run with the same vocabulary.
      **options: of the decoder.

    Raises:
      InputError: the run is not on text, the decoder is unknown or takes another kind
        of model, an option is unknown or out of range, there is no draft or one of
        another vocabulary, or ``tokens`` leave no room for a prompt.

    Example::

      text = Generator(lab.load("runs/demo"), tokens=200, top_k=10)
      text("To be").text
    """

    def __init__(
        self,
        run: Run,
        decoder: str = "sample",
        *,
        tokens: int = 100,
        draft: Run | None = None,
        **options: Any,
    ) -> None:
        self.run, self.row, self.tokens = run, row_of(decoder), tokens
        self.row.checked(options)
        if tokens < 1:
            raise InputError(f"tokens={tokens} is out of range; accepted: [1, inf)")
        self.model = of_run(run)
        if self.row.model == "layers":
            options = {**self.model.schedule, **options}
        self.options = self.row.checked(options)
        for name in _SET_HERE:
            self.options.pop(name, None)
        self.characters = Characters(run.characters, run.num_classes)
        kinds = MODELS[self.model.kind]
        if self.model.layered is None:
            kinds = tuple(kind for kind in kinds if kind != "layers")
        if self.row.model not in kinds:
            rows = catalog.of_kind("decoder").values()
            fit = [r.name for r in rows if isinstance(r, Decoder) and r.model in kinds]
            raise InputError(
                f"decoder={decoder} takes a model of {_TOLD[self.row.model]}; "
                f"{run.folder} is one of {_TOLD[kinds[0]]}: accepted: {', '.join(fit)}"
            )
        missing = [n for n in needs(self.row) if n != "draft"]
        if missing:
            raise InputError(f"decoder={decoder} needs {', '.join(missing)}")
        self.draft = self._drafting(decoder, draft)
        context = self.model.context
        if context and tokens >= context:
            raise InputError(
                f"tokens={tokens} leave no room for a prompt: the run's context is "
                f"{context}"
            )
        self._stream = Stream()

    def _drafting(self, decoder: str, draft: Run | None) -> Decodable | None:
        if "draft" not in needs(self.row):
            if draft is not None:
                raise InputError(f"draft= is not used by decoder={decoder}")
            return None
        if draft is None:
            raise InputError(
                f"decoder={decoder} needs draft=, the folder of a smaller run on the "
                "same text"
            )
        same = draft.characters == self.run.characters
        if not same or draft.num_classes != self.run.num_classes:
            raise InputError(
                f"draft={draft.folder} has another vocabulary of {draft.num_classes} "
                f"tokens; accepted: that of {self.run.folder}, {self.run.num_classes} "
                "tokens"
            )
        found = of_run(draft)
        if found.kind != "chunk":
            raise InputError(f"draft={draft.folder} does not predict the next token")
        return found

    def longest(self, length: int) -> int:
        """Columns of the prompts of the program that takes a prompt of this length.

        Args:
          length: tokens of the prompt.

        Returns:
          Of a model with a context, what it leaves; else the next power of two.

        Raises:
          InputError: the prompt is longer.
        """
        context = self.model.context
        if not context:
            return max(_LEAST_PROMPT, 1 << (length - 1).bit_length())
        if length > context - self.tokens:
            raise InputError(
                f"prompt has {length} tokens; accepted: at most "
                f"{context - self.tokens}, as tokens={self.tokens} follow and the "
                f"run's context is {context}"
            )
        return context - self.tokens

    def __call__(
        self,
        prompt: str,
        *,
        seed: int = 0,
        on_text: Callable[[str], None] | None = None,
    ) -> Generated:
        """Text behind a prompt.

        Args:
          prompt: text, at least one character.
          seed: of the draws.
          on_text: called with pieces of the text while the decoder runs.

        Returns:
          The text, the tokens and the counts.

        Raises:
          InputError: the prompt is empty, too long, or holds characters that the run's
            text does not.
        """
        given = self.characters.tokens(prompt)
        columns = np.zeros((1, self.longest(len(given))), np.int32)
        columns[0, : len(given)] = given
        length = len(given)
        draft = None if self.draft is None else self.draft.params
        # Compiled before the clock and the stream begin.
        program = self._compiled(columns.shape[1], on_text is not None)
        arguments = (
            self.model.params,
            draft,
            columns,
            np.array([length], np.int32),
            np.array([length + self.tokens], np.int32),
            jax.random.key(seed),
        )
        begun = time.perf_counter()
        if on_text is None:
            found = jax.block_until_ready(program(*arguments))
        else:
            found = self._streamed(lambda: program(*arguments), length, on_text)
        seconds = time.perf_counter() - begun
        tokens = np.asarray(found.tokens)[0, length : length + self.tokens]
        if np.any(tokens < 0):
            raise InputError(f"the model of {self.run.folder} gives NaN")
        counts = {n: int(v) for n, v in (found.counts or {}).items()}
        text = self.characters.text(tokens.tolist())
        return Generated(
            text, tokens, int(found.steps), int(found.calls), seconds, counts
        )

    def _streamed(
        self, run: Callable[[], Decoded], length: int, on_text: Callable[[str], None]
    ) -> Decoded:
        """The result; every token behind the prompt is told once."""
        place, last = 0, length + self.tokens
        events = self._stream.of(run)
        for told in events:
            if isinstance(told, Decoded):
                rest = np.asarray(told.tokens)[0, max(place, length) : last]
                if rest.size and np.all(rest >= 0):
                    on_text(self.characters.text(rest.tolist()))
                return told
            try:
                new = told[max(length - place, 0) :]
                place += len(told)
                if new:
                    on_text(self.characters.text(new))
            except BaseException:
                events.close()
                raise
        raise AssertionError("a stream ends with the result")

    @functools.cached_property
    def _programs(self) -> dict[tuple[int, bool], Callable[..., Decoded]]:
        return {}

    def _compiled(self, columns: int, streamed: bool) -> Callable[..., Decoded]:
        known = self._programs.get((columns, streamed))
        if known is not None:
            return known
        model, drafting = self.model, self.draft
        # A round of drafts may go beyond the last column.
        length = columns + self.tokens + int(self.options.get("drafts", 0))

        def decode(params, draft, prompt, lengths, limits, key):
            step: Any = model.step
            if self.row.model == "next":
                step = next_step(model.step)
            elif self.row.model == "layers":
                step = model.layered
            more = {}
            mask = model.num_tokens if model.kind == "masked" else None
            if drafting is not None:
                cache = drafting.cache(1, length)
                more["draft"] = Draft(drafting.step, draft, cache)
            return self.row.load()(
                self._stream.watched(step, mask) if streamed else step,
                params,
                prompt,
                cache=model.cache(1, length),
                key=key,
                lengths=lengths,
                limits=limits,
                max_tokens=self.tokens,
                **self.options,
                **more,
            )

        ints = lambda *shape: jax.ShapeDtypeStruct(shape, np.int32)
        draft = None if drafting is None else drafting.params
        key = jax.eval_shape(lambda: jax.random.key(0))
        shapes = (model.params, draft, ints(1, columns), ints(1), ints(1), key)
        program = jax.jit(decode).lower(*shapes).compile()
        self._programs[columns, streamed] = program
        return program

    @property
    def programs(self) -> int:
        """Number of programs that were compiled."""
        return len(self._programs)


_TOLD = {
    "next": "next tokens",
    "chunk": "next tokens",
    "masked": "masked tokens",
    "layers": "layers that may be skipped",
}
