"""The grid of a command: its values, its programs, and what is refused."""

import pytest
from support.tiny_lab import WORDS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.command_line import words
from jaxopt_lab.lab.tuning.axes import accepted, read

SAM = [*WORDS[:2], "method=sam", "steps=4", "val=0.2"]


def grid_of(*more):
    return read(words([*SAM, *more]))


def test_numbers_share_a_program_and_other_values_have_their_own():
    grid = grid_of("rho=0,0.1", "learning_rate=log:0.01:1:3", "norm_over=all,perturbed")
    assert grid.shape == (2, 3, 2) and len(grid.groups) == 2
    assert [axis.traced for axis in grid.axes] == [True, True, False]
    assert grid.axes[1].texts == ("0.01", "0.1", "1")
    chosen = [g.configuration.method["norm_over"] for g in grid.groups]
    assert chosen == ["all", "perturbed"]
    seen = set()
    for group in grid.groups:
        numbers = grid.numbers(group)
        assert numbers.keys() == {"rho", "learning_rate"}
        for row, setting in enumerate(group.settings):
            texts = grid.texts(setting)
            assert texts["norm_over"] == group.configuration.method["norm_over"]
            assert all(float(texts[n]) == numbers[n][row] for n in numbers)
            seen.add(tuple(texts.values()))
    assert len(seen) == 12


def test_values_with_commas_stand_between_bars():
    grid = grid_of("schedule=steps", "milestones=0.5,0.75|0.6", "batch_size=4,8")
    runs = [g.configuration.run for g in grid.groups]
    assert [(r.milestones, r.batch_size) for r in runs] == [
        ("0.5,0.75", 4),
        ("0.5,0.75", 8),
        ("0.6", 4),
        ("0.6", 8),
    ]
    assert grid.axes[0].numbers is None and grid.axes[1].numbers == (4.0, 8.0)
    tuples = read(
        words(["task=digits", "model=convnet", "model.channels=4,8|8", "val=0.2"])
    )
    assert [g.configuration.model.channels for g in tuples.groups] == [(4, 8), (8,)]


def test_options_from_a_file_stay(tmp_path):
    path = tmp_path / "best.json"
    path.write_text('{"method": "asam", "eta": 0.5, "weight_decay": 0.1}')
    grid = read(words([*WORDS, f"config={path}", "rho=0.1,0.5", "val=0.2"]))
    (group,) = grid.groups
    assert group.configuration.method["eta"] == 0.5
    assert grid.numbers(group) == {"rho": [0.1, 0.5]}


def test_a_pattern_is_one_value_whatever_signs_it_has():
    grid = grid_of("rho=0,1", "freeze=hid|x,y", "rate_rules=a|b=2")
    (group,) = grid.groups
    assert group.configuration.run.freeze == "hid|x,y"
    assert grid.shape == (2,)


@pytest.mark.parametrize(
    "more, said",
    [
        (
            [],
            r"an empty grid: give an option several values, such as rho=.*sam ha",
        ),
        (["rho=log:0.1:1:0"], "rho=log:0.1:1:0 is an empty grid"),
        (["rho=log:0:1:3"], "rho=log:0:1:3 is no range; accepted: log:LOW"),
        (["rho=lin:1:0:3"], "rho=lin:1:0:3 is no range"),
        (["rho=log:a:b"], "rho=log:a:b cannot be read"),
        (["rho=0.1,,0.2"], "rho=0.1,,0.2 has an empty value"),
        (["rho=0.1,0.1"], "rho=0.1,0.1 has 0.1 twice"),
        (["rho=0.1,x"], "rho=0.1,x are no numbers"),
        (["rho=0.1,-1"], r"rho=-1.0 is out of range; accepted: \[0, inf\)"),
        (["rh=0.1,0.2"], "unknown option 'rh'; perhaps you meant 'rho'"),
        (["eta=0.1,0.2"], "unknown option 'eta'"),
        (["seeds=1,2"], "seeds=1,2: all settings share it"),
        (["batch_size=4,0"], "batch_size=0 is out of range"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_one_line(more, said):
    with pytest.raises(InputError, match=said) as refused:
        grid_of(*more)
    assert "\n" not in str(refused.value)


def test_several_methods_are_compared_not_tuned():
    with pytest.raises(InputError, match="method=sam,asam: one method is tuned"):
        read(words([*WORDS, "method=sam,asam", "rho=0.1,0.2"]))


def test_a_method_without_options_says_so():
    given = [*WORDS, "method=normalize_and_project", "base=sgd", "val=0.2"]
    with pytest.raises(InputError, match=r"such as learning_rate=.*its base sgd learn"):
        read(words(given))


def test_accepted_values_of_every_kind_of_option():
    configuration = grid_of("rho=0,1").groups[0].configuration
    assert accepted(configuration, "rho").low == 0
    assert accepted(configuration, "batch_size").low == 1
    assert accepted(configuration, "norm_over") is None
