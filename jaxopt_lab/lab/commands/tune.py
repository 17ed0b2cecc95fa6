"""Tune one method: ``jaxopt-lab tune method=sam rho=0.01,0.05,0.1``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE
from jaxopt_lab.lab import command_line, plain_options
from jaxopt_lab.lab.commands import HELP, guarded
from jaxopt_lab.lab.commands.train import configure_jax
from jaxopt_lab.lab.ending import leave

_ABOUT = """Train one method with every setting of a grid, and validate each on a part
of the training set; the test set is not looked at.

{command} method=sam rho=0.01,0.05,0.1 learning_rate=log:1e-3:1e-1:5
    task=digits model=mlp steps=500 seeds=5 halving=3

Several values of an option: with commas (with | where a value may have commas
itself), log:LOW:HIGH:COUNT or lin:LOW:HIGH:COUNT. Numbers of the method and its base
are trained side by side in one program, each other value in a program of its own. All
options of train may be given; those of the tuning itself are below. Writes
results.json, best.json (for train config=FILE) and grid.png."""

_IDLE = frozenset(
    {"existing", "log_every", "eval_every", "keep", "patience", "curvature"}
    | {"curvature_examples", "writers", "tensorboard", "profile", "mesh", "style"}
    | {"zero", "rules", "reduce", "batch_stats", "coordinator", "processes", "process"}
)
_SHARE = "0.2"


@dataclass(frozen=True)
class TuneOptions:
    """The tuning itself."""

    halving: int = 0
    """successive halving: 3 keeps the better third of the settings at 1/3 (1/9, ...) of
    the steps, which train on; 0: all settings take all steps"""
    score: Literal["accuracy", "loss"] = "accuracy"
    """the validation metric that decides; the other one decides between equals"""
    at_once: int = 0
    """settings in one call of the program, on each device; 0: all, but one for
    convolutions on a CPU"""
    devices: int = 0
    """devices over which the settings are divided, filled up where they do not divide;
    0: all, of the virtual ones of a CPU one"""
    out: str = ""
    """folder of the tuning; empty: a new one below runs/tune. An interrupted one is
    resumed"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C, 143 after SIGTERM.
    """
    return guarded(_tune, sys.argv[1:] if arguments is None else arguments)


def _tune(words: Sequence[str]) -> int:
    helping = [word for word in words if word in HELP]
    given = command_line.words([word for word in words if word not in HELP])
    mine = {n: given.pop(n) for n in _names() if n in given}
    own = plain_options.parse(
        TuneOptions,
        [*(f"{n}={v}" for n, v in mine.items()), *helping],
        "tune",
        _ABOUT,
        accepted=dict.fromkeys(("halving", "at_once", "devices"), NON_NEGATIVE),
        needed={},
    )
    for name in given:
        if name in _IDLE:
            raise InputError(f"{name}={given[name]} would do nothing in a tuning")
    val = float(given["val"]) if _is_number(given.get("val")) else 0.0
    given.setdefault("val", _SHARE)
    from jaxopt_lab.lab.tuning import axes

    try:
        grid = axes.read(given)
    except InputError as error:
        raise _with_own_names(error, given) from None
    return _search(grid, own, mine, val)


def _names() -> list[str]:
    return list(TuneOptions.__dataclass_fields__)


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) >= 0
    except ValueError:
        return False


def _with_own_names(error: InputError, given: Mapping[str, str]) -> InputError:
    """An unknown option may be a misspelled one of the tuning itself."""
    for name in given:
        near = errors.unknown("option", name, _names())
        if str(error).startswith(f"unknown option {name!r}") and "perhaps" in str(near):
            return near
    return error


def _search(grid: Any, own: TuneOptions, mine: Mapping[str, str], val: float) -> int:
    from jaxopt_lab.lab.tuning import grid_search, results
    from jaxopt_lab.lab.tuning import store as files
    from jaxopt_lab.lab.tuning.program import check_devices
    from jaxopt_lab.runtime import EXIT_CODES
    from jaxopt_lab.runtime.folder_lock import claimed
    from jaxopt_lab.runtime.progress import Progress
    from jaxopt_lab.runtime.signals import StopRequest

    models = [group.configuration.model for group in grid.groups]
    types = {getattr(model, "dtype", "float32") for model in models}
    configure_jax(x64="float64" in types)
    run = grid.groups[0].configuration.run
    devices = own.devices or _all_devices()
    check_devices(devices)
    options = grid_search.Options(
        own.halving, own.score, own.at_once, run.save_every, devices
    )
    total = grid_search.total_steps(grid, options)
    identity = results.identity(grid, options)
    folder = Path(own.out).expanduser() if own.out else _proposed(run)
    shown: Any = {"auto": "auto", "on": True, "off": False}[run.progress]
    with claimed(folder):
        store = files.Store(folder, identity)
        if not own.out:
            print(f"folder: {folder}", flush=True)
        stop = StopRequest()
        try:
            with stop, Progress(total, enabled=shown) as line:
                scored = grid_search.grid_search(
                    grid,
                    options,
                    store,
                    stopping=lambda: stop.name is not None,
                    progress=lambda done, found: line.update(done, _best(found)),
                )
        except grid_search.Stopped as stopped:
            said = {**grid.given, **mine, "out": str(folder)}
            again = " ".join(shlex.quote(f"{n}={t}") for n, t in said.items())
            name = stop.name or "SIGINT"
            sys.stderr.write(
                f"{name}: saved at step {stopped.step}; resume with: "
                f"{command_line.program('tune')} {again}\n"
            )
            return EXIT_CODES[name]
        more = [f"{n}={t}" for n, t in mine.items() if n != "out"]
        record = results.record(grid, scored, options, more)
        chosen = results.best(scored, options.score)
        store.write(files.RESULTS, record)
        store.write(files.BEST, results.best_configuration(grid, chosen, val))
        drawn = results.figure(grid, scored, options)
        results.write_figure(drawn, folder / files.FIGURE)
        results.print_table(grid, scored, options)
        for found in results.edges(grid, chosen):
            print(f"warning: {found.told()}")
        if record["wider"]:
            print(f"a wider grid: {record['wider']}")
        train = command_line.program("train")
        print(f"train with it: {train} config={folder / files.BEST}")
        print(f"files in {folder}", flush=True)
    return 0


def _all_devices() -> int:
    """All devices; of a CPU one, since its virtual ones share the same cores."""
    import jax

    virtual = jax.devices()[0].platform == "cpu"
    return 1 if virtual else jax.local_device_count()


def _best(found: Sequence[Any]) -> dict[str, float]:
    if not found:
        return {}
    accuracy = max(sum(s.accuracy) / len(s.accuracy) for s in found)
    return {"test_best validation": accuracy}


def _proposed(run: Any) -> Path:
    """The next free folder below ``runs/tune``."""
    from jaxopt_lab.lab.run_folder import proposed

    return proposed(run, Path("runs") / "tune")


if __name__ == "__main__":
    leave(main())
