"""Evaluation: exact means over all examples, however they are cut into batches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_evaluator

X = np.random.default_rng(0).normal(size=12)
STATE = init_state(
    optax.sgd(0.1), jnp.float64(2.0), jax.random.key(0), {"shift": jnp.float64(0.5)}
)


def metric_fn(params, model_state, batch):
    values = batch["x"] * params + model_state["shift"]
    return {
        "value": jnp.sum(values * batch["weight"]),
        "positive": jnp.sum((values > 0) * batch["weight"]),
        "weight": jnp.sum(batch["weight"]),
    }


def batches(sizes, weight=None):
    weight = np.ones(len(X)) if weight is None else weight
    cuts = np.cumsum(sizes)[:-1]
    pairs = zip(np.split(X, cuts), np.split(weight, cuts), strict=True)
    return [{"x": jnp.array(x), "weight": jnp.array(w)} for x, w in pairs]


@pytest.mark.parametrize("sizes", [[12], [4, 4, 4], [6, 6]])
def test_means_over_all_examples(sizes):
    found = make_evaluator(metric_fn, batches(sizes))(STATE)
    assert list(found) == ["value", "positive"] or set(found) == {"value", "positive"}
    np.testing.assert_allclose(found["value"], np.mean(2 * X + 0.5), rtol=1e-14)
    assert found["positive"] == np.mean(2 * X + 0.5 > 0)


def test_padding_does_not_count():
    weight = (np.arange(12) < 10).astype(float)
    found = make_evaluator(metric_fn, batches([4, 4, 4], weight))(STATE)
    np.testing.assert_allclose(found["value"], np.mean(2 * X[:10] + 0.5), rtol=1e-14)


def test_batches_may_come_from_a_function_each_time_anew():
    calls = []

    def fresh():
        calls.append(1)
        return iter(batches([6, 6]))

    evaluate = make_evaluator(metric_fn, fresh)
    assert evaluate(STATE) == evaluate(STATE)
    assert len(calls) == 2


def test_parameters_to_evaluate_come_from_the_optimizer():
    def eval_params(params, opt_state):
        assert opt_state == STATE.opt_state
        return params - 1.0

    found = make_evaluator(metric_fn, batches([12]), eval_params=eval_params)(STATE)
    np.testing.assert_allclose(found["value"], np.mean(X + 0.5), rtol=1e-14)


@pytest.mark.parametrize("mode", ["auto", "unroll", "vmap", "scan"])
def test_seeds_in_every_mode(mode):
    states = jax.vmap(lambda p: STATE._replace(params=p))(jnp.array([2.0, -1.0, 0.0]))
    found = make_evaluator(metric_fn, batches([6, 6]), seeds=True, mode=mode)(states)
    for i, params in enumerate((2.0, -1.0, 0.0)):
        expected = np.mean(params * X + 0.5)
        np.testing.assert_allclose(found["value"][i], expected, rtol=1e-13)


def test_nothing_to_evaluate():
    with pytest.raises(InputError, match="the set of batches is empty"):
        make_evaluator(metric_fn, [])(STATE)
