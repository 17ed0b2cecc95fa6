"""Meta-learning on sinusoids at its full length: the errors that are promised."""

import jax
import numpy as np
import pytest

from experiments.benchmarks import maml as benchmark


@pytest.fixture(autouse=True)
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.full
def test_maml_meets_its_bars():
    errors, _, _ = benchmark.run(benchmark.methods()["maml"], benchmark.STEPS)
    assert errors.shape == (benchmark.TEST_TASKS, benchmark.ADAPTATION_STEPS + 1)
    before, one, ten = errors.mean(axis=0)[[0, 1, benchmark.ADAPTATION_STEPS]]
    assert one <= 0.6
    assert ten <= 0.25
    assert before / one >= 5


def test_a_bar_that_is_missed_is_said():
    errors = np.full((3, 11), 0.5)
    found = benchmark.bars(errors, 61.0)
    assert found["bar, error after one step"] == "met: 0.5 against 0.6"
    missed = {label for label, text in found.items() if text.startswith("NOT MET")}
    assert missed == {
        "bar, error after ten steps",
        "bar, unadapted over adapted",
        "bar, processor seconds",
    }
