"""The page of all claims: that it is the kept results', and nothing else."""

import json
import math

import numpy as np
import pytest

from experiments.studies import __main__ as command
from experiments.studies import page, records
from experiments.studies.verdicts import Claim, exact, judge

HELD = Claim("a | b", "here", np.arange(5.0) + 9, paper="Someone 2020", unit=" ln")
CLAIMS = [
    HELD,
    HELD._replace(text="near", accepted=(-0.5, 0.5), scale=100.0, unit=" %"),
    HELD._replace(text="small", accepted=(-math.inf, 1.0)),
    HELD._replace(text="nothing", values=np.full(5, np.nan)),
    exact("an identity", True, "to 1e-7"),
]


def test_the_page_is_written_from_the_kept_results():
    kept = {name: records.read(name) for name in records.names()}
    assert page.PAGE.read_text() == page.page(kept)


def test_kept_verdicts_are_those_of_the_run(tmp_path):
    verdicts = judge(CLAIMS)
    results = {
        "settings": {"seeds": 5},
        "processor_seconds": 2.0,
        "verdicts": [v._asdict() for v in verdicts],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    path = records.keep("stability", tmp_path, "python -m x", tmp_path)
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    record = records.read("stability", tmp_path)
    assert record is not None and records.read("compressed", tmp_path) is None
    assert str(record.verdicts) == str(tuple(verdicts))
    written = page.page({"stability": record, "compressed": None})
    assert "| [stability](#stability) | 5 | 2 | 2 | 1 |" in written
    assert "| [compressed](#compressed) | not run |" in written
    assert "| Someone 2020 | a \\| b | here | above 0 ln | +11 (+9.04" in written
    assert "within ±50 %" in written and "below 1 ln" in written
    assert "|  | an identity |  | holds | to 1e-7 | - | exact | shown |" in written
    rows = page.table({"stability": record, "compressed": None}).rows
    assert len(rows) == 6 and rows[-1][0] == "compressed"


def test_a_quick_run_is_not_kept(tmp_path):
    (tmp_path / "results.json").write_text('{"verdicts": []}')
    with pytest.raises(records.InputError, match="it is no standard run"):
        records.keep("stability", tmp_path, "", tmp_path)


@pytest.mark.parametrize(
    "words, said",
    [
        (["rum"], "unknown command 'rum'; perhaps you meant 'run'"),
        (
            ["run", "stabilty"],
            "unknown study 'stabilty'; perhaps you meant 'stability'",
        ),
        (["run"], "unknown study ''"),
        (["run", "stability", "size=large"], "unknown size 'large'"),
        (["run", "all", "text=x"], "text=x is an option of one study"),
        (["run", "stability", "where=x"], "unknown option 'where'"),
    ],
)
def test_bad_words_get_one_line(words, said, capsys):
    assert command.main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_the_list_and_the_help(capsys):
    assert command.main([]) == 0 and command.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in records.names()) and "usage: " in shown


def test_every_study_or_each_of_its_claims_has_a_paper():
    for name in records.names():
        record = records.read(name)
        assert record is None or all(v.paper for v in record.verdicts), name
