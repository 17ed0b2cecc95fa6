"""The samplers: what a task holds, and that everything is equally likely."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.bilevel.metalearning import (
    class_pool,
    few_shot_task,
    sinusoid_task,
    split_classes,
)
from jaxopt_lab.bilevel.metalearning.tasks import distinct

# Classes of unequal size; every example tells its own number.
LABELS = np.array([4, 9, 4, 2, 2, 9, 4, 9, 2, 4, 4, 7, 7, 7])
EXAMPLES = {"x": jnp.arange(14.0), "label": LABELS}
TASKS = 6000
Z = 4.5  # standard deviations: about 1e-5 for each of the few counts looked at


def tasks_of(pool, number, **options):
    keys = jax.random.split(jax.random.key(3), number)
    draw = jax.jit(jax.vmap(lambda key: few_shot_task(key, pool, **options)))
    return draw(keys)


def even(counts, probability, draws):
    """Whether counts are within Z standard deviations of what is expected."""
    mean = draws * probability
    return np.all(np.abs(counts - mean) < Z * np.sqrt(mean * (1 - probability)))


def test_the_classes_are_split_without_overlap():
    train, test = split_classes(jax.random.key(0), 10, 4)
    assert len(test) == 4 and sorted((*train, *test)) == list(range(10))
    assert split_classes(jax.random.key(0), 10, 4) == (train, test)
    assert len({split_classes(jax.random.key(i), 10, 4) for i in range(5)}) > 1


@pytest.mark.full
def test_a_task_holds_what_it_says():
    pool = class_pool(EXAMPLES, classes=[4, 2, 9])
    tasks = tasks_of(pool, 500, ways=2, shots=1, queries=2)
    assert tasks.support["x"].shape == (500, 2)
    assert tasks.query["x"].shape == (500, 4)
    assert tasks.support["label"].dtype == jnp.int32
    for i in range(500):
        at = [np.asarray(part["x"][i], int) for part in tasks]
        labels = [np.asarray(part["label"][i]) for part in tasks]
        assert labels[0].tolist() == [0, 1] and labels[1].tolist() == [0, 0, 1, 1]
        # No example twice, in the support and the query together.
        assert len(set(np.concatenate(at).tolist())) == 6
        # One class for each label, two different ones, of those asked for.
        of = [
            {*LABELS[np.concatenate(at)[np.concatenate(labels) == k]]} for k in (0, 1)
        ]
        assert len(of[0]) == len(of[1]) == 1 and of[0] != of[1]
        assert (of[0] | of[1]) <= {2, 4, 9}


@pytest.mark.full
def test_every_class_and_every_example_of_it_is_equally_likely():
    pool = class_pool(EXAMPLES)
    tasks = tasks_of(pool, TASKS, ways=2, shots=1, queries=1)
    first = LABELS[np.asarray(tasks.support["x"], int)]
    for label in (0, 1):
        counts = [np.sum(first[:, label] == c) for c in (2, 4, 7, 9)]
        assert even(np.array(counts), 1 / 4, TASKS)
    pairs = [np.sum((first == pair).all(1)) for pair in ([2, 4], [4, 2], [7, 9])]
    assert even(np.array(pairs), 1 / 12, TASKS)
    sizes = {c: np.sum(c == LABELS) for c in (2, 4, 7, 9)}
    for part in tasks:
        counts = np.bincount(np.asarray(part["x"], int).ravel(), minlength=14)
        for c, size in sizes.items():
            assert even(counts[c == LABELS], 1 / 2 / size, TASKS)


@pytest.mark.full(plain=["4-3"])
@pytest.mark.parametrize(("n", "k"), [(5, 2), (5, 5), (4, 3)])
def test_distinct_numbers_are_uniform_in_every_place(n, k):
    keys = jax.random.split(jax.random.key(1), TASKS)
    drawn = np.asarray(jax.vmap(lambda key: distinct(key, n, k))(keys))
    assert drawn.min() == 0 and drawn.max() == n - 1
    assert all(len(set(row)) == k for row in drawn.tolist())
    for place in range(k):
        assert even(np.bincount(drawn[:, place], minlength=n), 1 / n, TASKS)
    together = np.sum((drawn[:, 0] == 1) & (drawn[:, 1] == 0))
    assert even(together, 1 / n / (n - 1), TASKS)


@pytest.mark.full
def test_the_size_may_be_traced():
    key = jax.random.key(2)
    chex.assert_trees_all_equal(
        jax.jit(lambda n: distinct(key, n, 3))(7), distinct(key, 7, 3)
    )


@pytest.mark.full
def test_the_same_key_is_the_same_task_in_and_out_of_jit():
    pool = class_pool(EXAMPLES)
    key = jax.random.key(7)
    one = few_shot_task(key, pool, ways=3, shots=1, queries=1)
    jitted = jax.jit(lambda k, p: few_shot_task(k, p, ways=3, shots=1, queries=1))
    chex.assert_trees_all_equal(one, jitted(key, pool))
    other = jitted(jax.random.key(8), pool)
    assert not np.array_equal(one.query["x"], other.query["x"])
    sine = sinusoid_task(key)
    chex.assert_trees_all_equal(sine, sinusoid_task(key))
    assert not np.array_equal(
        sine.query["y"], sinusoid_task(jax.random.key(8)).query["y"]
    )


@pytest.mark.full
def test_images_stay_as_they_are():
    images = np.arange(8 * 4, dtype=np.uint8).reshape(8, 2, 2, 1)
    pool = class_pool({"image": images, "kind": np.arange(8) % 2}, label="kind")
    task = few_shot_task(jax.random.key(0), pool, ways=2, shots=2, queries=1)
    assert task.support["image"].dtype == jnp.uint8
    assert task.support["image"].shape == (4, 2, 2, 1)
    assert set(task.support) == {"image", "kind"}


@pytest.mark.full
def test_sinusoids_are_those_of_the_paper():
    keys = jax.random.split(jax.random.key(0), 400)
    draw = jax.vmap(lambda key: sinusoid_task(key, dtype=jnp.float64))
    tasks = draw(keys)
    x = np.concatenate([tasks.support["x"], tasks.query["x"]], 1)[..., 0]
    y = np.concatenate([tasks.support["y"], tasks.query["y"]], 1)[..., 0]
    # y = A sin(x - phase) is linear in sin x and cos x.
    fits = [
        np.linalg.lstsq(np.stack([np.sin(u), np.cos(u)], 1), v)
        for u, v in zip(x, y, strict=True)
    ]
    assert max(float(fit[1][0]) for fit in fits) < 1e-20
    a, b = np.array([fit[0] for fit in fits]).T
    height, phase = np.hypot(a, b), np.arctan2(-b, a)
    for drawn, (low, high) in ((height, (0.1, 5)), (phase, (0, np.pi)), (x, (-5, 5))):
        assert low <= drawn.min() + 1e-9 and drawn.max() <= high
        quarters = np.histogram(drawn, 4, (low, high))[0]
        assert even(quarters, 1 / 4, drawn.size)
    assert not np.any(x[:, :10, None] == x[:, None, 10:])


@pytest.mark.full
def test_noise_is_on_the_support_only():
    plain, noisy = (
        sinusoid_task(jax.random.key(0), noise=noise, queries=21, places="grid")
        for noise in (0.0, 0.5)
    )
    chex.assert_trees_all_equal(plain.query, noisy.query)
    chex.assert_trees_all_equal(plain.support["x"], noisy.support["x"])
    off = np.asarray(noisy.support["y"] - plain.support["y"])
    assert 0.1 < off.std() < 1.0
    np.testing.assert_allclose(np.diff(plain.query["x"][:, 0]), 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: split_classes(jax.random.key(0), 3, 3), "held_out must be less"),
        (lambda: class_pool({"x": LABELS}), "no labels 'label' .* there: 'x'"),
        (lambda: class_pool({"label": LABELS * 1.0}), r"integers .* got float64\[14\]"),
        (lambda: class_pool({**EXAMPLES, "y": LABELS[1:]}), r"y of shape \(13,\)"),
        (lambda: class_pool(EXAMPLES, classes=[2, 2]), "must be different ones"),
        (lambda: class_pool(EXAMPLES, classes=[2, 5]), "no examples of class 5"),
        (lambda: sinusoid_task(jax.random.key(0), shots=0), "shots must be"),
        (
            lambda: sinusoid_task(jax.random.key(0), places="gird"),
            "perhaps you meant 'grid'",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ways": 5}, "ways = 5, but the pool has 4 classes"),
        ({"ways": 2, "shots": 1, "queries": 3}, "= 4, but a class of the pool has 3"),
        ({"shots": 0}, "shots must be a whole number"),
    ],
)
def test_impossible_tasks_are_refused_inside_jit(options, text):
    pool = class_pool(EXAMPLES)
    with pytest.raises(ValueError, match=text):
        jax.jit(lambda k, p: few_shot_task(k, p, **options))(jax.random.key(0), pool)
