"""Training and evaluation mode of modules, by the names that modules give it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

from jaxopt_lab.core.errors import InputError

# True in training, and True in evaluation.
_IN_TRAINING: tuple[str, ...] = ("train", "training", "is_training", "is_train")
_IN_EVALUATION: tuple[str, ...] = ("deterministic", "use_running_average")

# Attributes that nnx does not set by itself; ``train`` is a method there.
FLAGS = ("training", "is_training", "is_train")

_LIKE_A_MODE = re.compile(
    r"(is_|in_|for_)?(train\w*|eval\w*|test|testing|infer|inference|predict\w*|mode|phase)"
    r"|\w+_(mode|phase)|\w*determinis\w*|stochastic"
)


def modes(train: bool) -> dict[str, Any]:
    """The value of every known name of a mode.

    Args:
      train: training or evaluation.

    Returns:
      Values by name.
    """
    found = dict.fromkeys(_IN_TRAINING, train)
    return found | dict.fromkeys(_IN_EVALUATION, not train)


def mode_of(call: Callable[..., Any], train: bool) -> dict[str, Any]:
    """The mode as the keywords that a function takes.

    Args:
      call: ``__call__`` of a module.
      train: training or evaluation.

    Returns:
      Keywords for ``call``; empty if it takes none of the known names.

    >>> mode_of(lambda self, x, *, is_training: x, train=False)
    {'is_training': False}
    """
    names = inspect.signature(call).parameters
    return {name: value for name, value in modes(train).items() if name in names}


def with_mode(config: Any, train: bool) -> Any:
    """A configuration whose fields say the mode, such as ``config.deterministic``.

    Args:
      config: any value.
      train: training or evaluation.

    Returns:
      A dataclass with the flags of a mode among its fields in that mode; any other
      value as it is.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     width: int = 3
    ...     deterministic: bool = False
    >>> with_mode(Config(), False), with_mode(3, False)
    (Config(width=3, deterministic=True), 3)
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    names = {f.name for f in dataclasses.fields(config)}
    flags = {
        name: value
        for name, value in modes(train).items()
        if name in names and isinstance(getattr(config, name), bool)
    }
    return dataclasses.replace(config, **flags) if flags else config


def check_mode_names(module: str, call: Callable[..., Any]) -> None:
    """Refuse an argument that looks like a mode and has no known name.

    Args:
      module: name of the module, for the message.
      call: its ``__call__``.

    Raises:
      InputError: there is one: it would keep one value in training and evaluation.

    >>> check_mode_names("Net", lambda self, x, train: x)
    """
    known = modes(True)
    for name in list(inspect.signature(call).parameters)[2:]:
        if name not in known and _LIKE_A_MODE.fullmatch(name):
            raise InputError(
                f"{module}.__call__ takes {name!r}, which looks like a mode of "
                "training or evaluation and would never be set; accepted names: "
                + ", ".join(known)
            )
