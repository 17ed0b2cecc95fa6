"""``ema=``: an average that is tested, saved and resumed beside the weights."""

import json

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.runtime import WALL_CLOCK, Checkpoints, read_metrics

SMALL = ["task=digits", "model=mlp", "model.width=8", "model.depth=1"]
TINY = [*SMALL, "log_every=2", "eval_every=2", "save_every=2"]


def lines(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]


def of_kind(folder, kind):
    return [r for r in lines(folder) if r["kind"] == kind]


@pytest.mark.full
def test_it_is_tested_saved_and_resumed_to_the_bit(tmp_path):
    words = [*TINY, "method=sgd", "ema=0.9", "val=0.1", "schedule=constant"]
    whole = runs.train(parse([*words, "steps=6"]), tmp_path / "whole")
    runs.train(parse([*words, "steps=4"]), tmp_path / "pieces")
    more = parse([*words, "steps=6", f"out={tmp_path}/pieces", "existing=continue"])
    runs.train(more, tmp_path / "pieces")
    assert lines(tmp_path / "whole") == lines(tmp_path / "pieces")
    last = of_kind(tmp_path / "whole", "test")[-1]
    assert last["ema_accuracy"] != last["accuracy"]
    assert {"ema_loss", "ema_val_accuracy", "val_accuracy"} <= last.keys()
    told = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert told["final_ema_accuracy"] == [last["ema_accuracy"]]
    # The plain state is that of a run without, and its bytes are not the optimizer's.
    runs.train(parse([*words[:-3], *words[-2:], "steps=6"]), tmp_path / "without")
    trained = [of_kind(tmp_path / name, "train") for name in ("whole", "without")]
    assert trained[0] == trained[1]
    without = json.loads((tmp_path / "without" / "summary.json").read_text())
    name = "state_bytes_per_parameter"
    assert told[name] == without[name] and whole.stopped is None


@pytest.mark.full
@pytest.mark.parametrize(
    "words",
    [
        ["mesh=data:4,model:2"],
        ["mesh=data:4", "zero=true"],
        ["mesh=data:4", "zero=true", "style=shard_map"],
        ["mesh=data:2", "style=pmap"],
        ["mesh=seeds:2,data:2", "seeds=2"],
    ],
    ids=" ".join,
)
def test_the_average_is_the_same_on_every_mesh(words, tmp_path):
    base = [*SMALL, "method=momentum", "ema=0.9", "steps=3", "progress=off"]
    base += ["eval_every=0", "save_every=0"]
    kept = [w for w in words if w.startswith("seeds=")]
    runs.train(parse([*base, *kept]), tmp_path / "one")
    runs.train(parse([*base, *words]), tmp_path / "many")
    one, many = (of_kind(tmp_path / n, "test")[-1] for n in ("one", "many"))
    for name in ("ema_loss", "loss"):
        np.testing.assert_allclose(many[name], one[name], rtol=2e-5)


@pytest.mark.full
def test_with_perturbed_parameters_and_with_a_recipe(tmp_path):
    """Averaged are the parameters that are evaluated, of the model that is trained."""
    base = [*SMALL, "steps=3", "ema=0.5", "eval_every=0", "save_every=0"]
    runs.train(parse([*base, "method=msam"]), tmp_path / "msam")
    config = parse([*base, "method=msam"])
    program = runs.assemble(config)
    kept = Checkpoints(tmp_path / "msam" / "checkpoints", read_only=True)
    state = kept.restore(program.state).state
    tested = program.evaluate(state)
    assert 0 < tested["ema_loss"] != tested["loss"]
    words = ["method=sgd", "recipe=distillation", f"recipe.teacher={tmp_path}/msam"]
    outcome = runs.train(parse([*base, *words]), tmp_path / "student")
    assert "final_ema_accuracy" in outcome.summary
    before = jax.tree.leaves(program.view(program.state).params)
    assert len(before) == len(jax.tree.leaves(program.view(state).params))


def test_decays_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"ema=1.0 is out of range; accepted: \[0, 1"):
        parse(["ema=1"])
