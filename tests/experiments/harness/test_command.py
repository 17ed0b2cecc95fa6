"""The command line of studies and applications."""

import pytest

from experiments.harness.command import Command
from jaxopt_lab.core.errors import InputError


def call(*words, run=None, options=None):
    seen = []

    def keep(size, folder, **given):
        seen.append((size, folder, given))
        if run is not None:
            run()

    command = Command("studies", "name", "purpose", ["quick", "full"], options or {})
    return command.main(keep, words), seen


def test_defaults_and_options(tmp_path):
    status, seen = call()
    assert status == 0 and seen[0][0] == "quick"
    assert str(seen[0][1]).endswith("runs/studies/name-quick")
    status, seen = call("full", f"out={tmp_path}", "text=a", options={"text": "a file"})
    assert status == 0 and seen == [("full", tmp_path, {"text": "a"})]


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


def test_refusals_and_ctrl_c(capsys):
    def refuse():
        raise InputError("no data")

    def stop():
        raise KeyboardInterrupt

    assert call(run=refuse)[0] == 2
    assert "error: no data" in capsys.readouterr().err
    assert call(run=stop)[0] == 130
