"""The command line that the reproductions share."""

import pytest

from experiments.studies import command
from jaxopt_lab.core.errors import InputError

SIZES = {"quick": 1, "full": 2}


def call(*words, run=None, options=None):
    seen = []

    def keep(config, folder, **given):
        seen.append((config, folder, given))
        if run is not None:
            run()

    status = command.main("name", "purpose", SIZES, keep, words, options or {})
    return status, seen


def test_defaults_and_options(tmp_path):
    status, seen = call()
    assert status == 0 and seen[0][0] == 1
    assert str(seen[0][1]).endswith("runs/reproduce/name-quick")
    status, seen = call("full", f"out={tmp_path}", "text=a", options={"text": "a file"})
    assert status == 0 and seen == [(2, tmp_path, {"text": "a"})]


def test_help_names_everything(capsys):
    status, seen = call("--help", options={"text": "a file"})
    assert status == 0 and not seen
    shown = capsys.readouterr().out
    for part in ("quick|full", "purpose", "[text=...]", "text: a file", "out=FOLDER"):
        assert part in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ful",), "unknown size 'ful'"),
        (("quick", "ot=x"), "unknown option 'ot'"),
        (("quick", "full"), "cannot read 'full'"),
        (("quick", "out="), "cannot read 'out='"),
    ],
)
def test_bad_words(words, message, capsys):
    status, seen = call(*words)
    assert status == 2 and not seen
    assert message in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "x").write_text("")
    assert call(f"out={tmp_path / 'x'}")[0] == 2
    assert "is a file" in capsys.readouterr().err


def test_what_the_experiment_refuses_and_ctrl_c(capsys):
    def refuse():
        raise InputError("no data")

    def stop():
        raise KeyboardInterrupt

    assert call(run=refuse)[0] == 2
    assert "error: no data" in capsys.readouterr().err
    assert call(run=stop)[0] == 130
