"""Audio fingerprints: invariances, exact solves, bad input, and a tiny run."""

import numpy as np
import pytest

from experiments.applications.audio_fingerprints import filtering
from experiments.applications.audio_fingerprints.__main__ import (
    APPLICATION,
    SCORES,
    f1,
)
from experiments.applications.audio_fingerprints.config import HOP, Config
from experiments.applications.audio_fingerprints.events import (
    components,
    positions,
    quality,
    segments,
)
from experiments.applications.audio_fingerprints.filtering import Edges, logistic
from experiments.applications.audio_fingerprints.landmarks import (
    Landmarks,
    Pairs,
    landmarks,
    pairs,
)
from experiments.applications.audio_fingerprints.sound import concert
from jaxopt_lab.core.errors import InputError

TINY = Config(
    seeds=1, concerts=2, seconds=8, clips=8, unrelated=2, shortest=4, longest=6
)
SOUND = concert(np.random.default_rng(0), 6.0)


def shifted(mark, by):
    return Landmarks(mark.code, mark.time + by)


def test_smoke(smoke):
    record = smoke(APPLICATION, TINY)
    assert sorted(record["scores"]) == sorted(SCORES)
    assert 0 <= record["scores"]["F1 after"][0] <= 1


def test_landmarks_do_not_see_gain_and_move_with_the_sound():
    mark = landmarks(SOUND)
    # A power of two scales every number exactly.
    loud = landmarks(SOUND * 1024)
    np.testing.assert_array_equal(loud.code, mark.code)
    np.testing.assert_array_equal(loud.time, mark.time)
    # Away from both ends, a cut by seven whole hops moves them by seven frames.
    cut = landmarks(SOUND[7 * HOP :])
    as_set = lambda m, low, high: {
        (c, t) for c, t in zip(m.code, m.time, strict=True) if low <= t <= high
    }
    inside = as_set(mark, 30, 90)
    same = inside & as_set(shifted(cut, 7), 30, 90)
    assert len(inside) > 50 and len(same) > 0.95 * len(inside)


def test_pairs():
    """A sound and itself later, others, and the order of the sounds."""
    mark = landmarks(SOUND)
    rng = np.random.default_rng(1)
    noise = Landmarks(rng.integers(0, 1 << 20, 300), np.sort(rng.integers(0, 180, 300)))
    found = pairs([mark, shifted(mark, -9), noise])
    assert (found.a[0], found.b[0], found.offset[0]) == (0, 1, 9)
    assert found.matches[0] >= len(mark.code)
    turned = pairs([noise, shifted(mark, -9), mark])
    at = np.flatnonzero((turned.a == 1) & (turned.b == 2))[0]
    assert turned.offset[at] == -9 and turned.matches[at] == found.matches[0]
    assert turned.second[at] == found.second[0]


def made(edges):
    a, b, matches, offset = (np.array(x) for x in zip(*edges, strict=True))
    return Pairs(a, b, matches, offset, 0 * a)


def test_positions_components_and_segments():
    """Consistent offsets give the places exactly; others the weighted squares."""
    rng = np.random.default_rng(2)
    true = np.array([0.0, 14, -6, 0, 33, 20])
    edges = [(0, 1, 5), (1, 2, 9), (0, 2, 7), (4, 5, 6)]
    found = made([(a, b, m, int(true[b] - true[a])) for a, b, m in edges])
    kept = np.ones(4, bool)
    event = components(found, kept, 6)
    assert event.tolist() == [0, 0, 0, 3, 4, 4]
    place = positions(found, kept, event)
    np.testing.assert_allclose(place, [0, 14, -6, 0, 0, -13], atol=1e-10)
    # Against least squares on the incidence matrix.
    wrong = found._replace(offset=found.offset + rng.integers(-3, 4, 4))
    rows = np.zeros((3, 2))
    for i in range(3):
        for column, sign in ((wrong.a[i], -1), (wrong.b[i], 1)):
            if column:
                rows[i, column - 1] = sign
    root = np.sqrt(wrong.matches[:3])
    wanted = np.linalg.lstsq(rows * root[:, None], root * wrong.offset[:3])[0]
    found_places = positions(wrong, kept, event)[1:3]
    np.testing.assert_allclose(found_places, wanted, atol=1e-10)
    # The time line of the first event: [-6, 4), [0, 10), [14, 24).
    pieces = segments(place, np.full(6, 10), event)
    lines = [(s, e, i.tolist()) for s, e, i in pieces if 0 in event[i]]
    assert lines == [
        (-6, 0, [2]),
        (0, 4, [0, 2]),
        (4, 10, [0]),
        (14, 24, [1]),
    ]


def test_equal_recordings_have_equal_quality():
    mark = landmarks(SOUND)
    found = pairs([mark, mark, mark])
    kept = np.ones(3, bool)
    event = components(found, kept, 3)
    value = quality(found, kept, event, np.full(3, 187))
    assert value[0] > 0 and np.ptp(value) == 0
    alone = quality(found, ~kept, components(found, ~kept, 3), np.full(3, 187))
    assert np.all(np.isnan(alone))


def test_the_filter_is_at_the_minimum():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 3)) * [1, 5, 0.1] + 2
    y = x[:, 0] + rng.normal(size=60) > 2
    fitted = logistic(x, y, ridge=0.5)
    z = (x - x.mean(0)) / x.std(0)
    gap = 1 / (1 + np.exp(-fitted.scores(x))) - y
    slope = z.T @ gap + 0.5 * fitted.weights[:-1]
    np.testing.assert_allclose(slope, 0, atol=1e-9)
    truth = np.zeros((3, 3), bool)
    truth[0, 1] = truth[1, 0] = True
    assert f1(truth, np.array([0, 1]), np.array([1, 2])) == pytest.approx(2 / 3)


def test_decisions_about_a_training_set_are_of_filters_of_the_others(monkeypatch):
    fitted = []

    def recorded(x, y, *, ridge=1.0):
        fitted.append(sorted(y.tolist()))
        return logistic(x, y, ridge=ridge)

    monkeypatch.setattr(filtering, "logistic", recorded)
    rng = np.random.default_rng(4)
    sets = [
        Edges(
            made([(0, 1, 5 + int(m), 0) for m in rng.integers(0, 9, count)]),
            np.full(3, 50),
            np.full(3, 40),
        )
        for count in (4, 6, 5)
    ]
    truth = [np.arange(4) < 2, np.arange(6) < 1]
    kept = filtering.filtered(sets[:2], truth, sets[2], rounds=2)
    assert kept.shape == (5,)
    own, other = (sorted(t.tolist()) for t in truth)
    both = sorted(own + other)
    assert fitted == 2 * [other, own, both]


def test_bad_input(tmp_path, capsys):
    with pytest.raises(InputError, match="is empty"):
        landmarks(np.zeros(4000))
    with pytest.raises(InputError, match="is empty"):
        landmarks(np.ones(10))
    for folder, words in ((tmp_path / "none", "no folder"), (tmp_path, "no WAV file")):
        assert APPLICATION.main(["quick", f"audio={folder}", f"out={tmp_path}/o"]) == 2
        shown = capsys.readouterr().err
        assert words in shown and shown.count("\n") == 1
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert APPLICATION.main(["quick", f"audio={tmp_path}", f"out={tmp_path}/o"]) == 2
    assert "cannot read" in capsys.readouterr().err
