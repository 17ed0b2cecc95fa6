"""In-memory batches: their order, several seeds, positions, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import ArrayBatches, evaluation_batches
from jaxopt_lab.training.seeds import seed_keys

N, B = 11, 4
ARRAYS = {
    "image": np.random.default_rng(0).integers(0, 256, (N, 3, 3, 1), np.uint8),
    "label": np.arange(N, dtype=np.int32),
}


def rows(source, count):
    return [np.asarray(source.next()["label"]) for _ in range(count)]


def noise(key, batch):
    drawn = jax.random.uniform(key, batch["label"].shape)
    return {**batch, "noise": drawn, "key": jax.random.key_data(key)}


def test_an_epoch_is_the_permutation_of_its_folded_key():
    key = jax.random.key(5)
    source = ArrayBatches(ARRAYS, B, key)
    assert source.batches_per_epoch == 2
    for epoch in range(3):
        order = jax.random.permutation(jax.random.fold_in(key, epoch), N)
        for part in range(2):
            batch = source.next()
            want = np.asarray(order)[part * B : (part + 1) * B]
            np.testing.assert_array_equal(batch["label"], want)
            np.testing.assert_array_equal(batch["image"], ARRAYS["image"][want])
            assert batch["image"].dtype == jnp.uint8
            assert batch["label"].dtype == jnp.int32


@pytest.mark.full
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_each_seed_of_several_has_the_batches_of_that_seed_alone(impl):
    keys = jnp.stack([jax.random.key(s, impl=impl) for s in (3, 4, 9)])
    many = ArrayBatches(ARRAYS, B, keys, augment=noise)
    alone = [ArrayBatches(ARRAYS, B, key, augment=noise) for key in keys]
    for _ in range(5):
        together, each = many.next(), [source.next() for source in alone]
        assert together["image"].shape == (3, B, 3, 3, 1)
        for s in range(3):
            for name, x in each[s].items():
                np.testing.assert_array_equal(together[name][s], x)
    assert not np.array_equal(together["label"][0], together["label"][1])


def test_keys_of_augmentation_differ_between_batches_seeds_and_from_the_order():
    keys = seed_keys(0, 2)
    source = ArrayBatches(ARRAYS, B, keys, augment=noise)
    used = {tuple(k) for _ in range(6) for k in np.asarray(source.next()["key"])}
    assert len(used) == 12
    orders = [jax.random.fold_in(k, e) for k in keys for e in range(6)]
    assert not used & {tuple(np.asarray(jax.random.key_data(k))) for k in orders}


def test_a_restored_position_gives_the_same_batches():
    source = ArrayBatches(ARRAYS, B, jax.random.key(1), augment=noise)
    first = [source.next() for _ in range(3)]
    state = source.get_state()
    assert state == {"index": 3} and len(first) == 3
    rest = [source.next() for _ in range(5)]
    other = ArrayBatches(ARRAYS, B, jax.random.key(1), augment=noise)
    other.set_state(state)
    for want in rest:
        got = other.next()
        for name, x in want.items():
            np.testing.assert_array_equal(got[name], x)
    other.set_state({"index": 0})  # backwards, into another epoch
    np.testing.assert_array_equal(other.next()["label"], first[0]["label"])


def test_batches_are_compiled_once():
    traces = []

    def augment(key, batch):
        traces.append(1)
        return batch

    source = ArrayBatches(ARRAYS, B, jax.random.key(0), augment=augment)
    rows(source, 7)
    source.set_state({"index": 100})
    rows(source, 2)
    assert len(traces) == 1


def test_a_batch_as_large_as_the_set_is_the_whole_set():
    source = ArrayBatches(ARRAYS, N, jax.random.key(0))
    first, second = rows(source, 2)
    assert sorted(first) == sorted(second) == list(range(N))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(
    ("arrays", "size", "keys", "message"),
    [
        (ARRAYS, 12, jax.random.key(0), r"batch_size=12 .* 11 examples.*\[1, 11\]"),
        (ARRAYS, 0, jax.random.key(0), r"batch_size=0 .*\[1, 11\]"),
        ({}, 1, jax.random.key(0), "no arrays"),
        ({"x": np.zeros(0)}, 1, jax.random.key(0), "is empty"),
        ({"x": np.zeros(3), "y": np.zeros(2)}, 1, jax.random.key(0), r"y \(2,\)"),
        ({"x": np.float32(1)}, 1, jax.random.key(0), r"x \(\)"),
        (ARRAYS, 2, jax.random.PRNGKey(0), r"typed key.*uint32 \(2,\)"),
        (ARRAYS, 2, seed_keys(0, 4).reshape(2, 2), r"\(S,\).*\(2, 2\)"),
        (ARRAYS, 2, 7, "typed key.*int"),
    ],
)
def test_bad_arguments_are_named(arrays, size, keys, message):
    with pytest.raises(InputError, match=message):
        ArrayBatches(arrays, size, keys)


@pytest.mark.full(plain=["state1", "state4", "3", "state6", "state7"])
@pytest.mark.parametrize(
    "state",
    [
        {},
        {"index": -1},
        {"index": 1.0},
        {"index": True},
        {"i": 1},
        3,
        {"index": 1, "more": 2},
        {"index": 2**32},
    ],
)
def test_a_bad_position_is_refused_and_changes_nothing(state):
    source = ArrayBatches(ARRAYS, B, jax.random.key(0))
    source.next()
    with pytest.raises(InputError, match="not a position.*'index'"):
        source.set_state(state)
    assert source.get_state() == {"index": 1}


@pytest.mark.parametrize("size", [1, 4, 11, 20])
def test_evaluation_has_every_example_once_in_equal_shapes(size):
    batches = evaluation_batches(ARRAYS, size)
    assert len(batches) == -(-N // size)
    assert {b["image"].shape for b in batches} == {(size, 3, 3, 1)}
    weight = np.concatenate([b["weight"] for b in batches])
    assert weight.dtype == np.float32 and set(weight) <= {0.0, 1.0}
    for name, x in ARRAYS.items():
        whole = np.concatenate([b[name] for b in batches])
        np.testing.assert_array_equal(whole[weight == 1], x)


def test_bad_evaluation_sets_are_named():
    with pytest.raises(InputError, match="empty"):
        evaluation_batches({"x": np.zeros((0, 2))}, 3)
    with pytest.raises(InputError, match="batch_size=0"):
        evaluation_batches(ARRAYS, 0)
    with pytest.raises(InputError, match="'weight'"):
        evaluation_batches({"weight": np.zeros(3)}, 3)


def test_a_pair_of_arrays_gives_pairs():
    x, y = np.arange(6.0), np.arange(6)
    named = ArrayBatches({"0": x, "1": y}, 2, jax.random.key(0)).next()
    pair = ArrayBatches((x, y), 2, jax.random.key(0)).next()
    assert isinstance(pair, tuple)
    assert [p.tolist() for p in pair] == [named[name].tolist() for name in ("0", "1")]
    with pytest.raises(InputError, match="arrays of type list have no names; accepted"):
        ArrayBatches([x, y], 2, jax.random.key(0))  # pyright: ignore
