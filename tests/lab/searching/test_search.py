"""The command search: spaces as text, the store, resumed searches, one-line errors."""

import json
import math
import sqlite3

import pytest
from support.tiny_lab import WORDS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.commands import search as search_command
from jaxopt_lab.lab.searching.loop import search_candidates
from jaxopt_lab.lab.searching.objectives import read_objectives
from jaxopt_lab.lab.searching.space_text import make_driver, read_space
from jaxopt_lab.lab.searching.trials import STORE, Trials
from jaxopt_lab.search import Choice, Integers, Interval

TEXT = "rate=log:1e-3:1;depth=int:1:4;shift=lin:-1:1;name=a,b"
SPACE = read_space(TEXT)


def test_a_space_is_read_from_text():
    assert {
        "rate": Interval(1e-3, 1.0, log=True),
        "depth": Integers(1, 4),
        "shift": Interval(-1.0, 1.0),
        "name": Choice(("a", "b")),
    } == SPACE


def scores(number, candidate):
    del number
    bad = candidate["depth"] == 4
    return [math.nan] * 2 if bad else [-abs(candidate["shift"]), -candidate["rate"]]


def searched(folder, driver, budget, evaluate=scores, seed=3):
    with Trials(folder, {"driver": driver}) as trials:
        search = make_driver(driver, {}, SPACE)
        return search_candidates(
            search,
            trials,
            evaluate,
            seed=seed,
            budget=budget,
            several=driver == "nsga2",
        )


@pytest.mark.parametrize("driver", ["nsga2", "predictor_guided"])
def test_an_interrupted_search_ends_as_a_whole_one(tmp_path, driver):
    whole = searched(tmp_path / "a", driver, 30)
    asked = []

    def stopping(number, candidate):
        asked.append(number)
        return None if len(asked) == 12 else scores(number, candidate)

    part = searched(tmp_path / "b", driver, 30, stopping)
    assert not part.whole and len(part.trials) == 11
    rest = searched(tmp_path / "b", driver, 30, stopping)
    assert rest.whole and asked == [*range(12), *range(11, 30)]
    plain = lambda found: json.dumps([t[:3] for t in found.trials])
    assert plain(rest) == plain(whole)
    assert json.dumps(rest.state) == json.dumps(whole.state)
    assert len(searched(tmp_path / "b", driver, 5, stopping).trials) == 30


def test_a_store_of_another_search_is_refused(tmp_path):
    searched(tmp_path, "random_search", 2)
    with pytest.raises(InputError, match="holds another search: driver"):
        searched(tmp_path, "nsga2", 2)
    with pytest.raises(InputError, match="candidate 0 of another driver"):
        searched(tmp_path, "random_search", 2, seed=4)
    db = sqlite3.connect(tmp_path / STORE)
    db.execute("delete from trials where number = 0")
    db.commit()
    db.close()
    with pytest.raises(InputError, match="is damaged: a candidate is missing"):
        searched(tmp_path, "random_search", 2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / STORE).write_text("no database, but a text of some length")
    with pytest.raises(InputError, match="is no store of candidates"):
        searched(tmp_path / "c", "random_search", 2)


BAD = {
    "budget=0 is out of range": ["space=steps=1,2", "budget=0"],
    "space= is missing": ["budget=2"],
    "space: cannot read 'steps'": ["space=steps"],
    "space: rate=log:1:x has no two numbers": ["space=rate=log:1:x"],
    "space names steps twice": ["space=steps=1,2;steps=3"],
    "must be an Interval, Integers or Choice": ["space=rate=log:0:1"],
    "unknown driver 'nsga'; perhaps you meant 'nsga2'": [
        "space=steps=1,2",
        "driver=nsga",
    ],
    "unknown option of nsga2 'populaton'": [
        "space=steps=1,2",
        "driver=nsga2",
        "driver.populaton=3",
    ],
    "driver.population=x must be a whole number": [
        "space=steps=1,2",
        "driver=nsga2",
        "driver.population=x",
    ],
    "unknown objective 'acuracy'": ["space=steps=1,2", "objectives=acuracy"],
    "objectives=loss,loss must name different ones": [
        "space=steps=1,2",
        "objectives=loss,loss",
    ],
    "steps stands in the space and beside it": ["space=steps=1,2", "steps=3"],
    "unknown option 'stepz'": ["space=stepz=1,2", *WORDS],
    "val=0: candidates are scored": ["space=steps=1,2", "val=0", *WORDS],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line(message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert search_command.main(BAD[message]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_front_and_the_best_are_written(tmp_path, capsys):
    with Trials(tmp_path, {}) as trials:
        search = make_driver("random_search", {}, SPACE)
        found = search_candidates(search, trials, scores, seed=0, budget=12)
    objectives = read_objectives("accuracy,parameters")
    search_command._write(tmp_path, objectives, found.trials, {"steps": "3"})
    record = json.loads((tmp_path / "results.json").read_text())
    best = record["trials"][record["best"]]
    finite = [t for t in record["trials"] if t["candidate"]["depth"] != 4]
    assert best["scores"][0] == max(t["scores"][0] for t in finite)
    assert best["on_front"] and len(record["trials"]) == 12
    kept = json.loads((tmp_path / "best.json").read_text())
    assert kept == {"steps": "3", **best["candidate"]}
    assert (tmp_path / "front.png").stat().st_size > 1000
    assert "train with it" in capsys.readouterr().out


@pytest.mark.full
def test_the_best_candidate_is_a_run(tmp_path, capsys):
    words = [*WORDS, "space=learning_rate=log:1e-3:0.5;model.width=3,5", "method=sgd"]
    words += ["steps=6", "driver=nsga2", "driver.population=2", f"out={tmp_path / 's'}"]
    words += ["objectives=accuracy,parameters"]
    assert search_command.main([*words, "budget=2"]) == 0
    capsys.readouterr()
    assert search_command.main([*words, "budget=3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3/3") and "2/3" not in said
    from jaxopt_lab.lab import load
    from jaxopt_lab.lab.commands import train

    record = json.loads((tmp_path / "s" / "results.json").read_text())
    run = load(tmp_path / "s" / "candidates" / f"{record['best']:04d}")
    assert run.step == 6
    best = record["trials"][record["best"]]
    size = int(best["candidate"]["model.width"]) * (4 + 1 + 3) + 3
    assert best["scores"][1] == -size
    again = [f"config={tmp_path / 's' / 'best.json'}", f"out={tmp_path / 'again'}"]
    assert train.main([*again, "progress=off"]) == 0
    one, two = (r.table()["val_accuracy"][-1] for r in (run, load(tmp_path / "again")))
    assert one == two
