"""Train a network: ``jaxopt-lab train method=sam task=digits``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.commands import guarded
from jaxopt_lab.lab.run_options import RunOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 1 for a loss that is not finite; 2 for bad input; 130 after
      Ctrl-C.
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
    folder = run_folder(configuration.run)
    _configure_jax(x64=configuration.model.dtype == "float64")
    if configuration.run.coordinator:
        _join(configuration.run)
    from jaxopt_lab.lab import report, runs
    from jaxopt_lab.runtime import NonFiniteLossError, processes
    from jaxopt_lab.runtime.signals import EXIT_CODES

    first = processes.is_first()
    if not configuration.run.out and first:
        print(f"run folder: {folder}", flush=True)
    try:
        outcome = runs.train(configuration, folder)
    except NonFiniteLossError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
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
    report.draw_curves(outcome.summary, folder)
    report.print_summary(outcome.summary, folder)
    return 0


def run_folder(run: RunOptions, root: Path | None = None) -> Path:
    """The folder of a run: ``out``, or the next free one below ``runs/``.

    Args:
      run: its options.
      root: where new folders go; ``runs`` by default.

    Returns:
      The path; an existing one is removed if ``existing`` is ``"overwrite"``.

    Raises:
      InputError: what is to be overwritten is no run.
    """
    if run.out:
        folder = Path(run.out).expanduser()
        if run.existing == "overwrite" and folder.exists():
            _remove_run(folder)
        return folder
    root = Path("runs") if root is None else root
    stem = f"{run.task}-{run.model}-{run.method}".replace(":", "-").replace("/", "-")
    number = 1
    while (root / f"{stem}-{number:03d}").exists():
        number += 1
    return root / f"{stem}-{number:03d}"


def _remove_run(folder: Path) -> None:
    import shutil

    if not (folder / "config.json").exists() and any(folder.iterdir()):
        raise InputError(
            f"existing=overwrite would remove {folder}, which holds no run (no "
            "config.json); give another out="
        )
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"cannot remove {folder}: {error.strerror}") from error


def _join(run: RunOptions) -> None:
    from jaxopt_lab.runtime import processes

    if not run.out:
        raise InputError("several processes need out=, one folder that all of them see")
    if run.existing == "overwrite":
        raise InputError("existing=overwrite is for one process; remove the folder")
    processes.start(run.coordinator, run.processes, run.process)


def _configure_jax(x64: bool) -> None:
    import jax

    if x64:
        jax.config.update("jax_enable_x64", True)
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        cache = Path.home() / ".cache" / "jaxopt_lab" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


if __name__ == "__main__":
    sys.exit(main())
