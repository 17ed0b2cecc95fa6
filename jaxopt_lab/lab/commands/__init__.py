"""The commands of ``jaxopt-lab``, one module each with a function ``main(words)``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.ending import heeding_interrupts, interrupted

HELP = ("-h", "--help", "help")
"""Words that ask for the help of a command."""

COMMANDS = {
    "train": "train a network with a method of the catalog",
    "compare": "methods, or other parts, over seeds and at equal budgets, as one page",
    "tune": "the best of a grid of settings of one method, on a validation split",
    "search": "settings asked for by a search of the catalog, for one score or several",
    "find_rate": "the learning rate of a run, from curvature and a range test",
    "evaluate": "loss and accuracy of a trained run, on its own data or others",
    "predict": "classes of the images or arrays in a file, by a trained run",
    "generate": "text that goes on from a prompt, by a trained run and a decoder",
    "merge": "trained runs of one model as one: soups of weights, T3 at test time",
    "export": "the weights of a trained run as npz or safetensors, or its program",
    "quantize": "a trained run in fewer bits, tested before and after",
    "calibrate": "the calibrators fitted on a run's validation split, with intervals",
    "inspect": "curvature, weights and landscape of a trained run, as one page",
    "plan": "bytes, operations and step time on devices that need not exist",
}
"""One line for each command."""


def command(
    run: Callable[[Sequence[str]], int], *, stopped: str = "stopped"
) -> Callable[..., int]:
    """The ``main`` of a command.

    Args:
      run: the command, of its words; it returns the exit status.
      stopped: said after Ctrl-C.

    Returns:
      ``main(arguments=None)``: of the words after the program's name, by default those
      of the process; the exit status, as of ``guarded``.
    """

    def main(arguments: Sequence[str] | None = None) -> int:
        words = sys.argv[1:] if arguments is None else arguments
        return guarded(run, words, stopped=stopped)

    return main


def guarded(
    run: Callable[[Sequence[str]], int],
    words: Sequence[str],
    *,
    stopped: str = "stopped",
) -> int:
    """Run a command; end in one line instead of a traceback.

    Args:
      run: the command, of its words; it returns the exit status.
      words: its words.
      stopped: said after Ctrl-C.

    Returns:
      The command's own status; 2 after an ``InputError``; 130 after Ctrl-C; 0 where
      the reader of a pipe has left.
    """
    try:
        with heeding_interrupts():
            return run(list(words))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BrokenPipeError:
        # ``... --help | head``: without this, flushing at exit fails once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{stopped}\n")
        return 130
    except ImportError as error:
        if not interrupted(error):
            raise
        sys.stderr.write(f"\n{stopped}\n")
        return 130
