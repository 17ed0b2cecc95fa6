"""Recipes of several networks, or of more outputs than logits, in a run of the lab."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import (
    load,
    models,
    parts,
    recipe_networks,
    recipes,
    runs,
    throughput,
)
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.models import Wanted, prefix_axes
from jaxopt_lab.layers import extract_subnetwork, mask_params
from jaxopt_lab.layers.compression.prefixes import SubNetwork
from jaxopt_lab.runtime import read_metrics
from jaxopt_lab.training import init_state

SMALL = ["method=sgd", "learning_rate=0.1", "task=digits", "model=mlp"]
SMALL += ["model.width=6", "batch_size=16", "log_every=1", "eval_every=0", "report=off"]
NEW = ("ensemble", "co_teaching", "hybridnet", "guided", "sortednet")


def test_they_are_accepted_with_options_of_their_own():
    assert set(NEW) <= set(parts.accepted("recipe"))
    words = [*SMALL, "recipe=ensemble", "recipe.members=3"]
    assert parse(words).flat()["recipe.members"] == 3
    words = [*SMALL, "recipe=sortednet", "recipe.widths=0.5,1"]
    assert parse(words).flat()["recipe.widths"] == (0.5, 1.0)
    assert "recipe.depths" not in parse(words).flat()
    with pytest.raises(InputError, match="takes depths from the run itself, or in Py"):
        parse([*words, "recipe.depths=1,2"])
    with pytest.raises(InputError, match="recipe.members=0 is out of range"):
        parse([*SMALL, "recipe=ensemble", "recipe.members=0"])


LINEAR = Functional(lambda key: ({}, {}), lambda p, s, x, **_: (x @ p, s))


def prepared(*words) -> recipes.Prepared:
    configuration = parse([*SMALL, *words])
    chosen = configuration.chosen("recipe")
    assert chosen is not None
    return recipes.prepare(chosen, configuration, LINEAR, optax.adam(0.1), (2,), 2)


def drawn(index) -> Any:
    params = jnp.full((2, 2), index + 1.0)
    return init_state(optax.adam(0.1), params, jax.random.key(index))


def test_their_states_are_made_of_fresh_networks():
    ensemble = prepared("recipe=ensemble", "recipe.members=3")
    state = ensemble.first(drawn)
    assert state.params["members"][:, 0, 0].tolist() == [1, 2, 3]
    view: Any = ensemble.view(state)
    assert view.opt_state[0].count.shape == (3,)
    # The parameters to evaluate are those of each member by itself.
    alone = lambda params, opt_state: params * (1 + opt_state[0].count)
    assert ensemble.of_each(alone)(view.params, view.opt_state).shape == (3, 2, 2)
    both = prepared("recipe=co_teaching")
    view = both.view(both.first(drawn))
    seen = both.of_each(lambda params, opt_state: params.shape)
    assert seen(view.params, view.opt_state) == {"first": (2, 2), "second": (2, 2)}
    x = jnp.eye(2)
    logits, _ = both.tested(LINEAR).apply(view.params, view.model_state, x, train=False)
    assert logits.tolist() == [[1.5, 1.5]] * 2
    with pytest.raises(InputError, match="which would all be that of start_from=a"):
        prepared("recipe=co_teaching", "start_from=a")


def test_gradients_are_counted_over_all_networks():
    def per_step(*words):
        return throughput.counts(parse([*SMALL, *words]))["gradients"]

    assert per_step("recipe=ensemble", "recipe.members=3") == 3
    assert per_step("recipe=co_teaching") == 2
    assert per_step("recipe=co_teaching", "recipe.split=true") == 1
    assert per_step("recipe=sortednet", "recipe.accumulate=3") == 3
    # The perturbation of the inputs is one gradient whatever the optimizer needs.
    sam = ["method=sam", "base=sgd"]
    words = [w for w in SMALL if not w.startswith("method")]
    of_sam = throughput.counts(parse([*words, *sam, "recipe=adversarial"]))
    assert of_sam["gradients"] == 2 * 2 + 1
    assert per_step("recipe=adversarial", "recipe.weight=0") == 1
    assert per_step("recipe=natra", "recipe.steps=5") == 2 + 5


@pytest.mark.parametrize(
    "row", catalog.of_kind("recipe").values(), ids=lambda r: r.name
)
def test_every_recipe_counts_its_gradients(row):
    assert isinstance(row, Recipe)
    assert row.gradients_per_step(2.0) >= 2


def of_model(name, *words):
    configuration = parse([f"model={name}", *words])
    model, config = configuration.rows.model, configuration.model
    functional = model.functional(config, Wanted((8, 8, 1), 3))
    shapes = jax.eval_shape(functional.init, jax.random.key(0))
    return functional, shapes, prefix_axes.of_model(model, config)


@pytest.mark.full(plain=["mlp-words0", "convnet-words1", "wide_resnet-words4"])
@pytest.mark.parametrize(
    "name, words",
    [
        ("mlp", ["model.width=6", "model.depth=3"]),
        ("convnet", ["model.channels=4,6", "model.dense=6"]),
        ("resnet20", ["model.width=4"]),
        ("resnet50", ["model.width=4"]),
        ("wide_resnet", ["model.depth=10"]),
    ],
)
def test_every_axis_of_units_is_cut(name, words):
    _, (params, _), axes = of_model(name, *words)
    cut = lambda p: jax.eval_shape(lambda p: mask_params(p, axes_of(p, axes), HALF), p)
    assert jax.tree.map(jnp.shape, cut(params)) == jax.tree.map(jnp.shape, params)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape), params)
    small = extract_subnetwork(zeros, axes, HALF)
    for (path, whole), part in zip(
        jax.tree_util.tree_leaves_with_path(zeros), jax.tree.leaves(small), strict=True
    ):
        kept = [b / a for a, b in zip(whole.shape, part.shape, strict=True)]
        # Every leaf has its axis of outputs cut but the head's.
        last = jax.tree_util.keystr(path).startswith("['head']")
        assert kept[-1] == (1 if last else 0.5), path


HALF = SubNetwork(np.float32(0.5), np.int32(99))


def axes_of(params, axes):
    import re

    names = [
        "/".join(str(k.key) for k in path)
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]
    return {p: k for p, k in axes.items() if any(re.search(p, n) for n in names)}


def test_a_narrow_network_is_the_first_part_of_the_wide_one():
    functional, _, axes = of_model("mlp", "model.width=6", "model.depth=2")
    narrow, _, _ = of_model("mlp", "model.width=3", "model.depth=2")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 1)), jnp.float32)

    @jax.jit
    def both(key):
        params, _ = functional.init(key)
        masked = functional.apply(mask_params(params, axes, HALF), {}, x, train=False)
        return masked[0], params

    masked, params = both(jax.random.key(0))
    small = extract_subnetwork(params, axes, HALF)
    alone, _ = jax.jit(lambda p: narrow.apply(p, {}, x, train=False))(small)
    np.testing.assert_allclose(masked, alone, rtol=1e-5)


@pytest.mark.parametrize(
    "words, said",
    [
        (["model=convnet", "model.norm=ghost_batch_norm"], "model.norm=ghost_batch"),
        (["model=resnet20", "model.norm=group"], "model.norm=group does not go with"),
        (["task=text", "model=transformer"], "the units of model transformer cannot"),
    ],
)
def test_units_that_cannot_be_cut_are_refused(words, said):
    c = parse(["recipe=sortednet", *words])
    row: Any = c.rows.parts["recipe"]
    with pytest.raises(InputError, match=f"recipe=sortednet: {said}"):
        recipe_networks.of_model(row, c.rows.model, c.model)


def trained(folder, *words) -> Any:
    return runs.train(parse([*SMALL, *words, f"out={folder}"]))


@pytest.mark.full
def test_at_their_neutral_settings_they_are_the_plain_run(tmp_path):
    plain = trained(tmp_path / "plain", "steps=3").fitted.state.params
    losses = ("consistency", "reconstruction", "tie")
    settings = {
        "ensemble": ["recipe.members=1"],
        "co_teaching": ["recipe.forget=0"],
        "guided": [f"recipe.guide={tmp_path / 'plain'}", "recipe.weight=0"],
        "hybridnet": [f"recipe.{n}=0" for n in losses],
        "sortednet": ["recipe.widths=1", "recipe.accumulate=1"],
    }
    part = {
        "ensemble": lambda p: jax.tree.map(lambda x: x[0], p["members"]),
        "co_teaching": lambda p: p["first"],
        "guided": lambda p: p["target"],
        "hybridnet": lambda p: p["student"]["classes"],
        "sortednet": lambda p: p["model"],
    }
    for name, words in settings.items():
        made = trained(tmp_path / name, "steps=3", f"recipe={name}", *words)
        got = part[name](made.fitted.state.params)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        jax.tree.map(close, got, plain)
        if name != "co_teaching":
            records = [
                read_metrics(tmp_path / n / "metrics.jsonl")[-1]
                for n in (name, "plain")
            ]
            assert records[0]["loss"] == pytest.approx(records[1]["loss"], rel=1e-4)
            assert records[0]["accuracy"] == records[1]["accuracy"]


@pytest.mark.full
def test_an_ensemble_of_two_seeds_is_read_back(tmp_path):
    words = ["recipe=ensemble", "recipe.members=2", "recipe.diversity=0.5", "seeds=2"]
    words += ["method=sam", "base=sgd", "ema=0.5"]
    small = [w for w in SMALL if not w.startswith("method")]
    outcome = runs.train(parse([*small, *words, "steps=3", f"out={tmp_path}"]))
    run = load(tmp_path)
    assert run.evaluate()["loss"] == pytest.approx(outcome.summary["final_loss"])
    x = np.zeros((3, 8, 8, 1), np.uint8)
    assert run.apply(x).shape == (2, 3, 10)
    assert run.seed(1).params["head"]["bias"].shape == (2, 10)
    assert run.records[-1]["gradients"] == 3 * 2 * 2


@pytest.mark.full
def test_a_guide_of_other_layers_may_be_chosen(tmp_path):
    trained(tmp_path / "guide", "steps=1", "model.depth=1")
    words = ["recipe=guided", f"recipe.guide={tmp_path / 'guide'}", "steps=2"]
    trained(tmp_path / "last", *words)
    record = read_metrics(tmp_path / "last" / "metrics.jsonl")[0]
    assert 0 < record["guidance"] < 1
    with pytest.raises(InputError, match="guide has 1 layers, the network 2"):
        trained(tmp_path / "all", *words, "recipe.layers=hidden")


def test_there_is_a_model_for_every_name():
    assert set(prefix_axes._AXES) <= set(models.MODELS)
