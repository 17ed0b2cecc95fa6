"""The study on long tails: its sets, and a tiny run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import small_data
from experiments.studies.long_tail.__main__ import STUDY
from experiments.studies.long_tail.config import SIZES
from experiments.studies.programs import Labelled

CONFIG = SIZES["quick"]


def test_counts_fall_by_one_factor():
    assert SIZES["standard"].counts() == [100, 68, 46, 31, 21, 14, 10, 7, 4, 3]


@pytest.mark.full
def test_sets_have_given_counts_and_a_balanced_test():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(3), (9, 7, 8)))
    data = Labelled(jnp.arange(24.0)[:, None], jnp.asarray(labels, jnp.int32))
    with jax.numpy_rank_promotion("allow"):
        split = jax.jit(lambda key: small_data.by_class(key, data, [5, 3, 1], 2))
        train, test, rest = jax.tree.map(np.asarray, split(jax.random.key(0)))
    assert np.bincount(train.labels).tolist() == [5, 3, 1]
    assert np.bincount(test.labels).tolist() == [2, 2, 2]
    every = jax.tree.map(lambda *x: np.concatenate(x), train, test, rest)
    places = every.inputs.ravel().astype(int)
    assert sorted(places.tolist()) == list(range(24))
    np.testing.assert_array_equal(labels[places], every.labels)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for by_arm in found.measured.accuracy.values():
        assert len(by_arm) == 4
        for values in by_arm.values():
            assert values.shape == (2,) and np.isfinite(values).all()
    assert (tmp_path / "new" / "accuracy.png").is_file()
