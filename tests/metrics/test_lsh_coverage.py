"""Precision and recall by hash tables: recorded counts, outliers, invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.programs import QUICK
from support import planted_sets, vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import HashTables, lsh_precision_recall
from jaxopt_lab.metrics.hash_tables import bucket_numbers

OPTIONS = ("family", "k", "members", "tables", "bits", "block")
SCORE = jax.jit(lsh_precision_recall, static_argnames=OPTIONS, compiler_options=QUICK)
KEY = jax.random.key(0)
PLAIN = ["case6_duplicates_sign", "case7_outliers_pstable"]


@pytest.mark.full(plain=PLAIN)
@pytest.mark.parametrize("name", vectors.cases("lsh_precision_recall"))
def test_recorded_counts(name):
    with np.load(vectors.VECTORS / "lsh_precision_recall" / f"{name}.npz") as file:
        case = dict(file)
    meta = planted_sets.meta(case)
    width = meta["width"] or 1.0
    hashes = HashTables(case["init/planes"], case["init/offsets"] / width)
    given = {"family": meta["family"], "width": width, "hashes": hashes}

    def run(real, generated):
        score = lambda **more: lsh_precision_recall(real, generated, **given, **more)
        return {
            "lsh": score(k=0),
            "lsh_min2": score(k=0, members=2),
            "lsh_knn": score(k=meta["k"]),
        }

    sets = case["batch/0/real"], case["batch/0/generated"]
    found_by = jax.jit(run, compiler_options=QUICK)(*sets)
    for words, found in found_by.items():
        for field in ("precision", "recall"):
            wanted = case[f"out/{field}_{words}"]
            value = getattr(found, field).value
            np.testing.assert_allclose(value, wanted, atol=1e-12, err_msg=words)


def test_buckets_are_equal_where_all_codes_are():
    codes = np.random.default_rng(0).integers(-1, 2, size=(3, 4, 60)).astype(float)
    found = np.asarray(jax.jit(bucket_numbers, compiler_options=QUICK)(codes))
    same = (codes[:, :, :, None] == codes[:, :, None]).all(axis=1)
    np.testing.assert_array_equal(found[:, :, None] == found[:, None], same)
    assert found.min() == 0 and found.max() < 60


@pytest.mark.full
def test_noise_costs_precision_and_lost_modes_cost_recall():
    real, noisy, fewer = planted_sets.planted()
    for field, sets in (("precision", noisy), ("recall", fewer)):
        values = [
            float(getattr(SCORE(real, x, bits=3, key=KEY), field).value) for x in sets
        ]
        assert values == sorted(values, reverse=True), field
        assert values[-1] < values[0] - 0.3, field


@pytest.mark.full
def test_an_outlier_of_the_real_set_covers_nothing():
    rng = np.random.default_rng(0)
    real, far = rng.normal(size=(60, 2)), np.array([[30.0, 30.0]])
    near_far = far + 0.01 * rng.normal(size=(40, 2))
    with_outlier = np.concatenate([real, far])
    options = {"family": "pstable", "width": 2.0, "bits": 2, "key": KEY}
    assert float(SCORE(with_outlier, near_far, k=0, **options).precision.value) == 1
    assert float(SCORE(with_outlier, near_far, k=3, **options).precision.value) == 0


def test_identical_sets_are_at_the_top():
    real, _, _ = planted_sets.planted()
    same = SCORE(real, real, k=0, family="pstable", key=KEY)
    assert same == ((1.0, 0.0), (1.0, 0.0))


@pytest.mark.full
def test_scale_says_nothing():
    real, noisy, _ = planted_sets.planted()
    for family in ("sign", "pstable"):
        one = SCORE(real, noisy[2], family=family, bits=3, key=KEY)
        other = SCORE(8 * real, 8 * noisy[2], family=family, bits=3, key=KEY)
        jax.tree.map(np.testing.assert_array_equal, one, other)


def test_nan_shows():
    real, noisy, _ = planted_sets.planted()
    noisy[0][0, 0] = np.nan
    found = SCORE(real, noisy[0], bits=3, key=KEY)
    assert all(np.isnan(leaf) for leaf in jax.tree.leaves(found))


X = np.random.default_rng(0).normal(size=(5, 2))


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "the hash tables need key= to be drawn from, or hashes="),
        ({"key": KEY, "k": 5}, "k must be from 1 to 4, the other points of real"),
        ({"key": KEY, "bits": 0}, "bits must be a whole number of at least 1"),
        ({"key": KEY, "family": "cosine"}, "unknown family 'cosine'"),
        ({"key": KEY, "width": 0.0}, "width must be above 0"),
        (
            {"hashes": HashTables(jnp.ones((2, 3, 4)), jnp.ones((2, 3)))},
            r"planes \(tables, bits, 2\)",
        ),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words) as told:
        lsh_precision_recall(X, X, **options)
    assert "\n" not in str(told.value)
