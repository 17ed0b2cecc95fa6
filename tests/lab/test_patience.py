"""``patience=``: a run that ends early is complete, and says so."""

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import report, runs
from jaxopt_lab.lab.command_line import parse

TINY = ["task=digits", "model=mlp", "model.width=4", "model.depth=1", "method=sgd"]


@pytest.mark.full
def test_a_run_that_ends_early_is_complete(tmp_path):
    words = [*TINY, "learning_rate=0", "eval_every=1", "save_every=0", "patience=2"]
    words += ["steps=50", f"out={tmp_path}/run", "val=0.1"]
    outcome = runs.train(parse(words))
    told = outcome.summary
    assert (told["complete"], told["stopped"], told["ended_early"]) == (True, None, 2)
    assert (told["steps"], told["planned_steps"]) == (3, 50)
    shown = dict(report.rows(told))["steps"]
    assert shown == "3 of 50: no better validation accuracy in 2 tests, 1 seed(s)"
    again = runs.train(parse(words))
    assert again.fitted is None and again.summary == told
    with pytest.raises(InputError, match="would take no step.*a larger patience="):
        changed = [*words, "existing=continue", "log_every=9"]
        runs.train(parse(changed))


def test_tests_that_never_come_are_refused():
    with pytest.raises(InputError, match="patience=2 would do nothing without eval_"):
        parse([*TINY, "patience=2", "eval_every=0"])
