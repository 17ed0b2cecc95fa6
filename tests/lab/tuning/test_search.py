"""The search: its proposals, its store, and a search that is interrupted."""

import math

import pytest

from jaxopt_lab import catalog
from jaxopt_lab.catalog.tuned_ranges import tuned
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.tuning import best_settings, search
from jaxopt_lab.lab.tuning.settings import search_space

TINY = ["task=digits", "model=mlp", "model.width=8", "steps=8", "method=sam"]


@pytest.fixture
def pretended(monkeypatch):
    """A search whose trials train nothing: the best rate is 0.2, the best rho 0.1."""
    pytest.importorskip("optuna")
    made = []

    def program(configuration, names):
        made.append((configuration, names))
        return made

    def run(program, trial, steps):
        found = trial.params
        away = math.log(found["learning_rate"] / 0.2) ** 2
        away += math.log(found["rho"] / 0.1) ** 2
        for part in range(1, 4):
            trial.report(part / 4 - away, part)
            if trial.should_prune():
                return None, away
        return 1 - away, away

    monkeypatch.setattr(search, "SettingsProgram", program)
    monkeypatch.setattr(search, "_run", run)
    return made


def trials(folder):
    import optuna

    stored = f"sqlite:///{folder / search.STORE}"
    study = optuna.load_study(study_name=search._NAME, storage=stored)
    return [(t.params, t.value, t.state.name) for t in study.trials]


def test_the_defaults_are_tried_first_and_a_store_is_of_one_search(pretended, tmp_path):
    some = {"trials": 1, "folder": tmp_path, "seeds": range(5)}
    configuration = parse(TINY)
    found = best_settings(configuration, **some)
    assert found == {"rho": 0.05, "learning_rate": 0.05}
    ((used, names),) = pretended
    assert names == ["rho", "learning_rate"]
    assert (used.run.seed, used.run.seeds, used.run.val) == (5, 1, search.SHARE)
    assert best_settings(configuration, **some) == found and len(pretended) == 1
    with pytest.raises(InputError, match=r"another search: steps was 8, now 9"):
        best_settings(parse([*TINY[:3], "steps=9"]), **some)


@pytest.mark.full
def test_an_interrupted_search_ends_as_a_whole_one(pretended, tmp_path, monkeypatch):
    told = []
    configuration = parse(TINY)
    whole = best_settings(
        configuration,
        trials=6,
        folder=tmp_path / "a",
        seeds=range(5),
        progress=lambda *numbers: told.append(numbers),
    )
    assert [done for done, _, _ in told] == list(range(1, 7))
    assert told[-1][2] >= told[0][2]
    found = trials(tmp_path / "a")
    assert found[0][0] == {"rho": 0.05, "learning_rate": 0.05}  # the defaults
    assert "PRUNED" in {state for _, _, state in found}
    run = search._run

    def interrupted(program, trial, steps):
        if trial.number == 4:
            raise KeyboardInterrupt
        return run(program, trial, steps)

    monkeypatch.setattr(search, "_run", interrupted)
    some = {"folder": tmp_path / "b", "seeds": range(5)}
    with pytest.raises(KeyboardInterrupt):
        best_settings(configuration, trials=6, **some)
    monkeypatch.setattr(search, "_run", run)
    assert best_settings(configuration, trials=6, **some) == whole
    assert trials(tmp_path / "b") == found
    # Fewer trials than there are: the best of the first.
    assert best_settings(configuration, trials=1, **some) == found[0][0]


def test_a_file_that_is_no_store_is_refused(pretended, tmp_path):
    (tmp_path / search.STORE).write_text("something else, longer than a header")
    with pytest.raises(InputError, match="no store of trials") as refused:
        best_settings(parse(TINY), trials=2, folder=tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.full
def test_a_search_trains_in_one_program(tmp_path):
    pytest.importorskip("optuna")
    told = []
    found = best_settings(
        parse([*TINY[:3], "steps=60"]),
        trials=6,
        folder=tmp_path,
        progress=lambda *numbers: told.append(numbers[-1]),
    )
    assert found.keys() == {"rho", "learning_rate"} and told == sorted(told)
    assert 0.2 < told[-1] < 1


def test_without_optuna_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'jaxopt_lab\[tune\]'"):
        best_settings(parse(TINY), trials=2, folder=tmp_path)


def test_a_method_without_ranges_runs_nothing(pretended, tmp_path):
    words = ["task=digits", "model=mlp", "method=normalize_and_project", "base=sgd"]
    assert search_space(parse(words)).keys() == {"learning_rate"}


def test_ranges_lie_within_the_accepted_values():
    for row in catalog.of_kind("transform").values():
        for name, (low, high, log) in tuned(row).items():
            accepted = row.details[name].accepted
            assert low < high and (low > 0 or not log)
            assert low in accepted and high in accepted
            assert low <= row.details[name].default <= high
    assert "rho" not in tuned(catalog.get("ldadam"))
    assert not tuned(catalog.get("wsam")).keys() & {"learning_rate"}
