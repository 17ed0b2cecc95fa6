"""Settings in one program: each is a run of its own."""

import jax
import numpy as np
import pytest
from support.tiny_lab import WORDS

from jaxopt_lab import catalog
from jaxopt_lab.core import loops
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import materials, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.tuning import program as program_module
from jaxopt_lab.lab.tuning.program import SettingsProgram
from jaxopt_lab.lab.tuning.settings import numeric_names, with_values

TINY = [*WORDS, "steps=6", "val=0.2"]
VALUES = {
    "rho": [0.0, 0.2, 0.05],
    "learning_rate": [0.05, 0.3, 0.1],
    "weight_decay": [0.0, 0.1, 0.0],
}


def own_run(words, steps):
    """State and validation of a run by itself."""
    program = runs.assemble(parse(words))
    step, state = jax.jit(program.step), program.state
    for _ in range(steps):
        state, _ = step(state, program.batches.next())
    return program.view(state).params, program.evaluate(state)


@pytest.fixture
def without_tests(monkeypatch):
    """Data whose test split cannot be read."""

    def made(configuration):
        found = materials.materials(configuration)
        return found._replace(loaded=found.loaded._replace(test=None))

    monkeypatch.setattr(program_module, "materials", made)


def test_a_setting_among_others_is_its_own_run(without_tests):
    words = [*TINY, "method=sam", "seeds=2"]
    program = SettingsProgram(parse(words), list(VALUES))
    seen = []
    kept = program.chosen(program.start(VALUES), [2, 1])
    kept = program.train(kept, 8, lambda done: done == 3)  # stopped on the way
    kept = program.train(kept, 6, lambda done: seen.append(done))
    assert seen == [4, 5, 6] and kept.values["rho"].tolist() == [0.05, 0.2]
    scores = program.scores(kept)
    settings = [f"{name}={values[1]}" for name, values in VALUES.items()]
    params, tested = own_run([*words, *settings], 6)
    (state,) = kept.blocks
    mine = jax.tree.map(lambda x: x[1], state.params)
    # In float32, whose products are batched otherwise: not to the bit.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 2e-5, 1e-6), mine, params
    )
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(scores[name][1], tested[f"val_{name}"], rtol=1e-5)
    assert scores["loss"].shape == (2, 2)


@pytest.mark.full
def test_blocks_of_one_program_are_filled_up():
    words = [*TINY, "method=sam", "ema=0.9"]
    program = SettingsProgram(parse(words), ["rho", "learning_rate"], at_once=2)
    values = {name: VALUES[name] for name in program.names}
    trained = program.train(program.start(values), 4)
    assert [b.step.shape for b in trained.blocks] == [(2,), (2,)]
    whole = SettingsProgram(parse(words), ["rho", "learning_rate"])
    other = whole.train(whole.start(values), 4)
    found, expected = program.scores(trained), whole.scores(other)
    assert found["loss"].shape == (3, 1)
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("words, at_once", [(["seeds=2", "ema=0.9"], 0), ([], 1)])
def test_eight_devices_are_one(words, at_once):
    words = [*TINY, "method=sam", *words]
    found = []
    for devices in (1, 8):
        names = ["rho", "learning_rate"]
        program = SettingsProgram(parse(words), names, at_once, devices)
        values = {name: np.linspace(0.05, 0.3, 11) for name in names}
        population = program.train(program.start(values), 3)
        # Eleven settings fill two rows of eight devices, five fill one.
        population = program.chosen(population, [0, 2, 4, 6, 10])
        population = program.train(population, 5)
        if devices == 8:
            leaf = jax.tree.leaves(population.blocks[0].params)[0]
            assert len(leaf.sharding.device_set) == 8 and leaf.shape[0] == 8
        found.append(program.scores(population))
    assert found[0]["loss"].shape == (5, 1 + (at_once == 0))
    for name, one in found[0].items():
        np.testing.assert_allclose(found[1][name], one, rtol=1e-5)


def test_settings_fill_the_rows_of_all_devices():
    program = object.__new__(SettingsProgram)
    for at_once, size, widths in ((0, 11, [12]), (2, 11, [8, 8]), (1, 3, [4])):
        program._at_once, program._devices = at_once, 4
        rows = program._rows(size)
        assert [len(r) for r in rows] == widths
        assert sorted({*np.concatenate(rows).tolist()}) == list(range(size))
    with pytest.raises(InputError, match="devices=9999 is out of range; accepted: .1"):
        program_module.check_devices(9999)


def test_a_network_with_convolutions_takes_its_settings_in_turn(monkeypatch):
    monkeypatch.setattr(loops, "contains_convolution", lambda *args: True)
    program = SettingsProgram(parse(TINY), ["rho"])
    assert [len(rows) for rows in program._rows(3)] == [1, 1, 1]


def test_numbers_are_those_that_a_program_can_take_traced():
    words = [*TINY, "method=sam", "base=adamw"]
    names = numeric_names(parse(words))
    assert {"rho", "learning_rate", "b1", "weight_decay"} <= {*names}
    assert not {"norm_over", "sync", "steps", "batch_size"} & {*names}
    own = numeric_names(parse([*words, "schedule=my.module:rate"]))
    assert "learning_rate" not in own and "rho" in own
    changed = with_values(parse(words), {"rho": 0.3, "weight_decay": 0.5})
    assert (changed.method["rho"], changed.base["weight_decay"]) == (0.3, 0.5)


@pytest.mark.parametrize(
    "values, said",
    [({"rh": 1.0}, "unknown number 'rh'; perhaps"), ({"rho": -1.0}, "rho=-1.0 is out")],
)
def test_other_numbers_are_refused(values, said):
    with pytest.raises(InputError, match=said):
        with_values(parse(TINY), values)


def test_a_run_without_a_validation_split_is_refused():
    with pytest.raises(InputError, match="val=0.0: settings are chosen on a part"):
        SettingsProgram(parse(TINY[:-1]), ["rho"])


@pytest.mark.full(plain=["lookbehind"])
@pytest.mark.parametrize("method", list(catalog.of_kind("transform")))
def test_every_number_of_every_method_may_be_traced(method):
    """Shapes alone: nothing is compiled."""
    configuration = parse([*TINY, f"method={method}"])
    names = numeric_names(configuration)
    program = SettingsProgram(configuration, names)
    flat = configuration.flat()
    columns = {name: np.array([flat[name]] * 2, float) for name in names}
    (values,) = program._in_blocks(columns, 2)
    states = jax.eval_shape(program._init, values)
    after = jax.eval_shape(program._steps, values, states, program._batches.next())
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(
        lambda a: (a.shape, a.dtype), states
    )
