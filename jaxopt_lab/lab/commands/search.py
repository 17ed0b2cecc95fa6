"""Search options of training: ``jaxopt-lab search space="model.width=8,16"``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxopt_lab.core.options import COUNT
from jaxopt_lab.lab import command_line, plain_options
from jaxopt_lab.lab.commands import HELP, command
from jaxopt_lab.lab.commands.train import configure_jax
from jaxopt_lab.lab.ending import leave

_ABOUT = """Ask a search of the catalog for settings of training, train each, and score
it on a part of the training set; the test set is not looked at.

{command} space="learning_rate=log:1e-4:1e-1;model.width=16,32,64" driver=nsga2
    budget=24 objectives=accuracy,parameters task=digits model=mlp steps=200

space: option=log:LOW:HIGH, lin:LOW:HIGH, int:LOW:HIGH or values with commas, separated
by ;. Or einspace: architectures of its grammar (model=einspace), within the limits
grammar.NAME=VALUE: max_depth, max_computations, max_elements, units, branches, ops,
probabilities. Options of the driver are driver.NAME=VALUE, all options of train may be
given beside. Every candidate is a run of its own, compiled by itself, below
out/candidates. Writes search.sqlite3, results.json, best.json (for train config=FILE)
and front.png."""
_SHARE = "0.2"
_PREFIX = "driver."
_GRAMMAR = "grammar."
_LONGEST = 100


@dataclass(frozen=True)
class SearchOptions:
    """The search itself."""

    space: str = ""
    """options of training and their values, or einspace, see above"""
    driver: str = "regularized_evolution"
    """search of the catalog"""
    budget: int = 20
    """candidates, those of an interrupted search among them"""
    objectives: str = "accuracy"
    """accuracy, loss, parameters; the first one decides which is best, and is the only
    one that a driver for one score is told"""
    search_seed: int = 0
    """of the draws"""
    out: str = ""
    """folder of the search; empty: a new one below runs/search. An interrupted one is
    resumed"""


def _search(words: Sequence[str]) -> int:
    helping = [word for word in words if word in HELP]
    given = command_line.words([word for word in words if word not in HELP])
    names = SearchOptions.__dataclass_fields__
    mine = {n: given.pop(n) for n in list(given) if n in names}
    driver = {n: given.pop(n) for n in list(given) if n.startswith(_PREFIX)}
    grammar = {n: given.pop(n) for n in list(given) if n.startswith(_GRAMMAR)}
    own = plain_options.parse(
        SearchOptions,
        [*(f"{n}={v}" for n, v in mine.items()), *helping],
        "search",
        _ABOUT,
        accepted={"budget": COUNT},
        needed={"space": "options of training and their values"},
    )
    given.setdefault("val", _SHARE)
    given.setdefault("progress", "off")
    return _run(own, given, driver, grammar, {**mine, **driver, **grammar})


def _run(
    own: SearchOptions,
    given: dict[str, str],
    driver: Mapping[str, str],
    grammar: Mapping[str, str],
    mine: Mapping[str, str],
) -> int:
    from jaxopt_lab.catalog import of_kind
    from jaxopt_lab.core.errors import InputError
    from jaxopt_lab.lab.configuration import Own
    from jaxopt_lab.lab.recipe_adapters import refuse_apart
    from jaxopt_lab.lab.run_folder import proposed
    from jaxopt_lab.lab.searching.loop import search_candidates
    from jaxopt_lab.lab.searching.objectives import (
        measured,
        read_objectives,
        scores_of,
    )
    from jaxopt_lab.lab.searching.trials import Trial, Trials
    from jaxopt_lab.runtime import EXIT_CODES
    from jaxopt_lab.runtime.folder_lock import claimed

    objectives = read_objectives(own.objectives)
    options = {n.removeprefix(_PREFIX): v for n, v in driver.items()}
    limits = {n.removeprefix(_GRAMMAR): v for n, v in grammar.items()}
    make = _of_grammar if own.space == "einspace" else _of_options
    search, described = make(own, given, options, limits)
    first = search.ask(search.init(), _key(own.search_seed))
    # Before anything is written: a wrong option of training ends here.
    refuse_apart(str({**given, **first}.get("recipe", "none")), "search")
    plain = command_line.configured({**given, **first}, Own())
    if not plain.run.val:
        raise InputError("val=0: candidates are scored on a part of the training set")
    configure_jax(x64=getattr(plain.model, "dtype", "float32") == "float64")
    root = Path("runs") / "search"
    folder = Path(own.out).expanduser() if own.out else proposed(plain.run, root)
    identity = {
        "space": described,
        "driver": {"name": own.driver, **options},
        "objectives": list(objectives),
        "search_seed": own.search_seed,
        "train": {n: v for n, v in sorted(given.items()) if n != "progress"},
    }
    stopped: list[str] = []

    def evaluate(number: int, candidate: Mapping[str, Any]) -> list[float] | None:
        from jaxopt_lab.lab import runs
        from jaxopt_lab.lab.ended_run import of_outcome

        out = str(folder / "candidates" / f"{number:04d}")
        chosen = command_line.configured({**given, **candidate, "out": out}, Own())
        outcome = runs.train(chosen, say=lambda text: None)
        if outcome.stopped:
            stopped.append(outcome.stopped)
            return None
        return scores_of(of_outcome(chosen, outcome), objectives)

    def progress(trial: Trial) -> None:
        said = _short(", ".join(f"{n}={v}" for n, v in trial.candidate.items()))
        found = ", ".join(
            f"{name} {measured(name, score):.4g}"
            for name, score in zip(objectives, trial.scores, strict=True)
        )
        done = f"{trial.number + 1}/{own.budget}  {found}  ({trial.seconds:.1f} s)"
        print(f"{done}  {said}", flush=True)

    with claimed(folder), Trials(folder, identity) as trials:
        if not own.out:
            print(f"folder: {folder}", flush=True)
        found = search_candidates(
            search,
            trials,
            evaluate,
            seed=own.search_seed,
            budget=own.budget,
            several=getattr(of_kind("search")[own.driver], "several", False),
            progress=progress,
        )
        if not found.whole:
            said = {**given, **mine, "out": str(folder)}
            again = " ".join(shlex.quote(f"{n}={t}") for n, t in said.items())
            sys.stderr.write(
                f"{stopped[0]}: {len(found.trials)} candidates are kept; resume with: "
                f"{command_line.program('search')} {again}\n"
            )
            return EXIT_CODES[stopped[0]]
        _write(folder, objectives, found.trials, given)
    return 0


def _of_options(
    own: SearchOptions,
    given: Mapping[str, str],
    options: Mapping[str, str],
    limits: Mapping[str, str],
) -> tuple[Any, dict[str, str]]:
    """The search over options of training, and its space in words."""
    from jaxopt_lab.core.errors import InputError
    from jaxopt_lab.lab.searching.space_text import make_driver, read_space

    space = read_space(own.space)
    twice = [name for name in space if name in given]
    if twice:
        raise InputError(f"{twice[0]} stands in the space and beside it")
    if limits:
        name = next(iter(limits))
        raise InputError(f"grammar.{name} is for space=einspace; got {own.space}")
    search = make_driver(own.driver, options, space)
    return search, {name: str(dimension) for name, dimension in space.items()}


def _of_grammar(
    own: SearchOptions,
    given: dict[str, str],
    options: Mapping[str, str],
    limits: Mapping[str, str],
) -> tuple[Any, dict[str, str]]:
    """The same over architectures; the model of ``given`` becomes theirs."""
    from jaxopt_lab.core.errors import InputError
    from jaxopt_lab.lab import data
    from jaxopt_lab.lab.configuration import Own
    from jaxopt_lab.lab.searching import architectures

    for name, text in given.items():
        other = name == "model" and text != architectures.SPACE
        if other or name == architectures.OPTION:
            raise InputError(f"space=einspace chooses the model; got {name}={text}")
    grammar = architectures.read_grammar(limits)
    given["model"] = architectures.SPACE
    plain = command_line.configured(given, Own())
    shape = data.load(plain.run, plain.rows.task, 128).input_shape
    search = architectures.make_grammar_driver(own.driver, options, grammar, shape)
    return search, {architectures.SPACE: "", **limits}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _key(seed: int) -> Any:
    import jax

    return jax.random.fold_in(jax.random.key(seed), 0)


def _write(
    folder: Path,
    objectives: tuple[str, ...],
    trials: Sequence[Any],
    given: Mapping[str, str],
) -> None:
    import math

    from jaxopt_lab.core.errors import InputError
    from jaxopt_lab.runtime.atomic_files import write_text
    from jaxopt_lab.search import nondominated_sort

    sound = [t for t in trials if not any(map(math.isnan, t.scores))]
    if not sound:
        raise InputError("no candidate has finite scores; nothing is best")
    ranks = nondominated_sort([t.scores for t in sound])
    front = {t.number for t, rank in zip(sound, ranks, strict=True) if rank == 0}
    best = max(sound, key=lambda t: t.scores[0])
    candidates = folder / "candidates"
    record = {
        "objectives": list(objectives),
        "best": best.number,
        "trials": [{**t._asdict(), "on_front": t.number in front} for t in trials],
    }
    settings = {**given, **best.candidate}
    for name in ("out", "progress"):
        settings.pop(name, None)
    for name, content in (("results.json", record), ("best.json", settings)):
        text = json.dumps(content, indent=1) + "\n"
        write_text(folder / name, text)
    drawn = _figure(objectives, trials, front)
    drawn.savefig(folder / "front.png", dpi=120)
    said = _short(str(best.candidate))
    print(f"best: {candidates / f'{best.number:04d}'}  {said}")
    train = command_line.program("train")
    print(f"train with it: {train} config={folder / 'best.json'}")
    print(f"files in {folder}", flush=True)


def _figure(objectives: Sequence[str], trials: Sequence[Any], front: set[int]) -> Any:
    from jaxopt_lab.lab.searching.objectives import measured
    from jaxopt_lab.plotting import pareto_front

    on_front = [t.number in front for t in trials]
    scores = [t.scores for t in trials]

    def of(i: int) -> list[float]:
        return [measured(objectives[i], s[i]) for s in scores]

    if len(objectives) > 1:
        x, y = of(1), of(0)
        return pareto_front(x, y, on_front, xlabel=objectives[1], ylabel=objectives[0])
    best, so_far = [], float("-inf")
    for (score,) in scores:
        best.append(score > so_far)
        so_far = max(so_far, score if score == score else so_far)
    numbers = [t.number + 1 for t in trials]
    return pareto_front(numbers, of(0), best, xlabel="candidates", ylabel=objectives[0])


main = command(_search)

if __name__ == "__main__":
    leave(main())
