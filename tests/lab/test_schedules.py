"""Schedules by name, against their formulas."""

import math
import sys

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import optimizers
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.schedules import learning_rate

STEPS = 20


def rates(*words):
    run = parse(["method=sgd", f"steps={STEPS}", *words]).run
    return np.array([float(learning_rate(run, 2.0)(n)) for n in range(STEPS + 1)])


def warmed(rate):
    """Two steps of warm-up before ``rate(n)``, n counted from the run's beginning."""
    return [2.0 * n / 2 if n < 2 else rate(n) for n in range(STEPS + 1)]


@pytest.mark.parametrize(
    "words, rate",
    [
        (["schedule=constant"], lambda n: 2.0),
        (
            ["schedule=cosine", "end_rate=0.1"],
            lambda n: 2 * (0.1 + 0.9 * (1 + math.cos(math.pi * (n - 2) / 18)) / 2),
        ),
        (["schedule=linear", "end_rate=0.5"], lambda n: 2 - (n - 2) / 18),
        (
            ["schedule=wsd", "cooldown=0.25", "end_rate=0.2"],
            lambda n: 2 - 1.6 * max(n - 15, 0) / 5,
        ),
        (
            ["schedule=steps", "milestones=0.3,0.5,0.9", "rate_factor=0.5"],
            lambda n: 2 * 0.5 ** ((n >= 6) + (n >= 10) + (n >= 18)),
        ),
    ],
)
def test_each_is_its_formula_after_the_warm_up(words, rate):
    found = rates(*words, "warmup=0.1")
    np.testing.assert_allclose(found, warmed(rate), rtol=1e-6, atol=1e-7)
    start = words[0] != "schedule=steps"
    assert not start or rates(*words)[0] == np.float32(2.0)


def test_an_own_function_gives_the_whole_schedule(tmp_path, monkeypatch):
    (tmp_path / "my_rates.py").write_text(
        "def halves(steps, peak):\n"
        "    return lambda count: peak / 2 ** (count // (steps // 2))\n"
        "def one(steps, peak):\n"
        "    return peak\n"
        "def two(steps, peak):\n"
        "    import jax.numpy as jnp\n"
        "    return lambda count: jnp.ones(2)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    found = rates("schedule=my_rates:halves")
    np.testing.assert_array_equal(found, [2.0] * 10 + [1.0] * 10 + [0.5])
    words = ["method=sgd", "schedule=my_rates:halves"]
    tx = optimizers.build(parse(words))
    state = tx.init(np.ones(2, np.float32))
    after = jax.eval_shape(tx.update, np.ones(2, np.float32), state)[1]
    assert jax.tree.map(lambda x: x.dtype, state) == jax.tree.map(
        lambda x: x.dtype, after
    )
    for name, said in (
        ("one", "gave a float; accepted: fn"),
        ("two", "gave ShapeDtypeStruct"),
        ("three", "unknown name in my_rates 'three'"),
    ):
        with pytest.raises(InputError, match=said):
            rates(f"schedule=my_rates:{name}")


@pytest.mark.parametrize(
    "words, said",
    [
        (["schedule=nothere:fn"], "schedule=nothere:fn: there is no module nothere"),
        (["schedule=math:pi"], "schedule=math:pi is 3.14.*; accepted: fn"),
        (["schedule=steps", "milestones=a"], "milestones=a cannot be read"),
        (["schedule=steps", "milestones=0.5,0.2"], "accepted: rising parts"),
        (["schedule=steps", "milestones=0.1", "warmup=0.2"], "warmup=0.2 and 1"),
        (["schedule=wsd", "warmup=0.9"], "take more than the whole run"),
        (["end_rate=2"], r"end_rate=2.0 is out of range; accepted: \[0, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(words, said):
    with pytest.raises(InputError, match=said) as refused:
        rates(*words)
    assert "\n" not in str(refused.value)
