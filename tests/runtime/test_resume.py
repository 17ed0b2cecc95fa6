"""A resumed run is the uninterrupted one, bit by bit."""

import pytest
from support.tiny_run import bits, records, terminate, train

STEPS = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    def run(seeds):
        folder = tmp_path_factory.mktemp("whole")
        return bits(train(folder, STEPS, seeds=seeds).state), records(folder)

    return {seeds: run(seeds) for seeds in (None, 2)}


def assert_same(folder, result, whole):
    state, lines = whole
    assert bits(result.state) == state
    assert records(folder) == lines


@pytest.mark.full(plain=["20-None"])
@pytest.mark.parametrize("seeds", [None, 2])
@pytest.mark.parametrize("at", [10, 13, 20])
def test_stopped_by_a_signal_and_resumed(seeds, at, tmp_path, whole):
    first = train(tmp_path, STEPS, seeds=seeds, act=terminate, at=at)
    assert (first.stopped, int(first.state.step.max())) == ("SIGTERM", at)
    second = train(tmp_path, STEPS, seeds=seeds)
    assert second.stopped is None
    assert_same(tmp_path, second, whole[seeds])


@pytest.mark.full
@pytest.mark.parametrize("seeds", [None, 2])
def test_crashed_and_resumed_from_a_checkpoint_between_two_records(
    seeds, tmp_path, whole
):
    def crash():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        train(tmp_path, STEPS, seeds=seeds, save_every=6, act=crash, at=18)
    # Lines of steps after the checkpoint are there, and must go.
    assert records(tmp_path)[-1]["step"] == 15
    second = train(tmp_path, STEPS, seeds=seeds, save_every=6)
    assert_same(tmp_path, second, whole[seeds])


@pytest.mark.full
def test_many_stops(tmp_path, whole):
    for at in (1, 2, 11, 23):
        train(tmp_path, STEPS, act=terminate, at=at)
    assert_same(tmp_path, train(tmp_path, STEPS), whole[None])


def test_ended_and_made_longer(tmp_path, whole):
    train(tmp_path, 10)
    assert_same(tmp_path, train(tmp_path, STEPS), whole[None])


@pytest.mark.full
def test_ended_between_two_records_and_made_longer(tmp_path, whole):
    state, lines = whole[None]
    train(tmp_path, 13)
    longer = train(tmp_path, STEPS)
    assert bits(longer.state) == state
    # The shorter run closed with records of its own; all others are the same.
    closing = [(r["kind"], r["step"]) for r in records(tmp_path) if r["step"] == 13]
    assert closing == [("train", 13), ("test", 13)]
    assert [r for r in records(tmp_path) if r["step"] != 13] == lines


def test_the_comparison_sees_a_lost_position(tmp_path, whole, monkeypatch):
    from jaxopt_lab.data.batches import ArrayBatches

    train(tmp_path, STEPS, act=terminate, at=13)
    monkeypatch.setattr(ArrayBatches, "set_state", lambda self, state: None)
    result = train(tmp_path, STEPS)
    assert bits(result.state) != whole[None][0]
    assert records(tmp_path) != whole[None][1]


def test_the_comparison_sees_lost_metrics(tmp_path, whole, monkeypatch):
    from jaxopt_lab.runtime.metric_buffer import MetricBuffer

    train(tmp_path, STEPS, act=terminate, at=13)
    monkeypatch.setattr(MetricBuffer, "__init__", _forgetful(MetricBuffer.__init__))
    result = train(tmp_path, STEPS)
    assert bits(result.state) == whole[None][0]
    assert records(tmp_path) != whole[None][1]


def _forgetful(init):
    return lambda self, start, pending, skip: init(self, start, None, skip)
