"""Train a network: ``jaxopt-lab train method=sam task=digits``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.commands import guarded
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_files import CURVES
from jaxopt_lab.lab.run_options import RunOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0 for a complete run; 1 for a loss that is not finite; 2 for bad
      input; 130 after Ctrl-C, 143 after SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # Inside the loop Ctrl-C is a request to save; outside of it there is nothing to
    # save yet, or everything is saved already.
    return guarded(_train, words, stopped="stopped outside of the training loop")


def _train(words: Sequence[str]) -> int:
    if "--list" in words:
        from jaxopt_lab.catalog import tables

        print(tables.listing(command_line.listed_kind(words)))
        return 0
    configuration = command_line.parse(words)
    own = getattr(configuration.model, "dtype", "float32")
    configure_jax(x64=own == "float64")
    if configuration.run.coordinator:
        _join(configuration.run)
    from jaxopt_lab.lab import ended_run, report, runs
    from jaxopt_lab.lab.run_page import write as run_page
    from jaxopt_lab.runtime import EXIT_CODES, NonFiniteLossError, processes

    try:
        outcome = runs.train(configuration, say=_say)
    except NonFiniteLossError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    folder, first = outcome.folder, processes.is_first()
    if outcome.stopped is not None:
        if first:
            again = command_line.command(configuration, str(folder))
            sys.stderr.write(
                f"{outcome.stopped}: saved at step {outcome.summary['steps']}; "
                f"resume with: {again}\n"
            )
        return EXIT_CODES[outcome.stopped]
    if not first:
        return 0
    if outcome.fitted is None:
        print(
            "this run was complete already; existing=overwrite starts again", flush=True
        )
    if outcome.fitted is not None or not (folder / CURVES).exists():
        report.draw_curves(outcome.summary, folder)
    page = run_page.after(ended_run.of_outcome(configuration, outcome), outcome)
    report.print_summary(outcome.summary, folder)
    if page is not None:
        _say(f"report: {page}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _join(run: RunOptions) -> None:
    from jaxopt_lab.runtime import processes

    if not run.out:
        raise InputError("several processes need out=, one folder that all of them see")
    if run.existing == "overwrite":
        raise InputError("existing=overwrite is for one process; remove the folder")
    processes.start(run.coordinator, run.processes, run.process)


def configure_jax(x64: bool) -> None:
    """Choose the types of a command and the cache of its compiled programs.

    Args:
      x64: whether the model computes in float64.
    """
    import jax

    if x64:
        jax.config.update("jax_enable_x64", True)
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        cache = Path.home() / ".cache" / "jaxopt_lab" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


if __name__ == "__main__":
    leave(main())
