"""The run of a command: every option of the choice reaches ``lab.load``."""

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import python_runs
from jaxopt_lab.lab.commands import evaluate
from jaxopt_lab.lab.run_choice import RunChoice


class Loaded:
    """A stand-in of a run that notes what was asked for."""

    step, test_examples = 7, 3

    def __init__(self, *asked, **options):
        self.asked, self.options, self.index = asked, options, None

    def seed(self, index):
        self.index = index
        return self

    def evaluate(self):
        return {"loss": 0.5}


@pytest.fixture
def loaded(monkeypatch):
    """The runs that are loaded."""
    found = []

    def load(*asked, **options):
        found.append(Loaded(*asked, **options))
        return found[-1]

    monkeypatch.setattr(python_runs, "load", load)
    return found


def test_folder_step_and_seed(loaded):
    RunChoice("runs/x", "best", 2).load(data_dir="here")
    RunChoice("runs/x", "20", -1).load()
    first, second = loaded
    assert (first.asked, first.options) == (("runs/x", "best"), {"data_dir": "here"})
    assert (first.index, second.index) == (2, None)
    assert second.asked == ("runs/x", 20)
    with pytest.raises(InputError, match="step=last; accepted: latest, best"):
        RunChoice("runs/x", "last").load()


def test_evaluate_takes_averaged_weights_and_other_data(loaded, capsys):
    words = ["run=runs/x", "average=true", "task=npz:f", "data_dir=d"]
    assert evaluate.main(words) == 0
    asked = {"data": "npz:f", "data_dir": "d", "average": True}
    assert loaded[0].options == asked and loaded[0].index is None
    assert '"loss": 0.5' in capsys.readouterr().out
