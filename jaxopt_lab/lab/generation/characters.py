"""Prompts as tokens, and tokens as text."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jaxopt_lab.core.errors import InputError


class Characters:
    """The vocabulary of a run: its characters, or the numbers of its tokens.

    Args:
      characters: token i is character i; empty: tokens are written as numbers.
      count: number of tokens.

    >>> words = Characters("abn", 3)
    >>> words.tokens("banana").tolist(), words.text([1, 0, 2])
    ([1, 0, 2, 0, 2, 0], 'ban')
    """

    def __init__(self, characters: str, count: int) -> None:
        self.characters, self.count = characters, count
        self._tokens = {character: i for i, character in enumerate(characters)}

    def tokens(self, prompt: str) -> np.ndarray:
        """The tokens of a prompt.

        Args:
          prompt: text; of a run without characters, numbers with commas.

        Returns:
          int32, at least one.

        Raises:
          InputError: it is empty, or holds something that is no token.
        """
        if not prompt:
            raise InputError("prompt is empty; accepted: at least one character")
        if not self.characters:
            return self._numbers(prompt)
        unknown = dict.fromkeys(c for c in prompt if c not in self._tokens)
        if unknown:
            listed = ", ".join(map(repr, unknown))
            raise InputError(
                f"prompt holds {listed}, which the run's text does not; accepted: "
                f"{self.characters!r}"
            )
        return np.array([self._tokens[c] for c in prompt], np.int32)

    def _numbers(self, prompt: str) -> np.ndarray:
        words = [word.strip() for word in prompt.split(",")]
        known = all(w.isdecimal() and int(w) < self.count for w in words)
        if not known:
            raise InputError(
                f"prompt={prompt!r}; accepted: numbers from 0 to {self.count - 1} with "
                "commas, as the run has tokens without characters"
            )
        return np.array(words, np.int32)

    def text(self, tokens: Iterable[int]) -> str:
        """The text of tokens; the replacement character where there is none.

        Args:
          tokens: integers.

        Returns:
          Characters, or numbers with a comma after each.
        """
        if not self.characters:
            return "".join(f"{token}," for token in tokens)
        known = range(len(self.characters))
        return "".join(self.characters[t] if t in known else "\ufffd" for t in tokens)


def visible(text: str) -> str:
    r"""A text for a terminal: what is neither printed nor white space as an escape.

    >>> visible("a\tb\x1b[2J")
    'a\tb\\x1b[2J'
    """
    return "".join(
        c
        if c.isprintable() or c in "\n\t"
        else c.encode("unicode_escape").decode("ascii")
        for c in text
    )
