"""The window of metrics: exact means, the first bad loss, what is pending."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.runtime.metric_buffer import MetricBuffer, NonFinite


def filled(losses, start=0, **kwargs):
    window = MetricBuffer(start, **kwargs)
    for loss in losses:
        window.add({"loss": jnp.asarray(loss, jnp.float64)})
    return window


def test_means_are_those_of_all_steps_in_float64():
    losses = np.random.default_rng(0).normal(size=50)
    assert float(filled(losses).means()["loss"]) == losses.mean()
    seeds = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_array_equal(filled(seeds).means()["loss"], seeds.mean(0))


def test_low_precision_is_averaged_in_float64():
    window = MetricBuffer(0)
    for _ in range(300):
        window.add({"loss": jnp.bfloat16(1.0), "other": jnp.int32(1)})
    assert window.means() == {"loss": 1.0, "other": 1.0}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_bad_loss_is_named(value):
    window = filled([1.0, 2.0], start=10)
    assert window.fetch() is None
    window.add({"loss": jnp.float64(value)})
    window.add({"loss": jnp.float64(np.nan)})
    np.testing.assert_equal(window.fetch(), NonFinite(13, value, None))


def test_the_bad_seed_is_named():
    window = filled([[1.0, 2.0], [1.0, np.inf]])
    assert window.fetch() == NonFinite(2, np.inf, 1)


def test_only_the_loss_must_be_finite():
    window = MetricBuffer(0)
    window.add({"loss": jnp.float64(1.0), "perplexity": jnp.float64(np.inf)})
    assert window.fetch() is None


def test_skipped_steps_do_not_count():
    window = MetricBuffer(0, skip=True)
    for loss, skipped in ((1.0, 0.0), (np.nan, 1.0), (3.0, 0.0), (np.inf, 1.0)):
        values = {"loss": jnp.float64(loss), "skipped": jnp.float64(skipped)}
        window.add(values)
    assert window.fetch() is None
    assert window.means() == {"loss": 2.0, "skipped": 0.5}
    assert np.isnan(filled([np.nan], skip=True).means()["loss"])


def test_pending_goes_through_json_to_the_last_bit():
    losses = np.random.default_rng(1).normal(size=(9, 2))
    window = filled(losses[:4], start=20)
    pending = json.loads(json.dumps(window.pending()))
    again = filled(losses[4:], start=24, pending=pending)
    expected = filled(losses).means()["loss"]
    np.testing.assert_array_equal(again.means()["loss"], expected)


def test_steps_are_counted_on_after_pending_ones_and_a_record():
    window = filled([1.0], start=3, pending={"loss": [1.0, 1.0]})
    window.add({"loss": jnp.float64(np.nan)})
    assert window.fetch().step == 5
    window.clear(5)
    assert window.means() == {}
    window.add({"loss": jnp.float64(np.nan)})
    assert window.fetch().step == 6
