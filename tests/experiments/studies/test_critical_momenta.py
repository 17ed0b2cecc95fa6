"""The study on critical momenta, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import scores
from experiments.studies.critical_momenta import (
    buffers,
    escapes,
    measure,
    methods,
    streams,
    toys,
)
from experiments.studies.critical_momenta.__main__ import STUDY
from experiments.studies.critical_momenta.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"],
    starts=8,
    flow_steps=20,
    toys=("wells .1", "levy, 2-D"),
    toy_steps=30,
    toy_rates=(0.01, 0.1),
    drawn=2,
    buffer_steps=8,
    stream_tasks=2,
    stream_steps=2,
    stream_rates=(1e-3,),
    changes=(),
    seeds=1,
    stream_width=4,
    batch_size=2,
    text_steps=2,
    text_rates=(1e-3,),
    text_width=4,
    context=4,
)


@pytest.mark.full(plain=["goldstein-price"])
@pytest.mark.parametrize("toy", toys.TOYS, ids=lambda t: t.name)
def test_the_target_is_a_minimum(toy):
    target = jnp.asarray(toy.target)
    here = float(toy.loss(target))
    around = target[None] + 0.02 * jax.random.normal(jax.random.key(0), (64, toy.dims))
    # The quadratic term moves the bottom of a well by a little.
    assert float(jnp.min(jax.vmap(toy.loss)(around))) > here - 1e-3
    assert np.all(np.isfinite(jax.grad(toy.loss)(target)))


def test_known_values():
    x = jnp.array([1.0, 1.0])
    np.testing.assert_allclose(toys.levy(x), 0, atol=1e-12)
    np.testing.assert_allclose(toys.ackley(jnp.zeros(2)), 0, atol=1e-12)
    low = (np.log(3) - 8.693) / 2.427
    np.testing.assert_allclose(
        toys.log_goldstein_price(jnp.array([0.0, -1.0])), low, rtol=1e-12
    )


def test_starts_in_the_narrow_basin_are_found():
    toy = toys.TOYS[0]
    config = dataclasses.replace(TINY, starts=60, flow_steps=4000)
    elsewhere = escapes.elsewhere(toy, config)
    starts = np.asarray(toy.starts(config.starts))[:, 0]
    # Within a width of its centre every start falls into the narrow well.
    near = abs(starts + 2) < 0.1
    assert near.any() and elsewhere[near].all() and not elsewhere.all()


def test_first_hit_is_the_first():
    toy = toys.Toy(
        "bowl", lambda x: jnp.sum(x**2), (0.0,), 0.5, (1.0,), (1.0,), (-1, 1)
    )
    found = escapes.escapes(methods.ADAM, toy, "constant", TINY)
    way = found.path[1, 0, :, 0]
    assert found.hit.shape == (2, 8) and found.path.shape == (2, 2, 30, 1)
    assert found.first[1, 0] == 1 + np.argmax(abs(way) < 0.5)
    np.testing.assert_allclose(found.sharpness[1], 2.0)


def test_the_step_size_is_chosen_on_the_other_half():
    values = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], float)
    score = scores.score(values, (0.1, 0.2))
    assert score.rate == 0.1 and score.values.tolist() == [0, 0]
    lowest = scores.score(values, (0.1, 0.2), higher_is_better=False)
    assert lowest.rate == 0.2
    broken = scores.score(np.full((2, 4), np.nan), (0.1, 0.2))
    assert broken.rate in (0.1, 0.2)


@pytest.mark.full
def test_mean_age_follows_the_buffer():
    tx = methods.CM.make(0.1)
    params = jnp.ones(2)
    state = tx.init(params)
    assert np.isnan(float(buffers.mean_age(state)))
    for _ in range(3):
        _, state = tx.update(jnp.ones(2), state, params)
    # Entries of steps 1, 2, 3.
    assert 0.5 <= float(buffers.mean_age(state)) <= 2.0
    assert np.isnan(float(buffers.mean_age(methods.ADAM.make(0.1).init(params))))


def test_streams_change_what_they_say():
    source = streams.examples(None)
    labels = streams.streams("labels", TINY, source)
    turned = streams.streams("rotation", TINY, source)
    assert labels.images.shape[:3] == (2, 4, 2)
    # The first task of a rotated stream is not turned: the same draw, other names.
    np.testing.assert_array_equal(labels.images[0, :2], turned.images[0, :2])
    assert not np.array_equal(labels.labels[0, :2], turned.labels[0, :2])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path, capsys, monkeypatch):
    # As many methods as the claims are about: each compiles programs of its own.
    toys_only = (methods.ADAM, methods.SAM, methods.CG, methods.CM)
    networks = (methods.ADAM, methods.SAM_SMALL, methods.CG, methods.CM)
    monkeypatch.setattr(methods, "ON_TOYS", toys_only)
    monkeypatch.setattr(methods, "ON_NETWORKS", networks)
    monkeypatch.setattr(measure, "WATCHED", (methods.ADAM, methods.CM))
    text = tmp_path / "text.txt"
    text.write_text("to be, or not to be, that is the question. " * 60)
    told = STUDY.run(TINY, tmp_path / "new", text=str(text)).verdicts
    folder = tmp_path / "new"
    record = json.loads((folder / "results.json").read_text())
    assert {row["where"] for row in record["toys"]} == {
        f"{name}, cosine" for name in TINY.toys
    }
    assert len(record["verdicts"]) == len(told)
    assert set(record["buffers"]) > {"adam"} and "text" in record["text"]
    for name in ("hits", "buffers", "streams", "text", "ways-wells-1", "ways-levy-2-D"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert "claims" in capsys.readouterr().out
