"""Recipes with one model and states of their own, in a run of the lab."""

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import parts, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.recipes import Prepared
from jaxopt_lab.recipes.conadv import with_carried
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics
from jaxopt_lab.training import TrainState
from jaxopt_lab.training.sources import as_source

WORDS = ["method=sgd", "task=digits", "model=convnet", "model.channels=2"]
WORDS += ["model.dense=4", "model.norm=ghost_batch_norm", "batch_size=16"]


def trained(folder, *words) -> Any:
    out = [f"out={folder}", "log_every=1", "eval_every=0", "report=off"]
    return runs.train(parse([*WORDS, *words, *out]))


def lines(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]


def test_they_are_accepted():
    assert {"adversarial", "conadv"} <= set(parts.accepted("recipe"))
    configuration = parse([*WORDS, "recipe=conadv", "recipe.tau=0"])
    assert configuration.parts["recipe"]["tau"] == 0


def test_those_that_need_more_than_a_model_say_so():
    assert {"fixmatch", "natra"} <= set(parts.accepted("recipe"))
    with pytest.raises(InputError, match="reads labels of attributes, which no task"):
        parse([*WORDS, "recipe=dualdis"])
    with pytest.raises(InputError, match="in Python: jaxopt_lab.recipes.make_ghost_s"):
        parse([*WORDS, "recipe=ghost"])


@pytest.mark.full
def test_directions_are_those_of_the_first_batch(tmp_path):
    run = trained(tmp_path, "recipe=natra", "recipe.radius=0.5", "steps=2")
    assert run.fitted.state.model_state["directions"].shape == (64, 4)
    assert lines(tmp_path)[0]["length"] == pytest.approx(0.5, rel=1e-5)


@pytest.mark.full
def test_views_go_into_fixmatch(tmp_path):
    words = ["recipe=fixmatch", "augment=views", "recipe.threshold=0.1", "steps=2"]
    trained(tmp_path, *words)
    assert lines(tmp_path)[0]["certain"] > 0
    with pytest.raises(InputError, match="the batch has no 'strong'"):
        trained(tmp_path / "none", "recipe=fixmatch", "steps=2")


@pytest.mark.parametrize("carries, at", [(True, 1), (False, 0)])
def test_the_first_batch_is_carried_and_then_the_second_is_next(carries, at):
    def complete(state, batch):
        return state._replace(model_state=with_carried(state.model_state, batch))

    nothing: Any = None
    prepared = Prepared(nothing, nothing, nothing, complete, carries)
    batches = as_source([{"image": jnp.full((1, 2), n)} for n in (0.0, 1.0)])
    zero = jnp.zeros(())
    state = TrainState(zero, {}, {"mean": zero}, {}, jax.random.key(0))
    made: Any = prepared.completed(state, batches, False).model_state
    assert made["carried"]["image"].tolist() == [[0.0, 0.0]]
    assert sorted(made) == ["auxiliary", "carried", "model"]
    assert float(batches.next()["image"][0, 0]) == at


@pytest.mark.full
def test_without_the_perturbed_loss_it_is_the_plain_run(tmp_path):
    trained(tmp_path / "plain", "steps=3")
    trained(tmp_path / "one", "steps=3", "recipe=adversarial", "recipe.weight=0")
    for a, b in zip(lines(tmp_path / "plain"), lines(tmp_path / "one"), strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    both = "recipe=adversarial", "recipe.epsilon=0.2", "recipe.alpha=0.2"
    more = trained(tmp_path / "both", "steps=3", *both)
    record = lines(tmp_path / "both")[0]
    sums = record["plain_loss"] + record["adversarial_loss"]
    assert record["loss"] == pytest.approx(sums, rel=1e-6)
    states = more.fitted.state.model_state
    apart = jax.tree.map(
        lambda a, b: float(jnp.max(jnp.abs(a - b))),
        states["model"],
        states["auxiliary"],
    )
    assert max(jax.tree.leaves(apart)) > 0


@pytest.mark.full
def test_an_old_perturbation_survives_a_pause(tmp_path):
    words = ["recipe=conadv", "save_every=2", "ema=0.5"]
    whole = trained(tmp_path, *words, "steps=4").fitted.state
    records = lines(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints" / "4")
    again = trained(tmp_path, *words, "steps=4").fitted.state
    assert lines(tmp_path) == records
    jax.tree.map(np.testing.assert_array_equal, again[:4], whole[:4])
