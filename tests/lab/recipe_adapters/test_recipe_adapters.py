"""Recipes that are more than one model, in a run of the lab: options and refusals."""

import numpy as np
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import parts, recipe_adapters, summary, throughput
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.recipe_adapters import class_scores, decoupled
from jaxopt_lab.lab.recipe_adapters.class_stream import ClassStream, bounds
from jaxopt_lab.lab.report import rows

MLP = ["method=adam", "task=digits", "model=mlp", "model.width=4", "mesh=data:1"]
NEW = ("flow_matching", "gan", "podnet", "decoupled")


def test_they_are_accepted_with_options_of_their_own():
    assert set(NEW) <= set(parts.accepted("recipe"))
    flat = parse([*MLP, "recipe=gan", "recipe.discriminators=3"]).flat()
    assert flat["recipe.discriminators"] == 3 and flat["recipe.drop"] == 0
    flat = parse([*MLP, "recipe=podnet", "recipe.spatial=0"]).flat()
    assert not {"recipe.ratio", "recipe.store", "recipe.old"} & set(flat)


def test_those_that_no_task_feeds_say_so_and_name_the_function():
    refused = {}
    for row in catalog.of_kind("recipe").values():
        if row.name not in parts.accepted("recipe"):
            with pytest.raises(InputError) as error:
                parse([*MLP, f"recipe={row.name}"])
            refused[row.name] = str(error.value)
    without_data = ("dualdis", "ghost", "oracle_matching", "continual_hypernetwork")
    assert {*without_data} <= {*refused}
    for name, said in refused.items():
        assert f"in Python: jaxopt_lab.recipes.make_{name}_step" in said
        assert "\n" not in said
        assert name not in without_data or "which no task of the lab has" in said


@pytest.mark.parametrize(
    "words, said",
    [
        (["gan", "curvature=top"], "trains a generator; curvature=top is of"),
        (["gan", "recipe.diversity_form=softplus"], "is learned, which a run does"),
        (["gan", "recipe.output=tanh"], "recipe.output"),
        (["flow_matching", "recipe.sample_steps=0"], "sample_steps=0 is out of range"),
        (["flow_matching", "loss=emo"], "loss=emo would do nothing"),
        (["podnet", "steps=2001"], "steps=2001 is not divisible"),
        (["podnet", "steps=500", "eval_every=30"], "eval_every=30 does not divide it"),
        (["podnet", "patience=2"], "patience=2 would end it"),
        (["decoupled", "model=convnet"], "layers of model=mlp apart; got model=conv"),
        (["decoupled", "method=sam"], "sam asks for gradients"),
        (["decoupled", "model.depth=0"], "needs a hidden layer"),
        (["decoupled", "model.activation=selu"], "the model's own activations, relu"),
        (["decoupled", "freeze=head"], "goes with freeze='' alone; got head"),
    ],
)
def test_what_does_not_go_with_them_is_refused(words, said, capsys):
    name, *more = words
    replaced = {word.split("=")[0] for word in more}
    kept = [w for w in MLP if w.split("=")[0] not in replaced]
    if "model" in replaced:
        kept = [w for w in kept if not w.startswith("model.")]
    try:
        parse([*kept, f"recipe={name}", *more])
    except InputError as error:
        assert said in str(error)
    except SystemExit:
        assert said in capsys.readouterr().err
    else:
        pytest.fail("it was accepted")


def test_gradients_are_counted():
    def per_step(*words):
        return throughput.counts(parse([*MLP, *words]))["gradients"]

    assert per_step("recipe=flow_matching") == 1
    assert per_step("recipe=decoupled") == 2
    assert per_step("recipe=podnet", "recipe.spatial=0") == 2


def test_states_are_chosen_by_the_score_of_the_recipe():
    assert summary.chosen_by(parse(MLP)) == "accuracy"
    both = parse([*MLP, "recipe=gan", "val=0.1"])
    assert summary.chosen_by(both) == "val_coverage"
    adapter = recipe_adapters.of_configuration(both)
    each = {"precision": 0.5, "recall": 0.5, "density": 1.5}
    records = [
        {"step": s, "kind": "test", "coverage": c, "val_coverage": v, **each}
        for s, c, v in ((1, 0.1, 0.3), (2, 0.4, 0.2))
    ]
    found = summary._scores(records, "val_coverage", adapter)
    assert found["best_step"] == 1 and found["best_score"] == [0.1]
    assert found["final_scores"]["coverage"] == [0.4]
    base = {"method": "adam", "task": "digits", "model": "mlp", "seeds": 1}
    base |= {"steps": 2, "parameters": 1, "state_bytes_per_parameter": 1.0}
    table = dict(rows({**base, "device": "cpu", **found}))
    assert table["final test coverage"] == "40.00 %"
    assert table["best test coverage"] == "10.00 % at step 1, chosen on validation"


class Numbers:
    def __init__(self, task):
        self.task, self.at = task, 0

    def next(self):
        self.at += 1
        return self.task, self.at

    def set_state(self, state):
        self.at = state["index"]


def test_groups_of_classes_follow_each_other_and_resume():
    assert bounds(10, 4).tolist() == [0, 2, 5, 7, 10]
    with pytest.raises(InputError, match="recipe.tasks=11 is out of range"):
        bounds(10, 11)
    stream = ClassStream([Numbers(i) for i in range(3)], 2)
    seen = [stream.next() for _ in range(7)]
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    for at in range(7):
        again = ClassStream([Numbers(i) for i in range(3)], 2)
        again.set_state({"index": at})
        assert [again.next() for _ in range(7 - at)] == seen[at:]


def test_forgetting_is_the_best_accuracy_before_less_the_last():
    configuration = parse(
        [*MLP, "recipe=podnet", "recipe.tasks=3", "steps=6", "eval_every=2"]
    )
    table = np.array([[0.9, 0, 0], [0.8, 1.0, 0], [0.5, 0.7, 0.6]])
    records = [
        {"step": 2 * (i + 1), **{class_scores.name_of(g): x for g, x in enumerate(row)}}
        for i, row in enumerate(table)
    ]
    found = class_scores.figures(records, configuration)
    assert found["forgetting"] == [pytest.approx((0.4 + 0.3) / 2)]
    assert found["task_accuracies"] == table.tolist()
    assert "forgetting" not in class_scores.figures(records[:2], configuration)


def test_a_perceptron_is_the_row_of_its_layers():
    params = {
        "hidden": {
            str(i): {"kernel": np.eye(2) + i, "bias": np.ones(2)} for i in (0, 1)
        },
        "head": {"kernel": np.ones((2, 3)), "bias": np.zeros(3)},
    }
    modules = decoupled._in_row(params, 2)
    assert decoupled._whole(modules) == params
    h = np.array([[1.0, -1.0]])
    for i, module in enumerate(modules):
        layer = decoupled._layer(None, i == 0)
        h, _ = layer.apply(module, {}, h, train=True)
    x = np.array([[1.0, -1.0]])
    for i in (0, 1):
        x = x @ (np.eye(2) + i) + 1
    np.testing.assert_allclose(h, x @ np.ones((2, 3)))
