"""Learning rates from curvature and a range test, on quadratics that are known."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_lab.lab.commands.find_rate import main
from jaxopt_lab.lab.rates.measure import between
from jaxopt_lab.lab.rates.options import FindRateOptions
from jaxopt_lab.lab.rates.range_test import (
    RangeTest,
    Rates,
    growing,
    proposed,
    range_test,
)
from jaxopt_lab.lab.rates.stable_rate import StableRate, stable_rates
from jaxopt_lab.lab.rates.update_rule import UpdateRule, update_rule
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.sources import as_source

CURVATURE = np.array([8.0, 3.0, 0.5])


def loss(w, batch):
    return jnp.mean(batch) * jnp.sum(jnp.asarray(CURVATURE) * w**2) / 2


def train_loss(params, model_state, batch, key):
    return jnp.mean(batch) * 4 * jnp.sum(params**2) / 2, (model_state, {})


@pytest.fixture
def programs():
    """Names of the programs that are compiled, as they are."""
    found = []

    def heard(event, duration_secs, **kwargs):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(kwargs.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield found
    jax.monitoring.unregister_event_duration_listener(heard)


@pytest.fixture(scope="module")
def params():
    return {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}


@pytest.mark.parametrize(
    "tx, factor",
    [
        (optax.sgd(1.0), 2),
        (optax.sgd(1.0, momentum=0.5), 3),
        (optax.sgd(1.0, momentum=0.5, nesterov=True), 1.5),
        (optax.chain(optax.ema(0.5, debias=False), optax.scale(-1.0)), 6),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)), 2),
    ],
)
def test_momentum_of_any_form_has_its_limit(tx, factor, params):
    rule = update_rule(tx, params, {})
    assert rule is not None and rule.adam is None
    assert rule.factor == pytest.approx(factor)


@pytest.mark.parametrize("tx, options", [(optax.adam, {}), (optax.adamw, {"b1": 0.8})])
def test_adam_is_known_by_its_diagonal(tx, options, params):
    rule = update_rule(tx(1.0, **options), params, options)
    beta = options.get("b1", 0.9)
    assert rule is not None and rule.adam is not None
    assert rule.factor == pytest.approx((2 + 2 * beta) / (1 - beta))


def test_other_updates_have_none(params):
    assert update_rule(optax.lion(1.0), params, {}) is None
    # Adam's state, but not its update.
    assert update_rule(optax.lamb(1.0), params, {"b1": 0.5}) is None


def test_the_stable_rate_of_a_quadratic_is_two_over_lambda():
    batches = [jnp.ones(4), 3 * jnp.ones(4)]
    point, key = jnp.array([1.0, 0.0, 0.0]), jax.random.key(0)
    whole, batch = stable_rates(loss, point, batches, UpdateRule(2.0, None), key)
    np.testing.assert_allclose([whole.curvature, whole.rate], [16, 2 / 16], rtol=1e-6)
    # Along the batches' gradients, 8 and 24 times the first direction.
    np.testing.assert_allclose([batch.curvature, batch.error], [16, 8], rtol=1e-6)
    no, _ = stable_rates(
        loss, point, [-batches[0]], UpdateRule(2.0, None), key, mask=None
    )
    assert no.curvature < 0 and no.rate == np.inf


def test_the_preconditioned_rate_of_adam():
    gradient = jnp.array([2.0, 1.0, 4.0])
    tx = optax.adam(1.0)
    _, state = tx.update(gradient, tx.init(gradient))
    rule = UpdateRule(38.0, {"b2": 0.999, "eps": 1e-8})
    found = stable_rates(
        loss,
        jnp.zeros(3),
        [jnp.ones(2)],
        rule,
        jax.random.key(0),
        opt_state=state,
    )
    (only,) = found
    assert only.curvature == pytest.approx(4, rel=1e-5)
    assert only.rate == pytest.approx(38 / 4, rel=1e-5)


def test_the_range_test_diverges_at_two_over_lambda_in_one_program(programs):
    steps, schedule = 120, growing(1e-2, 10.0, 120)
    tx = optax.inject_hyperparams(optax.sgd)(schedule)
    state = init_state(tx, jnp.ones(3), jax.random.key(0))
    seen = []
    test = range_test(
        make_train_step(train_loss, tx),
        state,
        as_source([jnp.ones(2)]),
        schedule,
        steps,
        look=lambda done, state: seen.append(done),
    )
    assert programs.count("jit(step)") == 1
    assert test.stopped and len(seen) == len(test.losses) < steps
    found = proposed(test)
    grid = test.rates[1] / test.rates[0]
    assert found.divergence is not None
    assert abs(np.log(found.divergence / (2 / 4))) <= 1.5 * np.log(grid)
    assert found.steepest is not None and found.steepest < found.divergence
    assert found.tenth == pytest.approx(found.divergence / 10)
    # The state that was given is still there.
    np.testing.assert_array_equal(state.params, np.ones(3))


def test_rules_without_divergence_or_descent():
    rates = np.geomspace(1e-3, 1, 40)
    falling = proposed(RangeTest(rates, np.linspace(2, 1, 40), False))
    assert falling.divergence is None and falling.tenth is None
    flat = proposed(RangeTest(rates, np.full(40, 2.0), False))
    assert flat.steepest is None and flat.divergence is None
    assert proposed(RangeTest(rates[:1], np.array([np.nan]), True)).steepest is None
    # A climb back by half is a divergence, although the rule to stop has not seen it.
    v = np.concatenate([np.linspace(2, 1, 20), np.linspace(1, 1.8, 20)])
    back = proposed(RangeTest(rates, v, False))
    assert back.divergence == pytest.approx(rates[19], rel=0.2)


def test_the_proposed_rate_is_cut_at_the_stable_ones():
    rules, nothing = Rates(np.zeros(1), 0.4, 1.0), Rates(np.zeros(1), None, None)
    stable = [StableRate("a", 1.0, 0.0, 0.15), StableRate("b", -1.0, 0.0, np.inf)]
    assert between(rules, []) == 0.2 and between(rules, stable) == 0.15
    assert between(nothing, stable) == 0.15 and between(nothing, []) is None


@pytest.mark.full
@pytest.mark.parametrize("method", ["sam", "adamw", "lion"])
def test_the_command(method, tmp_path, capsys):
    figure = tmp_path / "found.png"
    words = [f"method={method}", "task=digits", "model=mlp", "model.width=8"]
    words += ["range_steps=40", "examples=100", f"figure={figure}", "lowest_rate=1e-4"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    told = json.loads(shown.splitlines()[-1])
    assert f"learning_rate={told['proposed']:g}" in shown.splitlines()[-2]
    assert figure.stat().st_size > 10_000
    if method == "lion":
        assert "2/lambda says nothing about lion" in shown and not told["curvature"]
    else:
        assert told["curvature"]


@pytest.mark.parametrize(
    "words, said",
    [
        (["lowest_rate=1", "highest_rate=0.1"], "lowest_rate=1 must be below"),
        (["range_steps=3"], "range_steps=3 is out of range"),
        (["lowest_rat=1"], "perhaps you meant 'lowest_rate'"),
        (["method=sgd", "rho=0.1"], "unknown option 'rho'"),
    ],
)
def test_bad_words(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_in_python_a_model_and_data_of_ones_own(monkeypatch):
    from jaxopt_lab import lab
    from jaxopt_lab.core.errors import InputError
    from jaxopt_lab.lab.rates import measure

    given = []
    monkeypatch.setattr(measure, "find_rate", lambda *found: given.append(found))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 2)).astype(np.float32)

    class Net(nnx.Module):
        def __init__(self, in_features, num_classes, *, rngs):
            self.head = nnx.Linear(in_features, num_classes, rngs=rngs)

        def __call__(self, x):
            return self.head(x)

    data = (x, np.arange(8) % 2)
    lab.find_rate(Net, data, "sgd", batch_size=4, range_steps=20)
    configuration, options, _ = given[0]
    assert options == FindRateOptions(range_steps=20, figure="")
    assert configuration.run.batch_size == 4 and configuration.rows.own.model
    faults: Any = (
        ({"range_steps": 3}, "range_steps=3 is out of range"),
        ({"lowest_rate": 20.0}, "lowest_rate=20 must be below highest_rate=10"),
        ({"controller": "norm_test", "micro_batches": 2}, "controller=norm_test: the"),
        ({"range_step": 30}, "unknown option 'range_step'"),
    )
    for wrong, said in faults:
        with pytest.raises(InputError, match=said):
            lab.find_rate(Net, data, "sgd", batch_size=4, **wrong)


@pytest.mark.full
def test_in_python_it_is_the_command():
    from jaxopt_lab import lab

    data = (CURVATURE[None].repeat(8, 0).astype(np.float32), np.arange(8) % 2)
    options: Any = {"batch_size": 4, "range_steps": 30, "examples": 8, "num_steps": 3}
    found = lab.find_rate("mlp", data, "sgd", **options)
    assert found.proposed is not None and found.stable
    assert found.proposed <= min(found.marks.values())
