"""The page of all claims: that it is the kept results', and nothing else."""

import json
import math

import numpy as np
import pytest

from experiments.applications import __main__ as applications
from experiments.harness import collection, page
from experiments.harness.verdicts import Claim, exact, judge
from experiments.studies import __main__ as studies
from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError

STUDIES, APPLICATIONS = studies.STUDIES, applications.APPLICATIONS
KINDS = pytest.mark.parametrize("kind", [STUDIES, APPLICATIONS], ids=lambda k: k.kind)
HELD = Claim("a | b", "here", np.arange(5.0) + 9, paper="Someone 2020", unit=" ln")
CLAIMS = [
    HELD,
    HELD._replace(text="near", accepted=(-0.5, 0.5), scale=100.0, unit=" %"),
    HELD._replace(text="small", accepted=(-math.inf, 1.0)),
    HELD._replace(text="nothing", values=np.full(5, np.nan)),
    exact("an identity", True, "to 1e-7"),
]


@KINDS
def test_the_page_is_written_from_the_kept_results(kind):
    assert kind.page.read_text() == page.page(kind, kind.kept())


def test_kept_verdicts_are_those_of_the_run(tmp_path):
    verdicts = judge(CLAIMS)
    results = {
        "settings": {"seeds": 5},
        "processor_seconds": 2.0,
        "verdicts": [v._asdict() for v in verdicts],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    kind = STUDIES._replace(folder=tmp_path)
    path = kind.keep("stability", tmp_path, "python -m x")
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    record = kind.read("stability")
    assert record is not None and kind.read("compressed") is None
    assert str(record.verdicts) == str(tuple(verdicts))
    both = {"stability": record, "compressed": None}
    written = page.page(STUDIES, both)
    subject = page.overview(STUDIES, both).rows[0][1]
    assert f"| [stability](#stability) | {subject} | 5 | 2 | 2 | 1 |" in written
    assert "states, linear codes" in written and "| not run |" in written
    assert "| Someone 2020 | a \\| b | here | above 0 ln | +11 (+9.04" in written
    assert "within ±50 %" in written and "below 1 ln" in written
    assert "|  | an identity |  | holds | to 1e-7 | - | exact | shown |" in written
    rows = page.table(STUDIES, both).rows
    assert len(rows) == 6 and rows[-1][0] == "compressed"
    first, last = page.overview(STUDIES, both).rows
    assert first[2] == "2 shown, 2 contradicted, 1 undecided"
    assert last[2] == page.NOT_RUN and len(last[1]) > 20


def test_a_quick_run_is_not_kept(tmp_path):
    (tmp_path / "results.json").write_text('{"verdicts": []}')
    with pytest.raises(InputError, match="it is no standard run"):
        STUDIES._replace(folder=tmp_path).keep("stability", tmp_path, "")


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
    assert studies.main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@KINDS
def test_the_list_and_the_help(kind, capsys):
    main = {"studies": studies, "applications": applications}[kind.kind].main
    assert main([]) == 0 and main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in kind.names()) and "usage: " in shown


def test_options_are_kept_without_the_files_of_a_machine(tmp_path):
    words = [f"out={tmp_path}", f"text={tmp_path}", "seeds=7"]
    assert collection._portable(words) == ["text=...", "seeds=7"]


@KINDS
def test_every_experiment_or_each_of_its_claims_has_a_paper(kind):
    for name, record in kind.kept().items():
        assert record is None or all(v.paper for v in record.verdicts), name


@KINDS
def test_parts_are_rows_of_the_catalog_and_kept_with_the_verdicts(kind):
    known = {name for k in catalog.KINDS for name in catalog.of_kind(k)}
    for name in kind.names():
        parts, record = kind.experiment(name).parts, kind.read(name)
        assert set(parts) <= known, name
        assert record is None or record.parts == parts, name
