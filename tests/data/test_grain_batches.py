"""Streamed batches: order, resuming, seeds, workers."""

import json

import grain
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import GrainBatches, evaluation_stream


class Squares:
    """Ten examples that pickle."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return {"x": np.int32(i), "y": np.full((2,), int(i) ** 2, np.float32)}


def noisy(example, rng):
    return {**example, "noise": rng.integers(0, 10**6)}


def take(source, count):
    return [source.next() for _ in range(count)]


def assert_same(got, want):
    for a, b in zip(got, want, strict=True):
        assert a.keys() == b.keys()
        for name in b:
            np.testing.assert_array_equal(a[name], b[name])


def test_every_example_once_an_epoch_in_new_orders():
    source = GrainBatches(Squares(), 4, seed=0)
    batches = take(source, 5)
    source.close()
    order = np.concatenate([b["x"] for b in batches])
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()
    for b in batches:
        np.testing.assert_array_equal(b["y"], np.stack([b["x"] ** 2] * 2, 1))


def test_it_is_grains_own_order():
    plain = grain.MapDataset.source(Squares()).seed(7).shuffle().repeat()
    plain = iter(plain.random_map(noisy).batch(4).to_iter_dataset())
    source = GrainBatches(Squares(), 4, seed=7, transform=noisy)
    assert_same(take(source, 6), [next(plain) for _ in range(6)])
    source.close()
    plain.close()


@pytest.mark.full(plain=["3"])
@pytest.mark.parametrize("seed", [3, [3, 5]])
def test_a_restored_position_gives_the_same_batches(seed):
    source = GrainBatches(Squares(), 3, seed, transform=noisy)
    take(source, 4)
    state = json.loads(json.dumps(source.get_state()))
    assert state == {"index": 4}
    want = take(source, 5)
    other = GrainBatches(Squares(), 3, seed, transform=noisy)
    other.set_state(state)
    assert_same(take(other, 5), want)
    other.set_state({"index": 5})  # and back, in the middle of things
    assert_same(take(other, 4), want[1:])
    source.close()
    other.close()


@pytest.mark.full(plain=["3"])
@pytest.mark.parametrize("seed", [3, [3, 5]])
def test_parts_are_the_rows_of_the_whole(seed):
    whole = GrainBatches(Squares(), 6, seed, transform=noisy)
    parts = [
        GrainBatches(Squares(), 6, seed, rows=rows, transform=noisy)
        for rows in (range(2), range(2, 6))
    ]
    assert [part.rows for part in parts] == [range(2), range(2, 6)]
    axis = np.ndim(seed)
    for _ in range(4):
        given = [part.next() for part in parts]
        joined = {k: np.concatenate([x[k] for x in given], axis) for k in given[0]}
        assert_same([joined], [whole.next()])
    for source in (whole, *parts):
        source.close()


def test_a_part_reads_its_own_rows_only():
    read = []

    class Watched(Squares):
        def __getitem__(self, i):
            read.append(int(i))
            return super().__getitem__(i)

    source = GrainBatches(Watched(), 10, 0, rows=range(3, 5), num_threads=1)
    got = source.next()["x"].tolist()
    source.close()
    # Batches are read ahead; each has two rows.
    assert read[:2] == got and len(read) <= 2 * 4


@pytest.mark.full
def test_workers_read_parts(tmp_path):
    here = GrainBatches(Squares(), 4, 0, rows=range(2, 4), transform=noisy)
    want = take(here, 3)
    here.close()
    there = GrainBatches(
        Squares(), 4, 0, rows=range(2, 4), transform=noisy, num_workers=2
    )
    assert_same(take(there, 3), want)
    there.close()


@pytest.mark.parametrize("rows", [range(0), range(2, 5), range(0, 4, 2), range(-1, 2)])
def test_rows_that_a_batch_does_not_have(rows):
    with pytest.raises(InputError, match=r"rows=range\(.*accepted: range\(i, j\)"):
        GrainBatches(Squares(), 4, 0, rows=rows)


def test_each_seed_of_several_has_the_batches_of_that_seed_alone():
    many = GrainBatches(Squares(), 3, [1, 2], transform=noisy)
    together = take(many, 5)
    assert together[0]["y"].shape == (2, 3, 2)
    for row, seed in enumerate([1, 2]):
        alone = GrainBatches(Squares(), 3, seed, transform=noisy)
        got = [{name: x[row] for name, x in b.items()} for b in together]
        assert_same(got, take(alone, 5))
        alone.close()
    many.close()
    assert not np.array_equal(together[0]["x"][0], together[0]["x"][1])


@pytest.mark.full
def test_worker_processes_give_the_same_batches_and_positions():
    here = GrainBatches(Squares(), 4, 0, transform=noisy)
    want = take(here, 5)
    here.close()
    there = GrainBatches(Squares(), 4, 0, transform=noisy, num_workers=2)
    there.set_state({"index": 1})
    assert_same(take(there, 4), want[1:])
    assert there.get_state() == {"index": 5}
    there.close()


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match=r"batch_size=11.*10 examples.*\[1, 10\]"):
        GrainBatches(Squares(), 11, 0)
    with pytest.raises(InputError, match="empty"):
        GrainBatches([], 1, 0)
    with pytest.raises(InputError, match="seed=-1"):
        GrainBatches(Squares(), 2, -1)
    with pytest.raises(InputError, match=r"seed=\[\]"):
        GrainBatches(Squares(), 2, [])
    with pytest.raises(InputError, match="num_workers=-1"):
        GrainBatches(Squares(), 2, 0, num_workers=-1)
    with pytest.raises(InputError, match="num_threads=0"):
        GrainBatches(Squares(), 2, 0, num_threads=0)
    with pytest.raises(InputError, match="not a position"):
        GrainBatches(Squares(), 2, 0).set_state({"next_index": 3})


def test_an_error_of_the_source_is_passed_on():
    class Broken(Squares):
        def __getitem__(self, i):
            raise InputError("cannot read example 3")

    source = GrainBatches(Broken(), 2, 0)
    with pytest.raises(InputError, match="cannot read example 3"):
        source.next()
    source.close()


@pytest.mark.parametrize("size", [1, 4, 10, 16])
def test_the_evaluation_stream_has_every_example_once(size):
    stream = evaluation_stream(
        Squares(), size, transform=lambda e: {**e, "z": e["x"] + 1}
    )
    for _ in range(2):
        batches = list(stream())
        assert len(batches) == -(-10 // size)
        assert {b["y"].shape for b in batches} == {(size, 2)}
        weight = np.concatenate([b["weight"] for b in batches])
        z = np.concatenate([b["z"] for b in batches])
        np.testing.assert_array_equal(z[weight == 1], np.arange(10) + 1)
        assert weight.sum() == 10 and weight.dtype == np.float32
    with pytest.raises(InputError, match="batch_size=0"):
        evaluation_stream(Squares(), 0)
