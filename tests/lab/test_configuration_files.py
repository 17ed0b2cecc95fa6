"""Options from files, and presets of papers."""

import json

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import configuration_files, idle_options, optimizers, runs
from jaxopt_lab.lab.command_line import configured, parse
from jaxopt_lab.lab.configuration import NOTHING_OWN

WORDS = ["method=asam", "rho=0.7", "model=mlp", "model.width=7", "steps=9", "val=0.1"]


@pytest.fixture
def saved(tmp_path):
    """A configuration as a run's folder holds it."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(runs.settings_of(parse(WORDS))))
    return path


def test_a_configuration_can_be_given_back(saved):
    assert parse([f"config={saved}"]) == parse(WORDS)
    assert parse([f"config={saved.parent}"]) == parse(WORDS)
    changed = ["rho=0.2" if word == "rho=0.7" else word for word in WORDS]
    assert parse([f"config={saved}", "rho=0.2"]) == parse(changed)
    assert configured({"config": saved, "steps": 9}, NOTHING_OWN) == parse(WORDS)


def test_what_belongs_to_a_replaced_part_is_left_out_and_told(saved, capsys):
    found = parse([f"config={saved}", "method=adam", "model=convnet"])
    assert (found.run.method, found.run.steps, found.run.model) == (
        "adam",
        9,
        "convnet",
    )
    said = capsys.readouterr().err
    assert "left out beside the other options" in said and said.count("\n") == 1
    for name in ("rho", "eta", "model.width"):
        assert name in said
    (saved.parent / "wsd.json").write_text('{"schedule": "wsd", "cooldown": 0.4}')
    found = parse([f"config={saved.parent}/wsd.json", "schedule=linear"])
    assert found.run.cooldown == 0.2 and "left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", configuration_files.presets())
def test_presets_are_runs_that_say_what_is_ours(name):
    found = configuration_files.preset(name)
    assert found.about and "arXiv:" in found.source
    assert set(found.ours) < set(found.settings)
    configuration = parse([f"preset={name}"])
    flat = configuration.flat()
    assert {n: flat[n] for n in found.settings} == dict(found.settings)
    assert idle_options.names(configuration) == []
    optimizers.build(configuration)
    small = ["task=digits", "model=mlp", "steps=3"]
    assert parse([f"preset={name}", *small]).run.task == "digits"


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "is no JSON"),
        ("[1]", "holds no options; accepted: one object"),
        ('{"rho": null}', "holds no options"),
        ('{"rh": 0.1}', "unknown option in config=.*'rh'; perhaps you meant 'rho'"),
        ('{"rho": -1}', "rho=-1.0 is out of range"),
    ],
)
def test_bad_files_are_one_line(content, said, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        parse([f"config={path}"])
    assert "\n" not in str(refused.value)


def test_bad_names_are_one_line(tmp_path):
    with pytest.raises(InputError, match="unknown preset 'foret'; perhaps you meant"):
        parse(["preset=foret"])
    with pytest.raises(InputError, match="cannot read .*nowhere: "):
        parse([f"config={tmp_path}/nowhere"])
    with pytest.raises(InputError, match="both name a file; accepted: one of them"):
        parse(["preset=foret2021", "config=x"])
    with pytest.raises(InputError, match="unknown option 'presett'.*'preset'"):
        parse(["presett=foret2021"])
