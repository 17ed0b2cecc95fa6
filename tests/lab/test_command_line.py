"""The command line: what it understands, and what it says when it does not."""

import shlex

import pytest

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import command_line, models, tasks
from jaxopt_lab.lab.command_line import command, parse
from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.lab.configuration import base_prefix
from jaxopt_lab.lab.run_folder import proposed
from jaxopt_lab.lab.run_options import ACCEPTED, PRESENTATION, RunOptions


def test_words_become_typed_options():
    configuration = parse(
        ["method=sam", "rho=0.1", "--steps", "7", "model.channels=3,4", "momentum=0.5"]
    )
    assert configuration.run.steps == 7
    assert configuration.method["rho"] == 0.1
    assert configuration.base["momentum"] == 0.5
    assert configuration.model.channels == (3, 4)
    assert configuration.run.model == "convnet"


def test_options_left_out_are_those_of_the_catalog():
    configuration = parse(["method=adamw"])
    assert configuration.method == catalog.get("adamw").defaults()
    assert configuration.base == {}
    assert "base" not in configuration.flat()


def test_a_task_sets_its_own_defaults():
    assert parse(["task=fashion_mnist"]).run.batch_size == 128
    assert parse(["task=fashion_mnist", "batch_size=32"]).run.batch_size == 32


def test_words_keep_their_text():
    run = parse(["out=true", "data_dir=False", "existing=continue"]).run
    assert (run.out, run.data_dir) == ("true", "False")
    assert parse(["out=-x"]).run.out == "-x"


@pytest.mark.parametrize(
    "words, said",
    [
        (["method=adam", "base=momentum"], "base=momentum would do nothing: adam is"),
        (["existing=overwrite"], "existing=overwrite would do nothing without out="),
        (["workers=2"], "workers=2 would do nothing without image_size="),
        (["curvature_examples=9"], "would do nothing without curvature="),
        (["processes=2"], "processes=2 would do nothing without coordinator="),
        (["seed_mode=scan"], "seed_mode=scan would do nothing without several seeds="),
        (["end_rate=0.1", "schedule=constant"], "nothing without schedule=cosine,"),
        (["cooldown=0.3"], "cooldown=0.3 would do nothing without schedule=wsd"),
        (["milestones=0.3"], "milestones=0.3 would do nothing without schedule=steps"),
        (["rate_factor=0.3"], "rate_factor=0.3 would do nothing without schedule="),
        (["warmup=0.1", "schedule=math:sqrt"], "would do nothing without a schedule"),
        (["rho=inf"], "rho=inf is out of range; accepted: [0, inf)"),
        (["val=1"], "val=1.0 is out of range; accepted: [0, 1)"),
        (["learning_rate=nan"], "learning_rate=nan is out of range"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words, said):
    with pytest.raises(InputError) as refused:
        parse(words)
    assert said in str(refused.value)


def test_intervals_that_are_printed_as_open_are_open():
    infinity = float("inf")
    for row in catalog.CATALOG.values():
        for name, option in row.details.items():
            if isinstance(option.accepted, Interval):
                shown, inside = str(option.accepted), infinity in option.accepted
                assert inside == shown.endswith("inf]"), (row.name, name)
                if isinstance(option.default, int | float):
                    assert option.default in option.accepted, (row.name, name)
    assert "inf]" in str(catalog.get("samson").details["p"].accepted)


def test_flags_are_words_for_truth():
    assert parse(["method=momentum", "nesterov=true"]).method["nesterov"] is True
    assert parse(["tensorboard=False"]).run.tensorboard is False


@pytest.mark.parametrize(
    "words, said",
    [
        (["method=sm"], "unknown method 'sm'; perhaps you meant 'sm3' or 'sam'"),
        (["task=digts"], "unknown task 'digts'; perhaps you meant 'digits'"),
        (["model=convet"], "unknown model 'convet'; perhaps you meant 'convnet'"),
        (["base=moment"], "unknown method 'moment'; perhaps you meant 'momentum'"),
        (["rh=0.1"], "unknown option 'rh'; perhaps you meant 'rho'"),
        (["stepz=3"], "unknown option 'stepz'; perhaps you meant 'steps'"),
        (["method=adam", "rho=0.1"], "unknown option 'rho'"),
        (["rho=-1"], "rho=-1.0 is out of range; accepted: [0, inf)"),
        (["momentum=1"], "momentum=1.0 is out of range; accepted: [0, 1)"),
        (
            ["learning_rate=-0.1"],
            "learning_rate=-0.1 is out of range; accepted: [0, inf)",
        ),
        (["steps=0"], "steps=0 is out of range; accepted: [1, inf)"),
        (["warmup=1"], "warmup=1.0 is out of range; accepted: [0, 1)"),
        (["seeds=0"], "seeds=0 is out of range"),
        (["micro_batches=3"], "batch_size=64 is not divisible by micro_batches=3"),
        (["base=sam"], "base=sam is no optimizer; accepted: adafactor, adam"),
        (["model=lstm"], "model lstm takes text, task digits gives image"),
        (["steps=3", "steps=4"], "steps is given twice: 3 and 4"),
        (["schedule=cosin"], "unknown schedule 'cosin'; perhaps you meant 'cosine'"),
        (["sam"], "cannot read 'sam'; options are key=value"),
    ],
)
def test_bad_words_get_one_line_and_exit_2(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1 and error.startswith("error: ")


def test_the_command_that_resumes_leaves_out_defaults_of_parts():
    short = "method=adam task=digits model=mlp recipe=gan recipe.drop=0.5"
    given = parse(short.split())
    assert command(given, "").partition(" method=")[2] == short.partition("method=")[2]


@pytest.mark.parametrize(
    "word, said",
    [
        ("steps=abc", "steps=abc is no whole number"),
        ("reduce=float3", "reduce=float3; accepted: float32, bfloat16"),
        ("rho=much", "rho=much is no number"),
        ("model.channels=8,x", "model.channels=x is no whole number"),
        ("zero=1", "zero=1; accepted: true, false"),
    ],
)
def test_values_of_another_type_get_one_line_and_exit_2(word, said, capsys):
    assert main([word]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_help_lists_everything_and_the_chosen_method(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["method=sam", "base=adam", "model=mlp", "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in (*catalog.of_kind("transform"), *tasks.TASKS, *models.MODELS):
        assert name in text
    for shown in (
        "--rho FLOAT",
        "(default: 0.05)",
        "[0, inf)",
        "--b1",
        "--model.width",
    ):
        assert shown in text
    assert "--model.channels" not in text


def test_list_prints_the_catalog(capsys):
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in catalog.CATALOG)


def test_list_of_a_kind_prints_its_parts_with_their_options(capsys):
    assert main(["--list", "transform"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in catalog.of_kind("transform"))
    assert "rho=0.05" in text and "state, bytes a parameter" in text
    assert main(["--list", "optimiser"]) == 2
    assert "unknown kind 'optimiser'" in capsys.readouterr().err


@pytest.mark.full
def test_every_method_is_reachable():
    for name in catalog.of_kind("transform"):
        assert parse([f"method={name}"]).run.method == name


def test_base_options_with_a_taken_name_get_a_prefix():
    taken = {**vars(RunOptions()), **catalog.get("sam").details}
    prefix = base_prefix(catalog.get("sam"))
    assert all(prefix(name) == f"base_{name}" for name in taken)
    assert prefix("learning_rate") == "learning_rate"


def test_the_resuming_command_gives_the_same_run():
    words = "method=sam rho=0.3 base=adam b2=0.9 model=mlp model.width=7 steps=9 out=x"
    configuration = parse(words.split())
    again = command(configuration, "x")
    prefix = command_line.program("train") + " "
    assert again.startswith(prefix)
    assert parse(shlex.split(again.removeprefix(prefix))) == configuration


def test_ranges_and_presentation_name_real_options():
    names = set(vars(RunOptions()))
    assert set(ACCEPTED) <= names and names >= PRESENTATION


def test_a_run_without_out_gets_a_folder_of_its_own(tmp_path):
    run = parse(["model=mlp"]).run
    first = proposed(run, tmp_path)
    assert first.name == "digits-mlp-sam-001"
    first.mkdir()
    assert proposed(run, tmp_path).name == "digits-mlp-sam-002"
