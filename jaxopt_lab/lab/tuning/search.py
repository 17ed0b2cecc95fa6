"""A search over the numbers of a method, on a validation split."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import PRESENTATION, TOPOLOGY
from jaxopt_lab.lab.tuning.program import SettingsProgram
from jaxopt_lab.lab.tuning.settings import search_space
from jaxopt_lab.runtime.run_folder import differences, text_of

STORE = "trials.sqlite3"
"""File of the trials in a search's folder."""
SHARE = 0.2
"""Part of the training set that is kept aside where a run keeps none."""
REPORTS = 4
"""Validations of a trial, at equal parts of its steps; it may be pruned at each."""
_STARTUP = 4
_NAME = "search"

Told = Callable[[int, int, float], None]


def best_settings(
    configuration: Configuration,
    *,
    trials: int,
    folder: str | Path,
    seeds: Sequence[int] = (),
    progress: Told | None = None,
) -> dict[str, Any]:
    """The numbers of a method that do best on a validation split.

    A tree-structured Parzen estimator proposes numbers in the ranges of the catalog,
    the defaults first; a trial below the median of the others at the same step is
    pruned. All trials run in one compiled program, with one seed. Every proposal has a
    seed of its own, the trial's number: an interrupted search that is called again ends
    as it would have, to the bit.

    Args:
      configuration: the run. Its ``seeds`` do not matter here; ``val`` of 0 stands for
        0.2. The test split is never looked at.
      trials: number of trials, those that are in the folder already among them.
      folder: gets the trials, as an SQLite file that optuna's tools read.
      seeds: those that the result will be judged with; the search uses the next one.
      progress: ``progress(done, trials, best)``, called after every trial with the best
        accuracy.

    Returns:
      The best numbers by name on the command line, for ``with_values``; of equal
      accuracies the one with the smaller loss. Empty where the catalog has no range for
      any option of the method and its base, and nothing is run.

    Raises:
      InputError: optuna is not installed, the folder holds another search, or the
        configuration does not fit.

    Source: Bergstra, Bardenet, Bengio and Kegl, "Algorithms for Hyper-Parameter
    Optimization", NeurIPS 2011; Akiba et al. 2019, arXiv:1907.10902.
    """
    if trials < 1:
        raise InputError(f"trials={trials} is out of range; accepted: [1, inf)")
    optuna = _optuna()
    space = search_space(configuration)
    if not space:
        return {}
    run = configuration.run
    seed = max([run.seed - 1, *seeds]) + 1
    plain = dataclasses.replace(run, seed=seed, seeds=1, val=run.val or SHARE)
    configuration = dataclasses.replace(configuration, run=plain)
    study = _opened(optuna, configuration, space, Path(folder).expanduser())
    defaults = {name: configuration.flat()[name] for name in space}
    program = None
    while (number := len(study.get_trials(deepcopy=False))) < trials:
        # Proposed by a copy in memory: the file holds finished trials alone.
        proposing = _proposing(optuna, study, number)
        if number == 0:
            proposing.enqueue_trial(defaults)
        trial = proposing.ask(_distributions(optuna, space))
        program = program or SettingsProgram(configuration, list(space))
        score, loss = _run(program, trial, plain.steps)
        trial.set_user_attr("loss", loss)
        pruned = score is None
        state = optuna.trial.TrialState
        proposing.tell(trial, score, state.PRUNED if pruned else state.COMPLETE)
        study.add_trial(proposing.get_trials(deepcopy=False)[-1])
        if progress is not None:
            progress(number + 1, trials, _best(optuna, study, trials).value)
    return dict(_best(optuna, study, trials).params)


def _optuna() -> Any:
    try:
        optuna: Any = importlib.import_module("optuna")
    except ImportError:
        raise InputError(
            "a search over settings needs optuna: pip install 'jaxopt_lab[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _run(
    program: SettingsProgram, trial: Any, steps: int
) -> tuple[float | None, float]:
    """The last accuracy, ``None`` if the trial was pruned, and the last loss."""
    values = {name: [float(trial.params[name])] for name in program.names}
    population, score, loss = program.start(values), 0.0, math.inf
    for part in range(1, REPORTS + 1):
        population = program.train(population, round(steps * part / REPORTS))
        found = program.scores(population)
        loss = float(found["loss"].mean())
        # The accuracy of numbers that are not finite is that of the first class.
        score = float(found["accuracy"].mean()) if math.isfinite(loss) else -1.0
        if part < REPORTS:
            trial.report(score, population.step)
            if trial.should_prune():
                return None, loss
    return score, loss


def _best(optuna: Any, study: Any, trials: int) -> Any:
    """The best of the first trials."""
    complete = optuna.trial.TrialState.COMPLETE
    found = study.get_trials(deepcopy=False)[:trials]
    return max(
        (t for t in found if t.state == complete),
        key=lambda t: (t.value, -_number(t.user_attrs["loss"])),
    )


def _number(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _proposing(optuna: Any, study: Any, number: int) -> Any:
    proposing = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=number, n_startup_trials=_STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
    )
    proposing.add_trials(study.get_trials(deepcopy=False))
    return proposing


def _distributions(optuna: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    kind = optuna.distributions.FloatDistribution
    return {name: kind(low, high, log=log) for name, (low, high, log) in space.items()}


def _opened(
    optuna: Any, configuration: Configuration, space: Mapping[str, Any], folder: Path
) -> Any:
    """The trials in a folder, those of this search."""
    hidden = PRESENTATION | TOPOLOGY | {*space}
    asked = {k: v for k, v in configuration.flat().items() if k not in hidden}
    asked |= {f"range of {name}": list(space[name]) for name in space}
    make_writable(folder)
    path = folder / STORE
    try:
        # The check of the tables takes longer than a small trial.
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path.absolute()}", skip_compatibility_check=path.exists()
        )
        study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
        )
        before = json.loads(study.user_attrs.get("settings", "{}"))
        fresh = not before and not study.get_trials(deepcopy=False)
    except Exception as error:  # of SQLAlchemy, of SQLite, of optuna
        first = reason(error).strip().partition("\n")[0]
        raise InputError(f"{path} is no store of trials: {first}") from None
    text = text_of(asked)
    if fresh:
        study.set_user_attr("settings", text)
    elif text_of(before) != text:
        raise InputError(
            f"{path} holds trials of another search: "
            f"{differences(before, json.loads(text))}; give a folder of its own"
        )
    return study
