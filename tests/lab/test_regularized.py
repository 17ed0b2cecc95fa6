"""A regularizer of layers' outputs in a run of the lab."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import load, parts, regularized, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.comparison.entries import entries
from jaxopt_lab.lab.comparison.options import of_options
from jaxopt_lab.losses.classification import classification_loss
from jaxopt_lab.losses.shade import shade
from jaxopt_lab.runtime import read_metrics
from jaxopt_lab.training import TrainState

WORDS = ["method=sgd", "learning_rate=0.1", "task=digits", "model=mlp"]
WORDS += ["model.width=5", "batch_size=16", "log_every=1", "eval_every=0", "report=off"]


def test_every_loss_is_accepted_or_refused_with_a_reason():
    assert parts.accepted("regularizer") == ["none", "shade"]
    for name in catalog.of_kind("loss"):
        if name != "shade":
            with pytest.raises(InputError, match="the loss (is none|couples|takes)"):
                parse([f"regularizer={name}"])
    with pytest.raises(InputError, match="unknown regularizer 'shad'; perhaps"):
        parse(["regularizer=shad"])
    with pytest.raises(InputError, match="weight=-1.0 is out of range"):
        parse(["regularizer=shade", "regularizer.weight=-1"])
    with pytest.raises(InputError, match="regularizer=shade would do nothing without"):
        parse(["regularizer=shade", "recipe=adversarial"])
    words = ["regularizer=shade", "regularizer.decay=0.5", "regularizer.weight=0.1"]
    assert parse(words).flat()["regularizer.decay"] == 0.5


def test_the_penalty_is_that_of_the_outputs_before_the_activation():
    def apply(params, state, x, *, train, key=None):
        hidden = jax.nn.relu(x @ params["in"] + 0.5)
        return hidden @ params["out"], {"seen": state["seen"] + 1}

    network = Functional(lambda key: ({}, {}), apply)
    words = ["regularizer=shade", "regularizer.weight=0.25"]
    part: Any = parse(words).chosen("regularizer")
    example = jax.ShapeDtypeStruct((1, 2), jnp.float32)
    made = regularized.prepare(part, network, classification_loss, example)
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    params = {"in": draw(2, 3), "out": draw(3, 4)}
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(zero, params, {"seen": zero}, (), jax.random.key(0))
    batch = {"image": draw(5, 2), "label": jnp.array([0, 1, 2, 3, 0])}

    @jax.jit
    def both(state, batch):
        full = made.extend(state)
        found = made.loss_fn(params, full.model_state, batch, state.key)
        y = batch["image"] @ params["in"] + 0.5
        alone = shade()
        each, moved = alone.apply(alone.init(y), y)
        plain = classification_loss(network)(params, {"seen": zero}, batch, state.key)
        wanted = plain[0] + 0.25 * jnp.mean(each)
        return found, wanted, moved, made.view(full).model_state

    (loss, (after, metrics)), wanted, moved, viewed = both(state, batch)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
        after["regularizer"]["0"],
        moved,
    )
    assert after["network"]["seen"] == 1 and viewed == {"seen": 0}
    assert sorted(metrics) == ["accuracy", "penalty"] and metrics["penalty"] > 0


@pytest.mark.full
def test_a_run_with_it_is_resumed_and_read_back(tmp_path):
    words = [*WORDS, "seeds=2", "ema=0.5", "regularizer=shade", "save_every=2"]
    words += ["micro_batches=2", "method=sam", "base=sgd", "steps=3"]
    words = [w for w in words if w != "method=sgd"]
    outcome: Any = runs.train(parse([*words, f"out={tmp_path / 'one'}"]))
    run = load(tmp_path / "one")
    assert run.evaluate()["loss"] == pytest.approx(outcome.summary["final_loss"])
    assert run.model_state == {}
    trained = [r for r in run.records if r["kind"] == "train"]
    assert all(np.all(np.array(r["penalty"]) > 0) for r in trained)


@pytest.mark.full
def test_at_weight_zero_it_is_the_plain_run(tmp_path):
    def last(name, *words):
        runs.train(parse([*WORDS, "steps=3", *words, f"out={tmp_path / name}"]))
        return read_metrics(tmp_path / name / "metrics.jsonl")[-1]["loss"]

    zero = last("zero", "regularizer=shade", "regularizer.weight=0")
    assert zero == pytest.approx(last("plain"), rel=1e-5)
    assert zero != pytest.approx(
        last("some", "regularizer=shade", "regularizer.weight=1"), rel=1e-4
    )


def test_a_comparison_varies_it():
    given = {"vary": "regularizer", "values": ["none", "shade"], "method": "sgd"}
    found = entries(of_options({**given, "budget": "gradients:8", "seeds": 2}))
    assert [entry.first.run.regularizer for entry in found] == ["none", "shade"]
