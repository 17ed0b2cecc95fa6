"""A codec with prompts: a tiny run, its arms, and the speech that it codes."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.applications.speech_codec.__main__ import APPLICATION
from experiments.applications.speech_codec.codec import Arm, codec
from experiments.applications.speech_codec.config import BANDS, Config
from experiments.applications.speech_codec.speech import (
    filters,
    frames,
    mel,
    speaker_accuracy,
    speaker_vectors,
    speech,
)
from experiments.applications.speech_codec.training import programs

TINY = Config(
    seeds=1,
    steps=2,
    rounds=2,
    speakers=3,
    train=4,
    test=2,
    stages=(1, 2),
    codes=4,
    width=4,
    latent=8,
    size=3,
)


@pytest.mark.full
def test_smoke(smoke):
    record = smoke(APPLICATION, dataclasses.replace(TINY, stages=(1,)))
    assert record["bits"] == [100.0]
    assert np.shape(record["error"]) == (1, 4, 1)
    assert np.all(np.isfinite(record["error"]))
    assert np.all(np.greater_equal(record["used"], 1))


@pytest.mark.full
def test_a_decoder_without_prompts_hears_no_reference():
    net = codec(TINY, 1)
    rng = np.random.default_rng(0)
    x, one, two = rng.normal(size=(3, 2, TINY.length, BANDS)).astype(np.float32)
    vectors = rng.normal(size=(2, 2, TINY.speakers - 1)).astype(np.float32)

    @jax.jit
    def outputs(params, state, arm):
        return [
            net.apply(params, state, (x, reference, vector, arm), train=False)[0]
            for reference, vector in zip((one, two), vectors, strict=True)
        ]

    with jax.numpy_rank_promotion("allow"):
        start = net.init(jax.random.key(0))
        deaf, other = outputs(*start, Arm(0.0, 0.0, 0.0))
        np.testing.assert_array_equal(deaf.y, other.y)
        told, another = outputs(*start, Arm(1.0, 1.0, 0.0))
    assert np.max(np.abs(told.y - another.y)) > 1e-3
    # The codes are those of the utterance alone.
    np.testing.assert_array_equal(told.codes, deaf.codes)
    np.testing.assert_array_equal(told.codes, another.codes)


@pytest.mark.full
def test_dead_codes_live_again():
    """All become residuals at first; later those that some utterance uses stay."""
    run, net = programs(TINY, 2), codec(TINY, 2)
    params, _ = net.init(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(1, 3, 6, TINY.length, BANDS))
    given = jax.tree.map(lambda a: np.asarray(a)[None], params)
    keys = np.zeros((1, 2), np.uint32)
    with jax.numpy_rank_promotion("allow"):
        fresh = run.revive(given, keys, x.astype("f4"), np.float32(0))
        far = np.array(fresh["codes"]["codebooks"])
        far[0, 0, 0, 1] = 1e3  # of the first group and stage the second code
        given = {**fresh, "codes": {"codebooks": far}}
        again = run.revive(given, keys + 1, x.astype("f4"), np.float32(1))
    tables = np.asarray(again["codes"]["codebooks"])
    assert np.abs(tables).max() < 10
    np.testing.assert_array_equal(tables[0, 0, 0, [0, 2, 3]], far[0, 0, 0, [0, 2, 3]])
    np.testing.assert_array_equal(tables[0, 1, 0], far[0, 1, 0])


def test_speech():
    """Filters add up to one inside; a formant is a maximum; voices can be told."""
    inside = np.linspace(60, 3700, 200)
    np.testing.assert_allclose(filters(inside).sum(-1), 1, atol=1e-12)
    dense = np.arange(1, 45) * 90.0
    energy = frames(np.array([90.0]), np.array([[900.0, 2700, 3500]]), 0.0)[0]
    nearest = np.argmin(np.abs(mel(900) - mel(4000) / (BANDS + 1) * np.arange(1, 41)))
    assert abs(np.argmax(energy) - nearest) <= 1 and dense[9] == 900
    made = speech(np.random.default_rng(0), TINY)
    seen = made.x[:, : TINY.train]
    assert made.x.shape == (3, 6, TINY.length, BANDS)
    assert abs(seen.mean()) < 1e-4 and abs(seen.std() - 1) < 1e-4
    vectors = speaker_vectors(made)
    assert vectors.shape == (3, 6, 2)
    centres = vectors[:, : TINY.train].mean(axis=1)
    gaps = np.linalg.norm(vectors[:, TINY.train :, None] - centres, axis=-1)
    assert np.all(gaps.argmin(axis=-1) == np.arange(3)[:, None])


def test_voices_from_codes():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, 30, 6, 5))
    told = noise + 5 * rng.normal(size=(4, 1, 1, 5))
    assert speaker_accuracy(told, 20) == 1
    assert speaker_accuracy(noise, 20) < 0.6
