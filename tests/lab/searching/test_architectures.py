"""Architectures of einspace as the space of a search, and as a model of the lab."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.tiny_lab import WORDS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models
from jaxopt_lab.lab.commands import search as search_command
from jaxopt_lab.lab.models.einspace import EinspaceNet, grammar_shape
from jaxopt_lab.lab.searching import architectures
from jaxopt_lab.search import Grammar, einspace_network, from_text, infer_shape

SMALL = Grammar(max_computations=4, units=(16,))
TEXT = (
    '["sequential",[],[["computation",["linear",16],[]],["computation",["relu",0],[]]]]'
)


def key(number):
    return jax.random.wrap_key_data(jnp.array([0, number], jnp.uint32))


@pytest.mark.parametrize("name", architectures.DRIVERS)
def test_candidates_are_architectures_for_the_task(name):
    options = {} if name == "random_search" else {"population": "2"}
    make = architectures.make_grammar_driver
    search = make(name, options, SMALL, (5,))
    state = search.init()
    for i in range(6):
        candidate = search.ask(state, key(i))
        score = -float(len(candidate[architectures.OPTION]))
        state = search.tell(state, candidate, score)
        infer_shape(from_text(candidate["model.architecture"]), (1, 5))
    assert state["told"] == 6
    assert json.loads(json.dumps(state)) == state
    assert len(state["members"]) == (6 if name == "random_search" else 2)


def test_a_random_search_does_not_look_at_scores():
    search = architectures.make_grammar_driver("random_search", {}, SMALL, (8, 8, 1))
    told = search.init()
    for i in range(3):
        told = search.tell(told, search.ask(told, key(i)), float(i))
    assert search.ask(told, key(9)) == search.ask(search.init(), key(9))


def test_the_module_is_the_network_of_its_text():
    model = models.get("einspace")
    assert model.name == "einspace" and set(model.config.__dataclass_fields__) == {
        "architecture"
    }
    net = einspace_network(from_text(TEXT), (1, 6), 3)
    module = nnx.eval_shape(lambda: EinspaceNet((6,), 3, TEXT, rngs=nnx.Rngs(0)))
    shapes = jax.tree.map(jnp.shape, jax.eval_shape(net.init, key(0))[0])
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    assert jax.tree.map(jnp.shape, params) == shapes
    assert grammar_shape((8, 8, 1)) == (8, 8, 1)


BAD = {
    "unknown option of the grammar 'depth'": ["grammar.depth=3"],
    "grammar.max_depth=x must be a whole number": ["grammar.max_depth=x"],
    "grammar.units=a must be numbers": ["grammar.units=a"],
    "ops must be of": ["grammar.ops=attention"],
    "probabilities must be four numbers": ["grammar.probabilities=1,0"],
    "driver=nsga2 does not take space=einspace; accepted: ": ["driver=nsga2"],
    "unknown option of random_search 'population'": [
        "driver=random_search",
        "driver.population=3",
    ],
    "driver.population=x must be a whole number": ["driver.population=x"],
    "space=einspace chooses the model; got model=mlp": ["model=mlp"],
    "space=einspace chooses the model; got model.architecture=x": [
        "model.architecture=x"
    ],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line(message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [w for w in WORDS if not w.startswith("model=")]
    assert search_command.main([*words, "space=einspace", *BAD[message]]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_grammar_is_for_its_space_alone(capsys):
    words = [*WORDS, "space=steps=1,2", "grammar.max_depth=3"]
    assert search_command.main(words) == 2
    assert "grammar.max_depth is for space=einspace" in capsys.readouterr().err


def test_inputs_that_are_refused():
    with pytest.raises(InputError, match=r"examples \(H, W, C\)"):
        grammar_shape((2, 3, 4, 5))
    with pytest.raises(InputError, match="no architecture"):
        EinspaceNet((6,), 3, "[", rngs=nnx.Rngs(0))
    module = EinspaceNet((6,), 3, TEXT, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="real numbers; got int32"):
        module(np.zeros((2, 6), np.int32))


@pytest.mark.full
def test_the_best_architecture_is_a_run(tmp_path, capsys):
    words = [w for w in WORDS if not w.startswith("model=")]
    words += ["space=einspace", "method=sgd", "steps=4", f"out={tmp_path / 's'}"]
    words += ["objectives=accuracy,parameters", "driver.population=2"]
    words += ["grammar.max_computations=3", "grammar.units=16"]
    assert search_command.main([*words, "budget=2"]) == 0
    capsys.readouterr()
    assert search_command.main([*words, "budget=3"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3/3") and "2/3" not in said
    from jaxopt_lab.lab import load
    from jaxopt_lab.lab.commands import train

    record = json.loads((tmp_path / "s" / "results.json").read_text())
    run = load(tmp_path / "s" / "candidates" / f"{record['best']:04d}")
    again = [f"config={tmp_path / 's' / 'best.json'}", f"out={tmp_path / 'again'}"]
    assert train.main([*again, "progress=off"]) == 0
    one, two = (r.table()["val_accuracy"][-1] for r in (run, load(tmp_path / "again")))
    assert one == two
